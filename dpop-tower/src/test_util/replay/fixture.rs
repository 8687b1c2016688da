//! What the kit has to know about a store, and what it needs done to it.

use std::{
    error::Error,
    future::{Future, ready},
    time::Duration,
};

use crate::{clock::ManualClock, replay::ReplayStore};

/// What a [`StoreFixture`] can fail with.
pub type FixtureError = Box<dyn Error + Send + Sync>;

/// A store for a [`ReplayContract`](super::ReplayContract), with the faults that the test can cause.
///
/// Only [`open`](Self::open) has to be implemented. Each further method makes another rule checkable, and the
/// [`Report`](super::Report) says which rules were not checked for want of one.
///
/// Proofs are different in every check, so no method has to remove records.
pub trait StoreFixture: Send + Sync {
    /// The store.
    type Store: ReplayStore;

    /// Opens the store as one more node does: with connections of its own, onto the same records.
    ///
    /// The kit opens three nodes for each check. A store of one process returns the same store each time, in an
    /// [`Arc`](std::sync::Arc).
    fn open(&self) -> impl Future<Output = Result<Self::Store, FixtureError>> + Send;

    /// Returns the clock of a store that compares `expires_at` with nothing but the `now` of each call, as a store
    /// in memory does.
    ///
    /// The kit then advances this clock instead of waiting. By default there is none, and the kit uses the time of
    /// the system and waits for it to pass. Without a clock of its own, a store must not return one here.
    fn clock(&self) -> Option<ManualClock> {
        None
    }

    /// Returns how long the proofs of the kit live at most. Defaults to one minute.
    ///
    /// A store whose settings allow less returns that here. Checks with [faults](Self::faults) have to take less
    /// time.
    fn longest_life(&self) -> Duration {
        Duration::from_secs(60)
    }

    /// Returns how far the clocks of two nodes may differ. Defaults to zero.
    ///
    /// The kit calls the store with times that differ by this much, and expects that no proof passes twice.
    fn clock_difference(&self) -> Duration {
        Duration::ZERO
    }

    /// Returns how much longer than until `expires_at` the store keeps a record at most, or `None` if that has no
    /// bound. Defaults to `None`.
    ///
    /// With a bound, the kit checks that a replay does not extend the life of a record, for which it waits until
    /// the time is over.
    fn kept_longer_by(&self) -> Option<Duration> {
        None
    }

    /// Opens a store with records of its own that is full after at most
    /// [`ReplayContract::FULL_AFTER`](super::ReplayContract::FULL_AFTER) records, or returns `None`, as it does by
    /// default.
    fn open_small(&self) -> impl Future<Output = Result<Option<Self::Store>, FixtureError>> + Send {
        ready(Ok(None))
    }

    /// Returns the names of the faults that [`begin`](Self::begin) can cause. Defaults to none.
    ///
    /// A fault is everything that the store has to survive without a proof that passes twice: a process that is
    /// killed and started again, a connection that hangs, a replica that is promoted.
    fn faults(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// Begins a fault. Calls of the store are under way meanwhile.
    fn begin(&self, fault: &'static str) -> impl Future<Output = Result<(), FixtureError>> + Send {
        let _ = fault;
        ready(Ok(()))
    }

    /// Ends a fault. The stores that were opened before have to recover without being opened again.
    fn end(&self, fault: &'static str) -> impl Future<Output = Result<(), FixtureError>> + Send {
        let _ = fault;
        ready(Ok(()))
    }

    /// Has the store lose all of its records, as the worst restart or fail-over does, and returns `true`. By
    /// default, nothing happens and it returns `false`.
    ///
    /// The store is in operation again when the future completes. The stores that were opened before have to
    /// recover without being opened again.
    fn lose_records(&self) -> impl Future<Output = Result<bool, FixtureError>> + Send {
        ready(Ok(false))
    }
}
