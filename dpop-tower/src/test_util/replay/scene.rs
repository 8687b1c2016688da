//! The nodes of one check, their clock, and what they were told.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Barrier},
    thread,
    time::Duration,
};

use tokio::{runtime::Handle, task::spawn_blocking, time};

use super::{
    StoreFixture,
    fixture::FixtureError,
    history::{Call, Fault, History, Outcome},
    report::{Rule, Violation},
};
use crate::{
    clock::{ManualClock, SystemClock, TimeSource, UnixTime},
    crypto::{Algorithm, CryptoProvider, InvalidKey, PreparedKey},
    jwk::PublicJwk,
    replay::{Incarnation, ReplayKey, ReplayStore, UsedProof},
};

/// A call without an answer after this time counts as one without an answer at all.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many nodes share the records.
pub(super) const NODES: usize = 3;

pub(super) struct Scene<S> {
    pub(super) rule: Rule,
    pub(super) nodes: Vec<Arc<S>>,
    pub(super) life: Duration,
    pub(super) history: Arc<History>,
    clock: Option<ManualClock>,
}

impl<S: ReplayStore> Scene<S> {
    /// Opens the nodes.
    pub(super) async fn open<F: StoreFixture<Store = S>>(
        fixture: &F,
        rule: Rule,
    ) -> Result<Self, Violation> {
        let mut scene = Self {
            rule,
            nodes: Vec::new(),
            life: fixture.longest_life(),
            history: Arc::default(),
            clock: fixture.clock(),
        };
        for _ in 0..NODES {
            let node = fixture.open().await;
            scene
                .add(node.map_err(|error| scene.failed("open the store", &error))?)
                .await?;
        }
        Ok(scene)
    }

    /// Opens one node of a small store, if the fixture has one.
    pub(super) async fn open_small<F: StoreFixture<Store = S>>(
        fixture: &F,
        rule: Rule,
    ) -> Result<Option<Self>, Violation> {
        let mut scene = Self {
            rule,
            nodes: Vec::new(),
            life: fixture.longest_life(),
            history: Arc::default(),
            clock: fixture.clock(),
        };
        match fixture.open_small().await {
            Ok(None) => Ok(None),
            Ok(Some(node)) => {
                scene.add(node).await?;
                Ok(Some(scene))
            }
            Err(error) => Err(scene.failed("open a small store", &error)),
        }
    }

    async fn add(&mut self, node: S) -> Result<(), Violation> {
        if let Err(error) = node.warm_up().await {
            let text = Outcome::of(Err(error));
            return Err(self.violation(format!(
                "a store that was just opened cannot be used: {text}"
            )));
        }
        self.nodes.push(Arc::new(node));
        Ok(())
    }

    /// Returns a node. The numbers wrap around.
    pub(super) fn node(&self, node: usize) -> Result<&Arc<S>, Violation> {
        self.nodes
            .get(wrapped(node))
            .or_else(|| self.nodes.first())
            .ok_or_else(|| self.violation("there is no node"))
    }

    pub(super) fn now(&self) -> UnixTime {
        self.clock_reader()()
    }

