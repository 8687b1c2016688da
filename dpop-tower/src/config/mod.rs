//! The configuration: everything a layer needs, checked once and shared.

mod build;
mod builder;
mod display;
mod profile;
mod resource;
mod settings;
mod warnings;

pub use self::{builder::DpopConfigBuilder, resource::ResourceMetadata};
pub(crate) use self::{
    display::Effective,
    resource::{Resource, Resources},
    settings::{ProofDigest, Settings},
};

use std::{
    error::Error,
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use crate::{
    replay::StoreError,
    target::IntoTarget,
    token::{IntoTokens, Readiness, Tokens, WarmUpError},
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

    /// Returns a builder for the [token endpoint](crate::token_endpoint) of an authorization server, whose origin is
    /// `target`. The other settings have the same defaults.
    ///
    /// There is no issuer, so a [`DpopLayer`](crate::DpopLayer) with this configuration rejects every access token. If
    /// your authorization server also has protected resources, such as a userinfo endpoint, one configuration of
    /// [`builder`](Self::builder) serves both.
    ///
    /// The policy decides whether clients need a proof: [`Policy::strict`](crate::Policy::strict), the default, requires
    /// one, and [`Policy::optional`](crate::Policy::optional) lets clients without one have bearer tokens.
    ///
    /// ```
    /// # #[cfg(any(feature = "aws-lc-rs", feature = "josekit"))] {
    /// use dpop_tower::{DpopConfig, Policy, PublicOrigin};
    ///
    /// let config = DpopConfig::authorization_server(PublicOrigin::new("https://idp.example.com")?)
    ///     .policy(Policy::optional())
    ///     .require_nonces()
    ///     .build()?;
    /// # }
    /// # Ok::<(), dpop_tower::ConfigError>(())
    /// ```
    pub fn authorization_server(target: impl IntoTarget) -> DpopConfigBuilder {
        DpopConfigBuilder::new(target.into(), Tokens::none())
    }

    /// Fetches the keys of the issuer and connects the replay store now, so that the first request does not wait
    /// for them.
    ///
    /// Usable keys are not fetched again. If it is time to refresh them, that begins in the background. The
    /// rules of [`Issuer::discover`](crate::Issuer::discover) apply: there is one attempt at a time, and no new
    /// attempt soon after a failed one. Nothing is fetched for keys of a file or a string. The store is asked with
    /// [`ReplayStore::warm_up`](crate::replay::ReplayStore::warm_up) at the same time.
    ///
    /// # Errors
    ///
    /// Returns a [`WarmUpError`] that names the issuer or the replay store, and the reason. A program that starts
    /// anyway fetches the keys when the first token arrives, and rejects requests until the store can be used.
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
        let (tokens, store) = both(self.0.tokens.warm_up(), self.0.replay.warm_up()).await;
        let store = store.map_err(|error| WarmUpError::of_replay_store(reason(&error)));
        match (tokens, store) {
            (Err(tokens), Err(store)) => Err(tokens.and(store)),
            (tokens, store) => tokens.and(store),
        }
    }

    /// Returns what is at hand of the issuer's keys and whether the replay store can be used, without fetching
    /// anything.
    ///
    /// Keys are fetched when a request needs them, so a service that gets no requests has none. For the readiness
    /// probe of an orchestrator, call [`warm_up`](Self::warm_up) before it.
    pub fn readiness(&self) -> Readiness {
        let store = self.0.replay.readiness();
        let readiness = self.0.tokens.readiness();
        readiness.and(Readiness::default().with_replay_store(store.map_err(|error| error.kind())))
    }
}

impl DpopConfig {
    /// Returns what is valid in this configuration but often a mistake, a sentence each.
    ///
    /// [`build`](DpopConfigBuilder::build) logs each of them once at `warn`, and the text of the configuration
    /// ([`Display`](std::fmt::Display)) has a line for each. [`Verifier::warnings`](crate::Verifier::warnings) also
    /// covers the policies of a layer. The sentences are for humans, and may change with every version.
    ///
    /// ```
    /// # #[cfg(feature = "test-util")] {
    /// use dpop_tower::{DpopConfig, PublicOrigin};
    /// # use dpop_tower::test_util::TestIssuer;
    ///
    /// # let issuer = TestIssuer::new();
    /// let warnings = |origin| -> Result<_, dpop_tower::ConfigError> {
    ///     Ok(DpopConfig::builder(PublicOrigin::new(origin)?, issuer.tokens()).build()?.warnings())
    /// };
    /// assert!(warnings("https://api.example.com")?.is_empty());
    /// assert!(warnings("http://api.example.com")?[0].contains("without TLS"));
    /// # }
    /// # Ok::<(), dpop_tower::ConfigError>(())
    /// ```
    pub fn warnings(&self) -> Vec<String> {
        Effective::of(&self.0).warnings()
    }
}

/// Polls two futures until both are done.
async fn both<A: Future, B: Future>(one: A, other: B) -> (A::Output, B::Output) {
    let (mut one, mut other) = (pin!(one), pin!(other));
    let (mut of_one, mut of_other) = (None, None);
    poll_fn(|cx| {
        if of_one.is_none() {
            of_one = ready(one.as_mut().poll(cx));
        }
        if of_other.is_none() {
            of_other = ready(other.as_mut().poll(cx));
        }
        match (of_one.take(), of_other.take()) {
            (Some(one), Some(other)) => Poll::Ready((one, other)),
            (one, other) => {
                (of_one, of_other) = (one, other);
                Poll::Pending
            }
        }
    })
    .await
}

fn ready<T>(poll: Poll<T>) -> Option<T> {
    match poll {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Returns the causes of an error, or its own text if there are none.
fn reason(error: &StoreError) -> String {
    let mut causes = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        causes.push(error.to_string());
        cause = error.source();
    }
    match causes.is_empty() {
        true => error.to_string(),
        false => causes.join(": "),
    }
}

/// Converts a shared configuration.
impl From<Arc<DpopConfig>> for DpopConfig {
    fn from(config: Arc<DpopConfig>) -> Self {
        Self::clone(&config)
    }
}
