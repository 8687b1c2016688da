//! How many live entries each client or subject has.

use std::{mem, sync::MutexGuard};

use super::{
    id::Id,
    moment::Moment,
    parts::Parts,
    slots::{Place, Slot, Slots, Value},
    tally::Tally,
};

/// Clients or subjects that have live entries.
///
/// Most clients of a large service have one, and cost no more than its expiry. A second live entry takes a [`Tally`].
pub(super) struct Tallies(Parts<Part>);

impl Tallies {
    pub(super) fn new(capacity: usize) -> Self {
        Self(Parts::new(capacity))
    }

    /// Locks the part of `id`, and returns the room for one more live entry of it, if it has fewer than `limit`.
    /// Nothing is counted until [`Room::take`].
    pub(super) fn room(&self, id: Id, now: Moment, limit: usize) -> Option<Room<'_>> {
        let mut part = self.0.lock(self.0.index_of(id))?;
        if part.slots.is_due() {
            part.purge(now);
        }
        let place = part.slots.find(id, now)?;
        let live = match place {
            Place::Held(at) => part.live_at(at, now)?,
            Place::Expired(_) | Place::Vacant(_) => 0,
        };
        (live < limit).then_some(Room { part, place, id })
    }

    /// Locks one part after the other.
    #[cfg(test)]
    pub(super) fn each(&self) -> impl Iterator<Item = MutexGuard<'_, Part>> {
        self.0.each()
    }
}

/// The room for one more live entry, locked.
pub(super) struct Room<'a> {
    part: MutexGuard<'a, Part>,
    place: Place,
    id: Id,
}

impl Room<'_> {
    /// Counts an entry.
    pub(super) fn take(mut self, expires_at: Moment) {
        self.part.count(self.place, self.id, expires_at);
    }
}

#[derive(Debug, Default)]
pub(super) struct Part {
    slots: Slots,
    /// The tallies of those with several entries. Their slots hold an index of it.
    tallies: Vec<Tally>,
}

impl Part {
    /// Returns how many entries of the one at `at` are live.
    fn live_at(&mut self, at: usize, now: Moment) -> Option<usize> {
        match self.slots.get(at)?.value() {
            // It is held, so it has not expired.
            Value::ExpiresAt(_) => Some(1),
            Value::Index(index) => Some(tally(&mut self.tallies, index)?.live_at(now)),
        }
    }

    fn count(&mut self, place: Place, id: Id, expires_at: Moment) {
        let mut value = Value::ExpiresAt(expires_at);
        if let Place::Held(at) = place
            && let Some(entry) = self.slots.get(at)
        {
            value = match entry.value() {
                Value::ExpiresAt(first) => push(&mut self.tallies, Tally::of([first, expires_at])),
                Value::Index(index) => {
                    if let Some(tally) = tally(&mut self.tallies, index) {
                        tally.add(expires_at);
                    }
                    return;
                }
            };
        }
        self.slots.put(place, Slot::new(id, value));
    }

    /// Removes those without entries that are live at `now`, and makes the table larger if necessary.
    pub(super) fn purge(&mut self, now: Moment) {
        let mut before = mem::take(&mut self.tallies);
        let tallies = &mut self.tallies;
        self.slots.retain(|entry| match entry.value() {
            Value::ExpiresAt(expires_at) => (now <= expires_at).then_some(entry),
            Value::Index(index) => {
                let mut tally = mem::take(tally(&mut before, index)?);
                match tally.live_at(now) {
                    0 => None,
                    1 => Some(entry.with(Value::ExpiresAt(tally.latest()?))),
                    _ => Some(entry.with(push(tallies, tally))),
                }
            }
        });
    }

    #[cfg(test)]
    pub(super) const fn len(&self) -> usize {
        self.slots.len()
    }
}

fn tally(tallies: &mut [Tally], index: u64) -> Option<&mut Tally> {
    tallies.get_mut(usize::try_from(index).ok()?)
}

/// Appends a tally, and returns what a slot holds for it.
fn push(tallies: &mut Vec<Tally>, tally: Tally) -> Value {
    let index = Value::Index(tallies.len() as u64);
    tallies.push(tally);
    index
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixTime;

    fn at(secs: i64) -> Moment {
        Moment::new(UnixTime::from_secs(secs))
    }

    fn take(tallies: &Tallies, id: Id, now: i64, expires_at: i64) -> bool {
        let room = tallies.room(id, at(now), 3);
        room.map(|room| room.take(at(expires_at))).is_some()
    }

    /// Of the only part with entries, the number of entries and of tallies.
    fn sizes(tallies: &Tallies) -> (usize, usize) {
        let parts = tallies.each().filter(|part| part.len() > 0);
        let sizes: Vec<_> = parts.map(|part| (part.len(), part.tallies.len())).collect();
        assert_eq!(sizes.len(), 1);
        sizes[0]
    }

    #[test]
    fn only_those_with_several_live_entries_have_a_tally() {
        let tallies = Tallies::new(1);
        let ids = [1, 2, 3].map(|plain| Id::of(0, plain));
        for (n, id) in ids.into_iter().enumerate() {
            assert!(take(&tallies, id, 100, 150));
            assert_eq!(sizes(&tallies), (n + 1, 0));
        }
        for id in [ids[0], ids[2]] {
            assert!(take(&tallies, id, 100, 170));
            assert!(take(&tallies, id, 100, 160));
            assert!(!take(&tallies, id, 100, 160), "the limit is three");
        }
        assert!(take(&tallies, ids[2], 151, 170));
        assert_eq!(sizes(&tallies), (3, 2));
        let purge = |now| tallies.each().for_each(|mut part| part.purge(at(now)));

        // The second has gone, the first has one left, and the third two.
        purge(161);
        assert_eq!(sizes(&tallies), (2, 1));
        assert!(take(&tallies, ids[0], 161, 180) && take(&tallies, ids[0], 161, 180));
        assert!(!take(&tallies, ids[0], 161, 180), "the limit is three");
        assert!(take(&tallies, ids[2], 161, 180));
        assert!(!take(&tallies, ids[2], 161, 180), "the limit is three");
        assert_eq!(sizes(&tallies), (2, 2));

        // A tally whose entries have all expired begins again.
        assert!(take(&tallies, ids[2], 181, 190));
        purge(181);
        assert_eq!(sizes(&tallies), (1, 0));
    }
}
