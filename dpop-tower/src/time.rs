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
    /// The last instant that can be represented. Nothing is valid any more at that time: it is what
    /// [`SystemClock`] reads where the system's clock is broken.
    pub(crate) const END: Self = Self(i64::MAX);

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
///
/// A clock that shows a time before September 2023, when RFC 9449 was published, is broken. It reads as
/// the last representable instant, at which every token and every proof has expired, so every request
/// that needs one is rejected until the clock is set.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl TimeSource for SystemClock {
    fn now(&self) -> UnixTime {
        reading(SystemTime::now())
    }
}

/// The publication of RFC 9449. A clock that shows an earlier time is wrong: it has lost its battery, or
/// never had one and counts from 1970.
const EARLIEST: u64 = 1_693_526_400; // 2023-09-01T00:00:00Z

/// What the system's clock shows, or the end of time if that cannot be right.
///
/// At the end of time everything has expired. Read as an early time, a wrong clock would bring expired
/// tokens back to life.
fn reading(clock: SystemTime) -> UnixTime {
    match clock.duration_since(UNIX_EPOCH) {
        Ok(elapsed) if elapsed.as_secs() >= EARLIEST => {
            UnixTime::from_secs(i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX))
        }
        _ => UnixTime::END,
    }
}

/// A clock that stands still until it is told to move, for tests of exact bounds.
///
/// Clones share the same time.
///
/// ```
/// use std::time::Duration;
/// use dpop_tower::time::{ManualClock, TimeSource, UnixTime};
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
    fn the_system_clock_is_past_2023() {
        assert!(SystemClock.now() > UnixTime::from_secs(1_703_980_800));
        assert!(SystemClock.now() < UnixTime::END);
    }

    #[test]
    fn a_clock_that_cannot_be_right_reads_as_the_end_of_time() {
        let second = Duration::from_secs(1);
        let published = UNIX_EPOCH + Duration::from_secs(EARLIEST);
        for broken in [
            UNIX_EPOCH - Duration::from_secs(1 << 40),
            UNIX_EPOCH - second,
            UNIX_EPOCH - Duration::from_nanos(1),
            UNIX_EPOCH,
            UNIX_EPOCH + second,
            published - Duration::from_nanos(1),
        ] {
            assert_eq!(reading(broken), UnixTime::END, "{broken:?}");
        }
        for (right, secs) in [
            (published, 1_693_526_400),
            (published + Duration::from_nanos(999_999_999), 1_693_526_400),
            (published + second, 1_693_526_401),
            (UNIX_EPOCH + Duration::from_secs(1 << 40), 1 << 40),
        ] {
            assert_eq!(reading(right), UnixTime::from_secs(secs), "{right:?}");
        }
    }
}
