//! What replay stores over the network have in common, whatever the engine.
//!
//! [`Supervised`] is the store. An [`Engine`] opens sessions, checks them and records a proof in one. A task of the
//! store opens sessions and checks the one in use each second, so work that all requests wait for belongs to none
//! of them. The task is also the circuit: while there is no session, calls fail at once.
//!
//! # How records are known to be complete
//!
//! A session has an [`Incarnation`], and one command of the engine compares it and records the proof. So a proof is
//! fresh only under the incarnation of the session in which it was recorded. The store publishes a session and its
//! incarnation in one step. A request that has read an older incarnation before is rejected by the layer, which
//! reads it again afterwards.

use std::{fmt, future::Future, time::Duration};

use super::{Freshness, Incarnation};

mod clock;
mod failure;
mod fallback;
mod state;
mod supervised;
mod task;

#[cfg(test)]
mod tests;

pub(crate) use self::{
    clock::ClockBound,
    failure::Failure,
    supervised::{Supervised, SupervisedSettings},
};

/// The difference between the clocks of a store and a node that is tolerated unless another is set.
pub(crate) const DEFAULT_CLOCK_MARGIN: Duration = Duration::from_secs(5);

/// How long one command may take unless another time is set.
pub(crate) const DEFAULT_TIME_OUT: Duration = Duration::from_secs(1);

/// A database in which proofs are recorded.
pub(crate) trait Engine: fmt::Debug + Send + Sync + 'static {
    /// Connections to servers whose settings, clock and incarnation have been checked.
    type Session: Send + Sync + 'static;

    /// Connects, checks the settings and the clock, and finds or makes the incarnation.
    fn open(
        &self,
        opening: Opening,
    ) -> impl Future<Output = Result<(Self::Session, Incarnation), Failure>> + Send;

    /// Checks again what [`open`](Self::open) has checked. It runs each second.
    fn check(&self, session: &Self::Session) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Records a proof unless it is on record, in one step, and only if the records still are those of the
    /// session's incarnation.
    fn insert(
        &self,
        session: &Self::Session,
        record: Record,
    ) -> impl Future<Output = Result<Freshness, Failure>> + Send;
}

/// What is known when a session is opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opening {
    /// The newest incarnation that this process knows. An incarnation that is older must not come back: it ended
    /// when this one began, and its records lack what was used since.
    pub(crate) known: Option<Incarnation>,
    /// Records may have been lost without a trace in the database, so a new incarnation has to begin.
    pub(crate) renew: bool,
}

impl Opening {
    /// Returns whether the incarnation that the database names can be used.
    pub(crate) fn accepts(&self, found: Incarnation) -> bool {
        !self.renew
            && self
                .known
                .is_none_or(|known| found == known || found.since() > known.since())
    }

    /// Makes a new incarnation for a database whose clock shows `time`.
    pub(crate) fn begin(
        &self,
        time: crate::clock::UnixTime,
        bound: &ClockBound,
    ) -> Result<Incarnation, Failure> {
        // A proof that was used before was used by a node whose clock may be ahead by the margin. The second is
        // rounded up.
        let since = time
            .max(bound.now())
            .saturating_add(bound.margin())
            .saturating_add(Duration::from_secs(1));
        let after_known = |known: Incarnation| known.since().saturating_add(Duration::from_secs(1));
        let since = self
            .known
            .map(after_known)
            .map_or(since, |at| since.max(at));
        Incarnation::random(since).map_err(|error| Failure::session(error.to_string()))
    }
}

/// A proof to be recorded.
#[derive(Clone, Copy)]
pub(crate) struct Record {
    /// [`ReplayKey::proof`](super::ReplayKey::proof).
    pub(crate) key: [u8; 32],
    /// How long the record has to stay. It is never zero, and covers the difference between clocks.
    pub(crate) keep: Duration,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("keep", &self.keep)
            .finish_non_exhaustive()
    }
}
