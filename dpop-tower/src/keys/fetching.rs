use std::time::Duration;

use super::intervals::Intervals;
use crate::{
    error::{ConfigError, ConfigErrorKind},
    proof::Setting,
};

/// When an issuer's keys are fetched, and how long they are used.
///
/// | setting | default | limits |
/// |---|---|---|
/// | [`refresh_after`](Self::refresh_after) | 5 minutes | 10 seconds to 1 hour |
/// | [`min_refresh_after`](Self::min_refresh_after) | 1 minute, or `refresh_after` if that is shorter | 10 seconds to `refresh_after` |
/// | [`max_refresh_after`](Self::max_refresh_after) | `refresh_after` | `refresh_after` to 1 hour |
/// | [`max_key_age`](Self::max_key_age) | 1 hour | longer than `max_refresh_after`, up to 1 day |
/// | [`unknown_key_cool_down`](Self::unknown_key_cool_down) | 30 seconds | 1 second to 1 hour |
/// | [`min_retry_delay`](Self::min_retry_delay) | 5 seconds | 1 second to 1 hour |
/// | [`max_retry_delay`](Self::max_retry_delay) | 1 minute | twice `min_retry_delay`, up to 1 hour |
///
/// [`build`](crate::DpopConfigBuilder::build) returns a [`ConfigError`] of the kind
/// [`KeyFetching`](ConfigErrorKind::KeyFetching) that names the setting if a value is out of these limits.
///
/// # How long a withdrawn key works
///
/// A key that the issuer withdraws works until the next fetch has ended, also for tokens that were admitted
/// before. Two settings limit that time. The first request that finds keys due for a refresh starts a
/// fetch: after `max_refresh_after` at the latest, five minutes by default. That request and those that arrive
/// before the fetch ends, which takes ten seconds at most, still use the old keys. Whatever happens, no key is
/// used once it is older than `max_key_age`, one hour by default: not while the issuer is out of reach, and
/// not after a time without requests.
///
/// # Example
///
/// ```
/// # #[cfg(any(feature = "aws-lc-rs", feature = "josekit"))] {
/// use std::time::Duration;
/// use dpop_tower::{DpopConfig, Issuer, PublicOrigin, token::KeyFetching};
///
/// let fetching = KeyFetching::new()
///     .refresh_after(Duration::from_secs(2 * 60))
///     .max_key_age(Duration::from_secs(4 * 60 * 60));
/// let tokens = Issuer::discover("https://idp.example.com")
///     .audience("https://api.example.com")
///     .key_fetching(fetching);
/// let config = DpopConfig::builder(PublicOrigin::new("https://api.example.com")?, tokens).build()?;
/// # }
/// # Ok::<(), dpop_tower::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct KeyFetching {
    refresh_after: Setting,
    min_refresh_after: Option<Duration>,
    max_refresh_after: Option<Setting>,
    max_key_age: Setting,
    unknown_key_cool_down: Duration,
    min_retry_delay: Duration,
    max_retry_delay: Duration,
}

impl KeyFetching {
    /// Returns whether a setter with `danger` in its name was used.
    pub(crate) fn has_danger(&self) -> bool {
        let settings = [Some(self.refresh_after), self.max_refresh_after];
        (settings.into_iter().flatten())
            .chain([self.max_key_age])
            .any(|setting| matches!(setting, Setting::Danger(_)))
    }

    /// Returns the default settings.
    pub const fn new() -> Self {
        Self {
            refresh_after: Setting::Plain(Duration::from_secs(5 * 60)),
            min_refresh_after: None,
            max_refresh_after: None,
            max_key_age: Setting::Plain(HOUR),
            unknown_key_cool_down: Duration::from_secs(30),
            min_retry_delay: Duration::from_secs(5),
            max_retry_delay: Duration::from_secs(60),
        }
    }

    /// Sets the age at which keys are fetched again, if the response with the keys does not say how long it
    /// is fresh. Defaults to 5 minutes.
    ///
    /// The old keys stay in use while the new ones are fetched.
    pub const fn refresh_after(mut self, age: Duration) -> Self {
        self.refresh_after = Setting::Plain(age);
        self
    }

