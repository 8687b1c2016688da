//! The limits of a store, and the warning if they are low.

use std::time::Duration;

/// A limit of fewer requests per second than this is probably a mistake.
const FEW_REQUESTS: u64 = 500;
/// The same for one client key and for one subject.
const FEW_OF_ONE: u64 = 5;

/// The number of live entries that a [`ReplayStore`](super::ReplayStore) can hold.
///
/// Divided by the seconds for which proofs are remembered, a limit is the number of requests per second that
/// are admitted in the long run. Further requests are rejected with 503. Proofs are remembered for the
/// maximum age, the leeway and 5 seconds, which is 75 seconds by default.
///
/// ```
/// use dpop_tower::replay::{MemoryReplayStore, ReplayStore};
///
/// let limits = MemoryReplayStore::new().limits().ok_or("the store knows its limits")?;
/// assert_eq!(limits.entries, 1_000_000);
/// assert_eq!(limits.entries / 75, 13_333); // requests per second in all
/// assert_eq!(limits.per_client / 75, 1_333); // requests per second of one client key
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplayLimits {
    /// The limit for all entries together.
    pub entries: usize,
    /// The limit for one client key.
    pub per_client: usize,
    /// The limit for one subject, which is a user, or a client that acts for itself, with all its keys.
    pub per_subject: usize,
}

impl ReplayLimits {
    /// Sets all three limits to `entries`.
    pub const fn new(entries: usize) -> Self {
        Self {
            entries,
            per_client: entries,
            per_subject: entries,
        }
    }

    /// Logs a warning for each limit that few requests use up.
    pub(super) fn warn_if_short(&self, remembered_for: Duration) {
        for shortage in self.shortages(remembered_for) {
            let seconds = remembered_for.as_secs();
            tracing::warn!(
                target: "dpop_tower::replay",
                entries = shortage.entries,
                seconds,
                enough = shortage.enough,
                "{}",
                shortage.warning(remembered_for),
            );
        }
    }

    /// Returns the texts of these warnings.
    pub(super) fn warnings(&self, remembered_for: Duration) -> Vec<String> {
        let shortages = self.shortages(remembered_for);
        shortages
            .map(|shortage| shortage.warning(remembered_for))
            .collect()
    }

    fn shortages(&self, remembered_for: Duration) -> impl Iterator<Item = Shortage> {
        let seconds = remembered_for.as_secs().max(1);
        [
            ("`capacity`", self.entries, FEW_REQUESTS, "store_full"),
            (
                "`capacity_per_key`",
                self.per_client,
                FEW_OF_ONE,
                "key_full",
            ),
            (
                "`capacity_per_subject`",
                self.per_subject,
                FEW_OF_ONE,
                "subject_full",
            ),
        ]
        .into_iter()
        .filter_map(move |(what, entries, few, code)| {
            let entries = u64::try_from(entries).unwrap_or(u64::MAX);
            let enough = few.saturating_mul(seconds);
            (entries < enough).then_some(Shortage {
                what,
                entries,
                enough,
                code,
            })
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shortage {
    what: &'static str,
    entries: u64,
    /// The lowest limit without a warning.
    enough: u64,
    code: &'static str,
}

impl Shortage {
    fn warning(self, remembered_for: Duration) -> String {
        let Self {
            what,
            entries,
            enough,
            code,
        } = self;
        let (seconds, rate) = (remembered_for.as_secs(), self.rate(remembered_for));
        format!(
            "{what} of the replay store is {entries} proofs, which are remembered for {seconds} seconds each: at more \
             than {rate} requests a second it is used up, and further ones are answered with 503 ({code}). Set {what} \
             to {enough} or more, or lower the maximum age of proofs"
        )
    }

    /// Returns the requests per second, with one decimal place for small numbers.
    fn rate(self, remembered_for: Duration) -> String {
        let seconds = remembered_for.as_secs().max(1);
        let tenths = self
            .entries
            .saturating_mul(10)
            .checked_div(seconds)
            .unwrap_or(0);
        match tenths {
            ..100 => format!("{}.{}", tenths / 10, tenths % 10),
            _ => (tenths / 10).to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(limits: ReplayLimits, seconds: u64) -> Vec<(&'static str, u64, u64, String)> {
        let remembered_for = Duration::from_secs(seconds);
        let tell = |s: Shortage| (s.what, s.entries, s.enough, s.rate(remembered_for));
        limits.shortages(remembered_for).map(tell).collect()
    }

    #[test]
    fn little_room_for_long_is_told_in_numbers() {
        assert_eq!(short(ReplayLimits::new(1_000_000), 75), []);
        assert_eq!(short(ReplayLimits::new(37_500), 75), []);
        let few = "499".to_owned();
        assert_eq!(
            short(ReplayLimits::new(37_499), 75),
            [("`capacity`", 37_499, 37_500, few)]
        );
        let limits = ReplayLimits {
            per_client: 375,
            per_subject: 374,
            ..ReplayLimits::new(usize::MAX)
        };
        let few = "4.9".to_owned();
        let subject = ("`capacity_per_subject`", 374, 375, few);
        assert_eq!(short(limits, 75), std::slice::from_ref(&subject));
        let limits = ReplayLimits {
            per_client: 1,
            ..limits
        };
        let client = ("`capacity_per_key`", 1, 375, "0.0".to_owned());
        assert_eq!(short(limits, 75), [client, subject]);
        // The same store, with proofs that live for a day.
        assert_eq!(
            short(ReplayLimits::new(1_000_000), 86_415),
            [("`capacity`", 1_000_000, 43_207_500, "11".to_owned())]
        );
        assert_eq!(short(ReplayLimits::new(usize::MAX), u64::MAX), []);
        assert_eq!(short(ReplayLimits::new(0), 0).len(), 3);
    }
}
