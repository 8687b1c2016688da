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

/// Admits only requests whose token has a scope.
///
/// Put it inside a [`DpopLayer`](crate::DpopLayer), which verifies the token. It needs no configuration of
/// its own. Use it for single routes, for example with axum's `route_layer`:
///
/// ```
/// # #[cfg(all(feature = "axum", feature = "test-util"))] {
/// use axum::{Router, routing::{get, post}};
/// use dpop_tower::{DpopLayer, RequireScopeLayer};
/// # use dpop_tower::{DpopConfig, PublicOrigin, test_util::TestIssuer};
/// # let origin = PublicOrigin::new("https://api.example.com")?;
/// # let config = DpopConfig::builder(origin, TestIssuer::new().tokens()).build()?;
///
/// let orders = post(|| async {}).route_layer(RequireScopeLayer::new("orders:write")?);
/// let app: Router = Router::new()
///     .route("/orders", orders.get(|| async {}))
///     .layer(DpopLayer::new(config));
/// # }
/// # Ok::<(), dpop_tower::ConfigError>(())
/// ```
///
/// Requests get one of these responses:
///
/// | request | status |
/// |---|---|
/// | The token has the scope. | the status of the inner service |
/// | The token lacks the scope. | 403, `insufficient_scope` and the scope (RFC 6750 section 3.1) |
/// | The outer layer has a policy that is [off](Policy::off). | 401 |
/// | All outer layers only [report](Policy::report_only). | the status of the inner service, and a report |
/// | There is no `DpopLayer` outside. | 500, and an error in the log |
///
/// ```
/// # #[cfg(feature = "test-util")]
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dpop_tower::{DpopConfig, DpopLayer, PublicOrigin, RequireScopeLayer};
/// # use dpop_tower::test_util::{TestClient, TestIssuer};
/// use http::{Request, Response};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # let (issuer, client) = (TestIssuer::new(), TestClient::new());
/// # let origin = PublicOrigin::new("https://api.example.com")?;
/// # let config = DpopConfig::builder(origin, issuer.tokens()).build()?;
/// let service = ServiceBuilder::new()
///     .layer(DpopLayer::new(config))
///     .layer(RequireScopeLayer::new("orders:write")?)
///     .service(service_fn(async |_: Request<()>| Ok::<_, std::io::Error>(Response::new(()))));
///
/// let token = issuer.token().bound_to(&client).scope("orders:read").mint();
/// let response = service.oneshot(client.get("https://api.example.com/orders", &token)).await?;
/// assert_eq!(response.status(), 403);
/// let challenge = response.headers()["www-authenticate"].to_str()?;
/// assert!(challenge.contains(r#"scope="orders:write""#));
/// # Ok(()) }
/// # #[cfg(not(feature = "test-util"))] fn main() {}
/// ```
///
/// [`Policy::require_scope`] has the same effect. It rejects a request before the replay store is asked.
#[derive(Clone)]
pub struct RequireScopeLayer {
    /// A strict policy with nothing but the scopes.
    policy: Policy,
    /// Replaces the responder of the outer layer.
    responder: Option<Arc<dyn RejectionResponse>>,
}

impl RequireScopeLayer {
    /// Returns a layer that requires this scope.
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] if the text is not a scope (RFC 6749 section 3.3), for example because it
    /// has a space in it:
    ///
    /// ```
    /// use dpop_tower::RequireScopeLayer;
    ///
    /// assert!(RequireScopeLayer::new("orders:read").is_ok());
    /// assert!(RequireScopeLayer::new("orders:read orders:write").is_err());
    /// ```
    pub fn new(scope: impl Into<String>) -> Result<Self, ConfigError> {
        Self::any([scope.into()])
    }

    /// Returns a layer that requires at least one of these scopes.
    ///
    /// The challenge names the first of them, so list the least powerful scope first.
    ///
    /// ```
    /// use dpop_tower::RequireScopeLayer;
    ///
    /// let layer = RequireScopeLayer::any(["orders:read", "orders:write"])?;
    /// # Ok::<(), dpop_tower::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] if the list is empty, or if one of its texts is not a scope.
    pub fn any<S: Into<String>>(scopes: impl IntoIterator<Item = S>) -> Result<Self, ConfigError> {
        Ok(Self {
            policy: Policy::strict().require_any_scope(scopes).build()?,
            responder: None,
        })
    }

    /// Adds a scope that is required as well.
    ///
    /// ```
    /// use dpop_tower::RequireScopeLayer;
    ///
    /// // `admin`, and one of the other two.
    /// let layer = RequireScopeLayer::any(["orders:read", "orders:write"])?.and("admin")?;
    /// # Ok::<(), dpop_tower::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`new`](RequireScopeLayer::new).
    pub fn and(mut self, scope: impl Into<String>) -> Result<Self, ConfigError> {
        self.policy = self.policy.require_scope(scope).build()?;
        Ok(self)
    }

    /// Sets the response to rejected requests; see [`RejectionResponse`].
    ///
    /// Defaults to the response of the outer [`DpopLayer`](crate::DpopLayer).
    #[must_use]
    pub fn with_rejection_response(mut self, responder: impl RejectionResponse) -> Self {
        self.responder = Some(Arc::new(responder));
        self
    }

    /// Returns the response to a rejected request, and `None` if the request passes.
    fn rejection<B>(&self, request: &mut Request<B>) -> Option<Response<Bytes>> {
        let Some(admitted) = request.extensions().get::<Admitted>() else {
            tracing::error!("no DpopLayer outside of a RequireScopeLayer");
            // A client need not know that the layer is missing.
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            return Some(response);
        };
        let Err((cause, mut rule)) = admitted.require(&self.policy) else {
            return None;
        };
        let shape =
            RequestShape::of(request.method(), request.headers()).of_resource(admitted.resource);
        if rule.only_reports() {
            let rejection = Some(rule.report(cause, shape));
            request.extensions_mut().insert(Report { rejection });
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

/// The service of a [`RequireScopeLayer`].
///
/// The body of its responses is a [`ResponseBody`].
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
