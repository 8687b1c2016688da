//! The replay store of one process.

use std::{
    collections::hash_map::{Entry, RandomState},
    fmt,
    num::NonZeroUsize,
    sync::atomic::{AtomicI64, AtomicUsize, Ordering},
};

use self::{
    expiring::{ExpiringMap, Parts},
    id::Id,
    tally::Tally,
};
use super::{AcceptanceWindows, Freshness, ReplayKey, ReplayStore, StoreError, StoreErrorKind};
use crate::{check::Check, time::UnixTime};

mod expiring;
mod id;
mod tally;

const DEFAULT_CAPACITY: NonZeroUsize = NonZeroUsize::new(1_000_000).unwrap();

/// A bounded [`ReplayStore`] in the memory of this process.
///
/// It forgets everything when the process ends: proofs accepted before a restart can be replayed
/// after it until they are too old. Use a nonce, or a store outside of the process, where that
/// matters.
///
/// # Limits
///
/// At most [one million](Self::new) entries are held, a tenth of that per client key. A store that
/// is full refuses what is new with [`StoreErrorKind::Full`] or [`StoreErrorKind::ClientFull`]; it
/// never forgets a live entry, and it still recognises replays. Both limits are exact, also under
/// concurrency, and an expired entry makes neither of them refuse.
///
/// An entry takes 30 to 80 octets, whatever the length of its `jti`, and up to 200 if every one is of
/// another client: a full store of the default size has between 30 and 200 MB.
///
/// # Cost
///
/// Insertions remove expired entries, about a thousand at a time in a large store, and at the cost of looking at about
/// three entries each. There is no background task and no pause that grows with the number of
/// entries. Nothing is allocated for the answer.
///
/// Entries are found through the standard library's randomly keyed hasher, although their keys are
/// digests: whoever makes proofs can try `jti` values until the digests start alike, and without a
/// secret key all of those would land in one place.
///
/// # Clocks
///
/// A clock that goes back lets no proof pass twice: the store knows up to which expiry it may have
/// forgotten entries, and reports older proofs as [`Replayed`](Freshness::Replayed).
pub struct MemoryReplayStore {
    /// The secret that decides where entries lie.
    key: RandomState,
    seen: Parts<UnixTime>,
    clients: Parts<Tally>,
    /// Places taken in `seen`. Raised before and lowered after the map changes.
    len: AtomicUsize,
    /// When it was last found that no entry can be removed.
    full_at: AtomicI64,
    capacity: usize,
    capacity_per_client: usize,
    windows: AcceptanceWindows,
}

impl MemoryReplayStore {
    /// A store for 1,000,000 entries, of which 100,000 may belong to one client key.
    pub fn new() -> Self {
        Self::with_capacity(DEFAULT_CAPACITY)
    }

    /// A store for `capacity` entries, of which a tenth (rounded up) may belong to one client key.
    ///
    /// Memory for the entries is taken as they come, and kept.
    pub fn with_capacity(capacity: NonZeroUsize) -> Self {
        Self {
            key: RandomState::new(),
            seen: Parts::new(capacity.get()),
            clients: Parts::new(capacity.get()),
            len: AtomicUsize::new(0),
            full_at: AtomicI64::new(i64::MIN),
            capacity: capacity.get(),
            capacity_per_client: capacity.get().div_ceil(10),
            windows: AcceptanceWindows::new(),
        }
    }

    /// Sets how many live entries one client key may have.
    ///
    /// With less than the whole capacity, one client cannot make the store refuse the others. A
    /// service whose requests come from a few clients needs a larger share than the default.
    #[must_use]
    pub const fn capacity_per_client(mut self, entries: NonZeroUsize) -> Self {
        self.capacity_per_client = entries.get();
        self
    }

    /// The number of entries, including expired ones that have not been removed yet.
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn record(
        &self,
        key: &ReplayKey,
        expires_at: UnixTime,
        now: UnixTime,
    ) -> Result<Freshness, StoreError> {
        // A clock that shows the end of time is broken. Nothing may be cleared by it.
        if now == UnixTime::END {
            return Ok(Freshness::Replayed);
        }
        let proof = Id::new(key.proof(), &self.key);
        let client = Id::new(key.client(), &self.key);
        loop {
            let outcome = self.try_record(proof, client, expires_at, now);
            // The room may go to another thread before this one comes back for it, hence the loop.
            if let Err(error) = &outcome
                && error.kind() == StoreErrorKind::Full
                && self.make_room(&proof, now)
            {
                continue;
            }
            return outcome;
        }
    }

