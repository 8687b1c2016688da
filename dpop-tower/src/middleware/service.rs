use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Extensions, HeaderMap, Request, Response, Uri, header};
use tower_service::Service;

use super::{
    Admitted,
    future::{Refused, ResponseFuture},
    grpc,
};
use crate::{
    config::DpopConfig,
    policy::{Mode, Policy},
    rejection::{Bearer, Challenge, RejectionResponse},
    verifier::{self, Presented, RequestHead, Scheme},
};

/// The service that a [`DpopLayer`](super::DpopLayer) makes.
///
/// Its error type and response body are those of the inner service.
#[derive(Clone)]
pub struct Dpop<S, R = crate::rejection::DefaultRejectionResponse> {
    inner: S,
    shared: Shared,
    responder: R,
}

/// What a layer and its services have in common; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) config: Arc<DpopConfig>,
    pub(super) policy: Policy,
    pub(super) algs: Arc<str>,
}

impl Shared {
    pub(super) fn challenge(&self, presented: Presented) -> Challenge {
        let bearer = match (self.policy.mode(), presented) {
            (Mode::Strict | Mode::ReportOnly | Mode::Off, _) => Bearer::NotAccepted,
            (Mode::Optional, Presented::One(Scheme::Bearer)) => Bearer::Presented,
            (Mode::Optional, Presented::Several) => Bearer::Ambiguous,
            (Mode::Optional, Presented::Nothing | Presented::One(Scheme::Dpop)) => Bearer::Accepted,
        };
        Challenge::new(Arc::clone(&self.algs), bearer)
    }
}

impl<S, R> Dpop<S, R> {
    pub(super) const fn new(inner: S, shared: Shared, responder: R) -> Self {
        Self {
            inner,
            shared,
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

        if self.shared.policy.mode() == Mode::Off {
            let Shared { config, .. } = &self.shared;
            Admitted::record_nothing(request.extensions_mut(), config, || {
                self.shared.challenge(Presented::Nothing)
            });
            return ResponseFuture::admitted(inner, request);
        }
        let presented = Presented::in_headers(request.headers());
        let refused = Refused {
            responder: self.responder.clone(),
            grpc: grpc::response_type(request.headers()),
            challenge: self.shared.challenge(presented),
            shared: self.shared.clone(),
        };
        if let Some(admitted) = Admitted::find(request.extensions(), &self.shared.config) {
            return match admitted.satisfies(self.shared.policy) {
                Ok(()) => ResponseFuture::admitted(inner, refused.reported(request, None)),
                Err(kind) if refused.only_reports() => {
                    let request = refused.reported(request, Some(kind.into()));
                    ResponseFuture::admitted(inner, request)
                }
                Err(kind) => ResponseFuture::refused(inner, request, refused, kind.into()),
            };
        }
        let verification = verifier::verify(
            &self.shared.config,
            self.shared.policy,
            RequestHead {
                method: request.method(),
                uri: original_uri(request.extensions()).unwrap_or(request.uri()),
                headers: request.headers(),
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

/// Services further in may log headers; these two they shall not.
fn mark_sensitive(headers: &mut HeaderMap) {
    for name in [header::AUTHORIZATION.as_str(), "dpop"] {
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
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}
