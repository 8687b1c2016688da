use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use super::*;
use crate::{
    clock::{ManualClock, SystemClock, TimeSource, UnixTime},
    crypto::pure_rust::PureRust,
    replay::{
        AcceptanceWindows, MemoryReplayStore, ReplayKey, ReplayStore, StoreError, StoreErrorKind,
        UsedProof,
    },
};

const PATIENCE: Duration = Duration::from_secs(60);

/// A database whose faults the test decides.
#[derive(Debug)]
struct Database {
    is_up: AtomicBool,
    /// Calls get no answer.
    hangs: AtomicBool,
    /// The next answer to a call, unless it is to be recorded.
    failures: Mutex<Vec<Failure>>,
    records: Mutex<HashMap<[u8; 32], ()>>,
    incarnation: Mutex<Incarnation>,
    opened: AtomicU32,
    renewed: AtomicU32,
}

#[derive(Clone, Debug)]
struct Connects(Arc<Database>, ClockBound);

impl Engine for Connects {
    type Session = Incarnation;

    async fn open(&self, opening: Opening) -> Result<(Incarnation, Incarnation), Failure> {
        if !self.0.is_up.load(SeqCst) {
            return Err(Failure::session("no route to the database"));
        }
        self.0.opened.fetch_add(1, SeqCst);
        let mut found = self.0.incarnation.lock().unwrap();
        if !opening.accepts(*found) {
            *found = opening.begin(SystemClock.now(), &self.1)?;
            self.0.renewed.fetch_add(1, SeqCst);
        }
        Ok((*found, *found))
    }

    async fn check(&self, session: &Incarnation) -> Result<(), Failure> {
        self.same(session)
    }

    async fn insert(&self, session: &Incarnation, record: Record) -> Result<Freshness, Failure> {
        if self.0.hangs.load(SeqCst) {
            std::future::pending::<()>().await;
        }
        if let Some(failure) = self.0.failures.lock().unwrap().pop() {
            return Err(failure);
        }
        self.same(session)?;
        let old = self.0.records.lock().unwrap().insert(record.key, ());
        Ok(match old {
            None => Freshness::Fresh,
            Some(()) => Freshness::Replayed,
        })
    }
}

impl Connects {
    fn same(&self, session: &Incarnation) -> Result<(), Failure> {
        if !self.0.is_up.load(SeqCst) {
            return Err(Failure::session("the connection was closed"));
        }
        match *self.0.incarnation.lock().unwrap() == *session {
            true => Ok(()),
            false => Err(Failure::session("the incarnation has changed")),
        }
    }
}

impl Database {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            is_up: AtomicBool::new(true),
            hangs: AtomicBool::new(false),
            failures: Mutex::default(),
            records: Mutex::default(),
            incarnation: Mutex::new(Incarnation::random(UnixTime::from_secs(0)).unwrap()),
            opened: AtomicU32::new(0),
            renewed: AtomicU32::new(0),
        })
    }

    fn store(self: &Arc<Self>) -> Supervised<Connects> {
        self.store_with(None, Arc::new(SystemClock))
    }

    fn store_with(
        self: &Arc<Self>,
        fallback: Option<MemoryReplayStore>,
        clock: Arc<dyn TimeSource>,
    ) -> Supervised<Connects> {
        let bound = ClockBound::new(DEFAULT_CLOCK_MARGIN, clock);
        let settings = SupervisedSettings {
            windows: AcceptanceWindows::new(),
            time_out: Duration::from_secs(2),
            open_time_out: PATIENCE,
            bound: bound.clone(),
            fallback,
        };
        Supervised::new(Connects(Arc::clone(self), bound), settings)
    }
}

fn proof(number: u8) -> UsedProof {
    let now = SystemClock.now();
    UsedProof {
        key: ReplayKey::new([number; 32], "jti", &PureRust),
        now,
        expires_at: now.saturating_add(Duration::from_secs(75)),
    }
}

fn kind(result: Result<Freshness, StoreError>) -> StoreErrorKind {
    result.unwrap_err().kind()
}

