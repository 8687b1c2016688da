//! How many live entries one client has.

use super::expiring::Expires;
use crate::time::UnixTime;

/// Live entries of one client, counted by the second they expire in.
///
/// Counting by second makes the limit per client exact without any search: a second that is over
/// stops counting, whether or not its entries have been removed. All proofs expire within one
/// acceptance window, so there are few seconds to count.
pub(super) struct Tally {
    live: usize,
    /// Kept apart from the others because most clients of a large service have no others.
    latest: (UnixTime, usize),
    /// Ascending.
    earlier: Vec<(UnixTime, usize)>,
}

impl Tally {
    /// Counts one more entry unless `limit` entries are live at `now`.
    pub(super) fn try_add(&mut self, expires_at: UnixTime, now: UnixTime, limit: usize) -> bool {
        self.expire(now);
        if self.live >= limit {
            return false;
        }
        self.live += 1;
        if expires_at > self.latest.0 {
            let previous = std::mem::replace(&mut self.latest, (expires_at, 1));
            if previous.1 > 0 {
                self.earlier.push(previous);
            }
        } else if expires_at == self.latest.0 {
            self.latest.1 += 1;
        } else {
            self.add_earlier(expires_at);
        }
        true
    }

    fn add_earlier(&mut self, expires_at: UnixTime) {
        let found = self
            .earlier
            .binary_search_by_key(&expires_at, |(second, _)| *second);
        match found {
            Ok(at) => {
                if let Some((_, count)) = self.earlier.get_mut(at) {
                    *count += 1;
                }
            }
            Err(at) => self.earlier.insert(at, (expires_at, 1)),
        }
    }

    fn expire(&mut self, now: UnixTime) {
        if self.latest.0 < now {
            *self = Self::default();
            return;
        }
        let over = self.earlier.partition_point(|(second, _)| *second < now);
        let expired: usize = self.earlier.drain(..over).map(|(_, count)| count).sum();
        self.live -= expired;
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            live: 0,
            latest: (UnixTime::from_secs(i64::MIN), 0),
            earlier: Vec::new(),
        }
    }
}

impl Expires for Tally {
    fn expires_at(&self) -> UnixTime {
        self.latest.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With one count per proof, a client's share of the store would take several times the memory.
    #[test]
    fn the_proofs_of_one_second_share_a_count() {
        let at = UnixTime::from_secs;
        let mut tally = Tally::default();
        for expires_at in [150, 150, 160, 160, 160, 150, 155, 155] {
            assert!(tally.try_add(at(expires_at), at(100), 8));
            assert_eq!(tally.earlier.is_empty(), tally.latest.0 == at(150));
        }
        assert_eq!(tally.latest, (at(160), 3));
        assert_eq!(tally.earlier, [(at(150), 3), (at(155), 2)]);
    }
}