    /// Sets the age as [`refresh_after`](Self::refresh_after) does, up to one day.
    ///
    /// # Security
    ///
    /// A key that the issuer has withdrawn, because it was stolen for example, works for this long.
    pub const fn danger_refresh_after(mut self, age: Duration) -> Self {
        self.refresh_after = Setting::Danger(age);
        self
    }

    /// Sets the lower bound of what the issuer's response says about its freshness.
    ///
    /// The bounds apply to `Cache-Control: max-age` and `Expires`, less `Age` (RFC 9111 section 4.2).
    /// `no-store` and `no-cache` count as the lower bound. Defaults to 1 minute, or to
    /// [`refresh_after`](Self::refresh_after) if that is shorter.
    pub const fn min_refresh_after(mut self, age: Duration) -> Self {
        self.min_refresh_after = Some(age);
        self
    }

    /// Sets the upper bound of what the issuer's response says about its freshness.
    ///
    /// Defaults to [`refresh_after`](Self::refresh_after): the issuer can shorten the time between fetches and
    /// not lengthen it.
    pub const fn max_refresh_after(mut self, age: Duration) -> Self {
        self.max_refresh_after = Some(Setting::Plain(age));
        self
    }

    /// Sets the upper bound as [`max_refresh_after`](Self::max_refresh_after) does, up to one day.
    ///
    /// # Security
    ///
    /// A key that the issuer has withdrawn, because it was stolen for example, works for this long if the
    /// issuer has said so before.
    pub const fn danger_max_refresh_after(mut self, age: Duration) -> Self {
        self.max_refresh_after = Some(Setting::Danger(age));
        self
    }

    /// Sets the age at which keys are no longer used, even if the issuer is out of reach. Defaults to 1 hour.
    #[doc(alias = "stale_if_error")]
    pub const fn max_key_age(mut self, age: Duration) -> Self {
        self.max_key_age = Setting::Plain(age);
        self
    }

    /// Sets the age as [`max_key_age`](Self::max_key_age) does, up to 30 days.
    ///
    /// # Security
    ///
    /// An attacker who keeps this service from reaching the issuer can use a withdrawn key for this long.
    pub const fn danger_max_key_age(mut self, age: Duration) -> Self {
        self.max_key_age = Setting::Danger(age);
        self
    }

    /// Sets the time in which tokens that the keys do not verify cause at most one fetch. Defaults to 30
    /// seconds.
    ///
    /// Anyone can write such a token, so this protects the issuer. A new key of the issuer may take this long
    /// to be found. The time is counted from the beginning of the last fetch, whatever its cause.
    pub const fn unknown_key_cool_down(mut self, time: Duration) -> Self {
        self.unknown_key_cool_down = time;
        self
    }

    /// Sets the shortest time between a failed fetch and the next one. Defaults to 5 seconds.
    ///
    /// The time doubles with each failure in a row. It is then multiplied by a random number between one and
    /// two, so that many services do not ask an issuer in the same moment. It never exceeds
    /// [`max_retry_delay`](Self::max_retry_delay).
    pub const fn min_retry_delay(mut self, time: Duration) -> Self {
        self.min_retry_delay = time;
        self
    }

    /// Sets the longest time between a failed fetch and the next one. Defaults to 1 minute.
    ///
    /// A service that has no usable keys admits requests again this long after the issuer is back, at the
    /// latest.
    pub const fn max_retry_delay(mut self, time: Duration) -> Self {
        self.max_retry_delay = time;
        self
    }

