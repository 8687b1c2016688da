use std::{
    error::Error,
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::{Arc, atomic::AtomicBool},
    task::{Context, Poll, ready},
};

use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    TokenLifetime, UntilExpiry,
    body::{Ending, grpc_trailers},
};
use crate::{middleware::grpc::is_media_type, rejection::NO_STORE};

/// Ends streams when their token expires; see the [module](crate::lifetime).
///
/// It has to be inside of the [`DpopLayer`](crate::DpopLayer), where
/// [`DpopLayer::end_streams_at_expiry`](crate::DpopLayer::end_streams_at_expiry) puts it. A request that no
/// such layer has looked at is answered with 500, so that the wrong order is noticed.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct EndAtExpiryLayer;

impl EndAtExpiryLayer {
    /// Has no settings: the policies decide.
    pub const fn new() -> Self {
        Self
    }
}

impl<S> Layer<S> for EndAtExpiryLayer {
    type Service = EndAtExpiry<S>;

    fn layer(&self, inner: S) -> EndAtExpiry<S> {
        EndAtExpiry { inner }
    }
}

/// The service that an [`EndAtExpiryLayer`] makes.
#[derive(Clone, Debug)]
pub struct EndAtExpiry<S> {
    inner: S,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for EndAtExpiry<S>
where
    S: Service<Request<UntilExpiry<ReqBody>>, Response = Response<ResBody>> + Clone,
    ReqBody: Body,
    ResBody: Body + Default,
    ResBody::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<UntilExpiry<ResBody>>;
    type Error = S::Error;
    type Future = EndAtExpiryFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        // The service that was polled ready is the one to call; the clone stays behind.
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let Some(lifetime) = TokenLifetime::of(request.extensions()) else {
            tracing::error!(
                "no DpopLayer outside of an EndAtExpiryLayer: use \
                 `DpopLayer::new(config).end_streams_at_expiry()`"
            );
            return EndAtExpiryFuture {
                state: State::Misplaced,
            };
        };
        let was_cut = Arc::new(AtomicBool::new(false));
        let request = request
            .map(|body| UntilExpiry::new(body, &lifetime, Ending::Request(Arc::clone(&was_cut))));
        EndAtExpiryFuture {
            state: State::Inner {
                future: inner.call(request),
                lifetime,
                was_cut,
            },
        }
    }
}

pin_project! {
    /// The future of an [`EndAtExpiry`] service.
    pub struct EndAtExpiryFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Inner {
            #[pin]
            future: F,
            lifetime: TokenLifetime,
            // Whether the request's body was.
            was_cut: Arc<AtomicBool>,
        },
        Misplaced,
    }
}

impl<F, E, B> Future for EndAtExpiryFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body + Default,
{
    type Output = Result<Response<UntilExpiry<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Inner {
                future,
                lifetime,
                was_cut,
            } => {
                let response = ready!(future.poll(cx))?;
                let ending = Ending::of(response.headers(), was_cut);
                // What the service made of half a request is not what the client wants to know.
                if ending.request_was_cut() {
                    return Poll::Ready(Ok(trailers_only(response.headers())));
                }
                Poll::Ready(Ok(
                    response.map(|body| UntilExpiry::new(body, lifetime, ending))
                ))
            }
            StateProj::Misplaced => {
                let mut response = Response::new(UntilExpiry::default());
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                Poll::Ready(Ok(response))
            }
        }
    }
}

impl Ending {
    /// That of a response.
    fn of(headers: &HeaderMap, request_was_cut: &Arc<AtomicBool>) -> Self {
        if is_media_type(headers, "application/grpc") {
            Self::Grpc(Arc::clone(request_was_cut))
        } else if is_media_type(headers, "text/event-stream") {
            Self::Events
        } else {
            Self::Other
        }
    }
}

fn trailers_only<B: Default>(headers: &HeaderMap) -> Response<UntilExpiry<B>> {
    let mut response = Response::new(UntilExpiry::default());
    *response.headers_mut() = grpc_trailers();
    let content_type = headers.get(header::CONTENT_TYPE).cloned();
    let content_type = content_type.map(|value| (header::CONTENT_TYPE, value));
    response.headers_mut().extend(content_type);
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, NO_STORE);
    response
}

impl<F> fmt::Debug for EndAtExpiryFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.state {
            State::Inner { .. } => "EndAtExpiryFuture::Inner",
            State::Misplaced => "EndAtExpiryFuture::Misplaced",
        })
    }
}
