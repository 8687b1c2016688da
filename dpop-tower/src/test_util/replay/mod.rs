//! A test kit for replay stores: it checks that a store keeps the contract of [`ReplayStore`].
//!
//! The layer rejects a copied proof because the store says so. A store of your own therefore has to keep the
//! [rules](crate::replay::ReplayStore) of the trait, also under load, while the database restarts, and while a
//! connection hangs. A [`ReplayContract`] checks each rule against the real store. You implement a [`StoreFixture`],
//! which opens the store, and which causes the faults that it has to survive.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::{num::NonZeroUsize, sync::Arc, time::Duration};
//! use dpop_tower::{
//!     clock::ManualClock,
//!     replay::MemoryReplayStore,
//!     test_util::replay::{FixtureError, ReplayContract, Rule, StoreFixture},
//! };
//!
//! struct InMemory {
//!     store: Arc<MemoryReplayStore>,
//!     clock: ManualClock,
//! }
//!
//! impl StoreFixture for InMemory {
//!     type Store = Arc<MemoryReplayStore>;
//!
//!     async fn open(&self) -> Result<Self::Store, FixtureError> {
//!         // A database gets new connections here, onto the same records.
//!         Ok(Arc::clone(&self.store))
//!     }
//!
//!     fn clock(&self) -> Option<ManualClock> {
//!         Some(self.clock.clone())
//!     }
//!
//!     fn kept_longer_by(&self) -> Option<Duration> {
//!         Some(Duration::ZERO)
//!     }
//!
//!     async fn open_small(&self) -> Result<Option<Self::Store>, FixtureError> {
//!         let entries = NonZeroUsize::new(1_000).ok_or("zero entries")?;
//!         Ok(Some(Arc::new(MemoryReplayStore::with_capacity(entries))))
//!     }
//! }
//!
//! let fixture = InMemory { store: Arc::default(), clock: ManualClock::starting_now() };
//! let report = ReplayContract::new(fixture).check_all().await?;
//!
//! // A store in this process has no connection that could fail, and this one has no fence.
//! let unchecked: Vec<Rule> = report.unchecked().map(|(rule, _)| rule).collect();
//! assert_eq!(unchecked, [Rule::FailClosed, Rule::NoRecordLostUnseen]);
//! # Ok(()) }
//! ```
//!
//! # What is checked
//!
//! Three nodes share the records. Concurrent calls come from threads of their own, which begin at the same moment.
//! The kit records when each call began and ended and what it returned, and checks that the history of each proof
//! is linearizable. A call that fails may or may not have recorded its proof.
//!
//! | rule | what the kit does | needs |
//! |---|---|---|
//! | 1 | uses each proof on one node and then on another, and many proofs on all threads at once | |
//! | 2 | uses proofs that differ in one bit of the digest, or only in the subject | |
//! | 3 | floods a store until it is full, and looks for what was there | [`open_small`](StoreFixture::open_small) |
//! | 4 | looks at a proof until its last second, with clocks that differ; waits until its record is gone | [`clock_difference`](StoreFixture::clock_difference), [`kept_longer_by`](StoreFixture::kept_longer_by) |
//! | 5 | uses expired proofs, new ones and used ones, and sets the clock back | [`clock`](StoreFixture::clock) to set it back |
//! | 6 | uses proofs before, during and after each fault; none is fresh twice, and the store recovers | [`faults`](StoreFixture::faults) |
//! | 7 | fills the store from one client key, from one subject and from many | [`open_small`](StoreFixture::open_small), [`limits`](crate::replay::ReplayStore::limits) |
//! | 8 | uses proofs while all records are lost, as the layer does with nonces | [`lose_records`](StoreFixture::lose_records) |
//! | 9 | compares the windows of a store with those before and of other nodes | |
//! | 10 | drops calls that are under way | |
//!
//! What the kit cannot check, [`Report::unchecked`] names. It cannot show that a store is right in every case: a
//! race may need luck, and the kit knows only the faults that the fixture causes.
//!
//! # Time
//!
//! Rules 4 and 5 take a few seconds and as long as the store keeps records beyond their end, unless the fixture has
//! a [`clock`](StoreFixture::clock). The runtime needs time enabled and not paused.
//!
//! [`ReplayStore`]: crate::replay::ReplayStore

mod fixture;
mod history;
mod load;
mod report;
mod rules;
mod scene;

use std::fmt;

pub use self::{
    fixture::{FixtureError, StoreFixture},
    report::{Report, Rule, Violation},
};

/// The contract of a [`ReplayStore`](crate::replay::ReplayStore), to be checked against the store of a [`StoreFixture`].
///
/// The [module](self) has an example.
pub struct ReplayContract<F> {
    fixture: F,
}

impl<F> ReplayContract<F> {
    /// The store of [`open_small`](StoreFixture::open_small) has to be full after this many records.
    pub const FULL_AFTER: usize = 20_000;

    /// Makes the contract for a store.
    pub const fn new(fixture: F) -> Self {
        Self { fixture }
    }

    /// Returns the fixture.
    pub const fn fixture(&self) -> &F {
        &self.fixture
    }
}

impl<F: StoreFixture> ReplayContract<F> {
    /// Checks all rules, one after the other.
    ///
    /// # Errors
    ///
    /// Returns the first [`Violation`]. It is also returned if the fixture fails, and if the store returns an error
    /// without a fault.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime, and if time is not enabled in it.
    pub async fn check_all(&self) -> Result<Report, Violation> {
        let mut report = Report::default();
        for rule in Rule::ALL {
            report.add(rule, rules::check(self, rule).await?);
        }
        Ok(report)
    }

    /// Checks one rule.
    ///
    /// # Errors
    ///
    /// Returns a [`Violation`], as [`check_all`](Self::check_all) does.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime, and if time is not enabled in it.
    pub async fn check(&self, rule: Rule) -> Result<Report, Violation> {
        let mut report = Report::default();
        report.add(rule, rules::check(self, rule).await?);
        Ok(report)
    }
}

impl<F> fmt::Debug for ReplayContract<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayContract").finish_non_exhaustive()
    }
}