    /// Checks the settings against their limits, and against each other.
    pub(crate) fn check(&self) -> Result<Intervals, ConfigError> {
        let refresh_after = AGE.check("refresh_after", self.refresh_after)?;
        let max_refresh_after = match self.max_refresh_after {
            Some(age) => AGE.check("max_refresh_after", age)?,
            None => refresh_after,
        };
        let min_refresh_after = match self.min_refresh_after {
            Some(age) => AGE.check("min_refresh_after", Setting::Plain(age))?,
            None => refresh_after.min(Duration::from_secs(60)),
        };
        let max_key_age = KEY_AGE.check("max_key_age", self.max_key_age)?;
        let time = |name, time| TIME.check(name, Setting::Plain(time));
        let cool_down = time("unknown_key_cool_down", self.unknown_key_cool_down)?;
        let min_retry_delay = time("min_retry_delay", self.min_retry_delay)?;
        let max_retry_delay = time("max_retry_delay", self.max_retry_delay)?;
        if min_refresh_after > refresh_after {
            return rejected(format!(
                "`KeyFetching::min_refresh_after` is {min_refresh_after:?}, which is longer than `refresh_after` \
                 ({refresh_after:?}): give it at most as much"
            ));
        }
        if max_refresh_after < refresh_after {
            return rejected(format!(
                "`KeyFetching::max_refresh_after` is {max_refresh_after:?}, which is shorter than `refresh_after` \
                 ({refresh_after:?}): give it at least as much"
            ));
        }
        if max_key_age <= max_refresh_after {
            return rejected(format!(
                "`KeyFetching::max_key_age` is {max_key_age:?}, and keys may be refreshed as late as after \
                 {max_refresh_after:?} (`max_refresh_after`), so requests would have to wait: give it more"
            ));
        }
        if max_retry_delay < min_retry_delay.saturating_mul(2) {
            return rejected(format!(
                "`KeyFetching::max_retry_delay` is {max_retry_delay:?}: give it at least twice `min_retry_delay` \
                 ({min_retry_delay:?})"
            ));
        }
        Ok(Intervals {
            refresh_after,
            min_refresh_after,
            max_refresh_after,
            max_key_age,
            cool_down,
            min_retry_delay,
            max_retry_delay,
        })
    }
}

impl Default for KeyFetching {
    fn default() -> Self {
        Self::new()
    }
}

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The limits of a setting.
struct Limits {
    least: Duration,
    /// The longest duration that the plain setter accepts.
    safe: Duration,
    /// The longest duration that the setter with `danger_` in its name accepts.
    most: Duration,
}

/// For ages at which keys are fetched again.
const AGE: Limits = Limits {
    least: Duration::from_secs(10),
    safe: HOUR,
    most: DAY,
};

const KEY_AGE: Limits = Limits {
    least: Duration::from_secs(11),
    safe: DAY,
    most: Duration::from_secs(30 * 24 * 60 * 60),
};

/// For times that only decide how often the issuer is asked.
const TIME: Limits = Limits {
    least: SECOND,
    safe: HOUR,
    most: HOUR,
};

impl Limits {
    fn check(&self, name: &str, setting: Setting) -> Result<Duration, ConfigError> {
        let (value, most, danger) = match setting {
            Setting::Plain(value) => (value, self.safe, ""),
            Setting::Danger(value) => (value, self.most, "danger_"),
        };
        if (self.least..=most).contains(&value) {
            return Ok(value);
        }
        let Self { least, safe, .. } = self;
        let hint = if value > *safe && value <= self.most {
            format!(
                ". A withdrawn key would work for longer than is safe: see `KeyFetching::danger_{name}`"
            )
        } else {
            String::new()
        };
        rejected(format!(
            "`KeyFetching::{danger}{name}` is {value:?}, and it must be from {least:?} to {most:?}{hint}"
        ))
    }
}

