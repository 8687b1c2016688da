//! Hash maps in many small parts, from which expired entries are removed before they grow.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicI64, Ordering},
};

use dashmap::{DashMap, mapref::one::RefMut};
use rustc_hash::FxBuildHasher;

use super::id::Id;
use crate::clock::UnixTime;

/// The approximate number of entries in a part of a full store. Purging or growing a part visits all of its
/// entries while other threads wait for it.
const ENTRIES_PER_PART: usize = 2048;

/// A search for expired entries may visit every part, so their number is limited.
const MAX_PARTS: usize = 1 << 16;

/// The number of locks that the parts share. They fit into a processor's cache however large the store is,
/// and are still many more than there are threads.
const MAX_LOCKS: usize = 1 << 10;

/// Smaller parts are not worth purging.
const MIN_PURGE: usize = 16;

/// The parts. A part in use holds a lock, which it shares with a few others.
pub(super) struct Parts<V> {
    count: usize,
    parts: DashMap<usize, ExpiringMap<V>, FxBuildHasher>,
    /// The earliest expiry in each part, in one array. A search that locked every part of a large store would
    /// take milliseconds.
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

    /// Locks the part of `id`.
    pub(super) fn lock(&self, id: &Id) -> Part<'_, V> {
        self.parts.entry(self.index_of(id)).or_default()
    }

    /// Locks the first part that may contain entries that expired before `now`, starting with the part of
    /// `id`.
    pub(super) fn next_due(&self, id: &Id, now: UnixTime) -> Option<Part<'_, V>> {
        let (before, from) = self.earliest.split_at(self.index_of(id));
        (before.len()..)
            .zip(from)
            .chain((0..).zip(before))
            .filter(|(_, earliest)| earliest.load(Ordering::Relaxed) < now.as_secs())
            .find_map(|(index, _)| self.parts.get_mut(&index))
    }

    /// Publishes the earliest expiry of `part` for [`next_due`](Self::next_due).
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

/// A value that expires.
pub(super) trait Expires {
    /// Returns the last instant, inclusive, at which the value is still needed.
    fn expires_at(&self) -> UnixTime;
}

impl Expires for UnixTime {
    fn expires_at(&self) -> UnixTime {
        *self
    }
}

/// One part, which is a map that removes its expired entries when they may be a third of it.
///
/// It takes at most 1.5 times the memory of its live entries, and an insertion pays for visiting three
/// entries. Entries are contiguous in memory, so this is several times cheaper than keeping them in order of
/// expiry and looking up each one when it expires.
pub(super) struct ExpiringMap<V> {
    pub(super) entries: HashMap<Id, V, FxBuildHasher>,
    /// No entry that expires later than this has been removed.
    pub(super) forgotten_until: UnixTime,
    /// No entry expires earlier than this; see [`Parts::publish`].
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
    /// Returns whether it is time to [`purge`](Self::purge) before the next insertion.
    pub(super) fn is_due(&self) -> bool {
        self.entries.len() >= self.purge_at
    }

    /// Removes the entries that expired before `now`, and returns their number.
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
