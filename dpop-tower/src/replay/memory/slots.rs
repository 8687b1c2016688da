//! A hash table of 16 bytes an entry, in which new entries take the place of expired ones.

use std::mem;

use super::{id::Id, moment::Moment};

/// The size of the smallest table. It is due when it has as many entries as the smallest that is worth purging.
const MIN_SLOTS: usize = 20;
const MIN_PURGE: usize = 16;

/// The lower bits of [`Slot::rest`], which belong to the identifier.
const PLAIN_BITS: u32 = u16::BITS;
/// The uppermost bit of [`Slot::rest`]. It is set if the slot holds an index in place of an expiry.
const INDEX: u64 = 1 << Moment::BITS;

/// An entry: an identifier of 80 bits, and either an expiry or an index of 47 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Slot {
    keyed: u64,
    /// The value, above the 16 other bits of the identifier. Zero if the slot is vacant, since no expiry is.
    rest: u64,
}

/// What an entry holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// The last instant, inclusive, at which the entry is live.
    ExpiresAt(Moment),
    /// A number below 2^47. Such an entry is live until it is removed.
    Index(u64),
}

impl Slot {
    pub(super) const fn new(id: Id, value: Value) -> Self {
        let entry = Self {
            keyed: id.keyed(),
            rest: id.plain() as u64,
        };
        entry.with(value)
    }

    /// Returns the entry with another value.
    #[must_use]
    pub(super) const fn with(self, value: Value) -> Self {
        let value = match value {
            Value::ExpiresAt(moment) => moment.to_bits() & !INDEX,
            Value::Index(index) => index | INDEX,
        };
        Self {
            keyed: self.keyed,
            rest: (value << PLAIN_BITS) | self.plain(),
        }
    }

    pub(super) const fn value(self) -> Value {
        let value = self.rest >> PLAIN_BITS;
        if value & INDEX == 0 {
            Value::ExpiresAt(Moment::from_bits(value))
        } else {
            Value::Index(value & !INDEX)
        }
    }

    /// Returns the expiry, unless the entry holds an index.
    pub(super) const fn expires_at(self) -> Option<Moment> {
        match self.value() {
            Value::ExpiresAt(moment) => Some(moment),
            Value::Index(_) => None,
        }
    }

    const fn plain(self) -> u64 {
        self.rest & ((1 << PLAIN_BITS) - 1)
    }

    const fn is_vacant(self) -> bool {
        self.rest == 0
    }

    const fn belongs_to(self, id: Id) -> bool {
        self.keyed == id.keyed() && self.plain() == id.plain() as u64
    }
}

/// Where an entry is, or where it can be put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// There is a live entry here.
    Held(usize),
    /// There is none. The one here has expired and can be overwritten.
    Expired(usize),
    /// There is none, and this slot is vacant.
    Vacant(usize),
}

/// An open-addressing hash table with linear probing.
///
/// Nothing is removed on its own, so a search ends at the first vacant slot. An expired entry remains until another
/// one overwrites it or [`retain`](Self::retain) rewrites the table.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: Box<[Slot]>,
    /// How many slots are not vacant.
    len: usize,
    /// With how many of them the table is due.
    due_at: usize,
}

impl Slots {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Returns whether it is time to remove expired entries with [`retain`](Self::retain) before the next insertion.
    ///
    /// They may be a third of all entries then, so an insertion pays for visiting three entries. At least a fifth of
    /// the slots are still vacant, and few steps lead to one.
    pub(super) const fn is_due(&self) -> bool {
        self.len >= self.due_at
    }

    /// Finds the place of `id`. Returns `None` if no slot is vacant, which does not happen unless the table is due.
    pub(super) fn find(&self, id: Id, now: Moment) -> Option<Place> {
        let home = self.home_of(id.keyed());
        let (before, after) = self.slots.split_at_checked(home)?;
        let mut expired = None;
        // A slot below this is vacant or has expired. An index is greater than any moment.
        let live_from = now.to_bits() << PLAIN_BITS;
        let mut search = |slots: &[Slot], first: usize| {
            for (at, slot) in (first..).zip(slots) {
                if slot.rest >= live_from {
                    if slot.belongs_to(id) {
                        return Some(Place::Held(at));
                    }
                } else if slot.is_vacant() {
                    return Some(expired.map_or(Place::Vacant(at), Place::Expired));
                } else if slot.belongs_to(id) {
                    // An entry must not be in the table twice, so no other slot will do.
                    return Some(Place::Expired(at));
                } else {
                    expired = expired.or(Some(at));
                }
            }
            None
        };
        search(after, home).or_else(|| search(before, 0))
    }

