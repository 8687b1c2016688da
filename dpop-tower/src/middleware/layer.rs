use std::fmt;

use tower_layer::Layer;

use super::Dpop;
use crate::{
    config::DpopConfig, policy::LayerPolicy, rejection::RejectionResponse, verifier::Verifier,
};

/// Makes a service accept an access token only from the client that holds the key it is bound to.
///
/// See the [crate's documentation](crate) for the checks, and [`rejection`](crate::rejection) for the
/// responses to rejected requests. The layer works with any tower service of `http` requests:
///
/// ```
/// # #[cfg(feature = "test-util")]
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dpop_tower::{BoundToken, DpopConfig, DpopLayer, PublicOrigin};
/// # use dpop_tower::test_util::{TestClient, TestIssuer};
/// use http::{Request, Response};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # let (issuer, client) = (TestIssuer::new(), TestClient::new());
/// # let origin = PublicOrigin::new("https://api.example.com")?;
/// # let config = DpopConfig::builder(origin, issuer.tokens()).build()?;
/// async fn orders(request: Request<()>) -> Result<Response<String>, std::io::Error> {
///     let token = request.extensions().get::<BoundToken>();
///     let subject = token.and_then(|token| token.claims().subject());
///     Ok(Response::new(format!("orders of {}", subject.unwrap_or("a service"))))
/// }
///
/// let service = ServiceBuilder::new().layer(DpopLayer::new(config)).service(service_fn(orders));
///
/// # let token = issuer.token().bound_to(&client).mint();
/// # let request = client.get("https://api.example.com/orders", &token);
/// assert_eq!(service.clone().oneshot(request).await?.status(), 200);
/// assert_eq!(service.oneshot(Request::new(())).await?.status(), 401);
/// # Ok(()) }
/// # #[cfg(not(feature = "test-util"))] fn main() {}
/// ```
///
/// Layers of one configuration share its replay store and caches. Build one configuration and clone it:
///
/// ```
/// # #[cfg(feature = "test-util")] {
/// use dpop_tower::{DpopConfig, DpopLayer, Policy, PublicOrigin, test_util::TestIssuer};
///
/// let config = DpopConfig::builder(
///     PublicOrigin::new("https://api.example.com")?,
///     TestIssuer::new().tokens(),
/// )
/// .build()?;
/// let strict = DpopLayer::new(config.clone());
/// let optional = DpopLayer::new(config).with_policy(Policy::optional());
/// # }
/// # Ok::<(), dpop_tower::ConfigError>(())
/// ```
///
/// # Layers around layers
///
/// Two nested layers of one configuration verify a request once. The inner layer only checks its own
/// policy, so it can be stricter than the outer layer:
///
/// ```
/// # #[cfg(feature = "test-util")]
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dpop_tower::{DpopConfig, DpopLayer, Policy, PublicOrigin};
/// # use dpop_tower::test_util::{TestClient, TestIssuer};
/// use http::{Request, Response};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # let (issuer, client) = (TestIssuer::new(), TestClient::new());
/// # let origin = PublicOrigin::new("https://api.example.com")?;
/// # let config = DpopConfig::builder(origin, issuer.tokens()).build()?;
/// let write = Policy::strict().require_scope("orders:write").build()?;
/// let service = ServiceBuilder::new()
///     .layer(DpopLayer::new(config.clone()))
///     .layer(DpopLayer::new(config).with_policy(write))
///     .service(service_fn(async |_: Request<()>| Ok::<_, std::io::Error>(Response::new(()))));
///
/// for (scope, status) in [("orders:read", 403), ("orders:read orders:write", 200)] {
///     let token = issuer.token().bound_to(&client).scope(scope).mint();
///     let request = client.get("https://api.example.com/orders", &token);
///     assert_eq!(service.clone().oneshot(request).await?.status(), status);
/// }
/// # Ok(()) }
/// # #[cfg(not(feature = "test-util"))] fn main() {}
/// ```
///
/// Layers of different configurations verify a request independently. The handler gets the token of the
/// innermost layer. Such configurations need separate replay stores and a common source of nonces. Do not
/// put a layer of one configuration between two layers of the other: the inner layer would reject every
/// proof as a replay, and log it at `warn`.
#[derive(Clone, Debug)]
pub struct DpopLayer {
    verifier: Verifier,
}

