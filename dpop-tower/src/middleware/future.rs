use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::ResponseBody;
#[cfg(not(feature = "lifetime"))]
use super::unlimited::Expiry;
#[cfg(feature = "lifetime")]
use crate::lifetime::Expiry;
use crate::{
    future,
    token::TokenErrorKind,
    verifier::{Admitted, RequestShape, Rule, Verdict, Verification, write_nonce},
};

pin_project! {
    /// The future of a [`Dpop`](super::Dpop) or [`RequireScope`](super::RequireScope) service.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped while the request is verified, the inner service is never called. The
    /// proof may count as used by then, and the client has to make a new one.
    ///
    /// # Panics
    ///
    /// Like most futures, it panics if it is polled again after it has completed.
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S, B, S::Future>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, B, F> {
        Verifying {
            verification: Verification,
            // The service that was polled ready, and its request. `None` once the request is rejected or
            // passed on.
            held: Option<(S, Request<B>)>,
        },
        Inner {
            #[pin]
            future: F,
            new_nonce: Option<HeaderValue>,
            expiring: Option<Expiring>,
        },
        Answered {
            response: Option<Response<Bytes>>,
        },
    }
}

/// A request whose streams end when the token expires, and the rule that rejects it then.
struct Expiring {
    expiry: Expiry,
    rule: Arc<Rule>,
    shape: RequestShape,
}

impl Expiring {
    fn begin<B: 'static>(request: &mut Request<B>, verification: &Verification) -> Option<Self> {
        let rule = &verification.rule;
        if !rule.ends_streams {
            return None;
        }
        Some(Self {
            expiry: Expiry::begin(request)?,
            rule: Arc::clone(rule),
            shape: verification.shape,
        })
    }

    fn reject(&self, why: TokenErrorKind) -> Response<Bytes> {
        self.rule.respond(self.rule.reject(why.into(), self.shape))
    }

    /// Makes the body of a response end when the token expires.
    fn watch<B>(&self, response: Response<B>) -> Response<ResponseBody<B>> {
        match self.expiry.watch(response.headers()) {
            Ok(watch) => response.map(|body| ResponseBody::watched(body, watch)),
            // The service has seen only a part of the request, so its response means nothing.
            Err(why) => self.reject(why).map(ResponseBody::rejection),
        }
    }
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    pub(super) fn new(inner: S, request: Request<B>, verification: Verification) -> Self {
        // Dropping the service releases what `poll_ready` reserved, even if the future is polled late.
        let held = (!verification.is_rejected()).then_some((inner, request));
        Self {
            state: State::Verifying { verification, held },
        }
    }

    /// Returns the future of a request that passes unchanged.
    pub(super) fn passed(inner: S, request: Request<B>) -> Self {
        Self::passed_with_nonce(inner, request, None)
    }

    /// Returns the future of a request that passes, and whose response gets a nonce.
    pub(super) fn passed_with_nonce(
        mut inner: S,
        request: Request<B>,
        new_nonce: Option<HeaderValue>,
    ) -> Self {
        Self {
            state: State::Inner {
                future: inner.call(request),
                new_nonce,
                expiring: None,
            },
        }
    }

    /// Returns the future of a request that the inner service does not get.
    pub(super) const fn answered(response: Response<Bytes>) -> Self {
        Self {
            state: State::Answered {
                response: Some(response),
            },
        }
    }
}

impl<S, B> State<S, B, S::Future>
where
    S: Service<Request<B>>,
    B: 'static,
{
    fn inner(
        (mut inner, mut request): (S, Request<B>),
        mut admitted: Admitted,
        verification: &Verification,
    ) -> Self {
        let new_nonce = admitted.new_nonce.take();
        admitted.record(request.extensions_mut());
        let expiring = Expiring::begin(&mut request, verification);
        Self::Inner {
            future: inner.call(request),
            new_nonce,
            expiring,
        }
    }
}

impl<S, ReqBody, ResBody> Future for ResponseFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ReqBody: 'static,
{
    type Output = Result<Response<ResponseBody<ResBody>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProj::Verifying { verification, held } => {
                    let verdict = ready!(Pin::new(&mut *verification).poll(cx));
                    match verdict {
                        Verdict::Admitted(admitted) => {
                            State::inner(taken(held), admitted, verification)
                        }
                        Verdict::Rejected(rejection) => {
                            // The response may live much longer than what `poll_ready` reserved.
                            drop(held.take());
                            let response = verification.rule.respond(rejection);
                            return Poll::Ready(Ok(response.map(ResponseBody::rejection)));
                        }
                    }
                }
                StateProj::Inner {
                    future,
                    new_nonce,
                    expiring,
                } => match (future.poll(cx)?, expiring) {
                    (Poll::Ready(response), expiring) => {
                        let mut response = match expiring {
                            None => response.map(ResponseBody::inner),
                            Some(expiring) => expiring.watch(response),
                        };
                        write_nonce(response.headers_mut(), new_nonce.as_ref());
                        return Poll::Ready(Ok(response));
                    }
                    (Poll::Pending, None) => return Poll::Pending,
                    (Poll::Pending, Some(expiring)) => {
                        let why = ready!(expiring.expiry.poll_request(cx));
                        let response = Some(expiring.reject(why));
                        // Drops the inner future, and with it the body of the request.
                        State::Answered { response }
                    }
                },
                StateProj::Answered { response } => {
                    let response = taken(response);
                    return Poll::Ready(Ok(response.map(ResponseBody::rejection)));
                }
            };
            state.set(next);
        }
    }
}

fn taken<T>(value: &mut Option<T>) -> T {
    future::taken(value, "`ResponseFuture` polled after completion")
}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.state {
            State::Verifying { .. } => "ResponseFuture::Verifying",
            State::Inner { .. } => "ResponseFuture::Inner",
            State::Answered { .. } => "ResponseFuture::Answered",
        })
    }
}
