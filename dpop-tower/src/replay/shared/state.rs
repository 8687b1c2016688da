//! Whether there is a session, and what is known without one.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use arc_swap::{ArcSwap, Guard};

use super::{
    Opening,
    failure::{Consequence, Failure},
};
use crate::replay::Incarnation;

/// The number of failures in a row that ends a session.
const FAILURES: u32 = 3;

/// A session in use.
pub(super) struct Up<S> {
    pub(super) session: S,
    /// Failures in a row.
    failures: AtomicU32,
}

pub(super) enum Phase<S> {
    /// The first attempt to open a session is under way.
    Opening,
    Up(Arc<Up<S>>),
    Down(Arc<str>),
}

pub(super) struct State<S> {
    pub(super) phase: Phase<S>,
    /// The newest known incarnation, which is that of the session if there is one.
    pub(super) known: Option<Incarnation>,
    /// Records may have been lost, so the next session begins a new incarnation.
    renew: bool,
}

/// The state, which changes as a whole.
pub(super) struct Current<S> {
    state: ArcSwap<State<S>>,
    changes: Mutex<()>,
}

impl<S> Current<S> {
    pub(super) fn new() -> Self {
        Self {
            state: ArcSwap::from_pointee(State {
                phase: Phase::Opening,
                known: None,
                renew: false,
            }),
            changes: Mutex::default(),
        }
    }

    pub(super) fn load(&self) -> Guard<Arc<State<S>>> {
        self.state.load()
    }

    /// Returns what an attempt to open a session has to know.
    pub(super) fn opening(&self) -> Opening {
        let state = self.load();
        Opening {
            known: state.known,
            renew: state.renew,
        }
    }

    pub(super) fn up(&self) -> Option<Arc<Up<S>>> {
        match &self.load().phase {
            Phase::Up(up) => Some(Arc::clone(up)),
            Phase::Opening | Phase::Down(_) => None,
        }
    }

    /// Publishes a session that was just opened.
    pub(super) fn opened(&self, session: S, incarnation: Incarnation) {
        let up = Arc::new(Up {
            session,
            failures: AtomicU32::new(0),
        });
        self.change(|old| {
            match (&old.phase, old.known) {
                (_, None) => tracing::info!(?incarnation, "the replay store is connected"),
                (_, Some(known)) if known == incarnation => {
                    tracing::info!(?incarnation, "the replay store is connected again");
                }
                (_, Some(known)) => tracing::warn!(
                    ?incarnation,
                    ?known,
                    "the replay store may have lost records: proofs from before are rejected"
                ),
            }
            Some(State {
                phase: Phase::Up(up),
                known: Some(incarnation),
                renew: false,
            })
        });
    }

    /// Records that no session can be opened.
    pub(super) fn not_opened(&self, failure: &Failure) {
        tracing::warn!(error = %failure, "the replay store is out of reach");
        self.change(|old| Some(old.down(failure)));
    }

    /// Records that a new attempt begins after a pause in which nobody could make one.
    pub(super) fn begin(&self) {
        self.change(|old| {
            Some(State {
                phase: Phase::Opening,
                known: old.known,
                renew: old.renew,
            })
        });
    }

    /// Ends whatever session there is.
    pub(super) fn end(&self, why: &str) {
        self.change(|old| Some(old.down(&Failure::session(why))));
    }

    pub(super) fn works(up: &Up<S>) {
        up.failures.store(0, Ordering::Relaxed);
    }

    /// Records a failure in a session. Returns whether the session ends.
    pub(super) fn fails(&self, up: &Arc<Up<S>>, failure: &Failure) -> bool {
        let ends = match failure.consequence {
            Consequence::Full | Consequence::Nothing => false,
            Consequence::Count => up.failures.fetch_add(1, Ordering::Relaxed) + 1 >= FAILURES,
            Consequence::Reopen | Consequence::Renew => true,
        };
        ends && self.change(|old| match &old.phase {
            Phase::Up(current) if Arc::ptr_eq(current, up) => {
                tracing::warn!(error = %failure, "a session with the replay store has ended");
                Some(old.down(failure))
            }
            // Another session, or none: this one has ended before.
            _ => None,
        })
    }

    fn change(&self, change: impl FnOnce(&State<S>) -> Option<State<S>>) -> bool {
        let _one_at_a_time = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let new = change(&self.state.load());
        let is_new = new.is_some();
        if let Some(new) = new {
            self.state.store(Arc::new(new));
        }
        is_new
    }
}

impl<S> State<S> {
    fn down(&self, failure: &Failure) -> Self {
        Self {
            phase: Phase::Down(failure.why()),
            known: self.known,
            renew: self.renew || failure.consequence == Consequence::Renew,
        }
    }
}

impl<S> fmt::Debug for State<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase: &dyn fmt::Debug = match &self.phase {
            Phase::Opening => &"opening",
            Phase::Up(_) => &"up",
            Phase::Down(why) => why,
        };
        f.debug_struct("State")
            .field("phase", phase)
            .field("incarnation", &self.known)
            .finish_non_exhaustive()
    }
}
