use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};

/// The checked settings of [`KeyFetching`](super::KeyFetching).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Intervals {
    pub(super) refresh_after: Duration,
    pub(super) min_refresh_after: Duration,
    pub(super) max_refresh_after: Duration,
    pub(super) max_key_age: Duration,
    pub(super) cool_down: Duration,
    pub(super) min_retry_delay: Duration,
    pub(super) max_retry_delay: Duration,
}

/// Failed attempts in a row, of which there is at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failures {
    /// When the last one ended.
    pub(super) at: Duration,
    pub(super) in_a_row: u32,
    /// A random number, drawn when the last one ended.
    pub(super) seed: u64,
}

/// More failures do not lengthen the delay: twelve doublings of the shortest `min_retry_delay` are more than the
/// longest `max_retry_delay`.
const MOST_DOUBLINGS: u32 = 12;

impl Intervals {
    /// Returns the age at which keys are due that the issuer called fresh for this long.
    pub(super) fn due_after(&self, fresh_for: Option<Duration>) -> Duration {
        match fresh_for {
            None => self.refresh_after,
            Some(fresh_for) => fresh_for
                .max(self.min_refresh_after)
                .min(self.max_refresh_after),
        }
    }

    /// Returns how long after the last failure no attempt begins.
    pub(super) fn pause(&self, failures: &Failures) -> Duration {
        let doublings = failures.in_a_row.saturating_sub(1).min(MOST_DOUBLINGS);
        ExponentialBuilder::new()
            .with_min_delay(self.min_retry_delay)
            // The jitter at most doubles a delay.
            .with_max_delay(self.max_retry_delay / 2)
            .without_max_times()
            .with_jitter()
            .with_jitter_seed(failures.seed)
            .build()
            .nth(usize::try_from(doublings).unwrap_or_default())
            .unwrap_or(self.max_retry_delay)
            .min(self.max_retry_delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::KeyFetching;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn what_the_issuer_says_counts_within_bounds() {
        let default = KeyFetching::new().check().unwrap();
        let wide = KeyFetching::new()
            .min_refresh_after(secs(20))
            .max_refresh_after(secs(1_800))
            .check()
            .unwrap();
        for (said, by_default, in_wide_bounds) in [
            (None, 300, 300),
            (Some(0), 60, 20),
            (Some(20), 60, 20),
            (Some(21), 60, 21),
            (Some(60), 60, 60),
            (Some(61), 61, 61),
            (Some(300), 300, 300),
            (Some(301), 300, 301),
            (Some(1_800), 300, 1_800),
            (Some(1_801), 300, 1_800),
            (Some(u64::MAX), 300, 1_800),
        ] {
            let said = said.map(secs);
            assert_eq!(default.due_after(said), secs(by_default), "{said:?}");
            assert_eq!(wide.due_after(said), secs(in_wide_bounds), "{said:?}");
        }
    }

    #[test]
    fn each_failure_doubles_the_pause_up_to_its_longest() {
        let default = KeyFetching::new().check().unwrap();
        let long = KeyFetching::new()
            .min_retry_delay(secs(1))
            .max_retry_delay(secs(3_600))
            .check()
            .unwrap();
        for seed in 0..200 {
            let failures = |in_a_row| Failures {
                at: secs(7),
                in_a_row,
                seed,
            };
            for (in_a_row, least, most) in [
                (0, 5, 10),
                (1, 5, 10),
                (2, 10, 20),
                (3, 20, 40),
                (4, 30, 60),
                (5, 30, 60),
                (u32::MAX, 30, 60),
            ] {
                let pause = default.pause(&failures(in_a_row));
                assert!((secs(least)..=secs(most)).contains(&pause), "{pause:?}");
            }
            for in_a_row in 1..=11 {
                let least = 1 << (in_a_row - 1);
                let pause = long.pause(&failures(in_a_row));
                assert!(
                    (secs(least)..=secs(2 * least)).contains(&pause),
                    "{pause:?}"
                );
            }
            assert!(long.pause(&failures(u32::MAX)) >= secs(1_800));
        }
    }

    #[test]
    fn a_pause_depends_on_chance_and_does_not_change_while_it_lasts() {
        let intervals = KeyFetching::new().check().unwrap();
        let pause = |seed| {
            intervals.pause(&Failures {
                at: secs(7),
                in_a_row: 2,
                seed,
            })
        };
        let different: std::collections::BTreeSet<_> = (0..100).map(pause).collect();
        assert!(different.len() > 50, "{different:?}");
        assert_eq!(pause(3), pause(3));
    }
}
