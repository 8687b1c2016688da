use std::{fmt, sync::Arc};

use tower_layer::Layer;

use super::Dpop;
use crate::{
    config::DpopConfig,
    policy::LayerPolicy,
    rejection::RejectionResponse,
    verifier::{Rules, count},
};

/// Makes a service accept an access token only from the client that holds the key it is bound to.
///
/// See the [crate's documentation](crate) for what is checked and what clients are told. Layers made
/// of one configuration share its replay store and caches, so make one and clone it:
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
/// Two layers of one configuration, one directly inside the other, verify a request once. Layers of
/// different configurations verify it independently, and handlers see the token of the innermost. Such two
/// need a replay store each and one source of nonces, and no layer of one may stand between two of the
/// other: otherwise the inner layer takes every proof for a replay, and the log says so at `warn`.
#[derive(Clone)]
pub struct DpopLayer {
    rules: Rules,
}

impl DpopLayer {
    /// Enforces `config`, with its policy, and answers rejected requests with an empty body.
    pub fn new(config: impl Into<DpopConfig>) -> Self {
        let DpopConfig(config) = config.into();
        count::describe();
        Self {
            rules: Rules::new(config),
        }
    }

    /// Sets the policy of this layer: one [`Policy`](crate::Policy) for all requests, or a
    /// [`PolicyTable`](crate::PolicyTable), which selects policies by request path and method.
    ///
    /// Patterns match the original path, so inside axum's `nest` they include the prefix. A second call
    /// replaces the policy of the first.
    ///
    /// Of two layers around one handler that share a configuration, the outer one verifies and the
    /// inner one can only be stricter; see [above](Self#layers-around-layers).
    #[doc(alias = "with_policies")]
    #[must_use]
    pub fn with_policy(mut self, policy: impl LayerPolicy) -> Self {
        self.rules = self.rules.with_policies(policy.into_policies());
        self
    }

    /// Sets what a rejected request is answered with, by this layer and by extractors inside; see
    /// [`RejectionResponse`].
    #[must_use]
    pub fn with_rejection_response(mut self, responder: impl RejectionResponse) -> Self {
        let responder: Arc<dyn RejectionResponse> = Arc::new(responder);
        self.rules.change(|rule| rule.set_responder(&responder));
        self
    }

    /// Ends streams when their token expires; see [`lifetime`](crate::lifetime) for what ends, and how.
    ///
    /// It needs a tokio runtime with its timer enabled.
    #[cfg(feature = "lifetime")]
    #[cfg_attr(docsrs, doc(cfg(feature = "lifetime")))]
    #[must_use]
    pub fn end_streams_at_expiry(mut self) -> Self {
        self.rules.change(|rule| rule.ends_streams = true);
        self
    }
}

impl<S> Layer<S> for DpopLayer {
    type Service = Dpop<S>;

    fn layer(&self, inner: S) -> Dpop<S> {
        Dpop::new(inner, self.rules.clone())
    }
}

impl fmt::Debug for DpopLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DpopLayer")
            .field("config", self.rules.config())
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}
