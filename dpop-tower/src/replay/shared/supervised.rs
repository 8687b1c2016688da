//! A replay store in a database.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::timeout;

use super::{
    ClockBound, Engine, Failure, Record,
    fallback::Fallback,
    state::{Current, Phase, Up},
    task::{self, Task, timed_out},
};
use crate::{
    future::MaybeReady,
    replay::{
        AcceptanceWindows, Freshness, Incarnation, MemoryReplayStore, ReplayStore, StoreError,
        UsedProof,
    },
};

/// What all engines are set up with.
#[derive(Debug)]
pub(crate) struct SupervisedSettings {
    /// How long one command may take.
    pub(crate) time_out: Duration,
    /// How long a session may take to open, with all its commands.
    pub(crate) open_time_out: Duration,
    pub(crate) bound: ClockBound,
    pub(crate) fallback: Option<MemoryReplayStore>,
    pub(crate) windows: AcceptanceWindows,
}

/// A [`ReplayStore`] in a database. It connects by itself and again after each loss.
pub(crate) struct Supervised<E: Engine> {
    inner: Arc<Inner<E>>,
    windows: AcceptanceWindows,
}

pub(super) struct Inner<E: Engine> {
    pub(super) engine: E,
    pub(super) time_out: Duration,
    pub(super) open_time_out: Duration,
    bound: ClockBound,
    fallback: Option<Fallback>,
    pub(super) current: Current<E::Session>,
    pub(super) task: Task,
}

impl<E: Engine> Supervised<E> {
    pub(crate) fn new(engine: E, settings: SupervisedSettings) -> Self {
        let SupervisedSettings {
            time_out,
            open_time_out,
            bound,
            fallback,
            windows,
        } = settings;
        let inner = Inner {
            engine,
            time_out,
            open_time_out,
            bound,
            fallback: fallback.map(Fallback::new),
            current: Current::new(),
            task: Task::new(time_out.saturating_add(open_time_out)),
        };
        Self {
            inner: Arc::new(inner),
            windows,
        }
    }
}

impl<E: Engine> Inner<E> {
    /// Returns the session. Waits only for the first attempt to open one.
    async fn session(self: &Arc<Self>) -> Result<Arc<Up<E::Session>>, Failure> {
        let mut attempts = self.task.attempts();
        task::ensure(self)?;
        if let Phase::Opening = self.current.load().phase {
            // Nobody waits for a retry.
            let _ = timeout(self.time_out, attempts.changed()).await;
        }
        match &self.current.load().phase {
            Phase::Up(up) => Ok(Arc::clone(up)),
            Phase::Down(why) => Err(Failure::session(Arc::clone(why))),
            Phase::Opening => Err(Failure::session("the database has not been reached yet")),
        }
    }

    async fn check_and_insert(self: Arc<Self>, proof: UsedProof) -> Result<Freshness, StoreError> {
        let Some(life) = proof.remember_for() else {
            return Ok(Freshness::Replayed);
        };
        self.bound.check_caller(proof.now)?;
        let up = match (self.session().await, &self.fallback) {
            (Ok(up), _) => up,
            (Err(_), Some(fallback)) => return fallback.insert(proof).await,
            (Err(failure), None) => return Err(failure.into()),
        };
        if let Some(fallback) = &self.fallback
            && fallback.is_live(&proof)
            && fallback.insert_too(proof).await? == Freshness::Replayed
        {
            return Ok(Freshness::Replayed);
        }
        let record = Record {
            key: *proof.key.proof(),
            keep: life.saturating_add(self.bound.grace()),
        };
        let freshness = self.insert(&up, record).await?;
        // After a long delay, the record of an earlier use may have ended before this one was made.
        self.bound.check_caller(proof.now)?;
        Ok(freshness)
    }

    async fn insert(&self, up: &Arc<Up<E::Session>>, record: Record) -> Result<Freshness, Failure> {
        let began = Instant::now();
        let inserted = timeout(self.time_out, self.engine.insert(&up.session, record)).await;
        let inserted = inserted.unwrap_or_else(|_| Err(timed_out("command", began.elapsed())));
        match &inserted {
            Ok(_) => Current::works(up),
            Err(failure) => {
                if self.current.fails(up, failure) {
                    self.task.wake();
                }
            }
        }
        inserted
    }

    async fn warm_up(self: Arc<Self>) -> Result<(), StoreError> {
        let mut attempts = self.task.attempts();
        task::ensure(&self)?;
        if self.current.up().is_none() {
            self.task.wake();
            // An attempt that is under way may end first. Its result is as good.
            let _ = timeout(self.open_time_out.saturating_mul(2), attempts.changed()).await;
        }
        self.readiness()
    }

    fn readiness(&self) -> Result<(), StoreError> {
        match &self.current.load().phase {
            Phase::Up(_) => Ok(()),
            _ if self.fallback.is_some() => Ok(()),
            Phase::Down(why) => Err(StoreError::unavailable(&**why)),
            Phase::Opening => Err(StoreError::unavailable(
                "the database has not been reached yet",
            )),
        }
    }
}

impl<E: Engine> ReplayStore for Supervised<E> {
    fn check_and_insert(&self, proof: UsedProof) -> MaybeReady<Result<Freshness, StoreError>> {
        MaybeReady::pending(Arc::clone(&self.inner).check_and_insert(proof))
    }

    fn windows(&self) -> &AcceptanceWindows {
        &self.windows
    }

    fn incarnation(&self) -> Option<Incarnation> {
        self.inner.current.load().known
    }

    fn warm_up(&self) -> MaybeReady<Result<(), StoreError>> {
        MaybeReady::pending(Arc::clone(&self.inner).warm_up())
    }

    fn readiness(&self) -> Result<(), StoreError> {
        self.inner.readiness()
    }

    fn is_shared(&self) -> bool {
        true
    }
}

impl<E: Engine> fmt::Debug for Supervised<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervised")
            .field("engine", &self.inner.engine)
            .field("state", &**self.inner.current.load())
            .field("task", &self.inner.task)
            .finish_non_exhaustive()
    }
}
