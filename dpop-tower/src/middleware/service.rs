use std::{
    fmt, mem,
    net::IpAddr,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Extensions, HeaderMap, Request, Response, Uri, header};
use tower_service::Service;

use super::{
    Admitted, ResponseBody,
    future::{Held, Ready, Rejected, ResponseFuture},
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
/// It takes the requests of the inner service, and its errors are those of that service. The body of its
/// responses is a [`ResponseBody`], which is that of the inner service or of a rejection.
#[derive(Clone)]
pub struct Dpop<S, R = crate::rejection::DefaultRejectionResponse> {
    inner: S,
    rules: Rules,
    responder: R,
    ends_streams: bool,
}

impl<S, R> Dpop<S, R> {
    pub(super) const fn new(inner: S, rules: Rules, responder: R, ends_streams: bool) -> Self {
        Self {
            inner,
            rules,
            responder,
            ends_streams,
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
    R: RejectionResponse + Clone,
    ReqBody: 'static,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, ReqBody, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        // The service that was polled ready is the one to call; the clone stays behind. It goes into
        // the future, so that rejecting gives back whatever `poll_ready` reserved.
        let clone = self.inner.clone();
        let mut ready = Ready {
            inner: mem::replace(&mut self.inner, clone),
            request,
            ends_streams: self.ends_streams,
        };
        let request = &mut ready.request;

        let uri = original_uri(request);
        let (rule, is_malformed) = match self.rules.choose(request.method(), uri.path()) {
            Ok(rule) => (rule, false),
            Err(rule) => (rule, true),
        };
        let rejected = || Rejected {
            responder: self.responder.clone(),
            rule: Arc::clone(&rule),
        };
        if rule.policy.mode() == Mode::Off {
            let presented = || Presented::Nothing;
            Admitted::record_nothing(request.extensions_mut(), &rule, presented);
            mark_sensitive(request.headers_mut());
            let new_nonce = rule.config.current_nonce(&rule.policy);
            return ResponseFuture::admitted(ready, new_nonce, rejected);
        }
        let rejected = rejected();
        if is_malformed {
            let rejection = RequestErrorKind::PathMalformed.into();
            return ResponseFuture::rejected(ready, rejected, rejection);
        }
        let policy = &rule.policy;
        if let Some(admitted) = Admitted::find(request.extensions(), &rule.config) {
            return match admitted.satisfies(policy) {
                Ok(()) => {
                    let new_nonce = admitted.new_nonce(policy);
                    Admitted::record_inner(request.extensions_mut(), &rule);
                    rejected.report(request, None);
                    ResponseFuture::admitted(ready, new_nonce, || rejected)
                }
                Err(rejection) if rejected.only_reports() => {
                    rejected.report(request, Some(rejection));
                    ResponseFuture::admitted(ready, None, || rejected)
                }
                Err(rejection) => ResponseFuture::rejected(ready, rejected, rejection),
            };
        }
        let peer = peer_address(request.extensions_mut());
        let verification = verifier::verify(
            &rule.config,
            policy,
            RequestHead {
                method: request.method(),
                uri: original_uri(request),
                headers: request.headers(),
                peer,
            },
        );
        mark_sensitive(request.headers_mut());
        ResponseFuture::verifying(Held { ready, rejected }, verification)
    }
}

/// axum's `nest` takes its prefix off the URI, and leaves the whole in an extension.
fn original_uri<B>(request: &Request<B>) -> &Uri {
    #[cfg(feature = "axum")]
    if let Some(original) = request.extensions().get::<axum::extract::OriginalUri>() {
        return &original.0;
    }
    request.uri()
}

/// Where the connection comes from, if the server says so.
#[cfg_attr(
    not(feature = "tonic"),
    expect(clippy::needless_pass_by_ref_mut, reason = "tonic takes them")
)]
fn peer_address(extensions: &mut Extensions) -> Option<IpAddr> {
    if let Some(peer) = extensions.get::<PeerAddr>() {
        return Some(peer.0);
    }
    #[cfg(feature = "axum")]
    {
        use axum::extract::connect_info::{ConnectInfo, MockConnectInfo};
        use std::net::SocketAddr;

        let told = extensions
            .get()
            .map(|info: &ConnectInfo<SocketAddr>| info.0);
        let told = told.or_else(|| {
            let info = extensions.get::<MockConnectInfo<SocketAddr>>();
            info.map(|info| info.0)
        });
        if let Some(address) = told {
            return Some(address.ip());
        }
    }
    #[cfg(feature = "tonic")]
    {
        // With TLS, and what that comes with, only tonic knows where to look.
        let request = tonic::Request::from_parts(Default::default(), mem::take(extensions), ());
        let told = request.remote_addr();
        *extensions = request.into_parts().1;
        if let Some(address) = told {
            return Some(address.ip());
        }
    }
    None
}

/// Keeps inner services that log headers from logging these two.
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
