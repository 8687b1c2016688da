//! The replay store of one process.

use std::{
    collections::hash_map::RandomState,
    fmt,
    num::NonZeroUsize,
    sync::atomic::{AtomicI64, AtomicUsize, Ordering},
};

use self::{id::Id, moment::Moment, proofs::Proofs, slots::Place, tallies::Tallies};
use super::{
    AcceptanceWindows, Freshness, Incarnation, ReplayLimits, ReplayStore, StoreError,
    StoreErrorKind, UsedProof,
};
use crate::{clock::UnixTime, error::ConfigError, future::MaybeReady, telemetry};

mod id;
mod moment;
mod parts;
mod proofs;
mod slots;
mod tallies;
mod tally;

const DEFAULT_CAPACITY: NonZeroUsize = NonZeroUsize::new(1_000_000).unwrap();

/// A bounded [`ReplayStore`] in the memory of this process.
///
/// Its entries are lost when the process ends. Unless you set a fence with [`fenced_since`](Self::fenced_since),
/// a proof that was accepted before a restart can be replayed after it until it is too old.
///
/// ```
/// # #[cfg(feature = "test-util")] {
/// # use dpop_tower::test_util::TestIssuer;
/// use std::num::NonZeroUsize;
/// use dpop_tower::{DpopConfig, PublicOrigin, replay::MemoryReplayStore};
///
/// # let issuer = TestIssuer::new().tokens();
/// let entries = |count| NonZeroUsize::new(count).ok_or("zero entries");
/// // Most requests come from a few gateways, so one key may have half of the entries.
/// let store = MemoryReplayStore::with_capacity(entries(200_000)?)
///     .capacity_per_key(entries(100_000)?)
///     .capacity_per_subject(entries(20_000)?);
/// let config = DpopConfig::builder(PublicOrigin::new("https://api.example.com")?, issuer)
///     .replay_store(store)
///     .build()?;
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Limits
///
/// The store holds [one million](Self::new) entries by default, a tenth of them per client key, and a
/// tenth per subject. A subject is a user, or an OAuth client if no user is involved, with all its keys. A
/// full store rejects new proofs with [`StoreErrorKind::Full`], [`StoreErrorKind::KeyFull`] or
/// [`StoreErrorKind::SubjectFull`]. It never forgets a live entry, and still recognises replays. All
/// limits are exact, also under concurrency, and expired entries do not count.
///
/// A live entry takes 30 to 37 bytes, whatever the length of its `jti`. It takes up to 75 bytes if each entry
/// belongs to another client, and up to 110 if each belongs to another subject as well. The most expensive are
/// clients and subjects with two live entries each, which take up to 100 bytes, and 170 with subjects. A full store
/// of the default size takes between 30 and 170 MB.
///
/// # Cost
///
/// Insertions overwrite expired entries or remove them. In a large store they remove several hundred at a time,
/// and look at about three entries for each one removed. There is no background task, and no pause that grows
/// with the number of entries. The result does not allocate.
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
    /// The secret that distributes the entries.
    key: RandomState,
    seen: Proofs,
    clients: Tallies,
    subjects: Tallies,
    /// The number of entries in `seen`. Raised before an entry is added and lowered after some are removed.
    len: AtomicUsize,
    /// When a search last found no entry to remove.
    full_at: AtomicI64,
    /// The last second in which the size was recorded for the metrics.
    measured_at: AtomicI64,
    capacity: usize,
    capacity_per_key: usize,
    /// Defaults to `capacity_per_key`.
    capacity_per_subject: Option<usize>,
    windows: AcceptanceWindows,
    incarnation: Option<Incarnation>,
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
            seen: Proofs::new(capacity.get()),
            clients: Tallies::new(capacity.get()),
            subjects: Tallies::new(capacity.get()),
            len: AtomicUsize::new(0),
            full_at: AtomicI64::new(i64::MIN),
            measured_at: AtomicI64::new(i64::MIN),
            capacity: capacity.get(),
            capacity_per_key: capacity.get().div_ceil(10),
            capacity_per_subject: None,
            windows: AcceptanceWindows::new(),
            incarnation: None,
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
    /// A subject is one `sub` of one issuer, or one client if tokens have no `sub`. Defaults to the
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

    /// Rejects proofs that may have been used before `since`, when this store did not exist; see
    /// [the fence](crate::replay#the-fence). There is no fence by default.
    ///
    /// Give the time at which the process starts, by the clock of the configuration. A process that used the same
    /// keys and origin before has to have stopped by then. If the clock is set back between the two, proofs of
    /// the last seconds before can be replayed.
    ///
    /// For the first seconds after the start, a client without a nonce gets one more challenge, or waits for as long
    /// as the leeway if it does not handle nonces. Nonces count only for this store, also if other processes
    /// share their secret. Where nonces are required, several processes therefore need a store that they
    /// share, or a proxy that sends each client to the same process.
    ///
    /// ```
    /// # #[cfg(feature = "test-util")] {
    /// # use dpop_tower::test_util::TestIssuer;
    /// use dpop_tower::clock::{SystemClock, TimeSource};
    /// use dpop_tower::{DpopConfig, PublicOrigin, replay::MemoryReplayStore};
    ///
    /// # let issuer = TestIssuer::new().tokens();
    /// let store = MemoryReplayStore::new().fenced_since(SystemClock.now())?;
    /// let config = DpopConfig::builder(PublicOrigin::new("https://api.example.com")?, issuer)
    ///     .replay_store(store)
    ///     .build()?;
    /// # }
    /// # Ok::<(), dpop_tower::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] if the operating system provides no randomness.
    pub fn fenced_since(mut self, since: UnixTime) -> Result<Self, ConfigError> {
        self.incarnation = Some(Incarnation::random(since)?);
        Ok(self)
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

    fn record(&self, used: &UsedProof) -> Result<Freshness, StoreError> {
        let UsedProof { key, now, .. } = *used;
        // A clock that shows the last instant is broken. It must not expire entries.
        if now == UnixTime::END {
            return Ok(Freshness::Replayed);
        }
        let proof = Id::new(key.proof(), &self.key);
        loop {
            let outcome = self.try_record(proof, used);
            // Another thread may take the room first, hence the loop.
            if let Err(error) = &outcome
                && error.kind() == StoreErrorKind::Full
                && self.make_room(proof, now)
            {
                continue;
            }
            return outcome;
        }
    }

    /// Looks up and inserts in one atomic step, during which the part stays locked.
    ///
    /// A lock of `clients` is only taken while one of `seen` is held, and one of `subjects` only while one of
    /// `clients` is held. Two locks of the same table are never held together.
    fn try_record(&self, proof: Id, used: &UsedProof) -> Result<Freshness, StoreError> {
        let (now, expires_at) = (Moment::new(used.now), Moment::new(used.expires_at));
        let mut part = self.seen.lock(proof).ok_or_else(StoreError::full)?;
        if part.is_due() {
            self.release(part.purge(now));
        }
        let place = part.find(proof, now).ok_or_else(StoreError::full)?;
        if let Place::Held(_) = place {
            return Ok(Freshness::Replayed);
        }
        // It is unknown whether such a proof was seen. This happens if the clock went back, or if a thread
        // slept between reading the clock and this check.
        if used.expires_at < used.now || part.may_have_forgotten(expires_at) {
            return Ok(Freshness::Replayed);
        }
        // An expired entry makes room for the new one.
        let needs_place = matches!(place, Place::Vacant(_));
        if needs_place && !self.reserve() {
            return Err(StoreError::full());
        }
        if let Err(error) = self.count(used, now, expires_at) {
            if needs_place {
                self.release(1);
            }
            return Err(error);
        }
        part.put(place, proof, expires_at);
        Ok(Freshness::Fresh)
    }

    /// Counts the entry for both the client and the subject, or for neither. The client stays locked
    /// meanwhile. A rejected entry leaves nothing behind. Otherwise a subject without room could fill the
    /// memory with keys.
    fn count(&self, used: &UsedProof, now: Moment, expires_at: Moment) -> Result<(), StoreError> {
        let client = Id::new(used.key.client(), &self.key);
        let of_client = self
            .clients
            .room(client, now, self.capacity_per_key)
            .ok_or_else(StoreError::key_full)?;
        if let Some(digest) = used.key.subject() {
            self.subjects
                .room(Id::new(digest, &self.key), now, self.per_subject())
                .ok_or_else(StoreError::subject_full)?
                .take(expires_at);
        }
        of_client.take(expires_at);
        Ok(())
    }

    /// Purges the next part that may have expired entries, starting at the part of `proof`. Returns whether
    /// there was one.
    fn make_room(&self, proof: Id, now: UnixTime) -> bool {
        // Entries that are inserted at `now` are live at `now`, so a second search finds nothing. Without
        // this check, a full store would search again for each request that it rejects.
        if self.full_at.load(Ordering::Relaxed) == now.as_secs() {
            return false;
        }
        let moment = Moment::new(now);
        if let Some(mut part) = self.seen.next_due(proof, moment) {
            self.release(part.purge(moment));
            return true;
        }
        self.full_at.store(now.as_secs(), Ordering::Relaxed);
        false
    }

    /// Reserves room before anything is stored, so that the capacity is a hard limit.
    fn reserve(&self) -> bool {
        self.len
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |len| {
                (len < self.capacity).then_some(len.saturating_add(1))
            })
            .is_ok()
    }

    /// Records the size for the metrics, once a second.
    fn measure(&self, now: UnixTime) {
        let now = now.as_secs();
        if self.measured_at.load(Ordering::Relaxed) != now {
            self.measured_at.store(now, Ordering::Relaxed);
            telemetry::replay_size(self.len(), self.capacity);
        }
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
    fn check_and_insert(&self, proof: UsedProof) -> MaybeReady<Result<Freshness, StoreError>> {
        let answer = self.record(&proof);
        self.measure(proof.now);
        MaybeReady::ready(answer)
    }

    fn windows(&self) -> &AcceptanceWindows {
        &self.windows
    }

    fn incarnation(&self) -> Option<Incarnation> {
        self.incarnation
    }

    fn description(&self) -> Option<String> {
        Some("MemoryReplayStore".to_owned())
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
        let now = Moment::new(now);
        for mut part in self.seen.each() {
            self.release(part.purge(now));
        }
        for mut part in self.clients.each().chain(self.subjects.each()) {
            part.purge(now);
        }
    }
}

#[cfg(test)]
mod tests;
