//! Replay stores that record their queries, or are unavailable.

use std::sync::atomic::{AtomicUsize, Ordering};

use dpop_tower::{
    future::MaybeReady,
    replay::{AcceptanceWindows, Freshness, MemoryReplayStore, ReplayStore, StoreError, UsedProof},
};

/// An in-memory store that counts its queries.
#[derive(Debug, Default)]
pub struct CountingStore {
    pub store: MemoryReplayStore,
    asked: AtomicUsize,
}

impl CountingStore {
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl ReplayStore for CountingStore {
    fn check_and_insert(&self, proof: UsedProof) -> MaybeReady<Result<Freshness, StoreError>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.store.check_and_insert(proof)
    }

    fn windows(&self) -> &AcceptanceWindows {
        self.store.windows()
    }
}

/// A replay store that is unavailable.
#[derive(Debug)]
pub struct Outage {
    error: fn() -> StoreError,
    windows: AcceptanceWindows,
}

impl Outage {
    /// Returns a store whose every answer is this error.
    pub fn of(error: fn() -> StoreError) -> Self {
        Self {
            error,
            windows: AcceptanceWindows::new(),
        }
    }
}

impl ReplayStore for Outage {
    fn check_and_insert(&self, _: UsedProof) -> MaybeReady<Result<Freshness, StoreError>> {
        MaybeReady::ready(Err((self.error)()))
    }

    fn windows(&self) -> &AcceptanceWindows {
        &self.windows
    }
}
