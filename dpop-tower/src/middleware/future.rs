use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use pin_project_lite::pin_project;
use tower_service::Service;

#[cfg(not(feature = "lifetime"))]
use super::unlimited::Expiry;
use super::{Admitted, Report, ResponseBody, count, grpc, rules::Rule};
#[cfg(feature = "lifetime")]
use crate::lifetime::Expiry;
use crate::{
    policy::Mode,
    proof::ProofErrorKind,
    rejection::{Hint, NO_STORE, Rejection, RejectionResponse, nonce_header},
    token::TokenErrorKind,
    verifier::{Presented, Refusal, RequestErrorKind, Verification},
};

pin_project! {
    /// The future of a [`Dpop`](super::Dpop) service.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped while the request is verified, the inner service is never called. The proof
    /// may count as used by then, and the client has to make another.
    pub struct ResponseFuture<S, B, R>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S, B, R, S::Future>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, B, R, F> {
        Verifying {
            verification: Verification,
            // Taken when the verdict is there.
            held: Option<Held<S, B, R>>,
        },
        Refused {
            refusal: Option<(Refusal, Asker)>,
            refused: Refused<R>,
        },
        Inner {
            #[pin]
            future: F,
            new_nonce: Option<String>,
            expiry: Option<Expiry>,
            // Where the request is given up when the token expires.
            cut: Option<(Refused<R>, Asker)>,
        },
    }
}

/// What waits for the verdict.
pub(super) struct Held<S, B, R> {
    pub(super) ready: Ready<S, B>,
    pub(super) refused: Refused<R>,
}

/// A service that was polled ready, and the request to call it with.
pub(super) struct Ready<S, B> {
    pub(super) inner: S,
    pub(super) request: Request<B>,
    /// Whether streams end when the token expires.
    pub(super) ends_streams: bool,
}

/// What is needed to refuse a request.
pub(super) struct Refused<R> {
    pub(super) responder: R,
    pub(super) rule: Arc<Rule>,
}

/// What a refusal depends on of a request.
pub(super) struct Asker {
    presented: Presented,
    /// The content type of the response, if the request is a gRPC one.
    grpc: Option<HeaderValue>,
    is_preflight: bool,
    /// Whether another layer has accepted the nonce of the proof.
    has_good_nonce: bool,
}

impl Asker {
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        let headers = request.headers();
        Self {
            presented: Presented::in_headers(headers),
            grpc: grpc::response_type(headers),
            is_preflight: request.method() == Method::OPTIONS
                && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD),
            has_good_nonce: Admitted::has_good_nonce(request.extensions()),
        }
    }

    fn hint(&self, refusal: &Refusal) -> Option<Hint> {
        match refusal {
            Refusal::Request(RequestErrorKind::CredentialsMissing) if self.is_preflight => {
                Some(Hint::Preflight)
            }
            Refusal::Proof(error)
                if self.has_good_nonce && error.kind() == ProofErrorKind::NonceUnknown =>
            {
                Some(Hint::TwoNonceSources)
            }
            _ => None,
        }
    }
}

impl<S, B, R> ResponseFuture<S, B, R>
where
    S: Service<Request<B>>,
    B: 'static,
{
    pub(super) const fn verifying(held: Held<S, B, R>, verification: Verification) -> Self {
        Self {
            state: State::Verifying {
                verification,
                held: Some(held),
            },
        }
    }

    pub(super) fn admitted(
        ready: Ready<S, B>,
        new_nonce: Option<String>,
        refused: impl FnOnce() -> Refused<R>,
    ) -> Self {
        Self {
            state: State::inner(ready, new_nonce, refused),
        }
    }

    /// Takes the ready service and the request only to drop them.
    pub(super) fn refused(ready: Ready<S, B>, refused: Refused<R>, refusal: Refusal) -> Self {
        let asker = Asker::of(&ready.request);
        drop(ready);
        Self {
            state: State::Refused {
                refusal: Some((refusal, asker)),
                refused,
            },
        }
    }
}

impl<S, B, R> State<S, B, R, S::Future>
where
    S: Service<Request<B>>,
    B: 'static,
{
    fn inner(
        ready: Ready<S, B>,
        new_nonce: Option<String>,
        refused: impl FnOnce() -> Refused<R>,
    ) -> Self {
        let Ready {
            mut inner,
            mut request,
            ends_streams,
        } = ready;
        let expiry = if ends_streams {
            Expiry::begin(&mut request)
        } else {
            None
        };
        let cut = match &expiry {
            Some(expiry) if expiry.cuts_request() => Some((refused(), Asker::of(&request))),
            _ => None,
        };
        Self::Inner {
            future: inner.call(request),
            new_nonce,
            expiry,
            cut,
        }
    }
}

