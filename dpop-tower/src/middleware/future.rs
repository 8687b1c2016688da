use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{HeaderValue, Request, Response, header};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{Admitted, Report, count, grpc};
use crate::{
    config::DpopConfig,
    policy::{Mode, Policy},
    rejection::{Challenge, NO_STORE, Rejection, RejectionResponse, nonce_header},
    verifier::{Refusal, Verification},
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
            refusal: Option<Refusal>,
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
    /// The content type of the response, if the request is a gRPC one.
    pub(super) grpc: Option<HeaderValue>,
    pub(super) challenge: Challenge,
    pub(super) config: Arc<DpopConfig>,
    pub(super) policy: Policy,
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
        drop((inner, request));
        Self {
            state: State::Refused {
                refusal: Some(refusal),
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
                    let verdict = ready!(Pin::new(verification).poll(cx));
                    let (mut inner, mut request) = taken(held.take());
                    match verdict {
                        Ok(admission) => {
                            count::let_in(refused.policy.mode());
                            let new_nonce = Admitted::record(
                                request.extensions_mut(),
                                admission,
                                &refused.config,
                                &refused.policy,
                                refused.challenge.clone(),
                            );
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
                            drop((inner, request));
                            return Poll::Ready(Ok(refused.response(refusal)));
                        }
                    }
                }
                StateProj::Refused { refusal, refused } => {
                    return Poll::Ready(Ok(refused.response(taken(refusal.take()))));
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
        self.policy.mode() == Mode::ReportOnly
    }

    /// The request with a report of what became of it, where the policy is to report.
    pub(super) fn reported<B>(
        &self,
        mut request: Request<B>,
        refusal: Option<Refusal>,
    ) -> Request<B> {
        if self.only_reports() {
            let extensions = request.extensions_mut();
            match refusal {
                None => Report::let_in(extensions),
                Some(refusal) => {
                    let rejection = Rejection::new(refusal, self.challenge.clone());
                    count::would_refuse(self.policy.mode(), rejection.reason());
                    Report::refused(extensions, rejection);
                    Admitted::record_nothing(extensions, &self.config, &self.policy, || {
                        self.challenge.clone()
                    });
                }
            }
        }
        request
    }

    pub(super) fn response<B: Default>(&self, refusal: Refusal) -> Response<B>
    where
        R: RejectionResponse<B>,
    {
        let rejection = Rejection::new(refusal, self.challenge.clone());
        rejection.log();
        count::refused(self.policy.mode(), rejection.reason());
        let mut response = match &self.grpc {
            Some(content_type) => grpc::trailers_only(content_type.clone(), &rejection),
            None => {
                let mut response = self.responder.response(&rejection);
                *response.status_mut() = rejection.status();
                response
            }
        };
        let nonce = self.config.current_nonce(&self.policy);
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
