//! The used proofs.

use std::sync::{
    MutexGuard,
    atomic::{AtomicU64, Ordering},
};

use super::{
    id::Id,
    moment::Moment,
    parts::Parts,
    slots::{Place, Slot, Slots, Value},
};

/// The used proofs of a store.
pub(super) struct Proofs {
    parts: Parts<Part>,
    /// The earliest expiry in each part, in one array. A search that locked every part of a large store would
    /// take milliseconds.
    earliest: Box<[AtomicU64]>,
}

impl Proofs {
    pub(super) fn new(capacity: usize) -> Self {
        let parts = Parts::new(capacity);
        let never = |_| AtomicU64::new(Moment::LAST.to_bits());
        Self {
            earliest: (0..parts.count()).map(never).collect(),
            parts,
        }
    }

    /// Locks the part of `id`.
    pub(super) fn lock(&self, id: Id) -> Option<Locked<'_>> {
        self.lock_at(self.parts.index_of(id))
    }

    /// Locks the first part that may contain entries that expired before `now`, starting with the part of
    /// `id`.
    pub(super) fn next_due(&self, id: Id, now: Moment) -> Option<Locked<'_>> {
        let (before, from) = self.earliest.split_at_checked(self.parts.index_of(id))?;
        (before.len()..)
            .zip(from)
            .chain((0..).zip(before))
            .filter(|(_, earliest)| earliest.load(Ordering::Relaxed) < now.to_bits())
            .find_map(|(index, _)| self.lock_at(index))
    }

    fn lock_at(&self, index: usize) -> Option<Locked<'_>> {
        Some(Locked {
            part: self.parts.lock(index)?,
            earliest: self.earliest.get(index)?,
        })
    }

    /// Locks one part after the other.
    #[cfg(test)]
    pub(super) fn each(&self) -> impl Iterator<Item = Locked<'_>> {
        (0..self.parts.count()).filter_map(|index| self.lock_at(index))
    }
}

/// A part, locked.
pub(super) struct Locked<'a> {
    part: MutexGuard<'a, Part>,
    earliest: &'a AtomicU64,
}

/// Proofs, of which expired ones are removed before their table grows.
#[derive(Debug)]
struct Part {
    slots: Slots,
    /// No entry that expires later than this has been removed.
    forgotten_until: Moment,
    /// No entry expires earlier than this.
    earliest: Moment,
}

impl Default for Part {
    fn default() -> Self {
        Self {
            slots: Slots::default(),
            forgotten_until: Moment::FIRST,
            earliest: Moment::LAST,
        }
    }
}

impl Locked<'_> {
    /// Returns whether it is time to [`purge`](Self::purge) before the next insertion.
    pub(super) fn is_due(&self) -> bool {
        self.part.slots.is_due()
    }

    /// Returns whether a proof that expires at `expires_at` may have been removed.
    pub(super) fn may_have_forgotten(&self, expires_at: Moment) -> bool {
        expires_at <= self.part.forgotten_until
    }

    /// Finds the place of a proof; see [`Slots::find`].
    pub(super) fn find(&self, id: Id, now: Moment) -> Option<Place> {
        self.part.slots.find(id, now)
    }

    /// Writes a proof to the place that [`find`](Self::find) returned for it.
    pub(super) fn put(&mut self, place: Place, id: Id, expires_at: Moment) {
        let part = &mut *self.part;
        let entry = Slot::new(id, Value::ExpiresAt(expires_at));
        let before = part.slots.put(place, entry);
        if let Some(expired_at) = before.and_then(Slot::expires_at) {
            part.forgotten_until = part.forgotten_until.max(expired_at);
        }
        if expires_at < part.earliest {
            part.earliest = expires_at;
            self.publish();
        }
    }

    /// Removes the entries that expired before `now`, and returns their number.
    pub(super) fn purge(&mut self, now: Moment) -> usize {
        let part = &mut *self.part;
        let before = part.slots.len();
        let (mut earliest, mut latest_over) = (Moment::LAST, part.forgotten_until);
        part.slots.retain(|entry| {
            let expires_at = entry.expires_at()?;
            let is_live = now <= expires_at;
            if is_live {
                earliest = earliest.min(expires_at);
            } else {
                latest_over = latest_over.max(expires_at);
            }
            is_live.then_some(entry)
        });
        (part.earliest, part.forgotten_until) = (earliest, latest_over);
        let removed = before.saturating_sub(part.slots.len());
        self.publish();
        removed
    }

    /// Publishes the earliest expiry for [`Proofs::next_due`].
    fn publish(&self) {
        let earliest = self.part.earliest.to_bits();
        self.earliest.store(earliest, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.part.slots.len()
    }

    /// Returns the recorded and the actual earliest expiry.
    #[cfg(test)]
    pub(super) fn earliest(&self) -> (Moment, Moment) {
        let expiries = self.part.slots.iter().filter_map(Slot::expires_at);
        (self.part.earliest, expiries.min().unwrap_or(Moment::LAST))
    }
}
