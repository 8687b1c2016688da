//! The number of live entries of one client or one subject.

use super::expiring::Expires;
use crate::clock::UnixTime;

/// The live entries of one client or subject, counted by the second in which they expire.
///
/// Counting by second makes the limit exact without a search. A second that has passed no longer counts,
/// whether or not its entries have been removed. All proofs expire within one acceptance window, so there are
/// few seconds to count.
pub(super) struct Tally {
    latest: UnixTime,
    of_latest: usize,
    /// Boxed because most clients of a large service have no earlier entries.
    earlier: Option<Box<Earlier>>,
}

#[derive(Default)]
struct Earlier {
    live: usize,
    /// Ascending.
    seconds: Vec<(UnixTime, usize)>,
}

impl Tally {
    /// Returns whether fewer than `limit` entries are live at `now`.
    pub(super) fn has_room(&mut self, now: UnixTime, limit: usize) -> bool {
        self.expire(now);
        self.live() < limit
    }

    /// Counts one more entry.
    pub(super) fn add(&mut self, expires_at: UnixTime) {
        if expires_at > self.latest {
            if self.of_latest > 0 {
                self.earlier
                    .get_or_insert_default()
                    .add(self.latest, self.of_latest);
            }
            self.latest = expires_at;
            self.of_latest = 1;
        } else if expires_at == self.latest {
            self.of_latest += 1;
        } else {
            self.earlier.get_or_insert_default().add(expires_at, 1);
        }
    }

    fn live(&self) -> usize {
        let earlier = self.earlier.as_ref().map_or(0, |earlier| earlier.live);
        self.of_latest + earlier
    }

    fn expire(&mut self, now: UnixTime) {
        if self.latest < now {
            *self = Self::default();
        } else if let Some(earlier) = &mut self.earlier {
            earlier.expire(now);
        }
    }
}

impl Earlier {
    fn add(&mut self, expires_at: UnixTime, count: usize) {
        self.live += count;
        let at = self
            .seconds
            .partition_point(|(second, _)| *second < expires_at);
        match self.seconds.get_mut(at) {
            Some((second, counted)) if *second == expires_at => *counted += count,
            _ => self.seconds.insert(at, (expires_at, count)),
        }
    }

    fn expire(&mut self, now: UnixTime) {
        let over = self.seconds.partition_point(|(second, _)| *second < now);
        let expired: usize = self.seconds.drain(..over).map(|(_, count)| count).sum();
        self.live -= expired;
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            latest: UnixTime::from_secs(i64::MIN),
            of_latest: 0,
            earlier: None,
        }
    }
}

impl Expires for Tally {
    fn expires_at(&self) -> UnixTime {
        self.latest
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
            assert!(tally.has_room(at(100), 8));
            tally.add(at(expires_at));
            assert_eq!(tally.earlier.is_none(), tally.latest == at(150));
        }
        assert!(!tally.has_room(at(100), 8) && tally.has_room(at(100), 9));
        assert_eq!((tally.latest, tally.of_latest), (at(160), 3));
        let earlier = tally.earlier.unwrap();
        assert_eq!(earlier.seconds, [(at(150), 3), (at(155), 2)]);
        assert_eq!(earlier.live, 5);
    }
}
