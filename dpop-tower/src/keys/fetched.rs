use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use super::{
    endpoint::Endpoint, fetch::Fetcher, intervals::Intervals, remote::RemoteKeys, source::Source,
};
use crate::{
    clock::TimeSource,
    crypto::{Algorithm, CryptoProvider},
    error::ConfigError,
};

/// The fetched keys of issuers, for several configurations to share.
///
/// A process that replaces its configuration at run time gives clones of one value to all of them with
/// [`Issuer::fetched_keys`](crate::Issuer::fetched_keys). A new configuration then starts with the keys
/// that the old one had, even if the issuer is out of reach at that moment.
///
/// Configurations share the keys of the same issuer's metadata, or of the same URL, if they allow plain
/// `http` for the same hosts. Each configuration applies its own algorithms, its own crypto backend and its own
/// [`KeyFetching`](super::KeyFetching) to the keys and to the attempts that all of them share. If the settings
/// differ, the keys are therefore fetched as often as the most impatient of them wants, and each configuration
/// stops using keys that are too old for it. The clock of the first one measures all times.
/// Keys are dropped when no configuration uses them any more.
///
/// ```
/// use dpop_tower::{DpopConfig, Issuer, PublicOrigin, token::FetchedKeys};
///
/// # #[cfg(any(feature = "aws-lc-rs", feature = "josekit"))] {
/// let fetched = FetchedKeys::new();
/// let config = || {
///     let tokens = Issuer::discover("https://idp.example.com")
///         .audience("https://api.example.com")
///         .fetched_keys(fetched.clone());
///     DpopConfig::builder(PublicOrigin::new("https://api.example.com")?, tokens).build()
/// };
/// let (old, new) = (config()?, config()?);
/// # }
/// # Ok::<(), dpop_tower::ConfigError>(())
/// ```
#[derive(Clone, Default)]
pub struct FetchedKeys(Arc<Mutex<HashMap<Endpoint, Weak<Source>>>>);

impl FetchedKeys {
    /// Starts without keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the keys of an endpoint for one configuration.
    pub(crate) fn of(
        &self,
        endpoint: Endpoint,
        intervals: Intervals,
        algorithms: Vec<Algorithm>,
        crypto: Arc<dyn CryptoProvider>,
        clock: &Arc<dyn TimeSource>,
    ) -> Result<RemoteKeys, ConfigError> {
        let mut sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // This limits the entries to the endpoints in use, and those that went out of use since the last
        // configuration was built.
        sources.retain(|_, source| source.strong_count() > 0);
        let source = match sources.get(&endpoint).and_then(Weak::upgrade) {
            Some(source) => source,
            None => {
                let fetcher = Fetcher::new(endpoint.clone())?;
                let source = Arc::new(Source::new(fetcher, Arc::clone(clock)));
                sources.insert(endpoint, Arc::downgrade(&source));
                source
            }
        };
        Ok(RemoteKeys::new(source, intervals, algorithms, crypto))
    }
}

impl fmt::Debug for FetchedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("FetchedKeys")
            .field("places", &sources.len())
            .finish()
    }
}
