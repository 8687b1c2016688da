//! Stores with one flaw each. The kit finds each flaw, as a violation of the rule that it breaks.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use dpop_tower::{
    clock::{ManualClock, TimeSource as _, UnixTime},
    future::MaybeReady,
    replay::{
        AcceptanceWindows, Freshness, Incarnation, ReplayLimits, ReplayStore, StoreError, UsedProof,
    },
    test_util::replay::{FixtureError, Rule, StoreFixture},
};

use super::unchecked;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    /// The control, in which the kit finds nothing.
    None,
    FindThenSave,
    RecordsAfterItsAnswer,
    RecordsOfEachNode,
    AlwaysReplayed,
    KeyedByClient,
    KeyedBySubjectToo,
    HalfOfTheDigest,
    EvictsWhenFull,
    TimeToLiveFromNow,
    LastSecondMissing,
    ReplayExtends,
    ExpiredIsFresh,
    FollowsTheClockBack,
    FreshOnError,
    FreshOnceMoreAfterAnError,
    Unbounded,
    NoSharePerClient,
    NoSharePerSubject,
    SameIncarnation,
    LateIncarnation,
    IncarnationFromTheBeginning,
    IncarnationOfEachNode,
    NewWindowsEachTime,
    WindowsOfEachNode,
    UndoesWhenDropped,
}

use Flaw as F;

type Key = (Vec<u8>, Option<[u8; 32]>);

#[derive(Debug)]
struct Entry {
    expires_at: UnixTime,
    client: [u8; 32],
    subject: Option<[u8; 32]>,
}

#[derive(Debug)]
struct Records {
    entries: HashMap<Key, Entry>,
    /// The latest time that was seen.
    latest: UnixTime,
    is_down: bool,
    incarnation: Incarnation,
    limits: Option<ReplayLimits>,
}

