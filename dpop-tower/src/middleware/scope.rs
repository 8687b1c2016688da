use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use tower_layer::Layer;
use tower_service::Service;

use super::{ResponseBody, ResponseFuture, service::take_ready};
use crate::{
    error::ConfigError,
    policy::Policy,
    rejection::RejectionResponse,
    verifier::{Admitted, Report, RequestShape},
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
pub struct RequireScopeLayer {
    /// Strict, and with nothing but the scopes.
    policy: Policy,
    /// In place of that of the layer outside.
    responder: Option<Arc<dyn RejectionResponse>>,
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
            responder: None,
        })
    }

    /// And this one too.
    ///
    /// # Errors
    ///
    /// As [`new`](RequireScopeLayer::new).
    pub fn and(mut self, scope: impl Into<String>) -> Result<Self, ConfigError> {
        self.policy = self.policy.require_scope(scope).build()?;
        Ok(self)
    }

    /// Sets what a rejected request is answered with; see [`RejectionResponse`]. Without it, that is what
    /// the [`DpopLayer`](crate::DpopLayer) would answer with.
    #[must_use]
    pub fn with_rejection_response(mut self, responder: impl RejectionResponse) -> Self {
        self.responder = Some(Arc::new(responder));
        self
    }

    /// The answer, unless the request passes.
    fn rejection<B>(&self, request: &mut Request<B>) -> Option<Response<Bytes>> {
        let Some(admitted) = request.extensions().get::<Admitted>() else {
            tracing::error!("no DpopLayer outside of a RequireScopeLayer");
            // That the layer is missing is none of the client's business.
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            return Some(response);
        };
        let Err((cause, mut rule)) = admitted.require(&self.policy) else {
            return None;
        };
        let shape = RequestShape::of(request.method(), request.headers());
        if rule.only_reports() {
            let report = Report::rejected(rule.report(cause, shape));
            request.extensions_mut().insert(report);
            return None;
        }
        if let Some(responder) = &self.responder {
            rule.set_responder(responder);
        }
        Some(rule.respond(rule.reject(cause, shape)))
    }
}

impl<S> Layer<S> for RequireScopeLayer {
    type Service = RequireScope<S>;

    fn layer(&self, inner: S) -> RequireScope<S> {
        RequireScope {
            inner,
            required: self.clone(),
        }
    }
}

impl fmt::Debug for RequireScopeLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequireScopeLayer")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// The service that a [`RequireScopeLayer`] makes. The body of its responses is a [`ResponseBody`].
#[derive(Clone, Debug)]
pub struct RequireScope<S> {
    inner: S,
    required: RequireScopeLayer,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for RequireScope<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    ReqBody: 'static,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let inner = take_ready(&mut self.inner);
        match self.required.rejection(&mut request) {
            None => ResponseFuture::passed(inner, request),
            Some(response) => ResponseFuture::answered(response),
        }
    }
}