impl<S, ReqBody, ResBody, R> Future for ResponseFuture<S, ReqBody, R>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    R: RejectionResponse,
    ReqBody: 'static,
{
    type Output = Result<Response<ResponseBody<ResBody>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProj::Verifying { verification, held } => {
                    let Rule { config, policy, .. } = &*taken(held.as_ref()).refused.rule;
                    let verdict = ready!(verification.poll(config, policy, cx));
                    let Held { mut ready, refused } = taken(held.take());
                    match verdict {
                        Ok(admission) => {
                            count::let_in(refused.rule.policy.mode());
                            let extensions = ready.request.extensions_mut();
                            let new_nonce = Admitted::record(extensions, admission, &refused.rule);
                            refused.report(&mut ready.request, None);
                            State::inner(ready, new_nonce, || refused)
                        }
                        Err(refusal) if refused.only_reports() => {
                            refused.report(&mut ready.request, Some(refusal));
                            State::inner(ready, None, || refused)
                        }
                        Err(refusal) => {
                            // Gives back what `poll_ready` reserved before the response, and with it
                            // perhaps an idle connection, outlives it.
                            let asker = Asker::of(&ready.request);
                            drop(ready);
                            let response = refused.response(refusal, asker);
                            return Poll::Ready(Ok(response.map(ResponseBody::rejection)));
                        }
                    }
                }
                StateProj::Refused { refusal, refused } => {
                    let (refusal, asker) = taken(refusal.take());
                    let response = refused.response(refusal, asker);
                    return Poll::Ready(Ok(response.map(ResponseBody::rejection)));
                }
                StateProj::Inner {
                    future,
                    new_nonce,
                    expiry,
                    cut,
                } => {
                    let Poll::Ready(response) = future.poll(cx)? else {
                        let expiry = expiry.as_mut();
                        let is_over =
                            expiry.is_some_and(|expiry| expiry.poll_request(cx).is_ready());
                        let Some((refused, asker)) = cut.take_if(|_| is_over) else {
                            return Poll::Pending;
                        };
                        let response = refused.cut_off(asker);
                        // Drops the inner future, which has the body that goes on.
                        let refusal = None;
                        state.set(State::Refused { refusal, refused });
                        return Poll::Ready(Ok(response.map(ResponseBody::rejection)));
                    };
                    let mut response = match expiry {
                        None => response.map(ResponseBody::inner),
                        Some(expiry) => expiry.respond(response),
                    };
                    if let Some((name, value)) = new_nonce.as_deref().and_then(nonce_header) {
                        let headers = response.headers_mut();
                        headers.insert(name, value);
                        // RFC 9449 section 8.2.
                        headers.insert(header::CACHE_CONTROL, NO_STORE);
                    }
                    return Poll::Ready(Ok(response));
                }
            };
            state.set(next);
        }
    }
}

#[expect(
    clippy::expect_used,
    reason = "polling a completed future is a bug in the caller, as with any future"
)]
pub(super) fn taken<T>(value: Option<T>) -> T {
    value.expect("`ResponseFuture` polled after completion")
}

impl<R> Refused<R> {
    pub(super) fn only_reports(&self) -> bool {
        self.rule.policy.mode() == Mode::ReportOnly
    }

    /// Reports what became of the request, where the policy is to report.
    pub(super) fn report<B>(&self, request: &mut Request<B>, refusal: Option<Refusal>) {
        if !self.only_reports() {
            return;
        }
        match refusal {
            None => Report::let_in(request.extensions_mut()),
            Some(refusal) => {
                let asker = Asker::of(request);
                let (presented, hint) = (asker.presented, asker.hint(&refusal));
                let rejection = self.rule.rejection(refusal, presented).with_hint(hint);
                count::would_refuse(self.rule.policy.mode(), rejection.reason());
                let extensions = request.extensions_mut();
                Report::refused(extensions, rejection);
                let presented = || presented;
                Admitted::record_nothing(extensions, &self.rule, presented);
            }
        }
    }

    pub(super) fn response(&self, refusal: Refusal, asker: Asker) -> Response<Bytes>
    where
        R: RejectionResponse,
    {
        let hint = asker.hint(&refusal);
        let rejection = (self.rule.rejection(refusal, asker.presented)).with_hint(hint);
        count::refused(self.rule.policy.mode(), rejection.reason());
        self.answer(rejection, asker.grpc)
    }

    /// That to a request which was let in, and whose token has expired before there was an answer.
    fn cut_off(&self, asker: Asker) -> Response<Bytes>
    where
        R: RejectionResponse,
    {
        let refusal = TokenErrorKind::Expired.into();
        let rejection = self.rule.rejection(refusal, asker.presented);
        self.answer(rejection, asker.grpc)
    }

    fn answer(&self, rejection: Rejection, grpc: Option<HeaderValue>) -> Response<Bytes>
    where
        R: RejectionResponse,
    {
        rejection.log();
        let mut response = match grpc {
            Some(content_type) => grpc::trailers_only(content_type, &rejection),
            None => {
                let mut response = self.responder.response(&rejection);
                *response.status_mut() = rejection.status();
                response
            }
        };
        let nonce = self.rule.config.current_nonce(&self.rule.policy);
        rejection.write_headers(response.headers_mut(), nonce.as_deref());
        response.extensions_mut().insert(rejection);
        response
    }
}

impl<S, B, R> fmt::Debug for ResponseFuture<S, B, R>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.state {
            State::Verifying { .. } => "ResponseFuture::Verifying",
            State::Refused { .. } => "ResponseFuture::Refused",
            State::Inner { .. } => "ResponseFuture::Inner",
        })
    }
}
