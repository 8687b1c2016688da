//! Decides whether a request uses the available keys, waits for a fetch, or is rejected.
//!
//! A decision is a pure function of times and facts. All times are readings of one monotonic clock.

use std::time::Duration;

/// Older keys are fetched again, and stay in use meanwhile.
const REFRESH_AFTER: Duration = Duration::from_secs(5 * 60);
/// Older keys are not used, even if the issuer is out of reach, because it may have withdrawn them.
pub(super) const MAX_AGE: Duration = Duration::from_secs(60 * 60);
/// Tokens that the available keys do not verify cause at most one fetch in this time, because anyone can
/// write such a token.
const COOL_DOWN: Duration = Duration::from_secs(30);
/// For this long after a failure, requests are answered without another attempt.
const PAUSE: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    Young,
    Due,
    TooOld,
}

impl Age {
    /// Returns the age at `now` of keys that were requested at `asked`.
    pub(super) fn of(asked: Duration, now: Duration) -> Self {
        // Keys can be requested after `now` was read. They are new then.
        let age = now.saturating_sub(asked);
        if age < REFRESH_AFTER {
            Self::Young
        } else if age < MAX_AGE {
            Self::Due
        } else {
            Self::TooOld
        }
    }
}

/// The input of a decision.
#[derive(Clone, Copy, Debug)]
pub(super) struct Situation {
    pub(super) now: Duration,
    /// When the available keys were requested, if there are usable keys.
    pub(super) asked: Option<Duration>,
    /// When the last attempt to fetch keys began, whatever its result.
    pub(super) began: Option<Duration>,
    /// When the last attempt failed, if it has failed.
    pub(super) failed: Option<Duration>,
    pub(super) is_under_way: bool,
    /// Whether the caller has tried the available keys and needs others.
    pub(super) needs_others: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Use the available keys.
    Serve,
    /// Use the available keys, and begin an attempt in the background.
    ServeAndRefresh,
    /// Wait for the running attempt, or begin one and wait for it.
    Wait,
    /// Reject the request, because there are no keys now.
    Reject,
}

impl Situation {
    pub(super) fn decide(self) -> Decision {
        let is_within = |at: Option<Duration>, span: Duration| {
            at.is_some_and(|at| self.now.saturating_sub(at) < span)
        };
        let cools_down = is_within(self.began, COOL_DOWN);
        let pauses = is_within(self.failed, PAUSE);
        let age = self.asked.map(|asked| Age::of(asked, self.now));
        if self.needs_others {
            return match self.is_under_way {
                false if cools_down => Decision::Reject,
                _ => Decision::Wait,
            };
        }
        match age {
            Some(Age::Young) => Decision::Serve,
            Some(Age::Due) if self.is_under_way || pauses => Decision::Serve,
            Some(Age::Due) => Decision::ServeAndRefresh,
            Some(Age::TooOld) | None if self.is_under_way => Decision::Wait,
            Some(Age::TooOld) | None if pauses => Decision::Reject,
            Some(Age::TooOld) | None => Decision::Wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Decision::*, *};

    const NOW: Duration = Duration::from_secs(1_000_000);

    fn ago(secs: u64) -> Option<Duration> {
        Some(NOW - Duration::from_secs(secs))
    }

    /// Seconds since the keys at hand were asked for, since the last attempt began, since it failed;
    /// whether one is under way; whether the caller needs other keys.
    type Row = (Option<u64>, Option<u64>, Option<u64>, bool, bool, Decision);

    fn check(rows: &[Row]) {
        for row in rows {
            let (asked, began, failed, is_under_way, needs_others, expected) = *row;
            let situation = Situation {
                now: NOW,
                asked: asked.and_then(ago),
                began: began.and_then(ago),
                failed: failed.and_then(ago),
                is_under_way,
                needs_others,
            };
            assert_eq!(situation.decide(), expected, "{row:?}");
        }
    }

    #[test]
    fn without_keys_one_attempt_is_waited_for_and_its_failure_is_a_pause() {
        for old in [None, Some(3_600), Some(1_000_000)] {
            check(&[
                (old, None, None, false, false, Wait),
                (old, Some(0), None, true, false, Wait),
                (old, Some(9), None, true, false, Wait),
                (old, Some(10), Some(0), false, false, Reject),
                (old, Some(14), Some(4), false, false, Reject),
                (old, Some(15), Some(5), false, false, Wait),
                // A failure before the attempt that is under way.
                (old, Some(0), Some(4), true, false, Wait),
                // One that ended without a result is no failure.
                (old, Some(1), None, false, false, Wait),
            ]);
        }
    }

    #[test]
    fn young_keys_serve_whatever_happens() {
        for age in [0, 1, 299] {
            for under_way in [false, true] {
                check(&[
                    (Some(age), Some(age), None, under_way, false, Serve),
                    (Some(age), Some(2), Some(1), under_way, false, Serve),
                ]);
            }
        }
    }

    #[test]
    fn keys_that_are_due_serve_and_are_refreshed_by_one_attempt_at_a_time() {
        for age in [300, 301, 3_599] {
            check(&[
                (Some(age), Some(age), None, false, false, ServeAndRefresh),
                (Some(age), Some(0), None, true, false, Serve),
                (Some(age), Some(9), None, true, false, Serve),
                (Some(age), Some(10), Some(0), false, false, Serve),
                (Some(age), Some(14), Some(4), false, false, Serve),
                (Some(age), Some(15), Some(5), false, false, ServeAndRefresh),
            ]);
        }
    }

    #[test]
    fn who_needs_other_keys_waits_for_one_attempt_in_30_seconds() {
        for age in [None, Some(0), Some(29), Some(300), Some(3_600)] {
            check(&[
                (age, None, None, false, true, Wait),
                (age, Some(0), None, true, true, Wait),
                (age, Some(29), None, true, true, Wait),
                (age, Some(0), None, false, true, Reject),
                (age, Some(29), None, false, true, Reject),
                (age, Some(29), Some(19), false, true, Reject),
                (age, Some(30), None, false, true, Wait),
                // The pause after a failure is over by then, however long the attempt took.
                (age, Some(30), Some(20), false, true, Wait),
            ]);
        }
    }

    /// Another thread may have read the clock later.
    #[test]
    fn what_happened_a_moment_after_now_happened_now() {
        let later = Some(NOW + Duration::from_millis(1));
        let situation = Situation {
            now: NOW,
            asked: later,
            began: later,
            failed: None,
            is_under_way: false,
            needs_others: false,
        };
        assert_eq!(situation.decide(), Serve);
        let needs_others = true;
        let other = Situation {
            needs_others,
            ..situation
        };
        assert_eq!(other.decide(), Reject);
        let failed = Situation {
            asked: None,
            failed: later,
            ..situation
        };
        assert_eq!(failed.decide(), Reject);
    }
}