fn rejected<T>(message: String) -> Result<T, ConfigError> {
    Err(ConfigError::new(ConfigErrorKind::KeyFetching, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn told(fetching: &KeyFetching) -> String {
        let error = fetching.check().unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::KeyFetching);
        error.to_string()
    }

    /// The setter, the least and the most that it accepts.
    type Row = (
        &'static str,
        fn(KeyFetching, Duration) -> KeyFetching,
        u64,
        u64,
    );

    #[test]
    fn a_setting_out_of_its_limits_is_named() {
        let wide = KeyFetching::new()
            .danger_max_refresh_after(DAY)
            .min_refresh_after(secs(10))
            .danger_max_key_age(secs(30 * 86_400))
            .min_retry_delay(SECOND)
            .max_retry_delay(HOUR);
        let rows: [Row; 8] = [
            ("refresh_after", KeyFetching::refresh_after, 10, 3_600),
            (
                "danger_refresh_after",
                KeyFetching::danger_refresh_after,
                10,
                86_400,
            ),
            ("min_refresh_after", KeyFetching::min_refresh_after, 10, 300),
            (
                "max_refresh_after",
                KeyFetching::max_refresh_after,
                300,
                3_600,
            ),
            (
                "danger_max_refresh_after",
                KeyFetching::danger_max_refresh_after,
                300,
                86_400,
            ),
            (
                "unknown_key_cool_down",
                KeyFetching::unknown_key_cool_down,
                1,
                3_600,
            ),
            ("min_retry_delay", KeyFetching::min_retry_delay, 1, 1_800),
            ("max_retry_delay", KeyFetching::max_retry_delay, 2, 3_600),
        ];
        for (name, set, least, most) in rows {
            for good in [least, most] {
                let set = set(wide.clone(), secs(good));
                assert!(set.check().is_ok(), "{name} {good}: {set:?}");
            }
            let nano = Duration::from_nanos(1);
            for bad in [secs(least) - nano, secs(most) + nano, Duration::ZERO] {
                let told = told(&set(wide.clone(), bad));
                let name = name.trim_start_matches("danger_");
                assert!(told.contains(name), "{name} {bad:?}: {told}");
                assert!(!bad.is_zero() || told.contains("0ns"), "{told}");
            }
        }
    }

    #[test]
    fn no_setter_keeps_keys_for_longer_than_thirty_days() {
        let month = secs(30 * 86_400);
        let kept = |age| KeyFetching::new().danger_max_key_age(age);
        assert!(kept(month).check().is_ok());
        for wrong in [month + SECOND, Duration::MAX, Duration::ZERO] {
            let told = told(&kept(wrong));
            assert!(told.contains("`KeyFetching::danger_max_key_age`"), "{told}");
        }
    }

    #[test]
    fn only_a_setter_with_danger_in_its_name_accepts_what_is_not_safe() {
        let fetching = || KeyFetching::new().danger_max_key_age(secs(30 * 86_400));
        for (fetching, setter) in [
            (
                fetching().refresh_after(secs(3_601)),
                "danger_refresh_after",
            ),
            (
                fetching().max_refresh_after(DAY),
                "danger_max_refresh_after",
            ),
            (
                KeyFetching::new().max_key_age(secs(86_401)),
                "danger_max_key_age",
            ),
        ] {
            let told = told(&fetching);
            assert!(told.contains(&format!("`KeyFetching::{setter}`")), "{told}");
        }
        assert!(!told(&fetching().refresh_after(secs(86_401))).contains("danger"));
    }

    #[test]
    fn settings_that_contradict_each_other_are_named_both() {
        for (fetching, names) in [
            (
                KeyFetching::new().max_key_age(secs(300)),
                ["max_key_age", "max_refresh_after"],
            ),
            (
                KeyFetching::new().max_refresh_after(HOUR),
                ["max_key_age", "max_refresh_after"],
            ),
            (
                KeyFetching::new().min_refresh_after(secs(301)),
                ["min_refresh_after", "refresh_after"],
            ),
            (
                KeyFetching::new().max_refresh_after(secs(299)),
                ["max_refresh_after", "refresh_after"],
            ),
            (
                KeyFetching::new().max_retry_delay(secs(9)),
                ["max_retry_delay", "min_retry_delay"],
            ),
        ] {
            let told = told(&fetching);
            assert!(told.starts_with(&format!("`KeyFetching::{}`", names[0])));
            for name in names {
                assert!(told.contains(name), "{told}");
            }
        }
        assert!(KeyFetching::new().max_key_age(secs(301)).check().is_ok());
        assert!(KeyFetching::default().check().is_ok());
        // The defaults of the bounds follow.
        let short = KeyFetching::new().refresh_after(secs(10)).check().unwrap();
        assert_eq!(short.min_refresh_after, secs(10));
        assert_eq!(short.max_refresh_after, secs(10));
    }
}