#[derive(Debug)]
struct Store {
    flaw: Flaw,
    records: Arc<Mutex<Records>>,
    windows: AcceptanceWindows,
    /// The incarnation that this node knows.
    known: Arc<Mutex<Incarnation>>,
    limits: Option<ReplayLimits>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Records {
    fn new(since: UnixTime, limits: Option<ReplayLimits>) -> Self {
        Self {
            entries: HashMap::new(),
            latest: UnixTime::from_secs(i64::MIN),
            is_down: false,
            incarnation: Incarnation::random(since).unwrap(),
            limits,
        }
    }

    fn key(flaw: Flaw, proof: &UsedProof) -> Key {
        let digest = match flaw {
            F::KeyedByClient => proof.key.client().to_vec(),
            F::HalfOfTheDigest => proof.key.proof()[..16].to_vec(),
            _ => proof.key.proof().to_vec(),
        };
        let subject = proof.key.subject().filter(|_| flaw == F::KeyedBySubjectToo);
        (digest, subject.copied())
    }

    /// Advances the time, and removes what has expired.
    fn pass(&mut self, flaw: Flaw, now: UnixTime) {
        let before = self.latest;
        // A clock that shows the last instant is broken.
        if now < UnixTime::from_secs(i64::MAX) {
            self.latest = match flaw {
                F::FollowsTheClockBack => now,
                _ => self.latest.max(now),
            };
        }
        let latest = self.latest;
        if latest == before {
            return;
        }
        self.entries.retain(|_, entry| match flaw {
            F::LastSecondMissing => latest < entry.expires_at,
            _ => latest <= entry.expires_at,
        });
    }

    fn find(&mut self, flaw: Flaw, proof: &UsedProof) -> bool {
        self.pass(flaw, proof.now);
        let Some(entry) = self.entries.get_mut(&Self::key(flaw, proof)) else {
            return flaw == F::AlwaysReplayed;
        };
        if flaw == F::ReplayExtends {
            entry.expires_at = entry.expires_at.max(proof.expires_at);
        }
        true
    }

    fn has_room(&mut self, flaw: Flaw, proof: &UsedProof) -> Result<(), StoreError> {
        let Some(limits) = self.limits.filter(|_| flaw != F::Unbounded) else {
            return Ok(());
        };
        let (client, subject) = (proof.key.client(), proof.key.subject());
        let count = |is: &dyn Fn(&Entry) -> bool| self.entries.values().filter(|it| is(it)).count();
        if flaw != F::NoSharePerClient && count(&|it| it.client == *client) >= limits.per_client {
            return Err(StoreError::key_full());
        }
        if flaw != F::NoSharePerSubject
            && count(&|it| it.subject.as_ref() == subject) >= limits.per_subject
        {
            return Err(StoreError::subject_full());
        }
        if self.entries.len() < limits.entries {
            return Ok(());
        }
        if flaw != F::EvictsWhenFull {
            return Err(StoreError::full());
        }
        let victim = self.entries.keys().next().cloned();
        self.entries.remove(&victim.unwrap());
        Ok(())
    }

    fn save(&mut self, flaw: Flaw, proof: &UsedProof) {
        let expires_at = match flaw {
            F::TimeToLiveFromNow => proof.now.saturating_add(Duration::from_secs(20)),
            _ => proof.expires_at,
        };
        let entry = Entry {
            expires_at,
            client: *proof.key.client(),
            subject: proof.key.subject().copied(),
        };
        self.entries.insert(Self::key(flaw, proof), entry);
    }
}

/// Takes a record away unless the call completes.
struct Undo(Arc<Mutex<Records>>, Option<Key>);

impl Drop for Undo {
    fn drop(&mut self) {
        if let Some(key) = &self.1 {
            lock(&self.0).entries.remove(key);
        }
    }
}

async fn record(
    flaw: Flaw,
    records: Arc<Mutex<Records>>,
    known_by_node: Arc<Mutex<Incarnation>>,
    proof: UsedProof,
) -> Result<Freshness, StoreError> {
    {
        let mut records = lock(&records);
        if records.is_down {
            return match flaw {
                F::FreshOnError => Ok(Freshness::Fresh),
                F::FreshOnceMoreAfterAnError => {
                    records.entries.remove(&Records::key(flaw, &proof));
                    Err(StoreError::unavailable("down"))
                }
                _ => Err(StoreError::unavailable("down")),
            };
        }
        let mut known = lock(&known_by_node);
        if *known != records.incarnation && flaw != F::IncarnationOfEachNode {
            if flaw != F::LateIncarnation {
                *known = records.incarnation;
                return Err(StoreError::unavailable("the records were lost"));
            }
            let (known, new) = (Arc::clone(&known_by_node), records.incarnation);
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(20)).await;
                *lock(&known) = new;
            });
        }
        let has_expired = proof.expires_at < proof.now.max(records.latest);
        if has_expired && !matches!(flaw, F::ExpiredIsFresh | F::FollowsTheClockBack) {
            return Ok(Freshness::Replayed);
        }
        if flaw == F::FollowsTheClockBack && proof.expires_at < proof.now {
            return Ok(Freshness::Replayed);
        }
        if records.find(flaw, &proof) {
            if flaw != F::UndoesWhenDropped {
                return Ok(Freshness::Replayed);
            }
        } else if !matches!(flaw, F::FindThenSave | F::RecordsAfterItsAnswer) {
            records.has_room(flaw, &proof)?;
            records.save(flaw, &proof);
            return Ok(Freshness::Fresh);
        }
    }
    match flaw {
        F::UndoesWhenDropped => {
            let mut undo = Undo(Arc::clone(&records), Some(Records::key(flaw, &proof)));
            tokio::task::yield_now().await;
            undo.1 = None;
            Ok(Freshness::Replayed)
        }
        F::RecordsAfterItsAnswer => {
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(5)).await;
                lock(&records).save(flaw, &proof);
            });
            Ok(Freshness::Fresh)
        }
        // Between the two steps lies a round trip, which is long enough for another thread on a busy machine.
        _ => {
            tokio::time::sleep(Duration::from_millis(5)).await;
            lock(&records).save(flaw, &proof);
            Ok(Freshness::Fresh)
        }
    }
}

impl ReplayStore for Store {
    fn check_and_insert(&self, proof: UsedProof) -> MaybeReady<Result<Freshness, StoreError>> {
        let (records, known) = (Arc::clone(&self.records), Arc::clone(&self.known));
        MaybeReady::pending(record(self.flaw, records, known, proof))
    }

    fn windows(&self) -> &AcceptanceWindows {
        match self.flaw {
            F::NewWindowsEachTime => Box::leak(Box::default()),
            _ => &self.windows,
        }
    }

    fn incarnation(&self) -> Option<Incarnation> {
        Some(*lock(&self.known))
    }

    fn limits(&self) -> Option<ReplayLimits> {
        self.limits
    }
}

struct Fixture {
    flaw: Flaw,
    clock: ManualClock,
    records: Arc<Mutex<Records>>,
    windows: AcceptanceWindows,
}

impl Fixture {
    fn of(flaw: Flaw) -> Self {
        let clock = ManualClock::starting_now();
        Self {
            flaw,
            records: Arc::new(Mutex::new(Records::new(clock.now(), None))),
            clock,
            windows: AcceptanceWindows::new(),
        }
    }

    fn node(&self, records: Arc<Mutex<Records>>) -> Store {
        let flaw = self.flaw;
        let limits = lock(&records).limits;
        let known = match flaw {
            F::IncarnationOfEachNode => Incarnation::random(self.clock.now()).unwrap(),
            _ => lock(&records).incarnation,
        };
        Store {
            flaw,
            records,
            windows: match flaw {
                F::WindowsOfEachNode => AcceptanceWindows::new(),
                _ => self.windows.clone(),
            },
            known: Arc::new(Mutex::new(known)),
            limits,
        }
    }
}