    /// The atomic step: the part stays locked from the look-up to the insertion.
    ///
    /// A lock of `clients` is only ever taken under one of `seen`, and never two of either.
    fn try_record(
        &self,
        proof: Id,
        client: Id,
        expires_at: UnixTime,
        now: UnixTime,
    ) -> Result<Freshness, StoreError> {
        let mut part = self.seen.lock(&proof);
        if part.is_due() {
            self.release(part.purge(now));
            self.seen.publish(&part);
        }
        let ExpiringMap {
            entries,
            forgotten_until,
            earliest,
            ..
        } = &mut *part;
        let entry = entries.entry(proof);
        if let Entry::Occupied(seen) = &entry
            && now <= *seen.get()
        {
            return Ok(Freshness::Replayed);
        }
        // Nobody can tell any more whether such a proof was seen. Callers do not ask, unless the
        // clock went back or a thread slept between reading the clock and getting here.
        if expires_at < now || expires_at <= *forgotten_until {
            return Ok(Freshness::Replayed);
        }
        // An expired entry with the same key leaves its place to the new one.
        let needs_place = matches!(entry, Entry::Vacant(_));
        if needs_place && !self.reserve() {
            return Err(StoreError::full());
        }
        if !self.count_for(client, expires_at, now) {
            if needs_place {
                self.release(1);
            }
            return Err(StoreError::client_full());
        }
        entry.insert_entry(expires_at);
        if expires_at < *earliest {
            *earliest = expires_at;
            self.seen.publish(&part);
        }
        Ok(Freshness::Fresh)
    }

    fn count_for(&self, client: Id, expires_at: UnixTime, now: UnixTime) -> bool {
        let mut part = self.clients.lock(&client);
        if part.is_due() {
            part.purge(now);
        }
        part.entries
            .entry(client)
            .or_default()
            .try_add(expires_at, now, self.capacity_per_client)
    }

    /// Clears the next part, from that of `proof` on, which may have expired entries. Tells whether
    /// there was one.
    fn make_room(&self, proof: &Id, now: UnixTime) -> bool {
        // Whatever is inserted at `now` lives on at `now`, so a second search would be in vain.
        // Without this a full store would do more work the more requests it refuses.
        if self.full_at.load(Ordering::Relaxed) == now.as_secs() {
            return false;
        }
        if let Some(mut part) = self.seen.next_due(proof, now) {
            self.release(part.purge(now));
            self.seen.publish(&part);
            return true;
        }
        self.full_at.store(now.as_secs(), Ordering::Relaxed);
        false
    }

    /// Makes the capacity a hard bound: a place is taken before anything is stored.
    fn reserve(&self) -> bool {
        self.len
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |len| {
                (len < self.capacity).then_some(len.saturating_add(1))
            })
            .is_ok()
    }

    fn release(&self, places: usize) {
        self.len.fetch_sub(places, Ordering::Relaxed);
    }
}

impl Default for MemoryReplayStore {
    fn default() -> Self {
        Self::new()
    }
}

impl ReplayStore for MemoryReplayStore {
    fn check_and_insert(
        &self,
        key: ReplayKey,
        expires_at: UnixTime,
        now: UnixTime,
    ) -> Check<Result<Freshness, StoreError>> {
        Check::ready(self.record(&key, expires_at, now))
    }

    fn windows(&self) -> &AcceptanceWindows {
        &self.windows
    }
}

impl fmt::Debug for MemoryReplayStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryReplayStore")
            .field("len", &self.len())
            .field("capacity", &self.capacity)
            .field("capacity_per_client", &self.capacity_per_client)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
impl MemoryReplayStore {
    /// Forgets everything that has expired, which insertions do bit by bit.
    pub(super) fn sweep(&self, now: UnixTime) {
        for mut part in self.seen.each() {
            self.release(part.purge(now));
            self.seen.publish(&part);
        }
        for mut part in self.clients.each() {
            part.purge(now);
        }
    }
}

#[cfg(test)]
mod tests;
