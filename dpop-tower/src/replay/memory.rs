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
use super::{
    AcceptanceWindows, Freshness, ReplayKey, ReplayLimits, ReplayStore, StoreError, StoreErrorKind,
};
use crate::{clock::UnixTime, future::MaybeReady};

mod expiring;
mod id;
mod tally;

const DEFAULT_CAPACITY: NonZeroUsize = NonZeroUsize::new(1_000_000).unwrap();

/// A bounded [`ReplayStore`] in the memory of this process.
///
/// Its entries are lost when the process ends. A proof that was accepted before a restart can be replayed
/// after it until it is too old. If that matters, require nonces, or use a store outside the process.
///
/// # Limits
///
/// The store holds [one million](Self::new) entries by default, a tenth of them per client key, and a
/// tenth per subject. A subject is a user, or an OAuth client if no user is involved, with all its keys. A
/// full store rejects new proofs with [`StoreErrorKind::Full`], [`StoreErrorKind::KeyFull`] or
/// [`StoreErrorKind::SubjectFull`]. It never forgets a live entry, and still recognises replays. All
/// limits are exact, also under concurrency, and expired entries do not count.
///
/// An entry takes 30 to 80 bytes, whatever the length of its `jti`. It takes up to 200 bytes if each entry
/// belongs to another client, and up to 320 if each belongs to another subject as well. A full store of
/// the default size takes between 30 and 320 MB.
///
/// # Cost
///
/// Insertions remove expired entries. In a large store they remove about a thousand at a time, and look at
/// about three entries for each one removed. There is no background task, and no pause that grows with the
/// number of entries. The result does not allocate.
///
/// Entries are hashed by the standard library's randomly keyed hasher, although their keys are digests. A
/// client can try `jti` values until the digests start alike, and without a secret all of them would
/// collide.
///
/// # Clocks
///
/// If a clock goes back, no proof is accepted twice. The store knows up to which expiry it may have
/// forgotten entries, and reports older proofs as [`Replayed`](Freshness::Replayed).
pub struct MemoryReplayStore {
    /// The secret that decides where entries lie.
    key: RandomState,
    seen: Parts<UnixTime>,
    clients: Parts<Tally>,
    subjects: Parts<Tally>,
    /// Places taken in `seen`. Raised before and lowered after the map changes.
    len: AtomicUsize,
    /// When it was last found that no entry can be removed.
    full_at: AtomicI64,
    capacity: usize,
    capacity_per_key: usize,
    /// That of a client unless set.
    capacity_per_subject: Option<usize>,
    windows: AcceptanceWindows,
}

impl MemoryReplayStore {
    /// Makes a store for 1,000,000 entries, of which 100,000 may belong to one client key or subject.
    pub fn new() -> Self {
        Self::with_capacity(DEFAULT_CAPACITY)
    }

    /// Makes a store for `capacity` entries, of which a tenth (rounded up) may belong to one client key or
    /// subject.
    ///
    /// The store allocates memory as entries come, and keeps it.
    #[doc(alias = "max_entries")]
    #[doc(alias = "max_size")]
    pub fn with_capacity(capacity: NonZeroUsize) -> Self {
        Self {
            key: RandomState::new(),
            seen: Parts::new(capacity.get()),
            clients: Parts::new(capacity.get()),
            subjects: Parts::new(capacity.get()),
            len: AtomicUsize::new(0),
            full_at: AtomicI64::new(i64::MIN),
            capacity: capacity.get(),
            capacity_per_key: capacity.get().div_ceil(10),
            capacity_per_subject: None,
            windows: AcceptanceWindows::new(),
        }
    }

    /// Sets how many live entries one client key may have.
    ///
    /// If it is less than the whole capacity, one client cannot make the store reject the others. A
    /// service whose requests come from a few clients needs a larger share than the default.
    #[must_use]
    pub const fn capacity_per_key(mut self, entries: NonZeroUsize) -> Self {
        self.capacity_per_key = entries.get();
        self
    }

