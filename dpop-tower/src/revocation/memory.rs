//! The revocation list of one process.

use std::{
    collections::{HashMap, hash_map::RandomState},
    fmt,
    hash::{BuildHasher, Hash, Hasher},
    num::NonZeroUsize,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use rustc_hash::FxBuildHasher;

use super::{
    Revocation, RevocationError, RevocationList, RevocationListFull, RevocationQuery,
    RevocationSink, RevocationStatus,
};
use crate::{
    clock::{SystemClock, TimeSource, UnixTime},
    future::MaybeReady,
};

const DEFAULT_CAPACITY: NonZeroUsize = NonZeroUsize::new(100_000).unwrap();

/// Smaller lists are not worth purging.
const MIN_PURGE: usize = 64;

/// A bounded [`RevocationList`] in the memory of this process.
///
/// Its entries are lost when the process ends. Fill it again at start-up, before the first request is served,
/// or use a list outside the process.
///
/// ```
/// use std::{num::NonZeroUsize, time::Duration};
/// use dpop_tower::clock::{SystemClock, TimeSource};
/// use dpop_tower::revocation::{MemoryRevocationList, Revocation, RevocationListFull};
///
/// let list = MemoryRevocationList::with_capacity(NonZeroUsize::MIN);
/// let token = |jti| Revocation::Token { issuer: "https://idp.example.com", jti };
/// let until = SystemClock.now().saturating_add(Duration::from_secs(3600));
/// list.revoke(token("e1j3V_bKic8-LAEB"), until)?;
/// assert!(list.revoke(token("b2Vn6BCS1"), until).is_err());
/// # Ok::<(), RevocationListFull>(())
/// ```
///
/// # Limits
///
/// The list holds [100,000](Self::new) entries by default. If it is full of live entries,
/// [`revoke`](Self::revoke) returns [`RevocationListFull`] and removes nothing. Treat that as an alarm: the
/// token is still admitted. An entry takes less than 100 bytes, whatever the length of its identifiers, which
/// are kept as a hash with a random key.
///
/// # Clocks
///
/// The clock of the configuration decides whether an entry applies to a request. The list has a
/// [clock](Self::clock) of its own for removing expired entries when it needs room.
pub struct MemoryRevocationList {
    /// The secrets that identifiers are hashed with.
    keys: [RandomState; 2],
    entries: RwLock<Entries>,
    /// The number of entries. An empty list is not locked.
    len: AtomicUsize,
    /// Raised after each entry.
    version: AtomicU64,
    capacity: usize,
    clock: Arc<dyn TimeSource>,
}

struct Entries {
    map: HashMap<Id, Entry, FxBuildHasher>,
    /// No entry expires earlier than this.
    earliest: UnixTime,
    purge_at: usize,
}

/// The hash of what an entry is about: 128 bits with keys that nobody outside the process knows.
///
/// A collision would only reject a good request.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Id([u64; 2]);

/// Hashes one half, so that the hasher needs no key of its own.
impl Hash for Id {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self([first, _]) = self;
        state.write_u64(*first);
    }
}

#[derive(Clone, Copy)]
struct Entry {
    /// `None` if the entry applies to tokens of any time.
    issued_before: Option<UnixTime>,
    /// The last instant, inclusive, at which the entry counts.
    until: UnixTime,
}

impl MemoryRevocationList {
    /// Makes a list for 100,000 entries.
    pub fn new() -> Self {
        Self::with_capacity(DEFAULT_CAPACITY)
    }

    /// Makes a list for `capacity` entries. It allocates memory as entries come.
    pub fn with_capacity(capacity: NonZeroUsize) -> Self {
        Self {
            keys: [RandomState::new(), RandomState::new()],
            entries: RwLock::new(Entries {
                map: HashMap::default(),
                earliest: UnixTime::END,
                purge_at: MIN_PURGE,
            }),
            len: AtomicUsize::new(0),
            version: AtomicU64::new(0),
            capacity: capacity.get(),
            clock: Arc::new(SystemClock),
        }
    }

