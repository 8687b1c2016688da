//! The difference between the clock of a database and that of this process.

use std::{sync::Arc, time::Duration};

use super::Failure;
use crate::clock::{TimeSource, UnixTime};

/// How much the clocks of the database and of this process may differ.
#[derive(Clone, Debug)]
pub(crate) struct ClockBound {
    margin: Duration,
    clock: Arc<dyn TimeSource>,
}

impl ClockBound {
    pub(crate) fn new(margin: Duration, clock: Arc<dyn TimeSource>) -> Self {
        Self { margin, clock }
    }

    /// Returns the time of this process.
    pub(crate) fn now(&self) -> UnixTime {
        self.clock.now()
    }

    pub(crate) const fn margin(&self) -> Duration {
        self.margin
    }

    /// Returns how much longer than its life a record has to stay.
    ///
    /// One node may be ahead of the database by the margin, and have a record removed early. Another may be behind
    /// by the margin, and accept the proof late.
    pub(crate) const fn grace(&self) -> Duration {
        self.margin.saturating_mul(2)
    }

    /// Compares the database's clock, which it read after `before` and before this call.
    pub(crate) fn check(&self, before: UnixTime, database: UnixTime) -> Result<(), Failure> {
        let now = self.now();
        let earliest = before.saturating_sub(self.margin);
        let latest = now.saturating_add(self.margin);
        if earliest <= database && database <= latest {
            return Ok(());
        }
        let difference = database.seconds_since(now);
        Err(Failure::lost(format!(
            "the clock of the database and the clock of this node differ by {difference} seconds, which is more than \
             the margin of {} seconds; which of them is wrong cannot be told",
            self.margin.as_secs()
        )))
    }

    /// Checks that the caller's reading of the clock is not older or newer than the margin.
    pub(crate) fn check_caller(&self, now: UnixTime) -> Result<(), Failure> {
        let difference = self.now().seconds_since(now);
        if difference.unsigned_abs() <= self.margin.as_secs() {
            return Ok(());
        }
        Err(Failure::request(format!(
            "the request read the clock {difference} seconds ago by the clock of the replay store; the request was \
             delayed, or the store was given another clock than the configuration"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn the_margin_is_the_largest_difference_in_either_direction() {
        let at = UnixTime::from_secs;
        let bound = ClockBound::new(Duration::from_secs(5), Arc::new(ManualClock::new(at(100))));
        for (before, database, is_good) in [
            (100, 94, false),
            (100, 95, true),
            (100, 105, true),
            (100, 106, false),
            // The answer took 20 seconds.
            (80, 75, true),
            (80, 74, false),
            (80, 105, true),
            (80, i64::MAX, false),
            (80, i64::MIN, false),
        ] {
            let result = bound.check(at(before), at(database));
            assert_eq!(result.is_ok(), is_good, "{before} {database}");
        }
        assert!(bound.check_caller(at(95)).is_ok());
        assert!(bound.check_caller(at(105)).is_ok());
        assert!(bound.check_caller(at(94)).is_err());
        assert!(bound.check_caller(at(106)).is_err());
    }
}
