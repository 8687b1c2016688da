//! `MemoryReplayStore`, whose process restarts.

use std::{
    num::NonZeroUsize,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use dpop_tower::{
    clock::{ManualClock, SystemClock, TimeSource as _},
    future::MaybeReady,
    replay::{
        AcceptanceWindows, Freshness, Incarnation, MemoryReplayStore, ReplayLimits, ReplayStore,
        StoreError, UsedProof,
    },
    test_util::replay::{FixtureError, Rule, StoreFixture},
};

use super::unchecked;

/// The store of a process, which another one replaces when the process restarts.
#[derive(Clone, Debug)]
struct Process {
    store: Arc<RwLock<Arc<MemoryReplayStore>>>,
    windows: AcceptanceWindows,
}

impl Process {
    fn with(store: MemoryReplayStore) -> Self {
        Self {
            store: Arc::new(RwLock::new(Arc::new(store))),
            windows: AcceptanceWindows::new(),
        }
    }

    fn store(&self) -> Arc<MemoryReplayStore> {
        Arc::clone(&self.store.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn restart(&self, store: MemoryReplayStore) {
        *self.store.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(store);
    }
}

impl ReplayStore for Process {
    fn check_and_insert(&self, proof: UsedProof) -> MaybeReady<Result<Freshness, StoreError>> {
        self.store().check_and_insert(proof)
    }

    fn windows(&self) -> &AcceptanceWindows {
        &self.windows
    }

    fn incarnation(&self) -> Option<Incarnation> {
        self.store().incarnation()
    }

    fn limits(&self) -> Option<ReplayLimits> {
        self.store().limits()
    }
}

struct InMemory {
    process: Process,
    clock: ManualClock,
    is_fenced: bool,
    /// Whether the kit waits for real time to pass.
    waits: bool,
}

impl InMemory {
    fn new() -> Self {
        Self {
            process: Process::with(MemoryReplayStore::new()),
            clock: ManualClock::starting_now(),
            is_fenced: false,
            waits: false,
        }
    }

    fn fenced() -> Self {
        let new = Self {
            is_fenced: true,
            ..Self::new()
        };
        new.process.restart(new.another());
        new
    }

    fn another(&self) -> MemoryReplayStore {
        let store = MemoryReplayStore::new();
        match self.is_fenced {
            true if self.waits => store.fenced_since(SystemClock.now()).unwrap(),
            true => store.fenced_since(self.clock.now()).unwrap(),
            false => store,
        }
    }
}

impl StoreFixture for InMemory {
    type Store = Process;

    async fn open(&self) -> Result<Process, FixtureError> {
        Ok(self.process.clone())
    }

    fn clock(&self) -> Option<ManualClock> {
        (!self.waits).then(|| self.clock.clone())
    }

    fn kept_longer_by(&self) -> Option<Duration> {
        Some(Duration::ZERO)
    }

    async fn open_small(&self) -> Result<Option<Process>, FixtureError> {
        let entries = |count| NonZeroUsize::new(count).ok_or("zero entries");
        let small = MemoryReplayStore::with_capacity(entries(3_000)?)
            .capacity_per_key(entries(500)?)
            .capacity_per_subject(entries(700)?);
        Ok(Some(Process::with(small)))
    }

    fn faults(&self) -> Vec<&'static str> {
        vec!["restart"]
    }

    async fn begin(&self, _: &'static str) -> Result<(), FixtureError> {
        self.process.restart(self.another());
        Ok(())
    }

    async fn lose_records(&self) -> Result<bool, FixtureError> {
        self.process.restart(self.another());
        Ok(true)
    }
}

#[tokio::test]
async fn the_memory_store_keeps_the_contract_across_restarts_with_its_fence() {
    assert_eq!(unchecked(InMemory::fenced()).await.unwrap(), []);
}

#[tokio::test]
async fn the_memory_store_keeps_the_contract_in_real_time() {
    let fixture = InMemory {
        waits: true,
        ..InMemory::fenced()
    };
    assert_eq!(unchecked(fixture).await.unwrap(), []);
}

#[tokio::test]
async fn without_the_fence_a_restart_is_found() {
    let violation = unchecked(InMemory::new()).await.unwrap_err();
    assert_eq!(violation.rule(), Rule::FailClosed);
    let text = violation.to_string();
    assert!(
        text.starts_with("rule 6 (fail closed): one proof was fresh twice (fault: restart)\n"),
        "{text}"
    );
    // The message has the history, and nothing else of the proof.
    assert!(text.lines().count() >= 4, "{text}");
    assert_eq!(text.matches(": Fresh").count(), 2, "{text}");
    assert_eq!(format!("{violation:?}"), text);
}
