//! A replay store that loses its records when the test says so.

use std::sync::{Mutex, PoisonError};

use dpop_tower::{
    future::MaybeReady,
    replay::{
        AcceptanceWindows, Freshness, Incarnation, MemoryReplayStore, ReplayStore, StoreError,
        UsedProof,
    },
};

#[derive(Debug)]
pub(super) struct ChangingStore {
    proofs: MemoryReplayStore,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    incarnation: Option<Incarnation>,
    next: Option<Incarnation>,
}

impl ChangingStore {
    pub(super) fn new(incarnation: Incarnation) -> Self {
        Self::with(Some(incarnation))
    }

    /// Returns a store that learns its incarnation with the first call.
    pub(super) fn unknown() -> Self {
        Self::with(None)
    }

    fn with(incarnation: Option<Incarnation>) -> Self {
        let state = State {
            incarnation,
            next: None,
        };
        Self {
            proofs: MemoryReplayStore::new(),
            state: Mutex::new(state),
        }
    }

    /// Makes the store find out about a new incarnation before it answers the next call.
    pub(super) fn change_during_the_next_call(&self, next: Incarnation) {
        self.state().next = Some(next);
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReplayStore for ChangingStore {
    fn check_and_insert(&self, proof: UsedProof) -> MaybeReady<Result<Freshness, StoreError>> {
        let mut state = self.state();
        if let Some(next) = state.next.take() {
            state.incarnation = Some(next);
        }
        self.proofs.check_and_insert(proof)
    }

    fn windows(&self) -> &AcceptanceWindows {
        self.proofs.windows()
    }

    fn incarnation(&self) -> Option<Incarnation> {
        self.state().incarnation
    }
}