    /// Returns what reads the same time as [`now`](Self::now), for other tasks.
    pub(super) fn clock_reader(&self) -> impl Fn() -> UnixTime + Send + 'static {
        let clock = self.clock.clone();
        move || match &clock {
            Some(clock) => clock.now(),
            None => SystemClock.now(),
        }
    }

    /// Whether the clock can be advanced and set back.
    pub(super) const fn has_clock(&self) -> bool {
        self.clock.is_some()
    }

    /// Returns when the clock shows this time or a later one.
    pub(super) async fn wait_until(&self, instant: UnixTime) {
        if let Some(clock) = &self.clock {
            if clock.now() < instant {
                clock.set(instant);
            }
            return;
        }
        while SystemClock.now() < instant {
            time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Makes a proof that nobody has used, of a client and a subject of its own.
    pub(super) fn proof(&self) -> UsedProof {
        self.proof_of(random(), random())
    }

    /// Makes a proof that nobody has used, of this client and this subject.
    pub(super) fn proof_of(&self, client: [u8; 32], subject: [u8; 32]) -> UsedProof {
        let now = self.now();
        UsedProof {
            key: key(client, random()).of_subject(subject),
            now,
            expires_at: now.saturating_add(self.life),
        }
    }

    /// Returns the proof at the time of now.
    pub(super) fn at_once(&self, proof: UsedProof) -> UsedProof {
        UsedProof {
            now: self.now(),
            ..proof
        }
    }

    /// Calls a node and records the result.
    pub(super) async fn call(&self, node: usize, proof: UsedProof) -> Result<Outcome, Violation> {
        let store = Arc::clone(self.node(node)?);
        Ok(call(&self.history, wrapped(node), &*store, proof).await)
    }

    /// Calls a node, which has no reason to fail.
    pub(super) async fn expect(
        &self,
        node: usize,
        proof: UsedProof,
        expected: &Outcome,
        what: &str,
    ) -> Result<(), Violation> {
        let outcome = self.call(node, proof).await?;
        if outcome == *expected {
            return Ok(());
        }
        let what = format!("{what}: expected {expected}, and got {outcome}");
        Err(self.violation_of(&proof.key, what))
    }

    /// Calls a node, which may fail, but must not say `Fresh`.
    pub(super) async fn expect_not_fresh(
        &self,
        node: usize,
        proof: UsedProof,
        what: &str,
    ) -> Result<(), Violation> {
        match self.call(node, proof).await? {
            Outcome::Fresh => Err(self.violation_of(&proof.key, what)),
            Outcome::Replayed | Outcome::Unknown(_) => Ok(()),
        }
    }

    /// Runs `script` on this many threads, which begin together and meet at each [`Meeting::wait`].
    pub(super) async fn on_threads(
        &self,
        threads: usize,
        script: impl Fn(usize, &Meeting) + Send + Sync + 'static,
    ) -> Result<(), Violation> {
        let meeting = Meeting {
            runtime: Handle::current(),
            barrier: Barrier::new(threads),
        };
        let run = move || {
            thread::scope(|scope| {
                for index in 0..threads {
                    let (script, meeting) = (&script, &meeting);
                    scope.spawn(move || script(index, meeting));
                }
            });
        };
        let ended = spawn_blocking(run).await;
        ended.map_err(|error| self.violation(format!("a thread panicked: {error}")))
    }

    /// Has each key's calls judged.
    pub(super) fn judge(
        &self,
        judge: impl Fn(&[Call]) -> Result<(), Fault>,
    ) -> Result<(), Violation> {
        for calls in self.history.by_key() {
            if let Err(fault) = judge(&calls) {
                return Err(Violation::new(self.rule, fault.to_string(), calls));
            }
        }
        Ok(())
    }

    pub(super) fn violation(&self, what: impl Into<String>) -> Violation {
        Violation::new(self.rule, what, Vec::new())
    }

    pub(super) fn violation_of(&self, key: &ReplayKey, what: impl Into<String>) -> Violation {
        Violation::new(self.rule, what, self.history.of(key))
    }

    pub(super) fn failed(&self, what: &str, error: &FixtureError) -> Violation {
        self.violation(format!("the fixture could not {what}: {error}"))
    }
}

const fn wrapped(node: usize) -> usize {
    node % NODES
}

/// What threads that call together share.
pub(super) struct Meeting {
    runtime: Handle,
    barrier: Barrier,
}

impl Meeting {
    /// Waits for all threads, so that they continue at the same moment.
    pub(super) fn wait(&self) {
        self.barrier.wait();
    }

    /// Calls a node on this thread, and records the result. A panic counts as no answer, so that the other threads
    /// do not wait for this one.
    pub(super) fn call<S: ReplayStore>(
        &self,
        history: &History,
        (node, store): (usize, &S),
        proof: UsedProof,
    ) {
        let invoked = history.instant();
        let answer = catch_unwind(AssertUnwindSafe(|| {
            self.runtime.block_on(answer(store, proof))
        }));
        let outcome = answer.unwrap_or_else(|_| Outcome::Unknown("the store panicked".to_owned()));
        history.record(&proof.key, node, invoked, outcome);
    }
}

/// Calls a node, and records the result.
pub(super) async fn call<S: ReplayStore>(
    history: &History,
    node: usize,
    store: &S,
    proof: UsedProof,
) -> Outcome {
    let invoked = history.instant();
    let outcome = answer(store, proof).await;
    history.record(&proof.key, node, invoked, outcome.clone());
    outcome
}

async fn answer<S: ReplayStore>(store: &S, proof: UsedProof) -> Outcome {
    match time::timeout(PATIENCE, store.check_and_insert(proof)).await {
        Ok(result) => Outcome::of(result),
        Err(_) => Outcome::Unknown(format!("no answer within {PATIENCE:?}")),
    }
}

/// A proof as the layer sees it, with the incarnation that its nonce names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Made {
    pub(super) proof: UsedProof,
    pub(super) under: Option<Incarnation>,
}

/// Calls a node as the layer does, with the fence. A use that the fence rejects is recorded as an error.
pub(super) async fn use_fenced<S: ReplayStore>(
    history: &History,
    node: usize,
    store: &S,
    made: Made,
) -> Outcome {
    let node = wrapped(node);
    let invoked = history.instant();
    let before = store.incarnation();
    let mut outcome = answer(store, made.proof).await;
    let is_fenced = store.incarnation() != before || before.is_some() && before != made.under;
    if outcome == Outcome::Fresh && is_fenced {
        outcome = Outcome::Unknown("rejected by the fence".to_owned());
    }
    history.record(&made.proof.key, node, invoked, outcome.clone());
    outcome
}

/// Makes the identity of a proof whose digest is chosen, and not computed.
pub(super) fn key(client: [u8; 32], proof: [u8; 32]) -> ReplayKey {
    ReplayKey::new(client, "", &Chosen(proof))
}

#[expect(clippy::expect_used, reason = "a test without randomness cannot go on")]
pub(super) fn random() -> [u8; 32] {
    crate::test_util::key::random().expect("the operating system has randomness")
}

/// Hashes everything to one digest.
#[derive(Debug)]
struct Chosen([u8; 32]);

impl CryptoProvider for Chosen {
    fn supports(&self, _: Algorithm) -> bool {
        false
    }

    fn prepare(&self, _: &PublicJwk, _: Algorithm) -> Result<PreparedKey, InvalidKey> {
        Err(InvalidKey)
    }

    fn sha256(&self, _: &[&[u8]]) -> [u8; 32] {
        self.0
    }

    fn hmac_sha256(&self, _: &[u8], _: &[&[u8]]) -> [u8; 32] {
        self.0
    }
}
