//! Hash maps in many small parts, cleared of what has expired before they grow.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
};

use super::Short;
use crate::time::UnixTime;

/// About so many entries share a part when the store is full. Clearing a part or making it bigger
/// goes through all of its entries while whoever needs the part waits.
const ENTRIES_PER_PART: usize = 512;

/// The search for expired entries may have to look at each part, so their number is bounded.
const MAX_PARTS: usize = 1 << 16;

/// Smaller parts are not worth clearing.
const MIN_PURGE: usize = 16;

/// Finds the part a key belongs to.
pub(super) struct Parts<T> {
    hasher: RandomState,
    parts: Box<[T]>,
}

impl<T: Default> Parts<T> {
    pub(super) fn new(capacity: usize) -> Self {
        let parts = (capacity / ENTRIES_PER_PART)
            .clamp(16, MAX_PARTS)
            .next_power_of_two();
        Self {
            hasher: RandomState::new(),
            parts: (0..parts).map(|_| T::default()).collect(),
        }
    }

    /// All parts, beginning with the one `key` belongs to.
    pub(super) fn starting_at(&self, key: &Short) -> impl Iterator<Item = &T> {
        // The number of parts is a power of two, far below what a hash cut to `usize` can count.
        let start = self.hasher.hash_one(key) as usize & (self.parts.len() - 1);
        let (before, from) = self.parts.split_at(start);
        from.iter().chain(before)
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
    pub(super) entries: HashMap<Short, V>,
    /// No entry that expired later than this has been removed.
    pub(super) forgotten_until: UnixTime,
    purge_at: usize,
}

impl<V> Default for ExpiringMap<V> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            forgotten_until: UnixTime::from_secs(i64::MIN),
            purge_at: MIN_PURGE,
        }
    }
}

impl<V: Expires> ExpiringMap<V> {
    /// Whether it is time to [`purge`](Self::purge), before the next insertion.
    pub(super) fn is_due(&self) -> bool {
        self.entries.len() >= self.purge_at
    }

    /// Removes what expired before `now`. Gives the number of entries removed, and the earliest
    /// expiry among those that stay.
    pub(super) fn purge(&mut self, now: UnixTime) -> (usize, UnixTime) {
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
        let live = self.entries.len();
        self.purge_at = live.saturating_add(live / 2).max(MIN_PURGE);
        (before - live, earliest)
    }
}
