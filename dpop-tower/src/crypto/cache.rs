use std::fmt;

use quick_cache::sync::Cache;

use super::{Algorithm, PreparedKey};
use crate::jwk::Thumbprint;

/// Parsed proof keys, by thumbprint.
///
/// Parsing a key costs OpenSSL as much as two signatures. Only keys that proved a bound token may be
/// put here, so a stranger cannot push the keys of real clients out. Eviction is harmless: the key
/// is parsed again.
pub(crate) struct KeyCache(Cache<(Thumbprint, Algorithm), PreparedKey>);

impl KeyCache {
    pub(crate) fn new(capacity: usize) -> Self {
        Self(Cache::new(capacity))
    }

    pub(crate) fn get(&self, key: &Thumbprint, algorithm: Algorithm) -> Option<PreparedKey> {
        self.0.get(&(*key, algorithm))
    }

    pub(crate) fn insert(&self, key: Thumbprint, algorithm: Algorithm, prepared: PreparedKey) {
        self.0.insert((key, algorithm), prepared);
    }
}

impl fmt::Debug for KeyCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyCache")
            .field("len", &self.0.len())
            .finish()
    }
}
