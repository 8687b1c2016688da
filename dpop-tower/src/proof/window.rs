//! The durations of a configuration, which are whole seconds within bounds.

use std::{fmt, time::Duration};

use crate::error::{ConfigError, ConfigErrorKind};

/// Marks a setting in the text of a configuration that was made with a method with `danger` in its name.
pub(crate) const DANGER: &str = "[danger]";

/// A duration, and the setter that it was given to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Setting {
    /// The plain setter, which has a safe bound.
    Plain(Duration),
    /// The setter with `danger` in its name.
    Danger(Duration),
}

impl Setting {
    pub(crate) const fn duration(self) -> Duration {
        match self {
            Self::Plain(duration) | Self::Danger(duration) => duration,
        }
    }
}

/// Writes the seconds, with a mark if the setter has `danger` in its name.
impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.duration().as_secs();
        match self {
            Self::Plain(_) => write!(f, "{seconds} s"),
            Self::Danger(_) => write!(f, "{DANGER} {seconds} s"),
        }
    }
}

/// The bounds of a duration.
#[derive(Debug)]
pub(crate) struct Bounds {
    what: &'static str,
    may_be_zero: bool,
    /// The longest duration that the plain setter accepts.
    safe: Duration,
    /// The longest duration that any setter accepts. A longer one is probably a wrong unit.
    most: Duration,
    /// The name of the plain setter. The other one has the prefix `danger_`.
    setter: &'static str,
    /// The reason against a duration longer than `safe`.
    reason: &'static str,
}

pub(crate) const MAX_AGE: Bounds = Bounds {
    what: "the maximum age of a proof",
    may_be_zero: false,
    safe: Duration::from_secs(10 * 60),
    most: Duration::from_secs(24 * 60 * 60),
    setter: "max_age",
    reason: "anyone who gets hold of a proof can use it for as long, and RFC 9449 section 11.1 wants seconds \
             or minutes",
};

pub(crate) const LEEWAY: Bounds = Bounds {
    what: "the leeway of proofs",
    may_be_zero: true,
    safe: Duration::from_secs(60),
    most: Duration::from_secs(60 * 60),
    setter: "leeway",
    reason: "proofs could be made further ahead of their use than the FAPI 2.0 Security Profile allows",
};

pub(crate) const TOKEN_LEEWAY: Bounds = Bounds {
    what: "the leeway of access tokens",
    reason: "the FAPI 2.0 Security Profile rejects an `iat` or `nbf` further ahead",
    ..LEEWAY
};

impl Bounds {
    /// Returns the duration if it is within the bounds.
    pub(crate) fn check(&self, setting: Setting) -> Result<Duration, ConfigError> {
        let Self { what, setter, .. } = self;
        let (duration, setter_used) = match setting {
            Setting::Plain(duration) => (duration, (*setter).to_owned()),
            Setting::Danger(duration) => (duration, format!("danger_{setter}")),
        };
        let reject = |message| Err(ConfigError::new(ConfigErrorKind::Window, message));
        if duration.is_zero() && !self.may_be_zero {
            return reject(format!(
                "{what} is zero, which no proof can meet: give `{setter_used}` a second or more"
            ));
        }
        if duration > self.most {
            return reject(format!(
                "{what} is {duration:?}, and more than {} is likely a slip of units: give \
                 `{setter_used}` less",
                in_words(self.most)
            ));
        }
        if duration.subsec_nanos() > 0 {
            return reject(format!(
                "{what} is {duration:?}, and dates of tokens and proofs are whole seconds: give \
                 `{setter_used}` a duration without a fraction of a second"
            ));
        }
        if matches!(setting, Setting::Plain(_)) && duration > self.safe {
            return reject(format!(
                "{what} is {duration:?}, and more than {} weakens the protection: {}. Give `{setter}` \
                 less, or use `danger_{setter}`",
                in_words(self.safe),
                self.reason
            ));
        }
        Ok(duration)
    }
}

fn in_words(bound: Duration) -> &'static str {
    match bound.as_secs() {
        60 => "60 seconds",
        600 => "10 minutes",
        3600 => "an hour",
        _ => "a day",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const ALL: [&Bounds; 3] = [&MAX_AGE, &LEEWAY, &TOKEN_LEEWAY];

    fn error(bounds: &Bounds, setting: Setting) -> String {
        let error = bounds.check(setting).unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::Window);
        error.to_string()
    }

    #[test]
    fn a_duration_beyond_what_is_safe_needs_the_setter_with_danger_in_its_name() {
        for bounds in ALL {
            let danger = format!("danger_{}", bounds.setter);
            assert_eq!(
                bounds.check(Setting::Plain(bounds.safe)).unwrap(),
                bounds.safe
            );
            for duration in [bounds.safe + SECOND, bounds.most] {
                let told = error(bounds, Setting::Plain(duration));
                assert!(told.starts_with(bounds.what), "{told}");
                for part in [&format!("{duration:?}"), bounds.reason, &danger] {
                    assert!(told.contains(part), "{told:?} does not contain {part:?}");
                }
                assert_eq!(bounds.check(Setting::Danger(duration)).unwrap(), duration);
            }
            assert_eq!(bounds.check(Setting::Danger(SECOND)).unwrap(), SECOND);
        }
    }

    #[test]
    fn no_setter_takes_a_slip_of_units_or_a_fraction_of_a_second() {
        for bounds in ALL {
            for setting in [Setting::Plain, Setting::Danger] {
                for duration in [bounds.most + SECOND, Duration::MAX] {
                    let told = error(bounds, setting(duration));
                    assert!(told.contains(&format!("{duration:?}")), "{told}");
                    assert!(told.contains("slip of units"), "{told}");
                }
                for duration in [Duration::from_millis(1500), Duration::from_nanos(1)] {
                    let told = error(bounds, setting(duration));
                    assert!(told.contains(&format!("{duration:?}")), "{told}");
                    assert!(told.contains("whole seconds"), "{told}");
                }
                assert_eq!(
                    bounds.check(setting(Duration::ZERO)).is_ok(),
                    bounds.may_be_zero
                );
                assert_eq!(bounds.check(setting(SECOND)).unwrap(), SECOND);
            }
        }
    }
}
