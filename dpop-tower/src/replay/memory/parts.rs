//! The parts of a store, each with a lock.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::id::Id;

/// The approximate number of entries in a part of a full store. Purging or growing a part visits all of its
/// entries while other threads wait for it.
const ENTRIES_PER_PART: usize = 2048;

/// A search for expired entries may visit every part, so their number is limited.
const MAX_PARTS: usize = 1 << 16;

/// Parts among which the entries are distributed. Their number is a power of two.
pub(super) struct Parts<P>(Box<[Mutex<P>]>);

impl<P: Default> Parts<P> {
    pub(super) fn new(capacity: usize) -> Self {
        let count = (capacity / ENTRIES_PER_PART)
            .clamp(16, MAX_PARTS)
            .next_power_of_two();
        Self((0..count).map(|_| Mutex::default()).collect())
    }

    pub(super) const fn count(&self) -> usize {
        self.0.len()
    }

    /// Returns the index of the part for `id`.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "there are far fewer parts than a cut hash can count"
    )]
    pub(super) const fn index_of(&self, id: Id) -> usize {
        id.keyed() as usize & (self.0.len() - 1)
    }

    /// Locks a part, if there is one with this index.
    pub(super) fn lock(&self, index: usize) -> Option<MutexGuard<'_, P>> {
        // Only an allocation can panic while a part is locked, and nothing is half written then.
        let part = self.0.get(index)?.lock();
        Some(part.unwrap_or_else(PoisonError::into_inner))
    }

    /// Locks one part after the other.
    #[cfg(test)]
    pub(super) fn each(&self) -> impl Iterator<Item = MutexGuard<'_, P>> {
        (0..self.count()).filter_map(|index| self.lock(index))
    }
}
