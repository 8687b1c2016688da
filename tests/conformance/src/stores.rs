//! Replay stores that tell what they were asked, or are out of reach.

use std::sync::atomic::{AtomicUsize, Ordering};

use dpop_tower::{
    future::MaybeReady,
    replay::{AcceptanceWindows, Freshness, MemoryReplayStore, ReplayStore, StoreError, UsedProof},
};

/// A store in memory that tells what it was asked.
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

/// An outage of the replay store.
#[derive(Debug)]
pub struct Outage {
    error: fn() -> StoreError,
    windows: AcceptanceWindows,
}

impl Outage {
    /// Every answer is this.
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