/// Waits until the store can be used again.
async fn recovered(store: &Supervised<Connects>) {
    let begun = std::time::Instant::now();
    while store.readiness().is_err() {
        assert!(begun.elapsed() < PATIENCE, "{store:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_store_connects_by_itself_and_the_first_request_waits_for_it() {
    let store = Database::new().store();
    assert!(store.readiness().is_err());
    assert_eq!(store.incarnation(), None);
    assert_eq!(
        store.check_and_insert(proof(1)).await.unwrap(),
        Freshness::Fresh
    );
    assert_eq!(
        store.check_and_insert(proof(1)).await.unwrap(),
        Freshness::Replayed
    );
    assert!(store.readiness().is_ok());
    assert!(store.incarnation().is_some());
}

#[tokio::test]
async fn an_expired_proof_is_rejected_without_a_call() {
    let database = Database::new();
    let store = database.store();
    let expired = UsedProof {
        expires_at: UnixTime::from_secs(1),
        ..proof(1)
    };
    assert_eq!(
        store.check_and_insert(expired).await.unwrap(),
        Freshness::Replayed
    );
    assert_eq!(database.opened.load(SeqCst), 0);
}

#[tokio::test]
async fn warming_up_says_why_it_failed_and_connects_when_it_is_possible() {
    let database = Database::new();
    database.is_up.store(false, SeqCst);
    let store = database.store();
    let error = store.warm_up().await.unwrap_err();
    let why = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(why, "no route to the database");
    database.is_up.store(true, SeqCst);
    store.warm_up().await.unwrap();
}

#[tokio::test]
async fn a_lost_session_fails_calls_at_once_and_comes_back_with_its_incarnation() {
    let database = Database::new();
    let store = database.store();
    assert_eq!(
        store.check_and_insert(proof(1)).await.unwrap(),
        Freshness::Fresh
    );
    let before = store.incarnation();
    database.is_up.store(false, SeqCst);
    for number in 2..50 {
        let error = store.check_and_insert(proof(number)).await;
        assert_eq!(kind(error), StoreErrorKind::Unavailable);
    }
    assert!(store.readiness().is_err());
    assert_eq!(store.incarnation(), before);
    database.is_up.store(true, SeqCst);
    recovered(&store).await;
    assert_eq!(store.incarnation(), before);
    assert_eq!(
        store.check_and_insert(proof(1)).await.unwrap(),
        Freshness::Replayed
    );
}

#[tokio::test]
async fn a_new_incarnation_is_known_before_anything_is_fresh_under_it() {
    let database = Database::new();
    let store = database.store();
    assert_eq!(
        store.check_and_insert(proof(1)).await.unwrap(),
        Freshness::Fresh
    );
    let before = store.incarnation().unwrap();
    let since = before.since().saturating_add(Duration::from_secs(1));
    let new = Incarnation::random(since).unwrap();
    *database.incarnation.lock().unwrap() = new;
    database.records.lock().unwrap().clear();
    assert_eq!(
        kind(store.check_and_insert(proof(1)).await),
        StoreErrorKind::Unavailable
    );
    let begun = std::time::Instant::now();
    while store.check_and_insert(proof(1)).await.is_err() {
        assert!(begun.elapsed() < PATIENCE, "{store:?}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(store.incarnation(), Some(new));
}

#[tokio::test]
async fn an_incarnation_that_has_ended_does_not_come_back() {
    let database = Database::new();
    let store = database.store();
    store.warm_up().await.unwrap();
    let first = store.incarnation().unwrap();
    let since = first.since().saturating_add(Duration::from_secs(1));
    for other in [Incarnation::random(since).unwrap(), first] {
        *database.incarnation.lock().unwrap() = other;
        assert!(store.check_and_insert(proof(1)).await.is_err());
        recovered(&store).await;
    }
    let last = store.incarnation().unwrap();
    assert_ne!(last, first);
    assert!(last.since() > since);
    assert_eq!(database.renewed.load(SeqCst), 1);
}

#[tokio::test]
async fn a_loss_begins_a_new_incarnation_and_a_full_database_does_not() {
    let database = Database::new();
    let store = database.store();
    store.warm_up().await.unwrap();
    let before = store.incarnation();
    *database.failures.lock().unwrap() = vec![Failure::full(); 10];
    for _ in 0..10 {
        assert_eq!(
            kind(store.check_and_insert(proof(1)).await),
            StoreErrorKind::Full
        );
    }
    assert!(store.readiness().is_ok());
    assert_eq!(store.incarnation(), before);
    *database.failures.lock().unwrap() = vec![Failure::lost("the clocks differ")];
    assert_eq!(
        kind(store.check_and_insert(proof(1)).await),
        StoreErrorKind::Unavailable
    );
    recovered(&store).await;
    assert_ne!(store.incarnation(), before);
}

#[tokio::test]
async fn failures_in_a_row_end_a_session() {
    let database = Database::new();
    let store = database.store();
    for row in [1, 1, 1, 2] {
        *database.failures.lock().unwrap() = vec![Failure::call("busy"); row];
        for _ in 0..row {
            assert!(store.check_and_insert(proof(1)).await.is_err());
        }
        let _ = store.check_and_insert(proof(1)).await.unwrap();
    }
    assert_eq!(database.opened.load(SeqCst), 1);
    *database.failures.lock().unwrap() = vec![Failure::call("busy"); 3];
    for _ in 0..3 {
        assert!(store.check_and_insert(proof(1)).await.is_err());
    }
    recovered(&store).await;
    assert_eq!(database.opened.load(SeqCst), 2);
}

#[tokio::test]
async fn calls_without_an_answer_end_and_then_fail_at_once() {
    let database = Database::new();
    let store = database.store();
    store.warm_up().await.unwrap();
    database.hangs.store(true, SeqCst);
    for _ in 0..3 {
        let error = store.check_and_insert(proof(1)).await;
        assert_eq!(kind(error), StoreErrorKind::Unavailable);
    }
    database.hangs.store(false, SeqCst);
    recovered(&store).await;
    assert_eq!(
        store.check_and_insert(proof(1)).await.unwrap(),
        Freshness::Fresh
    );
}

#[test]
fn a_store_survives_the_end_of_a_runtime() {
    let database = Database::new();
    let store = database.store();
    for (number, opened) in [(1, 1), (2, 2), (3, 3)] {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        let inserted = runtime
            .unwrap()
            .block_on(store.check_and_insert(proof(number)));
        assert_eq!(inserted.unwrap(), Freshness::Fresh);
        assert_eq!(database.opened.load(SeqCst), opened);
        assert!(store.readiness().is_err(), "the runtime has ended");
    }
}

#[tokio::test]
async fn a_request_that_read_another_clock_is_rejected() {
    let clock = ManualClock::new(SystemClock.now());
    let store = Database::new().store_with(None, Arc::new(clock.clone()));
    assert_eq!(
        store.check_and_insert(proof(1)).await.unwrap(),
        Freshness::Fresh
    );
    clock.advance(Duration::from_secs(60));
    assert_eq!(
        kind(store.check_and_insert(proof(2)).await),
        StoreErrorKind::Unavailable
    );
}

#[tokio::test]
async fn memory_stands_in_and_what_it_holds_stays_used() {
    let database = Database::new();
    let store = database.store_with(Some(MemoryReplayStore::new()), Arc::new(SystemClock));
    assert_eq!(
        store.check_and_insert(proof(1)).await.unwrap(),
        Freshness::Fresh
    );
    database.is_up.store(false, SeqCst);
    assert!(
        store.check_and_insert(proof(1)).await.is_err(),
        "this call finds out"
    );
    assert_eq!(
        store.check_and_insert(proof(2)).await.unwrap(),
        Freshness::Fresh
    );
    assert_eq!(
        store.check_and_insert(proof(2)).await.unwrap(),
        Freshness::Replayed
    );
    assert!(store.readiness().is_ok());
    database.is_up.store(true, SeqCst);
    let opened = database.opened.load(SeqCst);
    let begun = std::time::Instant::now();
    while database.opened.load(SeqCst) == opened {
        assert!(begun.elapsed() < PATIENCE, "{store:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for number in [1, 2] {
        let again = store.check_and_insert(proof(number)).await.unwrap();
        assert_eq!(again, Freshness::Replayed, "{number}");
    }
}