impl StoreFixture for Fixture {
    type Store = Store;

    async fn open(&self) -> Result<Store, FixtureError> {
        Ok(self.node(match self.flaw {
            F::RecordsOfEachNode => Arc::new(Mutex::new(Records::new(self.clock.now(), None))),
            _ => Arc::clone(&self.records),
        }))
    }

    fn clock(&self) -> Option<ManualClock> {
        Some(self.clock.clone())
    }

    fn kept_longer_by(&self) -> Option<Duration> {
        Some(Duration::ZERO)
    }

    async fn open_small(&self) -> Result<Option<Store>, FixtureError> {
        let mut limits = ReplayLimits::new(400);
        (limits.per_client, limits.per_subject) = (100, 150);
        let records = Records::new(self.clock.now(), Some(limits));
        Ok(Some(self.node(Arc::new(Mutex::new(records)))))
    }

    fn faults(&self) -> Vec<&'static str> {
        vec!["down"]
    }

    async fn begin(&self, _: &'static str) -> Result<(), FixtureError> {
        lock(&self.records).is_down = true;
        Ok(())
    }

    async fn end(&self, _: &'static str) -> Result<(), FixtureError> {
        lock(&self.records).is_down = false;
        Ok(())
    }

    async fn lose_records(&self) -> Result<bool, FixtureError> {
        let mut records = lock(&self.records);
        records.entries.clear();
        let since = match self.flaw {
            F::IncarnationFromTheBeginning => UnixTime::from_secs(0),
            _ => self.clock.now(),
        };
        if self.flaw != F::SameIncarnation {
            records.incarnation = Incarnation::random(since)?;
        }
        Ok(true)
    }
}

#[tokio::test]
async fn a_store_without_a_flaw_keeps_the_contract() {
    assert_eq!(unchecked(Fixture::of(Flaw::None)).await.unwrap(), []);
}

macro_rules! found {
    ($($test:ident: $flaw:ident breaks $rule:ident;)*) => {$(
        #[tokio::test]
        async fn $test() {
            let violation = unchecked(Fixture::of(Flaw::$flaw)).await.unwrap_err();
            assert_eq!(violation.rule(), Rule::$rule, "{violation}");
        }
    )*};
}

found! {
    to_find_and_then_save_is_not_atomic: FindThenSave breaks Atomic;
    to_record_after_the_answer_is_not_atomic: RecordsAfterItsAnswer breaks Atomic;
    nodes_with_records_of_their_own_are_not_atomic: RecordsOfEachNode breaks Atomic;
    a_store_that_admits_nothing_is_found: AlwaysReplayed breaks Atomic;
    proofs_of_one_client_are_not_one_proof: KeyedByClient breaks KeyedByBoth;
    one_proof_with_two_tokens_is_one_proof: KeyedBySubjectToo breaks KeyedByBoth;
    the_whole_digest_counts: HalfOfTheDigest breaks KeyedByBoth;
    a_flood_must_not_evict_live_entries: EvictsWhenFull breaks LiveEntriesStay;
    a_time_to_live_from_now_is_too_short: TimeToLiveFromNow breaks ExpiryIsAnInstant;
    the_last_second_belongs_to_the_window: LastSecondMissing breaks ExpiryIsAnInstant;
    a_replay_must_not_extend_a_record: ReplayExtends breaks ExpiryIsAnInstant;
    an_expired_proof_must_not_be_fresh: ExpiredIsFresh breaks ExpiredIsNotFresh;
    a_clock_that_goes_back_must_not_make_proofs_fresh: FollowsTheClockBack breaks ExpiredIsNotFresh;
    an_error_must_not_be_fresh: FreshOnError breaks FailClosed;
    an_error_must_not_remove_a_record: FreshOnceMoreAfterAnError breaks FailClosed;
    a_store_without_a_limit_is_found: Unbounded breaks Bounded;
    one_client_must_not_take_all: NoSharePerClient breaks Bounded;
    one_subject_must_not_take_all: NoSharePerSubject breaks Bounded;
    a_loss_needs_another_incarnation: SameIncarnation breaks NoRecordLostUnseen;
    the_incarnation_changes_before_the_answer: LateIncarnation breaks NoRecordLostUnseen;
    an_incarnation_begins_after_the_loss: IncarnationFromTheBeginning breaks NoRecordLostUnseen;
    nodes_share_the_incarnation: IncarnationOfEachNode breaks NoRecordLostUnseen;
    windows_stay_the_same: NewWindowsEachTime breaks OneSetOfWindows;
    nodes_share_the_windows: WindowsOfEachNode breaks OneSetOfWindows;
    a_dropped_call_takes_no_record_away: UndoesWhenDropped breaks CancelSafe;
}
