use std::{
    fmt, mem,
    net::IpAddr,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Extensions, HeaderMap, Request, Response, Uri, header};
use tower_service::Service;

use super::{
    Admitted,
    future::{Refused, ResponseFuture},
    rules::Rules,
};
use crate::{
    policy::Mode,
    rejection::RejectionResponse,
    target::PeerAddr,
    verifier::{self, PROOF, Presented, RequestErrorKind, RequestHead},
};

/// The service that a [`DpopLayer`](super::DpopLayer) makes.
///
/// Its error type and response body are those of the inner service.
#[derive(Clone)]
pub struct Dpop<S, R = crate::rejection::DefaultRejectionResponse> {
    inner: S,
    rules: Rules,
    responder: R,
}

impl<S, R> Dpop<S, R> {
    pub(super) const fn new(inner: S, rules: Rules, responder: R) -> Self {
        Self {
            inner,
            rules,
            responder,
        }
    }

    /// The inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, R, ReqBody, ResBody> Service<Request<ReqBody>> for Dpop<S, R>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    R: RejectionResponse<ResBody> + Clone,
    ResBody: Default,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = ResponseFuture<S, ReqBody, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        // The service that was polled ready is the one to call; the clone stays behind. It goes into
        // the future, so that refusing gives back whatever `poll_ready` reserved.
        let clone = self.inner.clone();
        let inner = mem::replace(&mut self.inner, clone);

        let uri = original_uri(request.extensions()).unwrap_or(request.uri());
        let (rule, is_malformed) = match self.rules.choose(request.method(), uri.path()) {
            Ok(rule) => (rule, false),
            Err(rule) => (rule, true),
        };
        if rule.policy.mode() == Mode::Off {
            let presented = || Presented::Nothing;
            Admitted::record_nothing(request.extensions_mut(), &rule, presented);
            mark_sensitive(request.headers_mut());
            let new_nonce = rule.config.current_nonce(&rule.policy);
            return ResponseFuture::admitted(inner, request, new_nonce);
        }
        let refused = Refused {
            responder: self.responder.clone(),
            rule: Arc::clone(&rule),
        };
        if is_malformed {
            let refusal = RequestErrorKind::PathMalformed.into();
            return ResponseFuture::refused(inner, request, refused, refusal);
        }
        let policy = &rule.policy;
        if let Some(admitted) = Admitted::find(request.extensions(), &rule.config) {
            return match admitted.satisfies(policy) {
                Ok(()) => {
                    let new_nonce = admitted.new_nonce(policy);
                    Admitted::record_inner(request.extensions_mut(), &rule);
                    ResponseFuture::admitted(inner, refused.reported(request, None), new_nonce)
                }
                Err(refusal) if refused.only_reports() => {
                    let request = refused.reported(request, Some(refusal));
                    ResponseFuture::admitted(inner, request, None)
                }
                Err(refusal) => ResponseFuture::refused(inner, request, refused, refusal),
            };
        }
        let verification = verifier::verify(
            &rule.config,
            policy,
            RequestHead {
                method: request.method(),
                uri,
                headers: request.headers(),
                peer: peer_address(request.extensions()),
            },
        );
        mark_sensitive(request.headers_mut());
        ResponseFuture::verifying(inner, request, refused, verification)
    }
}

/// axum's `nest` takes its prefix off the URI, and leaves the whole in an extension.
#[cfg(feature = "axum")]
fn original_uri(extensions: &Extensions) -> Option<&Uri> {
    extensions
        .get::<axum::extract::OriginalUri>()
        .map(|original| &original.0)
}

#[cfg(not(feature = "axum"))]
fn original_uri(_extensions: &Extensions) -> Option<&Uri> {
    None
}

/// Where the connection comes from, if the server says so.
fn peer_address(extensions: &Extensions) -> Option<IpAddr> {
    let told = extensions.get::<PeerAddr>().map(|peer| peer.0);
    #[cfg(feature = "axum")]
    let told = told.or_else(|| {
        let info = extensions.get::<axum::extract::ConnectInfo<std::net::SocketAddr>>();
        info.map(|info| info.0.ip())
    });
    told
}

/// Services further in may log headers; these two they shall not.
fn mark_sensitive(headers: &mut HeaderMap) {
    for name in [header::AUTHORIZATION, PROOF] {
        if let header::Entry::Occupied(mut entry) = headers.entry(name) {
            for value in entry.iter_mut() {
                value.set_sensitive(true);
            }
        }
    }
}

impl<S: fmt::Debug, R> fmt::Debug for Dpop<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dpop")
            .field("inner", &self.inner)
            .field("config", self.rules.config())
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}
