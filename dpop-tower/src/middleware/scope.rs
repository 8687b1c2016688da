use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    Admitted, ResponseBody,
    future::{Asker, Refused},
};
use crate::{
    error::ConfigError,
    policy::{Mode, Policy},
    rejection::{DefaultRejectionResponse, RejectionResponse},
};

/// Lets those requests through whose token has a scope. It goes inside of a
/// [`DpopLayer`](crate::DpopLayer), which has verified the token, and takes its configuration from there:
/// for single routes, as axum's `route_layer`.
///
/// ```
/// # #[cfg(all(feature = "axum", feature = "test-util"))] {
/// use axum::{Router, routing::{get, post}};
/// use dpop_tower::{DpopLayer, RequireScope};
/// # use dpop_tower::{DpopConfig, PublicOrigin, test_util::TestIssuer};
/// # let config = DpopConfig::builder(PublicOrigin::new("https://api.example.com")?, TestIssuer::new().tokens()).build()?;
///
/// let orders = post(|| async {}).route_layer(RequireScope::new("orders:write")?);
/// let app: Router = Router::new()
///     .route("/orders", orders.get(|| async {}))
///     .layer(DpopLayer::new(config));
/// # }
/// # Ok::<(), dpop_tower::ConfigError>(())
/// ```
///
/// Otherwise the answer is 403 with `insufficient_scope` and the scope in the challenge (RFC 6750 section
/// 3.1). A request that the layer has let pass without looking at it, which
/// [`Policy::off`] does, is refused with 401. Where that layer, and every other one further out, at most
/// [reports](Policy::report_only), so does this one. Without a layer the answer is 500.
///
/// The same can be said with [`Policy::scope`], which spares a request without the scope the entry in the
/// replay store.
#[derive(Clone)]
pub struct RequireScope<R = DefaultRejectionResponse> {
    /// Strict, and with nothing but the scopes.
    policy: Policy,
    responder: R,
}

impl RequireScope {
    /// The token needs this scope.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if it is no scope (RFC 6749 section 3.3), such as one with a space in it.
    pub fn new(scope: impl Into<String>) -> Result<Self, ConfigError> {
        Self::any([scope.into()])
    }

    /// The token needs one of these scopes at least. Clients are told of the first.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if there are none, or one is no scope.
    pub fn any<S: Into<String>>(scopes: impl IntoIterator<Item = S>) -> Result<Self, ConfigError> {
        Ok(Self {
            policy: Policy::strict().any_scope(scopes).build()?,
            responder: DefaultRejectionResponse,
        })
    }
}

impl<R> RequireScope<R> {
    /// And this one too.
    ///
    /// # Errors
    ///
    /// As [`new`](RequireScope::new).
    pub fn and(mut self, scope: impl Into<String>) -> Result<Self, ConfigError> {
        self.policy = self.policy.scope(scope).build()?;
        Ok(self)
    }

    /// Sets what a rejected request is answered with; see [`RejectionResponse`].
    #[must_use]
    pub fn with_rejection_response<T: RejectionResponse>(self, responder: T) -> RequireScope<T> {
        RequireScope {
            policy: self.policy,
            responder,
        }
    }
}

impl<S, R: Clone> Layer<S> for RequireScope<R> {
    type Service = ScopeRequired<S, R>;

    fn layer(&self, inner: S) -> ScopeRequired<S, R> {
        ScopeRequired {
            inner,
            required: self.clone(),
        }
    }
}

impl<R> fmt::Debug for RequireScope<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequireScope")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// The service that a [`RequireScope`] makes. The body of its responses is a [`ResponseBody`].
#[derive(Clone, Debug)]
pub struct ScopeRequired<S, R = DefaultRejectionResponse> {
    inner: S,
    required: RequireScope<R>,
}

impl<S, R, ReqBody, ResBody> Service<Request<ReqBody>> for ScopeRequired<S, R>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    R: RejectionResponse + Clone,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ScopeFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        // The service that was polled ready is the one to call; the clone stays behind.
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let Some(admitted) = request.extensions().get::<Admitted>() else {
            tracing::error!("no DpopLayer outside of a RequireScope");
            // That the layer is missing is none of the client's business.
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            return ScopeFuture::answered(response);
        };
        // As strict as the strictest layer further out, but never without a token. Where a bearer token
        // was found it was let in, by whatever put it there: between two layers it may have been
        // exchanged for a bound one.
        let mode = match admitted.mode {
            _ if admitted.found_bearer() => Mode::Optional,
            Mode::Off => Mode::Strict,
            mode => mode,
        };
        let Err(refusal) = admitted.grants(&self.required.policy.in_mode(mode)) else {
            return ScopeFuture::inner(inner.call(request));
        };
        if mode == Mode::ReportOnly && admitted.found_nothing() {
            // It is reported already.
            return ScopeFuture::inner(inner.call(request));
        }
        // The client learns of all that is asked for.
        let policy = admitted.rule.policy.in_mode(mode);
        let policy = policy.and(&self.required.policy.in_mode(mode));
        let refused = Refused {
            responder: self.required.responder.clone(),
            rule: Arc::new(admitted.rule.with_policy(policy)),
        };
        if refused.only_reports() {
            refused.report(&mut request, Some(refusal));
            return ScopeFuture::inner(inner.call(request));
        }
        let asker = Asker::of(&request);
        ScopeFuture::answered(refused.response(refusal, asker))
    }
}

pin_project! {
    /// The future of a [`ScopeRequired`] service.
    pub struct ScopeFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Inner { #[pin] future: F },
        Answered { response: Option<Response<Bytes>> },
    }
}

impl<F> ScopeFuture<F> {
    const fn inner(future: F) -> Self {
        Self {
            state: State::Inner { future },
        }
    }

    const fn answered(response: Response<Bytes>) -> Self {
        Self {
            state: State::Answered {
                response: Some(response),
            },
        }
    }
}

impl<F, B, E> Future for ScopeFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<ResponseBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Inner { future } => {
                let inner = |response: Response<B>| response.map(ResponseBody::inner);
                future.poll(cx).map_ok(inner)
            }
            StateProj::Answered { response } => {
                let response = super::future::taken(response.take());
                Poll::Ready(Ok(response.map(ResponseBody::rejection)))
            }
        }
    }
}

impl<F> fmt::Debug for ScopeFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.state {
            State::Inner { .. } => "ScopeFuture::Inner",
            State::Answered { .. } => "ScopeFuture::Answered",
        })
    }
}
