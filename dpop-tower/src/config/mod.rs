//! The configuration: everything a layer needs, checked once and shared.

mod build;
mod builder;
mod display;
mod profile;
mod settings;

pub use self::builder::DpopConfigBuilder;
#[cfg(feature = "ssf")]
pub(crate) use self::builder::default_crypto;
pub(crate) use self::{
    display::Effective,
    settings::{ProofDigest, Settings},
};

use std::sync::Arc;

use crate::{
    target::IntoTarget,
    token::{IntoTokens, Readiness, WarmUpError},
};

/// The configuration that [`DpopLayer`](crate::DpopLayer)s enforce.
///
/// It is immutable and cheap to clone. Clones are the same configuration, with the same replay store and
/// the same caches.
///
/// ```
/// use dpop_tower::{DpopConfig, Issuer, PublicOrigin};
///
/// # #[cfg(all(any(feature = "aws-lc-rs", feature = "josekit"), feature = "jwks"))] {
/// let config = DpopConfig::builder(
///     PublicOrigin::new("https://api.example.com")?,
///     Issuer::discover("https://idp.example.com").audience("https://api.example.com"),
/// )
/// .build()?;
/// # }
/// # Ok::<(), dpop_tower::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct DpopConfig(pub(crate) Arc<Settings>);

impl DpopConfig {
    /// Returns a builder with the two settings that have no safe default: the origin that clients call,
    /// and the issuer whose tokens are accepted, or [several issuers](crate::token#several-issuers).
    ///
    /// All other settings have a default:
    ///
    /// ```
    /// # #[cfg(feature = "test-util")] {
    /// use dpop_tower::{DpopConfig, PublicOrigin};
    /// # use dpop_tower::test_util::TestIssuer;
    /// use std::time::Duration;
    ///
    /// # let (origin, issuer) = (PublicOrigin::new("https://api.example.com")?, TestIssuer::new().tokens());
    /// let config = DpopConfig::builder(origin, issuer)
    ///     .max_age(Duration::from_secs(30))
    ///     .leeway(Duration::from_secs(5))
    ///     .require_nonces()
    ///     .build()?;
    /// # }
    /// # Ok::<(), dpop_tower::ConfigError>(())
    /// ```
    pub fn builder(target: impl IntoTarget, tokens: impl IntoTokens) -> DpopConfigBuilder {
        DpopConfigBuilder::new(target.into(), tokens.into())
    }

    /// Fetches the keys of the issuer now, so that the first request does not wait for them.
    ///
    /// Usable keys are not fetched again. If it is time to refresh them, that begins in the background. The
    /// rules of [`Issuer::discover`](crate::Issuer::discover) apply: there is one attempt at a time, and no new
    /// attempt soon after a failed one. Nothing is fetched for keys of a file or a string.
    ///
    /// # Errors
    ///
    /// Returns a [`WarmUpError`] that names the issuer and the reason. A program that starts anyway
    /// fetches the keys when the first token arrives.
    ///
    /// # Cancel safety
    ///
    /// If the returned future is dropped, the attempt continues.
    ///
    /// ```
    /// # #[cfg(feature = "test-util")] {
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// use dpop_tower::{DpopConfig, PublicOrigin};
    /// # use dpop_tower::test_util::TestIssuer;
    ///
    /// # let (origin, issuer) = (PublicOrigin::new("https://api.example.com")?, TestIssuer::new().tokens());
    /// let config = DpopConfig::builder(origin, issuer).build()?;
    /// config.warm_up().await?;
    /// assert!(config.readiness().is_ready());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn warm_up(&self) -> Result<(), WarmUpError> {
        self.0.tokens.warm_up().await
    }

    /// Returns what is at hand of the issuer's keys, without fetching anything.
    ///
    /// Keys are fetched when a request needs them, so a service that gets no requests has none. For the readiness
    /// probe of an orchestrator, call [`warm_up`](Self::warm_up) before it.
    pub fn readiness(&self) -> Readiness {
        self.0.tokens.readiness()
    }
}

/// Converts a shared configuration.
impl From<Arc<DpopConfig>> for DpopConfig {
    fn from(config: Arc<DpopConfig>) -> Self {
        Self::clone(&config)
    }
}
