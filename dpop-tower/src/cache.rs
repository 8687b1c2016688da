//! What need not be computed again.

use std::{fmt, hash::Hash};

use quick_cache::sync;

/// A bounded cache.
///
/// Where a stranger could fill it, it would push out what others need. So each place that inserts
/// something says why no stranger gets there. Eviction is harmless: what is gone is computed again.
pub(crate) struct Cache<K, V>(sync::Cache<K, V>);

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self(sync::Cache::new(capacity.max(1)))
    }

    pub(crate) fn get(&self, key: &K) -> Option<V> {
        self.0.get(key)
    }

    pub(crate) fn insert(&self, key: K, value: V) {
        self.0.insert(key, value);
    }

    pub(crate) fn remove(&self, key: &K) {
        self.0.remove(key);
    }
}

/// Neither keys nor values are shown.
impl<K: Eq + Hash, V: Clone> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("len", &self.0.len()).finish()
    }
}
