//! The layer as a tower middleware: readiness, cancellation, types, and nested layers.

mod nested;
mod readiness;
mod responders;
mod types;

use std::{
    convert::Infallible,
    fmt, future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use dpop_tower::{
    DpopConfig, DpopConfigBuilder, DpopLayer, Policy, PublicOrigin,
    clock::UnixTime,
    future::MaybeReady,
    rejection::Rejection,
    token::{PresentedToken, TokenError, TokenVerifier, VerifiedToken},
};
use http::{HeaderMap, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;
use tower::{Layer as _, Service, ServiceExt as _, service_fn};

use crate::support::{Api, ORIGIN, URL, Verdict};

/// Far longer than anything here takes, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(5);

fn config(api: &Api) -> DpopConfigBuilder {
    DpopConfig::builder(PublicOrigin::new(ORIGIN).unwrap(), api.issuer.tokens())
        .clock(api.clock.clone())
}

fn layer(api: &Api) -> DpopLayer {
    DpopLayer::new(config(api).build().unwrap())
}

fn good(api: &Api) -> Request<()> {
    api.client.get(URL, &api.token().mint())
}

fn without_credentials() -> Request<()> {
    Request::new(())
}

fn bearer(token: &str) -> Request<()> {
    Request::get("/orders")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(())
        .unwrap()
}

async fn ok<B>(_: Request<B>) -> Result<Response<Body>, Infallible> {
    Ok(Response::default())
}

fn rejection<B>(response: &Response<B>) -> &Rejection {
    response.extensions().get().unwrap()
}

/// Panics if it is called before it was polled ready. Clones start out not ready.
#[derive(Debug, Default)]
struct OnlyWhenReady {
    is_ready: bool,
}

impl Clone for OnlyWhenReady {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<Request<()>> for OnlyWhenReady {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        assert!(self.is_ready, "called without being ready");
        self.is_ready = false;
        future::ready(Ok(Response::default()))
    }
}

#[tokio::test]
async fn the_inner_service_never_sees_a_rejected_request() {
    let api = Api::new();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let service = layer(&api).layer(service_fn(move |request: Request<()>| {
        counted.fetch_add(1, Ordering::SeqCst);
        ok(request)
    }));
    let token = api.token().mint();
    let stolen = dpop_tower::test_util::TestClient::new()
        .clock(api.clock.clone())
        .get(URL, &token);
    for (what, request) in [
        ("no credentials", without_credentials()),
        ("bearer", bearer(&token)),
        ("stolen", stolen),
        ("other target", api.client.get("https://api.test/x", &token)),
    ] {
        let mut request = request;
        *request.uri_mut() = "/orders".parse().unwrap();
        let response = service.clone().oneshot(request).await.unwrap();
        assert_ne!(Verdict::of(response), Verdict::Admitted, "{what}");
    }
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    service.oneshot(good(&api)).await.unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

async fn read<B>(response: Response<B>) -> Bytes
where
    B: http_body::Body<Error: fmt::Debug>,
{
    response.into_body().collect().await.unwrap().to_bytes()
}

/// Accepts any token as one of `subject`, bound to the given key.
#[derive(Debug)]
pub(crate) struct AnyToken {
    pub(crate) claims: Value,
}

impl TokenVerifier for AnyToken {
    fn verify(
        &self,
        _: PresentedToken<'_>,
        _: UnixTime,
    ) -> MaybeReady<Result<VerifiedToken, TokenError>> {
        MaybeReady::ready(VerifiedToken::new(
            self.claims.as_object().cloned().unwrap(),
        ))
    }
}

#[tokio::test]
async fn the_inner_service_gets_credentials_that_are_marked_sensitive() {
    async fn report(request: Request<()>) -> Result<Response<Full<Bytes>>, Infallible> {
        let is_sensitive = |headers: &HeaderMap, name| {
            let values = headers.get_all(name).iter();
            values.map(http::HeaderValue::is_sensitive).collect()
        };
        let mut report: Vec<bool> = is_sensitive(request.headers(), "authorization");
        report.extend(is_sensitive(request.headers(), "dpop"));
        Ok(Response::new(format!("{report:?}").into()))
    }
    let api = Api::new();
    let service = layer(&api)
        .with_policy(Policy::optional())
        .layer(service_fn(report));
    let bound = service.clone().oneshot(good(&api)).await.unwrap();
    assert_eq!(read(bound).await, "[true, true]");

    let mut with_stray_proofs = bearer(&api.issuer.token().mint());
    for proof in ["a", "b"] {
        let value = http::HeaderValue::from_static(proof);
        with_stray_proofs.headers_mut().append("dpop", value);
    }
    let unbound = service.oneshot(with_stray_proofs).await.unwrap();
    assert_eq!(read(unbound).await, "[true, true, true]");
}
