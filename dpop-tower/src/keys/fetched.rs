use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use super::{endpoint::Endpoint, fetch::Fetcher, remote::RemoteKeys, source::Source};
use crate::{
    clock::TimeSource,
    crypto::{Algorithm, CryptoProvider},
    error::ConfigError,
};

/// What was fetched of issuers' keys, for configurations to share.
///
/// A process that replaces its configuration gives clones of one value to all of them, with
/// [`Issuer::fetched_keys`](crate::Issuer::fetched_keys). Then the new configuration begins with
/// the keys that the old one had, and an issuer that is out of reach at that moment is not missed.
///
/// Configurations share what was fetched from the same place: the metadata of the same issuer or the
/// same URL, both with or both without plain `http`. Each applies its own algorithms and crypto backend
/// to it. The limits for fetches count for all of them together, and the age of the keys is measured
/// with the clock of the first. What belongs to a place is forgotten when no configuration uses that
/// place any more.
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
    /// Nothing, until a configuration fetches something.
    pub fn new() -> Self {
        Self::default()
    }

    /// The keys of an endpoint, for one configuration.
    pub(crate) fn of(
        &self,
        endpoint: Endpoint,
        algorithms: Vec<Algorithm>,
        crypto: Arc<dyn CryptoProvider>,
        clock: &Arc<dyn TimeSource>,
    ) -> Result<RemoteKeys, ConfigError> {
        let mut sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // So there are never more entries than places in use, and those that are left until the next
        // configuration is built.
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
        Ok(RemoteKeys::new(source, algorithms, crypto))
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