    /// Sets the clock by which expired entries are removed. Defaults to [`SystemClock`].
    ///
    /// Use the [clock of the configuration](crate::DpopConfigBuilder::clock), or entries may be removed too
    /// early.
    #[must_use]
    pub fn clock(mut self, clock: impl TimeSource) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Revokes tokens. They are rejected from the next request on.
    ///
    /// `until` is the latest `exp` that a revoked token can have, which is the current time plus the longest
    /// lifetime of the issuer's access tokens if you do not know better. The entry counts through that second.
    ///
    /// Revoking the same again adds to what is on the list: the later of the times counts.
    ///
    /// # Errors
    ///
    /// Returns [`RevocationListFull`] if the list is full of live entries. Nothing is revoked then.
    pub fn revoke(
        &self,
        revocation: Revocation<'_>,
        until: UnixTime,
    ) -> Result<(), RevocationListFull> {
        let id = self.id(revocation);
        let new = Entry {
            issued_before: revocation.issued_before(),
            until,
        };
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.map.get_mut(&id) {
            entry.extend(new);
            self.version.fetch_add(1, Ordering::Release);
            return Ok(());
        }
        let is_full = |entries: &Entries| entries.map.len() >= self.capacity;
        if is_full(&entries) || entries.map.len() >= entries.purge_at {
            entries.purge(self.clock.now());
        }
        let is_full = is_full(&entries);
        if !is_full {
            entries.map.insert(id, new);
            entries.earliest = entries.earliest.min(until);
        }
        self.len.store(entries.map.len(), Ordering::Release);
        if is_full {
            return Err(RevocationListFull);
        }
        self.version.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// Returns the number of entries, including expired ones that have not been removed yet.
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// Returns whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn id(&self, revocation: Revocation<'_>) -> Id {
        let (kind, issuer, name) = match &revocation {
            Revocation::Token { issuer, jti } => (0, *issuer, jti.as_bytes()),
            Revocation::Key { thumbprint } => (1, "", &thumbprint.as_bytes()[..]),
            Revocation::Subject {
                issuer, subject, ..
            } => (2, *issuer, subject.as_bytes()),
            Revocation::Session { issuer, session_id } => (3, *issuer, session_id.as_bytes()),
            Revocation::Client {
                issuer, client_id, ..
            } => (4, *issuer, client_id.as_bytes()),
        };
        Id(self.keys.each_ref().map(|key| {
            let mut hasher = key.build_hasher();
            // The kind and the length come first, so that no two pairs give the same input.
            hasher.write_u8(kind);
            hasher.write_usize(issuer.len());
            hasher.write(issuer.as_bytes());
            hasher.write(name);
            hasher.finish()
        }))
    }

    /// Returns whether an entry about `revocation` applies to the token.
    fn applies(&self, token: &RevocationQuery<'_>, revocation: Revocation<'_>) -> bool {
        let id = self.id(revocation);
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        (entries.map.get(&id)).is_some_and(|entry| entry.applies(token))
    }

    fn revokes(&self, token: &RevocationQuery<'_>) -> bool {
        if self.is_empty() {
            return false;
        }
        let issuer = token.issuer().unwrap_or_default();
        // The lookup ignores this time. The time of the entry counts.
        let issued_before = UnixTime::END;
        let of_claims = [
            token.jti().map(|jti| Revocation::Token { issuer, jti }),
            (token.thumbprint()).map(|key| Revocation::Key { thumbprint: *key }),
            token.subject().map(|subject| Revocation::Subject {
                issuer,
                subject,
                issued_before,
            }),
            (token.session_id()).map(|session_id| Revocation::Session { issuer, session_id }),
            token.client_id().map(|client_id| Revocation::Client {
                issuer,
                client_id,
                issued_before,
            }),
        ];
        (of_claims.into_iter().flatten()).any(|revocation| self.applies(token, revocation))
    }
}

impl Entries {
    /// Removes the entries that expired before `now`.
    fn purge(&mut self, now: UnixTime) {
        // A clock that shows the last instant is broken. It must not expire entries.
        if now == UnixTime::END || now <= self.earliest {
            return;
        }
        let mut earliest = UnixTime::END;
        self.map.retain(|_, entry| {
            let is_live = now <= entry.until;
            if is_live {
                earliest = earliest.min(entry.until);
            }
            is_live
        });
        self.earliest = earliest;
        let live = self.map.len();
        self.purge_at = live.saturating_add(live / 2).max(MIN_PURGE);
    }
}

impl Entry {
    fn applies(&self, token: &RevocationQuery<'_>) -> bool {
        let is_too_late = |before: UnixTime| token.issued_at().is_some_and(|iat| before <= iat);
        token.now() <= self.until && !self.issued_before.is_some_and(is_too_late)
    }

    /// Extends the entry to everything that either of the two applies to.
    fn extend(&mut self, other: Self) {
        self.until = self.until.max(other.until);
        self.issued_before = match (self.issued_before, other.issued_before) {
            (Some(one), Some(other)) => Some(one.max(other)),
            (None, _) | (_, None) => None,
        };
    }
}

impl RevocationList for MemoryRevocationList {
    fn status(
        &self,
        token: RevocationQuery<'_>,
    ) -> MaybeReady<Result<RevocationStatus, RevocationError>> {
        MaybeReady::ready(Ok(if self.revokes(&token) {
            RevocationStatus::Revoked
        } else {
            RevocationStatus::Active
        }))
    }

    fn version(&self) -> Option<u64> {
        Some(self.version.load(Ordering::Acquire))
    }
}

impl RevocationSink for MemoryRevocationList {
    fn add(
        &self,
        revocation: Revocation<'_>,
        until: UnixTime,
    ) -> MaybeReady<Result<(), RevocationError>> {
        let added = self.revoke(revocation, until);
        MaybeReady::ready(added.map_err(RevocationError::unavailable))
    }
}

impl Default for MemoryRevocationList {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryRevocationList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryRevocationList")
            .field("len", &self.len())
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}
