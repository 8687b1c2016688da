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
    future::{Asker, Rejected},
};
use crate::{
    error::ConfigError,
    policy::{Mode, Policy},
    rejection::{DefaultRejectionResponse, RejectionResponse},
};

/// Lets those requests through whose token has a scope. It goes inside a
/// [`DpopLayer`](crate::DpopLayer), which has verified the token, and takes its configuration from there:
/// for single routes, as axum's `route_layer`.
///
/// ```
/// # #[cfg(all(feature = "axum", feature = "test-util"))] {
/// use axum::{Router, routing::{get, post}};
/// use dpop_tower::{DpopLayer, RequireScopeLayer};
/// # use dpop_tower::{DpopConfig, PublicOrigin, test_util::TestIssuer};
/// # let config = DpopConfig::builder(PublicOrigin::new("https://api.example.com")?, TestIssuer::new().tokens()).build()?;
///
/// let orders = post(|| async {}).route_layer(RequireScopeLayer::new("orders:write")?);
/// let app: Router = Router::new()
///     .route("/orders", orders.get(|| async {}))
///     .layer(DpopLayer::new(config));
/// # }
/// # Ok::<(), dpop_tower::ConfigError>(())
/// ```
///
/// Otherwise the answer is 403 with `insufficient_scope` and the scope in the challenge (RFC 6750 section
/// 3.1). A request that the layer has let pass without looking at it, which
/// [`Policy::off`] does, is rejected with 401. Where that layer, and every other outer one, at most
/// [reports](Policy::report_only), so does this one. Without a layer the answer is 500.
///
/// The same can be said with [`Policy::require_scope`], which spares a request without the scope the entry in the
/// replay store.
#[derive(Clone)]
pub struct RequireScopeLayer<R = DefaultRejectionResponse> {
    /// Strict, and with nothing but the scopes.
    policy: Policy,
    responder: R,
}

impl RequireScopeLayer {
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
            policy: Policy::strict().require_any_scope(scopes).build()?,
            responder: DefaultRejectionResponse,
        })
    }
}

impl<R> RequireScopeLayer<R> {
    /// And this one too.
    ///
    /// # Errors
    ///
    /// As [`new`](RequireScopeLayer::new).
    pub fn and(mut self, scope: impl Into<String>) -> Result<Self, ConfigError> {
        self.policy = self.policy.require_scope(scope).build()?;
        Ok(self)
    }

    /// Sets what a rejected request is answered with; see [`RejectionResponse`].
    #[must_use]
    pub fn with_rejection_response<T: RejectionResponse>(
        self,
        responder: T,
    ) -> RequireScopeLayer<T> {
        RequireScopeLayer {
            policy: self.policy,
            responder,
        }
    }
}

impl<S, R: Clone> Layer<S> for RequireScopeLayer<R> {
    type Service = RequireScope<S, R>;

    fn layer(&self, inner: S) -> RequireScope<S, R> {
        RequireScope {
            inner,
            required: self.clone(),
        }
    }
}

impl<R> fmt::Debug for RequireScopeLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequireScopeLayer")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// The service that a [`RequireScopeLayer`] makes. The body of its responses is a [`ResponseBody`].
#[derive(Clone, Debug)]
pub struct RequireScope<S, R = DefaultRejectionResponse> {
    inner: S,
    required: RequireScopeLayer<R>,
}

impl<S, R, ReqBody, ResBody> Service<Request<ReqBody>> for RequireScope<S, R>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    R: RejectionResponse + Clone,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = RequireScopeFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        // The service that was polled ready is the one to call; the clone stays behind.
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let Some(admitted) = request.extensions().get::<Admitted>() else {
            tracing::error!("no DpopLayer outside of a RequireScopeLayer");
            // That the layer is missing is none of the client's business.
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            return RequireScopeFuture::answered(response);
        };
        // As strict as the strictest outer layer, but never without a token. Where a bearer token
        // was found it was admitted, by whatever put it there: between two layers it may have been
        // exchanged for a bound one.
        let mode = match admitted.mode {
            _ if admitted.found_bearer() => Mode::Optional,
            Mode::Off => Mode::Strict,
            mode => mode,
        };
        let Err(rejection) = admitted.grants(&self.required.policy.in_mode(mode)) else {
            return RequireScopeFuture::inner(inner.call(request));
        };
        if mode == Mode::ReportOnly && admitted.found_nothing() {
            // It is reported already.
            return RequireScopeFuture::inner(inner.call(request));
        }
        // The client learns of all that is asked for.
        let policy = admitted.rule.policy.in_mode(mode);
        let policy = policy.and(&self.required.policy.in_mode(mode));
        let rejected = Rejected {
            responder: self.required.responder.clone(),
            rule: Arc::new(admitted.rule.with_policy(policy)),
        };
        if rejected.only_reports() {
            rejected.report(&mut request, Some(rejection));
            return RequireScopeFuture::inner(inner.call(request));
        }
        let asker = Asker::of(&request);
        RequireScopeFuture::answered(rejected.response(rejection, asker))
    }
}

pin_project! {
    /// The future of a [`RequireScope`] service.
    pub struct RequireScopeFuture<F> {
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

impl<F> RequireScopeFuture<F> {
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

impl<F, B, E> Future for RequireScopeFuture<F>
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

impl<F> fmt::Debug for RequireScopeFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.state {
            State::Inner { .. } => "RequireScopeFuture::Inner",
            State::Answered { .. } => "RequireScopeFuture::Answered",
        })
    }
}
