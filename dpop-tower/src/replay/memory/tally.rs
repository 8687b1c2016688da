//! The number of live entries of one client or one subject.

use std::collections::VecDeque;

use super::moment::Moment;

/// The live entries of one client or subject, counted by the second in which they expire.
///
/// Counting by second makes the limit exact without a search. A second that has passed no longer counts,
/// whether or not its entries have been removed. All proofs expire within one acceptance window, so there are
/// few seconds to count.
#[derive(Debug, Default)]
pub(super) struct Tally {
    live: usize,
    /// Ascending.
    seconds: VecDeque<(Moment, usize)>,
}

impl Tally {
    /// Counts two entries.
    pub(super) fn of(expiries: [Moment; 2]) -> Self {
        let mut tally = Self {
            live: 0,
            seconds: VecDeque::with_capacity(2),
        };
        for expires_at in expiries {
            tally.add(expires_at);
        }
        tally
    }

    /// Counts one more entry.
    pub(super) fn add(&mut self, expires_at: Moment) {
        self.live += 1;
        match self.seconds.back_mut() {
            Some((last, count)) if *last == expires_at => *count += 1,
            Some((last, _)) if *last > expires_at => self.add_earlier(expires_at),
            _ => self.seconds.push_back((expires_at, 1)),
        }
    }

    fn add_earlier(&mut self, expires_at: Moment) {
        let at = self
            .seconds
            .partition_point(|(second, _)| *second < expires_at);
        match self.seconds.get_mut(at) {
            Some((second, count)) if *second == expires_at => *count += 1,
            _ => self.seconds.insert(at, (expires_at, 1)),
        }
    }

    /// Returns how many entries are live at `now`. Forgets the others.
    pub(super) fn live_at(&mut self, now: Moment) -> usize {
        while let Some(&(second, count)) = self.seconds.front()
            && second < now
        {
            self.live -= count;
            self.seconds.pop_front();
        }
        self.live
    }

    /// Returns when the last entry expires, unless none is left.
    pub(super) fn latest(&self) -> Option<Moment> {
        self.seconds.back().map(|(second, _)| *second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixTime;

    fn at(secs: i64) -> Moment {
        Moment::new(UnixTime::from_secs(secs))
    }

    /// With one count per proof, a client's share of the store would take several times the memory.
    #[test]
    fn the_proofs_of_one_second_share_a_count() {
        let mut tally = Tally::of([at(150), at(150)]);
        assert_eq!(tally.seconds, [(at(150), 2)]);
        for expires_at in [160, 160, 160, 150, 155, 155] {
            tally.add(at(expires_at));
        }
        assert_eq!(tally.live_at(at(100)), 8);
        assert_eq!(tally.seconds, [(at(150), 3), (at(155), 2), (at(160), 3)]);
        assert_eq!(tally.latest(), Some(at(160)));
        assert_eq!(
            [150, 151, 156, 160].map(|now| tally.live_at(at(now))),
            [8, 5, 3, 3]
        );
        assert_eq!(tally.seconds, [(at(160), 3)]);
        assert_eq!((tally.live_at(at(161)), tally.latest()), (0, None));
    }
}
