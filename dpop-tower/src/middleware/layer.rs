use std::{fmt, sync::Arc};

use tower_layer::Layer;

#[cfg(feature = "lifetime")]
use tower_layer::Stack;

use super::{count, rules::Rules, service::Dpop};
#[cfg(feature = "lifetime")]
use crate::lifetime::EndAtExpiryLayer;
use crate::{
    config::DpopConfig,
    policy::{Policy, PolicyTable},
    rejection::DefaultRejectionResponse,
};

/// Makes a service accept an access token only from the client that holds the key it is bound to.
///
/// See the [crate's documentation](crate) for what is checked and what clients are told. Layers made
/// of one configuration share its replay store and caches, so make one and clone it:
///
/// ```
/// # #[cfg(feature = "test-util")] {
/// use std::sync::Arc;
/// use dpop_tower::{DpopConfig, DpopLayer, Policy, PublicOrigin, test_util::TestIssuer};
///
/// let config = Arc::new(
///     DpopConfig::builder(
///         PublicOrigin::new("https://api.example.com")?,
///         TestIssuer::new().tokens(),
///     )
///     .build()?,
/// );
/// let strict = DpopLayer::new(config.clone());
/// let optional = DpopLayer::new(config).with_policy(Policy::optional());
/// # }
/// # Ok::<(), dpop_tower::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct DpopLayer<R = DefaultRejectionResponse> {
    rules: Rules,
    responder: R,
}

impl DpopLayer {
    /// Enforces `config`, with its policy, and answers refused requests with an empty body.
    pub fn new(config: impl Into<Arc<DpopConfig>>) -> Self {
        let config = config.into();
        count::describe();
        Self {
            rules: Rules::one(config.policy.clone(), &config),
            responder: DefaultRejectionResponse,
        }
    }
}

impl<R> DpopLayer<R> {
    /// Sets the policy of this layer.
    ///
    /// Of two layers around one handler that share a configuration, the outer one verifies and the
    /// inner one can only be stricter.
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.rules = Rules::one(policy, self.rules.config());
        self
    }

    /// Has the policy depend on the path and the method of the request, as the client sent them: inside
    /// of axum's `nest` patterns begin with the prefix.
    #[must_use]
    pub fn with_policies(mut self, table: PolicyTable) -> Self {
        self.rules = Rules::table(table, self.rules.config());
        self
    }

    /// Sets what a refused request is answered with; see
    /// [`RejectionResponse`](crate::rejection::RejectionResponse).
    #[must_use]
    pub fn with_rejection_response<T>(self, responder: T) -> DpopLayer<T> {
        DpopLayer {
            rules: self.rules,
            responder,
        }
    }
}

#[cfg(feature = "lifetime")]
impl<R> DpopLayer<R> {
    /// Also ends streams when their token expires, which takes an
    /// [`EndAtExpiryLayer`](crate::lifetime::EndAtExpiryLayer) inside of this one. It comes last, after the
    /// other settings.
    #[cfg_attr(docsrs, doc(cfg(feature = "lifetime")))]
    #[must_use]
    pub fn end_streams_at_expiry(self) -> Stack<EndAtExpiryLayer, Self> {
        Stack::new(EndAtExpiryLayer::new(), self)
    }
}

impl<S, R: Clone> Layer<S> for DpopLayer<R> {
    type Service = Dpop<S, R>;

    fn layer(&self, inner: S) -> Dpop<S, R> {
        Dpop::new(inner, self.rules.clone(), self.responder.clone())
    }
}

impl<R> fmt::Debug for DpopLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DpopLayer")
            .field("config", self.rules.config())
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}