impl DpopLayer {
    /// Returns a layer with this configuration and its policy.
    ///
    /// Rejected requests get an empty body; see
    /// [`with_rejection_response`](Self::with_rejection_response).
    pub fn new(config: impl Into<DpopConfig>) -> Self {
        Self {
            verifier: Verifier::new(config),
        }
    }

    /// Sets the policy of this layer: one [`Policy`](crate::Policy) for all requests, or a
    /// [`PolicyTable`](crate::PolicyTable), which selects policies by request path and method.
    ///
    /// Patterns match the original path, so inside axum's `nest` they include the prefix. A second call
    /// replaces the policy of the first. Defaults to the policy of the configuration.
    ///
    /// ```
    /// # #[cfg(feature = "test-util")] {
    /// use dpop_tower::{DpopConfig, DpopLayer, Policy, PolicyTable, PublicOrigin};
    /// # use dpop_tower::test_util::TestIssuer;
    ///
    /// # let origin = PublicOrigin::new("https://api.example.com")?;
    /// # let config = DpopConfig::builder(origin, TestIssuer::new().tokens()).build()?;
    /// let table = PolicyTable::builder()
    ///     .route("/health", Policy::off())
    ///     .route("/orders/{id}", Policy::strict().require_scope("orders"))
    ///     .otherwise(Policy::deny())
    ///     .build()?;
    /// let layer = DpopLayer::new(config).with_policy(table);
    /// # }
    /// # Ok::<(), dpop_tower::ConfigError>(())
    /// ```
    ///
    /// If two nested layers share a configuration, the outer layer verifies the request, and the inner
    /// layer can only be stricter; see [above](Self#layers-around-layers).
    #[doc(alias = "with_policies")]
    #[must_use]
    pub fn with_policy(mut self, policy: impl LayerPolicy) -> Self {
        self.verifier = self.verifier.with_policy(policy);
        self
    }

    /// Sets the response to requests that this layer or an extractor rejects; see [`RejectionResponse`].
    ///
    /// The status and the headers of a rejection stay as they are. Defaults to an empty body.
    ///
    /// ```
    /// # #[cfg(feature = "test-util")] {
    /// use dpop_tower::{DpopConfig, DpopLayer, PublicOrigin, rejection::Rejection};
    /// # use dpop_tower::test_util::TestIssuer;
    /// use http::Response;
    ///
    /// # let origin = PublicOrigin::new("https://api.example.com")?;
    /// # let config = DpopConfig::builder(origin, TestIssuer::new().tokens()).build()?;
    /// let layer = DpopLayer::new(config)
    ///     .with_rejection_response(|rejection: &Rejection| Response::new(rejection.description()));
    /// # }
    /// # Ok::<(), dpop_tower::ConfigError>(())
    /// ```
    #[must_use]
    pub fn with_rejection_response(mut self, responder: impl RejectionResponse) -> Self {
        self.verifier = self.verifier.with_rejection_response(responder);
        self
    }

