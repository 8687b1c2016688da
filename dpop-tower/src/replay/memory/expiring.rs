//! Hash maps in many small parts, cleared of what has expired before they grow.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicI64, Ordering},
};

use dashmap::{DashMap, mapref::one::RefMut};
use rustc_hash::FxBuildHasher;

use super::id::Id;
use crate::clock::UnixTime;

/// About so many entries share a part when the store is full. Clearing a part or making it bigger
/// goes through all of its entries while whoever needs the part waits.
const ENTRIES_PER_PART: usize = 2048;

/// The search for expired entries may have to look at each part, so their number is bounded.
const MAX_PARTS: usize = 1 << 16;

/// Parts share this many locks. So few stay in a processor's cache, however large the store is; they
/// are still many more than there are threads.
const MAX_LOCKS: usize = 1 << 10;

/// Smaller parts are not worth clearing.
const MIN_PURGE: usize = 16;

/// The parts. Whoever uses one has the lock that it shares with a few others.
pub(super) struct Parts<V> {
    count: usize,
    parts: DashMap<usize, ExpiringMap<V>, FxBuildHasher>,
    /// The earliest expiry in each part, side by side: a search that had to lock every part of a
    /// big store would take milliseconds.
    earliest: Box<[AtomicI64]>,
}

/// A part, locked.
pub(super) type Part<'a, V> = RefMut<'a, usize, ExpiringMap<V>>;

impl<V: Expires> Parts<V> {
    pub(super) fn new(capacity: usize) -> Self {
        let count = (capacity / ENTRIES_PER_PART)
            .clamp(16, MAX_PARTS)
            .next_power_of_two();
        Self {
            count,
            parts: DashMap::with_capacity_and_hasher_and_shard_amount(
                count,
                FxBuildHasher,
                count.min(MAX_LOCKS),
            ),
            earliest: (0..count).map(|_| AtomicI64::new(i64::MAX)).collect(),
        }
    }

    /// Locks the part `id` belongs to.
    pub(super) fn lock(&self, id: &Id) -> Part<'_, V> {
        self.parts.entry(self.index_of(id)).or_default()
    }

    /// Locks the first part in which something may have expired before `now`, beginning with the one
    /// `id` belongs to.
    pub(super) fn next_due(&self, id: &Id, now: UnixTime) -> Option<Part<'_, V>> {
        let (before, from) = self.earliest.split_at(self.index_of(id));
        (before.len()..)
            .zip(from)
            .chain((0..).zip(before))
            .filter(|(_, earliest)| earliest.load(Ordering::Relaxed) < now.as_secs())
            .find_map(|(index, _)| self.parts.get_mut(&index))
    }

    /// Makes the earliest expiry of `part` known to [`next_due`](Self::next_due).
    pub(super) fn publish(&self, part: &Part<'_, V>) {
        if let Some(earliest) = self.earliest.get(*part.key()) {
            earliest.store(part.earliest.as_secs(), Ordering::Relaxed);
        }
    }

    /// Locks one part after the other.
    #[cfg(test)]
    pub(super) fn each(&self) -> impl Iterator<Item = Part<'_, V>> {
        (0..self.count).filter_map(|index| self.parts.get_mut(&index))
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "there are far fewer parts than a cut hash can count"
    )]
    fn index_of(&self, id: &Id) -> usize {
        // `count` is a power of two.
        id.keyed() as usize & self.count.saturating_sub(1)
    }
}

/// What a map can be cleared of.
pub(super) trait Expires {
    /// The last instant, inclusive, at which this is still needed.
    fn expires_at(&self) -> UnixTime;
}

impl Expires for UnixTime {
    fn expires_at(&self) -> UnixTime {
        *self
    }
}

/// One part: a map that removes its expired entries when they may be a third of it.
///
/// So it takes at most half as much again as its live entries need, and an insertion pays for
/// looking at three entries. The entries lie side by side, which makes this several times cheaper
/// than to keep them in order of expiry and to find each again when it is due.
pub(super) struct ExpiringMap<V> {
    pub(super) entries: HashMap<Id, V, FxBuildHasher>,
    /// No entry that expired later than this has been removed.
    pub(super) forgotten_until: UnixTime,
    /// No entry expires earlier; see [`Parts::publish`].
    pub(super) earliest: UnixTime,
    purge_at: usize,
}

impl<V> Default for ExpiringMap<V> {
    fn default() -> Self {
        Self {
            entries: HashMap::default(),
            forgotten_until: UnixTime::from_secs(i64::MIN),
            earliest: UnixTime::from_secs(i64::MAX),
            purge_at: MIN_PURGE,
        }
    }
}

impl<V: Expires> ExpiringMap<V> {
    /// Whether it is time to [`purge`](Self::purge), before the next insertion.
    pub(super) fn is_due(&self) -> bool {
        self.entries.len() >= self.purge_at
    }

    /// Removes what expired before `now`, and gives the number of entries removed.
    pub(super) fn purge(&mut self, now: UnixTime) -> usize {
        let before = self.entries.len();
        let mut earliest = UnixTime::from_secs(i64::MAX);
        self.entries.retain(|_, value| {
            let expires_at = value.expires_at();
            let live = now <= expires_at;
            if live {
                earliest = earliest.min(expires_at);
            } else {
                self.forgotten_until = self.forgotten_until.max(expires_at);
            }
            live
        });
        self.earliest = earliest;
        let live = self.entries.len();
        self.purge_at = live.saturating_add(live / 2).max(MIN_PURGE);
        before.saturating_sub(live)
    }
}
