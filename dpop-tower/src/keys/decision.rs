//! Decides whether a request uses the available keys, waits for a fetch, or is rejected.
//!
//! A decision is a pure function of times and facts. All times are readings of one monotonic clock.

use std::time::Duration;

use super::intervals::{Failures, Intervals};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    Young,
    Due,
    TooOld,
}

/// The times that decide the age of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Freshness {
    /// When the keys were requested.
    pub(super) asked: Duration,
    /// How long the issuer called them fresh, if it did.
    pub(super) fresh_for: Option<Duration>,
}

impl Freshness {
    /// Returns the age of the keys at `now`.
    pub(super) fn age(self, intervals: &Intervals, now: Duration) -> Age {
        // Keys can be requested after `now` was read. They are new then.
        let age = now.saturating_sub(self.asked);
        if age >= intervals.max_key_age {
            Age::TooOld
        } else if age >= intervals.due_after(self.fresh_for) {
            Age::Due
        } else {
            Age::Young
        }
    }
}

/// The input of a decision.
#[derive(Clone, Copy, Debug)]
pub(super) struct Situation {
    pub(super) intervals: Intervals,
    pub(super) now: Duration,
    /// The available keys, if there are usable ones.
    pub(super) keys: Option<Freshness>,
    /// When the last attempt to fetch keys began, whatever its result.
    pub(super) began: Option<Duration>,
    /// The failures since the last success, if there are any.
    pub(super) failures: Option<Failures>,
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
        let intervals = &self.intervals;
        let since = |at: Duration| self.now.saturating_sub(at);
        let pauses =
            (self.failures).is_some_and(|failures| since(failures.at) < intervals.pause(&failures));
        let age = self.keys.map(|keys| keys.age(intervals, self.now));
        if self.needs_others {
            // Anyone can write a token that needs other keys. Such tokens do not cause more requests to an
            // issuer that is down.
            let cools_down = (self.began).is_some_and(|began| since(began) < intervals.cool_down);
            return match self.is_under_way {
                false if cools_down || pauses => Decision::Reject,
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
    use crate::keys::KeyFetching;

    const NOW: Duration = Duration::from_secs(1_000_000);

    fn ago(secs: u64) -> Duration {
        NOW - Duration::from_secs(secs)
    }

    /// The first pauses last 5 to 10 s, 10 to 20 s, 20 to 40 s, and then 30 to 60 s.
    fn default() -> Intervals {
        KeyFetching::new().check().unwrap()
    }

    fn failed(secs: u64, in_a_row: u32, seed: u64) -> Option<Failures> {
        let at = ago(secs);
        Some(Failures { at, in_a_row, seed })
    }

    /// In this order: the seconds since the available keys were requested, the seconds since the last attempt
    /// began, the seconds since it failed and the number of failures in a row, whether an attempt is under
    /// way, and whether the caller needs other keys.
    type Row = (
        Option<u64>,
        Option<u64>,
        Option<(u64, u32)>,
        bool,
        bool,
        Decision,
    );

    fn check_with(intervals: Intervals, fresh_for: Option<u64>, rows: &[Row]) {
        for row in rows {
            let (asked, began, failure, is_under_way, needs_others, expected) = *row;
            for seed in 0..20 {
                let situation = Situation {
                    intervals,
                    now: NOW,
                    keys: asked.map(|asked| Freshness {
                        asked: ago(asked),
                        fresh_for: fresh_for.map(Duration::from_secs),
                    }),
                    began: began.map(ago),
                    failures: failure.and_then(|(secs, in_a_row)| failed(secs, in_a_row, seed)),
                    is_under_way,
                    needs_others,
                };
                assert_eq!(situation.decide(), expected, "{row:?} {fresh_for:?}");
            }
        }
    }

    fn check(rows: &[Row]) {
        check_with(default(), None, rows);
    }

    #[test]
    fn without_keys_one_attempt_is_waited_for_and_its_failure_is_a_pause() {
        for old in [None, Some(3_600), Some(1_000_000)] {
            check(&[
                (old, None, None, false, false, Wait),
                (old, Some(0), None, true, false, Wait),
                (old, Some(9), None, true, false, Wait),
                (old, Some(10), Some((0, 1)), false, false, Reject),
                (old, Some(14), Some((4, 1)), false, false, Reject),
                (old, Some(20), Some((10, 1)), false, false, Wait),
                // The failure is older than the attempt that is under way.
                (old, Some(0), Some((4, 1)), true, false, Wait),
                // An attempt that ended without a result is no failure.
                (old, Some(1), None, false, false, Wait),
            ]);
        }
    }

    #[test]
    fn while_the_issuer_is_down_attempts_grow_apart() {
        for (in_a_row, pause, end) in [
            (1, 4, 10),
            (2, 9, 20),
            (3, 19, 40),
            (4, 29, 60),
            (5, 29, 60),
            (1_000, 29, 60),
        ] {
            let (failed, long_ago) = (Some((pause, in_a_row)), Some((end, in_a_row)));
            check(&[
                (None, Some(pause), failed, false, false, Reject),
                (None, Some(end), long_ago, false, false, Wait),
                (Some(3_599), Some(pause), failed, false, false, Serve),
                (
                    Some(3_599),
                    Some(end),
                    long_ago,
                    false,
                    false,
                    ServeAndRefresh,
                ),
                (Some(3_600), Some(pause), failed, false, false, Reject),
                (Some(3_600), Some(end), long_ago, false, false, Wait),
                // Strangers do not make attempts more frequent.
                (Some(0), Some(60 + pause), failed, false, true, Reject),
                (Some(0), Some(60 + end), long_ago, false, true, Wait),
            ]);
        }
    }

    #[test]
    fn young_keys_serve_whatever_happens() {
        for age in [0, 1, 299] {
            for under_way in [false, true] {
                check(&[
                    (Some(age), Some(age), None, under_way, false, Serve),
                    (Some(age), Some(2), Some((1, 1)), under_way, false, Serve),
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
                (Some(age), Some(10), Some((0, 1)), false, false, Serve),
                (Some(age), Some(14), Some((4, 1)), false, false, Serve),
                (
                    Some(age),
                    Some(20),
                    Some((10, 1)),
                    false,
                    false,
                    ServeAndRefresh,
                ),
            ]);
        }
    }

    #[test]
    fn keys_are_due_when_the_issuer_says_so_within_bounds() {
        let wide = KeyFetching::new().max_refresh_after(Duration::from_secs(1_800));
        let wide = wide.check().unwrap();
        for (intervals, fresh_for, due) in [
            (default(), None, 300),
            (default(), Some(0), 60),
            (default(), Some(120), 120),
            (default(), Some(86_400), 300),
            (wide, None, 300),
            (wide, Some(900), 900),
            (wide, Some(86_400), 1_800),
        ] {
            let before = Some(due - 1);
            let rows = [
                (before, before, None, false, false, Serve),
                (Some(due), Some(due), None, false, false, ServeAndRefresh),
                (
                    Some(3_599),
                    Some(3_599),
                    None,
                    false,
                    false,
                    ServeAndRefresh,
                ),
                (Some(3_600), Some(3_600), None, false, false, Wait),
            ];
            check_with(intervals, fresh_for, &rows);
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
                (age, Some(29), Some((19, 1)), false, true, Reject),
                (age, Some(30), None, false, true, Wait),
                // The first pause after a failure is over by then, however long the attempt took.
                (age, Some(30), Some((20, 1)), false, true, Wait),
            ]);
        }
    }

    #[test]
    fn the_settings_decide() {
        let secs = Duration::from_secs;
        let intervals = KeyFetching::new()
            .refresh_after(secs(20))
            .max_key_age(secs(100))
            .unknown_key_cool_down(secs(2))
            .min_retry_delay(secs(1))
            .max_retry_delay(secs(2));
        let rows = [
            (Some(19), Some(19), None, false, false, Serve),
            (Some(20), Some(20), None, false, false, ServeAndRefresh),
            (Some(99), Some(99), None, false, false, ServeAndRefresh),
            (Some(100), Some(100), None, false, false, Wait),
            (Some(100), Some(1), Some((0, 9)), false, false, Reject),
            (Some(100), Some(3), Some((2, 9)), false, false, Wait),
            (Some(0), Some(1), None, false, true, Reject),
            (Some(0), Some(2), None, false, true, Wait),
        ];
        check_with(intervals.check().unwrap(), None, &rows);
    }

    /// Another thread may have read the clock later.
    #[test]
    fn what_happened_a_moment_after_now_happened_now() {
        let later = NOW + Duration::from_millis(1);
        let situation = Situation {
            intervals: default(),
            now: NOW,
            keys: Some(Freshness {
                asked: later,
                fresh_for: None,
            }),
            began: Some(later),
            failures: None,
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
            keys: None,
            failures: Some(Failures {
                at: later,
                in_a_row: 1,
                seed: 0,
            }),
            ..situation
        };
        assert_eq!(failed.decide(), Reject);
    }
}