    /// Ends streams when their token expires; see [`lifetime`](crate::lifetime) for what ends, and how.
    ///
    /// Without it, a stream stays open for as long as the client keeps the connection. It needs a tokio
    /// runtime with its timer enabled.
    ///
    /// ```
    /// # #[cfg(feature = "test-util")] {
    /// use dpop_tower::{DpopConfig, DpopLayer, Policy, PolicyTable, PublicOrigin};
    /// # use dpop_tower::test_util::TestIssuer;
    ///
    /// # let origin = PublicOrigin::new("https://api.example.com")?;
    /// # let config = DpopConfig::builder(origin, TestIssuer::new().tokens()).build()?;
    /// // Streams of all routes but one end with their token.
    /// let table = PolicyTable::builder()
    ///     .route("/ticker", Policy::strict().danger_let_streams_outlive_tokens())
    ///     .otherwise(Policy::strict())
    ///     .build()?;
    /// let layer = DpopLayer::new(config).with_policy(table).end_streams_at_expiry();
    /// # }
    /// # Ok::<(), dpop_tower::ConfigError>(())
    /// ```
    #[cfg(feature = "lifetime")]
    #[cfg_attr(docsrs, doc(cfg(feature = "lifetime")))]
    #[must_use]
    pub fn end_streams_at_expiry(mut self) -> Self {
        self.verifier = self.verifier.end_streams_at_expiry();
        self
    }

    /// Returns a verifier with the configuration and the policy of this layer.
    ///
    /// Use it if some requests pass through the layer and others are only verified, for example because a
    /// proxy asks whether they may pass.
    ///
    /// ```
    /// # #[cfg(feature = "test-util")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use dpop_tower::{DpopConfig, DpopLayer, Policy, PublicOrigin, RequestHead, Verdict};
    /// # use dpop_tower::test_util::{TestClient, TestIssuer};
    ///
    /// # let (issuer, client) = (TestIssuer::new(), TestClient::new());
    /// # let origin = PublicOrigin::new("https://api.example.com")?;
    /// # let config = DpopConfig::builder(origin, issuer.tokens()).build()?;
    /// let read = Policy::strict().require_scope("orders:read").build()?;
    /// let layer = DpopLayer::new(config).with_policy(read);
    /// let verifier = layer.verifier();
    ///
    /// let token = issuer.token().bound_to(&client).mint();
    /// let request = client.get("https://api.example.com/orders", &token);
    /// let head = RequestHead::new(request.method(), request.uri(), request.headers());
    /// let Verdict::Rejected(rejection) = verifier.verify_request(head).await else {
    ///     panic!("a token without the scope was admitted");
    /// };
    /// assert_eq!(rejection.reason(), "policy_scope_missing");
    /// # Ok(()) }
    /// # #[cfg(not(feature = "test-util"))] fn main() {}
    /// ```
    pub fn verifier(&self) -> Verifier {
        self.verifier.clone()
    }
}

/// Returns [`DpopLayer::verifier`].
impl From<&DpopLayer> for Verifier {
    fn from(layer: &DpopLayer) -> Self {
        layer.verifier()
    }
}

/// Writes the settings in force, for a log at start: those of the configuration, a line for each policy, and what
/// becomes of streams.
///
/// The text is for humans, and may change with every version; see
/// [`DpopConfig`](crate::DpopConfig#impl-Display-for-DpopConfig).
///
/// ```
/// # #[cfg(feature = "test-util")] {
/// use dpop_tower::{DpopConfig, DpopLayer, Policy, PolicyTable, PublicOrigin};
/// # use dpop_tower::test_util::TestIssuer;
///
/// # let origin = PublicOrigin::new("https://api.example.com")?;
/// # let config = DpopConfig::builder(origin, TestIssuer::new().tokens()).build()?;
/// let table = PolicyTable::builder()
///     .route("/orders/{id}", Policy::strict().require_scope("orders"))
///     .otherwise(Policy::deny())
///     .build()?;
/// let layer = DpopLayer::new(config).with_policy(table);
/// println!("{layer}");
/// # assert!(layer.to_string().contains("/orders/{id}"));
/// # }
/// # Ok::<(), dpop_tower::ConfigError>(())
/// ```
impl fmt::Display for DpopLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.verifier.fmt(f)
    }
}

impl<S> Layer<S> for DpopLayer {
    type Service = Dpop<S>;

    fn layer(&self, inner: S) -> Dpop<S> {
        Dpop::new(inner, self.verifier.clone())
    }
}
