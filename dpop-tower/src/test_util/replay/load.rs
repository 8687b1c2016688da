//! Uses of proofs while a store is in trouble.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{
    task::JoinHandle,
    time::{self, Instant},
};

use super::{
    history::Outcome,
    report::Violation,
    scene::{Made, Scene, use_fenced},
};
use crate::replay::ReplayStore;

/// A store has to be in operation again after this time.
const RECOVERED_WITHIN: Duration = Duration::from_secs(60);
/// The pause between two calls of one node, so that a store that fails at once does not fill the history.
const PAUSE: Duration = Duration::from_millis(5);

impl<S: ReplayStore> Scene<S> {
    /// Makes a proof with the nonce of the present incarnation.
    pub(super) fn make(&self, node: usize) -> Result<Made, Violation> {
        let under = self.node(node)?.incarnation();
        Ok(Made {
            proof: self.proof(),
            under,
        })
    }

    /// Uses a proof as the layer does.
    pub(super) async fn use_made(&self, node: usize, made: Made) -> Result<Outcome, Violation> {
        let store = Arc::clone(self.node(node)?);
        let made = Made {
            proof: self.at_once(made.proof),
            ..made
        };
        Ok(use_fenced(&self.history, node, &*store, made).await)
    }

    /// Uses this many proofs for the first time.
    pub(super) async fn use_new(&self, count: usize) -> Result<Vec<Made>, Violation> {
        let mut used = Vec::new();
        for node in 0..count {
            let made = self.make(node)?;
            let outcome = self.use_made(node, made).await?;
            if outcome != Outcome::Fresh {
                let what = format!("the first use: expected Fresh, and got {outcome}");
                return Err(self.violation_of(&made.proof.key, what));
            }
            used.push(made);
        }
        Ok(used)
    }

    /// Waits until a node admits new proofs again.
    pub(super) async fn recovered(&self, node: usize) -> Result<(), Violation> {
        let began = Instant::now();
        loop {
            let made = self.make(node)?;
            let outcome = self.use_made(node, made).await?;
            if outcome == Outcome::Fresh {
                return Ok(());
            }
            if began.elapsed() > RECOVERED_WITHIN {
                let what = format!(
                    "the store of node {node} has not recovered {RECOVERED_WITHIN:?} after a fault: {outcome}"
                );
                return Err(self.violation(what));
            }
            time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Tasks that use proofs again and again, one on each of some nodes.
pub(super) struct Load {
    ends: Arc<AtomicBool>,
    /// How many calls each node has completed.
    calls: Vec<Arc<AtomicU64>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    /// Begins to use these proofs on the first `nodes` nodes.
    pub(super) fn begin<S: ReplayStore>(
        scene: &Scene<S>,
        nodes: usize,
        proofs: &[Made],
    ) -> Result<Self, Violation> {
        let mut load = Self {
            ends: Arc::default(),
            calls: Vec::new(),
            tasks: Vec::new(),
        };
        for node in 0..nodes {
            let store = Arc::clone(scene.node(node)?);
            let history = Arc::clone(&scene.history);
            let (ends, calls) = (Arc::clone(&load.ends), Arc::new(AtomicU64::new(0)));
            load.calls.push(Arc::clone(&calls));
            // The nodes use the same proofs at different times.
            let mut proofs = proofs.to_vec();
            let offset = proofs.len().saturating_mul(node) / nodes.max(1);
            proofs.rotate_left(offset);
            let now = scene.clock_reader();
            load.tasks.push(tokio::spawn(async move {
                while !ends.load(SeqCst) {
                    for made in &proofs {
                        if ends.load(SeqCst) {
                            return;
                        }
                        let mut made = *made;
                        made.proof.now = now();
                        use_fenced(&history, node, &*store, made).await;
                        calls.fetch_add(1, SeqCst);
                        time::sleep(PAUSE).await;
                    }
                }
            }));
        }
        Ok(load)
    }

    /// Waits until each node has completed some calls from now on, or until `limit` has passed.
    pub(super) async fn some_calls(&self, count: u64, limit: Duration) {
        let began = Instant::now();
        let before: Vec<u64> = self.calls.iter().map(|calls| calls.load(SeqCst)).collect();
        let is_done = || {
            let now = self.calls.iter().map(|calls| calls.load(SeqCst));
            now.zip(&before)
                .all(|(now, before)| now.saturating_sub(*before) >= count)
        };
        while !is_done() && began.elapsed() < limit {
            time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends the tasks when their calls have completed.
    pub(super) async fn end<S: ReplayStore>(self, scene: &Scene<S>) -> Result<(), Violation> {
        self.ends.store(true, SeqCst);
        for task in self.tasks {
            let ended = task.await;
            ended.map_err(|error| scene.violation(format!("the store panicked: {error}")))?;
        }
        Ok(())
    }
}
