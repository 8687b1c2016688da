//! The memory that stands in for a database that is out of reach.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::{
    future::MaybeReady,
    replay::{Freshness, MemoryReplayStore, ReplayStore, StoreError, UsedProof},
};

/// Records of the time in which the database was out of reach.
#[derive(Debug)]
pub(super) struct Fallback {
    store: MemoryReplayStore,
    /// When the last of its records ends.
    until: AtomicI64,
}

impl Fallback {
    pub(super) const fn new(store: MemoryReplayStore) -> Self {
        Self {
            store,
            until: AtomicI64::new(i64::MIN),
        }
    }

    /// Records a proof while the database is out of reach.
    pub(super) fn insert(&self, proof: UsedProof) -> MaybeReady<Result<Freshness, StoreError>> {
        self.until
            .fetch_max(proof.expires_at.as_secs(), Ordering::SeqCst);
        self.store.check_and_insert(proof)
    }

    /// Returns whether some record may still be live.
    pub(super) fn is_live(&self, proof: &UsedProof) -> bool {
        proof.now.as_secs() <= self.until.load(Ordering::SeqCst)
    }

    /// Records a proof also here while others are live, before the database is asked.
    pub(super) fn insert_too(&self, proof: UsedProof) -> MaybeReady<Result<Freshness, StoreError>> {
        self.store.check_and_insert(proof)
    }
}
