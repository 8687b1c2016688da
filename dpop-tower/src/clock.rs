//! Clocks, which show whole seconds since the Unix epoch, as the dates in proofs and tokens do.
//!
//! Ages and pauses within one process come from the [monotonic reading](TimeSource::monotonic) of the
//! same clock, which cannot be set.
//!
//! [`SystemClock`] is the default. [`DpopConfigBuilder::clock`](crate::DpopConfigBuilder::clock) sets
//! another one, such as a [`ManualClock`] in tests:
//!
//! ```
//! # #[cfg(all(feature = "test-util", any(feature = "aws-lc-rs", feature = "josekit")))] {
//! # use dpop_tower::test_util::TestIssuer;
//! use dpop_tower::{DpopConfig, PublicOrigin, clock::ManualClock};
//!
//! let clock = ManualClock::starting_now();
//! # let issuer = TestIssuer::new().tokens();
//! let config = DpopConfig::builder(PublicOrigin::new("https://api.example.com")?, issuer)
//!     .clock(clock.clone())
//!     .build()?;
//!
//! // Tokens that are valid for five minutes are expired now.
//! clock.advance(std::time::Duration::from_secs(300));
//! # }
//! # Ok::<(), dpop_tower::ConfigError>(())
//! ```

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// An instant in whole seconds since 1970-01-01T00:00:00Z, like a JWT `NumericDate` (RFC 7519
/// section 2).
///
/// Arithmetic saturates, so no `iat` that a caller chooses makes a comparison wrap around.
///
/// ```
/// use std::time::Duration;
/// use dpop_tower::clock::UnixTime;
///
/// let issued_at = UnixTime::from_secs(1_700_000_000);
/// let expires_at = issued_at.saturating_add(Duration::from_secs(300));
/// assert!(issued_at < expires_at);
/// assert_eq!(expires_at.seconds_since(issued_at), 300);
///
/// let last = UnixTime::from_secs(i64::MAX);
/// assert_eq!(last.saturating_add(Duration::from_secs(1)), last);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(i64);

impl UnixTime {
    /// The last instant that can be represented, at which nothing is valid any more. [`SystemClock`] returns
    /// it if the system's clock is broken.
    pub(crate) const END: Self = Self(i64::MAX);

    /// Returns the instant `secs` seconds after the epoch, or before it if `secs` is negative.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs)
    }

    /// Returns the seconds since the epoch, which are negative before it.
    pub const fn as_secs(self) -> i64 {
        self.0
    }

    /// Returns `self + duration`, at most the last representable instant. Ignores fractions of a second.
    #[must_use]
    pub const fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add_unsigned(duration.as_secs()))
    }

    /// Returns `self - duration`, at least the first representable instant. Ignores fractions of a second.
    #[must_use]
    pub const fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub_unsigned(duration.as_secs()))
    }

    /// Returns the seconds from `earlier` to `self`, which are positive if `self` is later.
    pub const fn seconds_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A source of the current time.
///
/// # Security
///
/// With a slow clock, expired tokens and stale proofs are accepted. With a fast one, valid ones are
/// rejected. If a clock goes back, expired tokens are accepted again, and so are proofs whose replay entry
/// has expired, unless the store prevents it as
/// [`MemoryReplayStore`](crate::replay::MemoryReplayStore) does. Use a clock that the operating system
/// synchronises.
///
/// # Example
///
/// A clock that another thread updates, for services that read it very often:
///
/// ```
/// use std::sync::atomic::{AtomicI64, Ordering};
/// use dpop_tower::clock::{SystemClock, TimeSource, UnixTime};
///
/// #[derive(Debug)]
/// struct CoarseClock(AtomicI64);
///
/// impl CoarseClock {
///     fn new() -> Self {
///         Self(AtomicI64::new(SystemClock.now().as_secs()))
///     }
///
///     /// Called every 100 milliseconds.
///     fn tick(&self) {
///         self.0.store(SystemClock.now().as_secs(), Ordering::Relaxed);
///     }
/// }
///
/// impl TimeSource for CoarseClock {
///     fn now(&self) -> UnixTime {
///         UnixTime::from_secs(self.0.load(Ordering::Relaxed))
///     }
/// }
///
/// let clock = CoarseClock::new();
/// clock.tick();
/// assert!(clock.now() <= SystemClock.now());
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot tell the time",
    label = "does not implement `TimeSource`",
    note = "`SystemClock` and `ManualClock` of `dpop_tower::clock` can, and a type of your own \
            that implements `TimeSource`; a value that implements it is given as it is, or in an \
            `Arc`"
)]
pub trait TimeSource: fmt::Debug + Send + Sync + 'static {
    /// Returns the current time.
    fn now(&self) -> UnixTime;

    /// Returns the time since an arbitrary instant that stays the same for the life of this clock.
    ///
    /// It never goes back, and setting the clock that [`now`](Self::now) reads does not change it. It
    /// measures the age of an issuer's keys and the pauses between fetches.
    ///
    /// The default implementation uses [`Instant`] and counts from the first call in the process. A clock
    /// for tests, which is advanced by hand, usually advances this reading as well.
    ///
    /// # Security
    ///
    /// A reading that stands still or goes back keeps keys in use that the issuer has withdrawn. One
    /// that runs fast only fetches them more often. On Linux, [`Instant`] does not count the time
    /// that a machine is suspended, so keys can be older than they seem by that time.
    fn monotonic(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed()
    }
}

