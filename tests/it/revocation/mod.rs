//! Tokens that are rejected before they expire.

mod entries;
mod memory;
mod order;
mod status_lists;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::Router;
use dpop_tower::{
    DpopConfigBuilder, Policy, RequestHead, Verifier,
    future::MaybeReady,
    revocation::{
        MemoryRevocationList, RevocationError, RevocationList, RevocationQuery, RevocationStatus,
    },
};
use http::{Request, header};

use crate::support::{Api, URL, Verdict, router, send};

const ISSUER: &str = "https://issuer.test";

const REVOKED: Verdict = crate::support::invalid_token("token_revoked");

type Answer = MaybeReady<Result<RevocationStatus, RevocationError>>;

/// A list that counts how often it is asked, and answers as the test says.
struct Scripted {
    asked: AtomicUsize,
    /// Gets the number of the question, beginning with one.
    answer: Box<dyn Fn(usize) -> Answer + Send + Sync>,
}

impl Scripted {
    fn new(answer: impl Fn(usize) -> Answer + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            asked: AtomicUsize::new(0),
            answer: Box::new(answer),
        })
    }

    fn always(status: RevocationStatus) -> Arc<Self> {
        Self::new(move |_| MaybeReady::ready(Ok(status)))
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl RevocationList for Scripted {
    fn status(&self, _: RevocationQuery<'_>) -> Answer {
        (self.answer)(self.asked.fetch_add(1, Ordering::SeqCst) + 1)
    }
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scripted")
    }
}

/// An API whose tokens can be revoked, as a layer and as a verifier of one configuration.
struct Revocable {
    api: Api,
    list: Arc<MemoryRevocationList>,
    layer: Router,
    verifier: Verifier,
}

impl Revocable {
    fn new() -> Self {
        Self::with(|config| config)
    }

    fn with(change: impl FnOnce(DpopConfigBuilder) -> DpopConfigBuilder) -> Self {
        let api = Api::new();
        let list = Arc::new(MemoryRevocationList::new().clock(api.clock.clone()));
        let config = change(api.config().revocation_list(Arc::clone(&list)));
        let config = config.build().unwrap();
        Self {
            layer: router(config.clone()),
            verifier: Verifier::new(config),
            list,
            api,
        }
    }

    /// Returns the verdict on a token, which is that of the layer and that of the verifier.
    async fn present(&self, token: &str) -> Verdict {
        let request = self.api.client.get(URL, token);
        let of_layer = Verdict::of(send(self.layer.clone(), request).await);
        let of_verifier = verify(&self.verifier, &self.api.client.get(URL, token)).await;
        assert_eq!(reason(of_layer), of_verifier);
        of_layer
    }
}

/// Returns the reason for which a verifier rejects the request, or nothing.
async fn verify(verifier: &Verifier, request: &Request<()>) -> Option<&'static str> {
    let head = RequestHead::new(request.method(), request.uri(), request.headers());
    match verifier.verify_request(head).await {
        dpop_tower::Verdict::Admitted(_) => None,
        dpop_tower::Verdict::Rejected(rejection) => Some(rejection.reason()),
    }
}

const fn reason(verdict: Verdict) -> Option<&'static str> {
    match verdict {
        Verdict::Admitted => None,
        Verdict::Rejected { reason, .. } => Some(reason),
    }
}

fn bearer(token: &str) -> Request<()> {
    Request::get(URL)
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(())
        .unwrap()
}

/// Admits bearer tokens that are not bound.
fn optional(config: DpopConfigBuilder) -> DpopConfigBuilder {
    config.policy(Policy::optional())
}
