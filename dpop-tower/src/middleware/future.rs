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
    verifier::{Cause, Presented, RequestErrorKind, Verification},
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
        Rejected {
            rejection: Option<(Cause, Asker)>,
            rejected: Rejected<R>,
        },
        Inner {
            #[pin]
            future: F,
            new_nonce: Option<String>,
            expiry: Option<Expiry>,
            // Where the request is given up when the token expires.
            cut: Option<(Rejected<R>, Asker)>,
        },
    }
}

/// What waits for the verdict.
pub(super) struct Held<S, B, R> {
    pub(super) ready: Ready<S, B>,
    pub(super) rejected: Rejected<R>,
}

/// A service that was polled ready, and the request to call it with.
pub(super) struct Ready<S, B> {
    pub(super) inner: S,
    pub(super) request: Request<B>,
    /// Whether streams end when the token expires.
    pub(super) ends_streams: bool,
}

/// What is needed to reject a request.
pub(super) struct Rejected<R> {
    pub(super) responder: R,
    pub(super) rule: Arc<Rule>,
}

/// What a rejection depends on of a request.
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

    fn hint(&self, rejection: &Cause) -> Option<Hint> {
        match rejection {
            Cause::Request(RequestErrorKind::CredentialsMissing) if self.is_preflight => {
                Some(Hint::Preflight)
            }
            Cause::Proof(error)
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
        rejected: impl FnOnce() -> Rejected<R>,
    ) -> Self {
        Self {
            state: State::inner(ready, new_nonce, rejected),
        }
    }

    /// Takes the ready service and the request only to drop them.
    pub(super) fn rejected(ready: Ready<S, B>, rejected: Rejected<R>, rejection: Cause) -> Self {
        let asker = Asker::of(&ready.request);
        drop(ready);
        Self {
            state: State::Rejected {
                rejection: Some((rejection, asker)),
                rejected,
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
        rejected: impl FnOnce() -> Rejected<R>,
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
            Some(expiry) if expiry.cuts_request() => Some((rejected(), Asker::of(&request))),
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
                    let Rule { config, policy, .. } = &*taken(held.as_ref()).rejected.rule;
                    let verdict = ready!(verification.poll(config, policy, cx));
                    let Held {
                        mut ready,
                        rejected,
                    } = taken(held.take());
                    match verdict {
                        Ok(admission) => {
                            count::admitted(rejected.rule.policy.mode());
                            let extensions = ready.request.extensions_mut();
                            let new_nonce = Admitted::record(extensions, admission, &rejected.rule);
                            rejected.report(&mut ready.request, None);
                            State::inner(ready, new_nonce, || rejected)
                        }
                        Err(rejection) if rejected.only_reports() => {
                            rejected.report(&mut ready.request, Some(rejection));
                            State::inner(ready, None, || rejected)
                        }
                        Err(rejection) => {
                            // Gives back what `poll_ready` reserved before the response, and with it
                            // perhaps an idle connection, outlives it.
                            let asker = Asker::of(&ready.request);
                            drop(ready);
                            let response = rejected.response(rejection, asker);
                            return Poll::Ready(Ok(response.map(ResponseBody::rejection)));
                        }
                    }
                }
                StateProj::Rejected {
                    rejection,
                    rejected,
                } => {
                    let (rejection, asker) = taken(rejection.take());
                    let response = rejected.response(rejection, asker);
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
                        let Some((rejected, asker)) = cut.take_if(|_| is_over) else {
                            return Poll::Pending;
                        };
                        let response = rejected.cut_off(asker);
                        // Drops the inner future, which has the body that goes on.
                        let rejection = None;
                        state.set(State::Rejected {
                            rejection,
                            rejected,
                        });
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

impl<R> Rejected<R> {
    pub(super) fn only_reports(&self) -> bool {
        self.rule.policy.mode() == Mode::ReportOnly
    }

    /// Reports what became of the request, where the policy is to report.
    pub(super) fn report<B>(&self, request: &mut Request<B>, rejection: Option<Cause>) {
        if !self.only_reports() {
            return;
        }
        match rejection {
            None => Report::admitted(request.extensions_mut()),
            Some(rejection) => {
                let asker = Asker::of(request);
                let (presented, hint) = (asker.presented, asker.hint(&rejection));
                let rejection = self.rule.rejection(rejection, presented).with_hint(hint);
                count::would_reject(self.rule.policy.mode(), rejection.reason());
                let extensions = request.extensions_mut();
                Report::rejected(extensions, rejection);
                let presented = || presented;
                Admitted::record_nothing(extensions, &self.rule, presented);
            }
        }
    }

    pub(super) fn response(&self, rejection: Cause, asker: Asker) -> Response<Bytes>
    where
        R: RejectionResponse,
    {
        let hint = asker.hint(&rejection);
        let rejection = (self.rule.rejection(rejection, asker.presented)).with_hint(hint);
        count::rejected(self.rule.policy.mode(), rejection.reason());
        self.answer(rejection, asker.grpc)
    }

    /// That to a request which was admitted, and whose token has expired before there was an answer.
    fn cut_off(&self, asker: Asker) -> Response<Bytes>
    where
        R: RejectionResponse,
    {
        let rejection = TokenErrorKind::Expired.into();
        let rejection = self.rule.rejection(rejection, asker.presented);
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
            State::Rejected { .. } => "ResponseFuture::Rejected",
            State::Inner { .. } => "ResponseFuture::Inner",
        })
    }
}
