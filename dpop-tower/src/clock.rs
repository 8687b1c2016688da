//! Time as the wire has it: whole seconds since the Unix epoch, read through a replaceable clock.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// An instant in whole seconds since 1970-01-01T00:00:00Z, like a JWT `NumericDate` (RFC 7519
/// section 2).
///
/// Arithmetic saturates: no `iat` a caller can write makes a comparison wrap around.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(i64);

impl UnixTime {
    /// The instant `secs` seconds after (or, if negative, before) the epoch.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs)
    }

    /// Seconds since the epoch; negative before it.
    pub const fn as_secs(self) -> i64 {
        self.0
    }

    /// `self + duration`, at most the last representable instant. Fractions of a second are cut.
    #[must_use]
    pub const fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add_unsigned(duration.as_secs()))
    }

    /// `self - duration`, at least the first representable instant. Fractions of a second are cut.
    #[must_use]
    pub const fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub_unsigned(duration.as_secs()))
    }

    /// Signed seconds from `earlier` to `self`: positive if `self` is later.
    pub const fn seconds_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Where the current time comes from.
///
/// # Security
///
/// A clock that runs slow accepts expired tokens and stale proofs; one that runs fast refuses good
/// ones. A clock that goes *backwards* by more than the acceptance window would accept proofs whose
/// replay entry has expired, so use one that the operating system keeps in step.
pub trait TimeSource: fmt::Debug + Send + Sync + 'static {
    /// The current time.
    fn now(&self) -> UnixTime;
}

impl<T: TimeSource + ?Sized> TimeSource for Arc<T> {
    fn now(&self) -> UnixTime {
        (**self).now()
    }
}

/// The clock of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl TimeSource for SystemClock {
    fn now(&self) -> UnixTime {
        // A clock before 1970 is a broken machine. Reading it as the epoch refuses every token and
        // proof (all of them are then "not yet valid"), which is the safe direction.
        let secs = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |elapsed| elapsed.as_secs());
        UnixTime::from_secs(i64::try_from(secs).unwrap_or(i64::MAX))
    }
}

/// A clock that stands still until it is told to move, for tests of exact bounds.
///
/// Clones share the same time.
///
/// ```
/// use std::time::Duration;
/// use dpop_tower::clock::{ManualClock, TimeSource, UnixTime};
///
/// let clock = ManualClock::new(UnixTime::from_secs(1_700_000_000));
/// clock.advance(Duration::from_secs(5));
/// assert_eq!(clock.now().as_secs(), 1_700_000_005);
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// A clock that shows `now`.
    pub fn new(now: UnixTime) -> Self {
        Self(Arc::new(AtomicI64::new(now.as_secs())))
    }

    /// A clock that shows the time at which it was made.
    pub fn starting_now() -> Self {
        Self::new(SystemClock.now())
    }

    /// Moves the clock, in either direction.
    pub fn set(&self, now: UnixTime) {
        self.0.store(now.as_secs(), Ordering::SeqCst);
    }

    /// Moves the clock forward by the whole seconds of `duration`.
    pub fn advance(&self, duration: Duration) {
        self.set(self.now().saturating_add(duration));
    }
}

impl TimeSource for ManualClock {
    fn now(&self) -> UnixTime {
        UnixTime::from_secs(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let hour = Duration::from_secs(3600);
        let last = UnixTime::from_secs(i64::MAX);
        let first = UnixTime::from_secs(i64::MIN);
        assert_eq!(last.saturating_add(hour), last);
        assert_eq!(first.saturating_sub(hour), first);
        assert_eq!(last.saturating_add(Duration::MAX), last);
        assert_eq!(first.seconds_since(last), i64::MIN);
        assert_eq!(last.seconds_since(first), i64::MAX);
    }

    #[test]
    fn clones_of_a_manual_clock_share_the_time() {
        let clock = ManualClock::new(UnixTime::from_secs(10));
        let other = clock.clone();
        clock.advance(Duration::from_millis(2_900));
        assert_eq!(other.now(), UnixTime::from_secs(12));
    }

    #[test]
    fn the_system_clock_is_past_2020() {
        assert!(SystemClock.now() > UnixTime::from_secs(1_577_836_800));
    }
}
