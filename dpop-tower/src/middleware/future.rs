use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, HeaderValue, Request, Response, header};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{Admitted, Report, count, grpc, rules::Rule};
use crate::{
    policy::Mode,
    rejection::{NO_STORE, Rejection, RejectionResponse, nonce_header},
    verifier::{Presented, Refusal, Verification},
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
            held: Option<(S, Request<B>)>,
            refused: Refused<R>,
        },
        Refused {
            refusal: Option<(Refusal, Asker)>,
            refused: Refused<R>,
        },
        Inner {
            #[pin]
            future: F,
            new_nonce: Option<String>,
        },
    }
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
}

impl Asker {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        Self {
            presented: Presented::in_headers(headers),
            grpc: grpc::response_type(headers),
        }
    }
}

impl<S, B, R> ResponseFuture<S, B, R>
where
    S: Service<Request<B>>,
{
    pub(super) const fn verifying(
        inner: S,
        request: Request<B>,
        refused: Refused<R>,
        verification: Verification,
    ) -> Self {
        Self {
            state: State::Verifying {
                verification,
                held: Some((inner, request)),
                refused,
            },
        }
    }

    pub(super) fn admitted(mut inner: S, request: Request<B>, new_nonce: Option<String>) -> Self {
        Self {
            state: State::Inner {
                future: inner.call(request),
                new_nonce,
            },
        }
    }

    /// Takes the ready service and the request only to drop them.
    pub(super) fn refused(
        inner: S,
        request: Request<B>,
        refused: Refused<R>,
        refusal: Refusal,
    ) -> Self {
        let asker = Asker::of(request.headers());
        drop((inner, request));
        Self {
            state: State::Refused {
                refusal: Some((refusal, asker)),
                refused,
            },
        }
    }
}

impl<S, ReqBody, ResBody, R> Future for ResponseFuture<S, ReqBody, R>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    R: RejectionResponse<ResBody>,
    ResBody: Default,
{
    type Output = Result<Response<ResBody>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProj::Verifying {
                    verification,
                    held,
                    refused,
                } => {
                    let Rule { config, policy, .. } = &*refused.rule;
                    let verdict = ready!(verification.poll(config, policy, cx));
                    let (mut inner, mut request) = taken(held.take());
                    match verdict {
                        Ok(admission) => {
                            count::let_in(policy.mode());
                            let extensions = request.extensions_mut();
                            let new_nonce = Admitted::record(extensions, admission, &refused.rule);
                            State::Inner {
                                future: inner.call(refused.reported(request, None)),
                                new_nonce,
                            }
                        }
                        Err(refusal) if refused.only_reports() => {
                            let request = refused.reported(request, Some(refusal));
                            State::Inner {
                                future: inner.call(request),
                                new_nonce: None,
                            }
                        }
                        Err(refusal) => {
                            // Gives back what `poll_ready` reserved before the response, and with it
                            // perhaps an idle connection, outlives it.
                            let asker = Asker::of(request.headers());
                            drop((inner, request));
                            return Poll::Ready(Ok(refused.response(refusal, asker)));
                        }
                    }
                }
                StateProj::Refused { refusal, refused } => {
                    let (refusal, asker) = taken(refusal.take());
                    return Poll::Ready(Ok(refused.response(refusal, asker)));
                }
                StateProj::Inner { future, new_nonce } => {
                    let mut response = ready!(future.poll(cx))?;
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

    /// The request with a report of what became of it, where the policy is to report.
    pub(super) fn reported<B>(
        &self,
        mut request: Request<B>,
        refusal: Option<Refusal>,
    ) -> Request<B> {
        if self.only_reports() {
            match refusal {
                None => Report::let_in(request.extensions_mut()),
                Some(refusal) => {
                    let presented = Presented::in_headers(request.headers());
                    let rejection = Rejection::new(refusal, self.rule.challenge(presented));
                    count::would_refuse(self.rule.policy.mode(), rejection.reason());
                    let extensions = request.extensions_mut();
                    Report::refused(extensions, rejection);
                    let presented = || presented;
                    Admitted::record_nothing(extensions, &self.rule, presented);
                }
            }
        }
        request
    }

    pub(super) fn response<B: Default>(&self, refusal: Refusal, asker: Asker) -> Response<B>
    where
        R: RejectionResponse<B>,
    {
        let rejection = Rejection::new(refusal, self.rule.challenge(asker.presented));
        rejection.log();
        count::refused(self.rule.policy.mode(), rejection.reason());
        let mut response = match asker.grpc {
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
