use std::fmt;

use tower_layer::Layer;

use super::{count, rules::Rules, service::Dpop};
use crate::{
    config::DpopConfig,
    policy::{LayerPolicy, Policies},
    rejection::{DefaultRejectionResponse, RejectionResponse},
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
#[derive(Clone)]
pub struct DpopLayer<R = DefaultRejectionResponse> {
    rules: Rules,
    responder: R,
    ends_streams: bool,
}

impl DpopLayer {
    /// Enforces `config`, with its policy, and answers rejected requests with an empty body.
    pub fn new(config: impl Into<DpopConfig>) -> Self {
        let DpopConfig(config) = config.into();
        count::describe();
        Self {
            rules: Rules::one(config.policy.clone(), &config),
            responder: DefaultRejectionResponse,
            ends_streams: false,
        }
    }
}

impl<R> DpopLayer<R> {
    /// Sets the policy of this layer: one [`Policy`](crate::Policy) for every request, or a
    /// [`PolicyTable`](crate::PolicyTable), which chooses by path and method, as the client sent them: inside
    /// axum's `nest` patterns begin with the prefix. It replaces the one that was set before.
    ///
    /// Of two layers around one handler that share a configuration, the outer one verifies and the
    /// inner one can only be stricter.
    #[doc(alias = "with_policies")]
    #[must_use]
    pub fn with_policy(mut self, policy: impl LayerPolicy) -> Self {
        let config = self.rules.config();
        self.rules = match policy.into_policies() {
            Policies::One(policy) => Rules::one(policy, config),
            Policies::Table(table) => Rules::table(table, config),
        };
        self
    }

    /// Sets what a rejected request is answered with; see [`RejectionResponse`].
    #[must_use]
    pub fn with_rejection_response<T: RejectionResponse>(self, responder: T) -> DpopLayer<T> {
        DpopLayer {
            rules: self.rules,
            responder,
            ends_streams: self.ends_streams,
        }
    }

    /// Ends streams when their token expires; see [`lifetime`](crate::lifetime) for what ends, and how.
    ///
    /// It needs a tokio runtime with its timer enabled.
    #[cfg(feature = "lifetime")]
    #[cfg_attr(docsrs, doc(cfg(feature = "lifetime")))]
    #[must_use]
    pub fn end_streams_at_expiry(mut self) -> Self {
        self.ends_streams = true;
        self
    }
}

impl<S, R: Clone> Layer<S> for DpopLayer<R> {
    type Service = Dpop<S, R>;

    fn layer(&self, inner: S) -> Dpop<S, R> {
        let responder = self.responder.clone();
        Dpop::new(inner, self.rules.clone(), responder, self.ends_streams)
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