    /// Sets how many live entries one subject may have.
    ///
    /// A subject is one `sub` of one issuer, or one `client_id` if tokens have no `sub`. Defaults to the
    /// limit of a client key.
    ///
    /// A user can have as many keys as the issuer binds tokens to. If the limit is less than the whole
    /// capacity, one user cannot make the store reject the others. A service that acts for itself (client
    /// credentials) is one subject with all of its instances, and may need a larger share than the default.
    #[must_use]
    pub const fn capacity_per_subject(mut self, entries: NonZeroUsize) -> Self {
        self.capacity_per_subject = Some(entries.get());
        self
    }

    fn per_subject(&self) -> usize {
        self.capacity_per_subject.unwrap_or(self.capacity_per_key)
    }

    /// Returns the number of entries, including expired ones that have not been removed yet.
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Returns whether there are no entries.
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
        let owner = Owner {
            client: Id::new(key.client(), &self.key),
            subject: key.subject().map(|digest| Id::new(digest, &self.key)),
        };
        loop {
            let outcome = self.try_record(proof, owner, expires_at, now);
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
    /// A lock of `clients` is only ever taken under one of `seen`, one of `subjects` under one of
    /// `clients`, and never two of any.
    fn try_record(
        &self,
        proof: Id,
        owner: Owner,
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
        if let Err(error) = self.count_for(owner, expires_at, now) {
            if needs_place {
                self.release(1);
            }
            return Err(error);
        }
        entry.insert_entry(expires_at);
        if expires_at < *earliest {
            *earliest = expires_at;
            self.seen.publish(&part);
        }
        Ok(Freshness::Fresh)
    }

    /// Counts for both or for neither: the client stays locked while its subject is looked at. What is
    /// rejected leaves nothing behind, or else a subject without room could fill the memory with keys.
    fn count_for(
        &self,
        owner: Owner,
        expires_at: UnixTime,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let mut clients = self.clients.lock(&owner.client);
        let of_client = entry_with_room(&mut clients, owner.client, now, self.capacity_per_key)
            .ok_or(StoreError::key_full())?;
        if let Some(subject) = owner.subject {
            let mut subjects = self.subjects.lock(&subject);
            entry_with_room(&mut subjects, subject, now, self.per_subject())
                .ok_or(StoreError::subject_full())?
                .or_default()
                .add(expires_at);
        }
        of_client.or_default().add(expires_at);
        Ok(())
    }

    /// Clears the next part, from that of `proof` on, which may have expired entries. Tells whether
    /// there was one.
    fn make_room(&self, proof: &Id, now: UnixTime) -> bool {
        // Whatever is inserted at `now` lives on at `now`, so a second search would be in vain.
        // Without this a full store would do more work the more requests it rejects.
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

/// Whose share an entry is counted to.
#[derive(Clone, Copy)]
struct Owner {
    client: Id,
    subject: Option<Id>,
}

/// The place of a tally in its part, if fewer than `limit` of its entries are live.
fn entry_with_room(
    part: &mut ExpiringMap<Tally>,
    id: Id,
    now: UnixTime,
    limit: usize,
) -> Option<Entry<'_, Id, Tally>> {
    if part.is_due() {
        part.purge(now);
    }
    let mut entry = part.entries.entry(id);
    let has_room = match &mut entry {
        Entry::Occupied(tally) => tally.get_mut().has_room(now, limit),
        // Every limit is at least one.
        Entry::Vacant(_) => true,
    };
    has_room.then_some(entry)
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
    ) -> MaybeReady<Result<Freshness, StoreError>> {
        MaybeReady::ready(self.record(&key, expires_at, now))
    }

    fn windows(&self) -> &AcceptanceWindows {
        &self.windows
    }

    fn limits(&self) -> Option<ReplayLimits> {
        Some(ReplayLimits {
            entries: self.capacity,
            per_client: self.capacity_per_key,
            per_subject: self.per_subject(),
        })
    }
}

impl fmt::Debug for MemoryReplayStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryReplayStore")
            .field("len", &self.len())
            .field("capacity", &self.capacity)
            .field("capacity_per_key", &self.capacity_per_key)
            .field("capacity_per_subject", &self.per_subject())
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
        for mut part in self.clients.each().chain(self.subjects.each()) {
            part.purge(now);
        }
    }
}

#[cfg(test)]
mod tests;