impl<T: TimeSource + ?Sized> TimeSource for Arc<T> {
    fn now(&self) -> UnixTime {
        (**self).now()
    }

    fn monotonic(&self) -> Duration {
        (**self).monotonic()
    }
}

/// The clock of the operating system.
///
/// If it shows a time before September 2023, when RFC 9449 was published, it is wrong. It then reads as
/// the last representable instant, at which all tokens and proofs have expired. Requests are rejected
/// until the clock is set.
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

/// Returns the time of the system's clock, or [`UnixTime::END`] if that time cannot be right.
///
/// At `END` everything has expired. With an early time, expired tokens would be accepted again.
fn reading(clock: SystemTime) -> UnixTime {
    match clock.duration_since(UNIX_EPOCH) {
        Ok(elapsed) if elapsed.as_secs() >= EARLIEST => {
            UnixTime::from_secs(i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX))
        }
        _ => UnixTime::END,
    }
}

/// A clock for tests, which stands still until you advance it.
///
/// Clones share the same time. [`advance`](Self::advance) lets time pass. [`set`](Self::set) sets the
/// clock and does not change the [monotonic reading](TimeSource::monotonic).
///
/// ```
/// use std::time::Duration;
/// use dpop_tower::clock::{ManualClock, TimeSource, UnixTime};
///
/// let clock = ManualClock::new(UnixTime::from_secs(1_700_000_000));
/// clock.advance(Duration::from_secs(5));
/// assert_eq!(clock.now().as_secs(), 1_700_000_005);
///
/// clock.set(UnixTime::from_secs(1_600_000_000));
/// assert_eq!(clock.monotonic(), Duration::from_secs(5));
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Mutex<Readings>>);

#[derive(Debug)]
struct Readings {
    /// Seconds since the epoch.
    now: UnixTime,
    /// Seconds since the clock was made.
    monotonic: Duration,
}

impl ManualClock {
    /// Returns a clock that shows `now`.
    pub fn new(now: UnixTime) -> Self {
        Self(Arc::new(Mutex::new(Readings {
            now,
            monotonic: Duration::ZERO,
        })))
    }

    /// Returns a clock that shows the current time.
    pub fn starting_now() -> Self {
        Self::new(SystemClock.now())
    }

    /// Sets the clock, in either direction. The monotonic reading does not change.
    pub fn set(&self, now: UnixTime) {
        self.readings().now = now;
    }

    /// Moves the clock and its monotonic reading forward by the whole seconds of `duration`.
    pub fn advance(&self, duration: Duration) {
        let whole_seconds = Duration::from_secs(duration.as_secs());
        let mut readings = self.readings();
        readings.now = readings.now.saturating_add(whole_seconds);
        let monotonic = readings
            .monotonic
            .as_secs()
            .saturating_add(duration.as_secs());
        readings.monotonic = Duration::from_secs(monotonic);
    }

    fn readings(&self) -> MutexGuard<'_, Readings> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TimeSource for ManualClock {
    fn now(&self) -> UnixTime {
        self.readings().now
    }

    fn monotonic(&self) -> Duration {
        self.readings().monotonic
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

    #[test]
    fn setting_a_manual_clock_leaves_its_monotonic_reading_alone() {
        let clock = ManualClock::new(UnixTime::from_secs(1_000));
        let secs = Duration::from_secs;
        clock.advance(secs(7));
        for now in [i64::MIN, 0, 1_000, 90_000, i64::MAX] {
            clock.set(UnixTime::from_secs(now));
            assert_eq!(clock.monotonic(), secs(7), "{now}");
        }
        clock.advance(Duration::from_millis(2_900));
        assert_eq!(clock.clone().monotonic(), secs(9));
        clock.advance(Duration::MAX);
        clock.advance(Duration::MAX);
        assert_eq!(clock.monotonic(), secs(u64::MAX));
    }

    /// Which is the one of the clock inside, and not the default.
    #[test]
    fn a_clock_in_an_arc_has_the_same_monotonic_reading() {
        let clock = ManualClock::new(UnixTime::from_secs(0));
        let shared: Arc<dyn TimeSource> = Arc::new(Arc::new(clock.clone()));
        clock.advance(Duration::from_secs(3_600));
        assert_eq!(shared.monotonic(), Duration::from_secs(3_600));
    }

    #[test]
    fn a_clock_without_a_monotonic_reading_of_its_own_has_that_of_the_process() {
        #[derive(Debug)]
        struct Stopped;

        impl TimeSource for Stopped {
            fn now(&self) -> UnixTime {
                UnixTime::from_secs(0)
            }
        }

        let (first, second) = (Stopped.monotonic(), SystemClock.monotonic());
        assert!(first <= second);
        assert!(
            second < first + Duration::from_secs(3_600),
            "one start for all"
        );
        std::thread::sleep(Duration::from_millis(2));
        assert!(Stopped.monotonic() >= second + Duration::from_millis(2));
    }
}