    /// Returns the entry at an index of a [`Place`].
    pub(super) fn get(&self, at: usize) -> Option<Slot> {
        self.slots.get(at).copied()
    }

    /// Writes an entry to the place that [`find`](Self::find) returned for it. Returns what was there, whose expiry is
    /// before all others if it was nothing.
    pub(super) fn put(&mut self, place: Place, entry: Slot) -> Option<Slot> {
        let (Place::Held(at) | Place::Expired(at) | Place::Vacant(at)) = place;
        let slot = self.slots.get_mut(at)?;
        self.len += usize::from(slot.is_vacant());
        Some(mem::replace(slot, entry))
    }

    /// Replaces each entry by what `keep` returns for it, which has the same identifier. Makes the table larger if
    /// that leaves too little room.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(Slot) -> Option<Slot>) {
        // No search passes a vacant slot. So the visit begins at one, and what it moves only moves to where the visit
        // was before.
        if let Some(vacant) = self.slots.iter().position(|slot| slot.is_vacant()) {
            let mut has_gap = false;
            for at in vacant..self.slots.len() {
                self.visit(at, &mut has_gap, &mut keep);
            }
            for at in 0..vacant {
                self.visit(at, &mut has_gap, &mut keep);
            }
        }
        if self.len * 15 >= self.slots.len() * 8 {
            self.grow();
        }
        let room = self.slots.len() * 4 / 5;
        self.due_at = (self.len + self.len / 2).max(MIN_PURGE).min(room);
    }

    /// `has_gap` says whether a search that passes `at` may end before it, at a slot that was just vacated.
    fn visit(
        &mut self,
        at: usize,
        has_gap: &mut bool,
        keep: &mut impl FnMut(Slot) -> Option<Slot>,
    ) {
        let Some(slot) = self.slots.get_mut(at) else {
            return;
        };
        if slot.is_vacant() {
            *has_gap = false;
            return;
        }
        match keep(*slot) {
            Some(entry) if !*has_gap => *slot = entry,
            Some(entry) => {
                *slot = Slot::default();
                self.put_back(entry);
            }
            None => {
                *slot = Slot::default();
                self.len -= 1;
                *has_gap = true;
            }
        }
    }

    /// Makes the table so large that 44 % of its slots hold an entry.
    ///
    /// It grows again when they are 53 %, and not to a power of two, so an entry takes 30 to 36 bytes.
    fn grow(&mut self) {
        let size = self.len.saturating_mul(9).div_ceil(4).max(MIN_SLOTS);
        let smaller = mem::replace(&mut self.slots, vec![Slot::default(); size].into());
        for slot in smaller {
            if !slot.is_vacant() {
                self.put_back(slot);
            }
        }
    }

    /// Writes an entry that is not in the table.
    fn put_back(&mut self, entry: Slot) {
        let (before, after) = self.slots.split_at_mut(self.home_of(entry.keyed));
        let is_vacant = |slot: &&mut Slot| slot.is_vacant();
        let mut vacant = after.iter_mut().find(is_vacant);
        vacant = vacant.or_else(|| before.iter_mut().find(is_vacant));
        if let Some(slot) = vacant {
            *slot = entry;
        }
    }

    /// Returns where a search begins. It depends on the upper bits, since the lower ones select the table.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the upper half of the product is less than the number of slots"
    )]
    const fn home_of(&self, keyed: u64) -> usize {
        ((keyed as u128 * self.slots.len() as u128) >> u64::BITS) as usize
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = Slot> {
        let slots = self.slots.iter().copied();
        slots.filter(|slot| !slot.is_vacant())
    }
}

#[cfg(test)]
mod tests;
