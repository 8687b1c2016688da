//! Replay detection: each proof is accepted once.
//!
//! A DPoP proof travels in plain headers through logs and proxies. An attacker who copies one can send it
//! again until it is too old. [RFC 9449 section 11.1] therefore recommends that a server remembers the
//! `jti` of each accepted proof for as long as it could be accepted again.
//!
//! [`MemoryReplayStore`] does this for one process, and is the default. Processes that serve the same
//! resources have to share a [`ReplayStore`], which you set with
//! [`DpopConfigBuilder::replay_store`](crate::DpopConfigBuilder::replay_store). Otherwise each of them
//! accepts a copied proof once. `RedisReplayStore` (feature `redis`) is one in Redis or Valkey.
//!
//! # Several configurations
//!
//! Configurations can share a store, also if their [maximum ages](crate::DpopConfigBuilder::max_age)
//! differ. A proof is remembered for the longest window of all of them; see [`AcceptanceWindows`]. Nested
//! layers have to share the configuration, not just the store, or the inner layer rejects each proof as a
//! replay.
//!
//! # The fence
//!
//! A store that loses its records, as one in memory does when the process restarts, no longer knows which proofs
//! were used. A store with a fence says so with its [`Incarnation`], and the layer rejects every proof that may
//! have been used before. The challenge is `use_dpop_nonce` with a nonce, whether or not the policy requires
//! nonces:
//!
//! - A proof with a nonce of the new incarnation was made after the change and passes. A client that handles
//!   nonces recovers with one more request.
//! - A proof without a nonce, or with an older one, passes if its `iat` is later than
//!   [`Incarnation::since`] plus the leeway. A client without nonces recovers as soon as its clock shows a later
//!   time, which takes the leeway (10 seconds by default) and as long as its clock is behind.
//!
//! The leeway is the longest of all configurations that have used the store. If a restart makes it shorter, a proof
//! from before can be further ahead than the fence reaches, so stop for the difference in between.
//!
//! [`MemoryReplayStore::fenced_since`] sets the fence of a store in memory.
//!
//! # Example
//!
//! ```
//! # #[cfg(feature = "josekit")] {
//! # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
//! use dpop_tower::{
//!     crypto::Josekit,
//!     replay::{Freshness, MemoryReplayStore, ReplayKey, ReplayStore, StoreError, UsedProof},
//!     clock::UnixTime,
//! };
//!
//! # let example = async {
//! let store = MemoryReplayStore::new();
//! let key = ReplayKey::new([7; 32], "e1j3V_bKic8-LAEB", &Josekit);
//! let now = UnixTime::from_secs(1_700_000_000);
//! let expires_at = UnixTime::from_secs(1_700_000_065);
//!
//! let proof = UsedProof { key, now, expires_at };
//! assert_eq!(store.check_and_insert(proof).await?, Freshness::Fresh);
//! let again = store.check_and_insert(UsedProof { now: expires_at, ..proof }).await?;
//! assert_eq!(again, Freshness::Replayed);
//! # Ok::<(), StoreError>(())
//! # };
//! # let done = pin!(example).poll(&mut Context::from_waker(Waker::noop()));
//! # assert!(matches!(done, Poll::Ready(Ok(()))));
//! # }
//! ```
//!
//! [RFC 9449 section 11.1]: https://www.rfc-editor.org/rfc/rfc9449#section-11.1

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use crate::{clock::UnixTime, crypto::CryptoProvider, future::MaybeReady};

mod error;
mod incarnation;
mod limits;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod shared;
mod url;
mod used;
mod windows;

pub(crate) use self::used::{Fence, ReplayCheck, UsedProofs};

#[cfg(feature = "postgres")]
#[cfg_attr(docsrs, doc(cfg(feature = "postgres")))]
pub use self::postgres::{PostgresReplayStore, PostgresReplayStoreBuilder, PostgresTls};
#[cfg(feature = "redis")]
pub use self::redis::{RedisReplayStore, RedisReplayStoreBuilder};

pub use self::{
    error::{StoreError, StoreErrorKind},
    incarnation::Incarnation,
    limits::ReplayLimits,
    memory::MemoryReplayStore,
    url::{ReplayStoreBuilder, from_url},
    windows::AcceptanceWindows,
};

/// The identity of a proof: the client key that signed it, and its `jti`.
///
/// Its size is fixed, whatever the length of the `jti`, so a store never keeps anything whose size a
/// caller chose.
///
/// It also carries the subject of the token that the proof came with, so that a store can limit the
/// entries of a subject. The subject is not part of the identity: two keys are equal if client key and
/// `jti` are.
#[derive(Clone, Copy)]
pub struct ReplayKey {
    client: [u8; 32],
    proof: [u8; 32],
    subject: Option<[u8; 32]>,
}

impl ReplayKey {
    /// Identifies the proof `jti` of the key whose RFC 7638 SHA-256 thumbprint is `client`.
    ///
    /// A `jti` is unique only among the proofs of one client. Without the key in the identity, one client
    /// could use up the `jti` of another.
    ///
    /// ```
    /// # #[cfg(feature = "josekit")] {
    /// use dpop_tower::{crypto::Josekit, replay::ReplayKey};
    ///
    /// let one = ReplayKey::new([1; 32], "e1j3V_bKic8-LAEB", &Josekit);
    /// let other = ReplayKey::new([2; 32], "e1j3V_bKic8-LAEB", &Josekit);
    /// assert_ne!(one, other);
    /// # }
    /// ```
    pub fn new(client: [u8; 32], jti: &str, crypto: &dyn CryptoProvider) -> Self {
        Self {
            client,
            // The prefix has a fixed length, so no other pair gives the same input.
            proof: crypto.sha256(&[&client, jti.as_bytes()]),
            subject: None,
        }
    }

    /// Sets the subject of the token that the proof came with, as a digest.
    ///
    /// The layer uses SHA-256 over the token's issuer and its `sub`, or its client if there is no
    /// `sub`. The digest is the same in every process.
    #[must_use]
    pub const fn of_subject(mut self, digest: [u8; 32]) -> Self {
        self.subject = Some(digest);
        self
    }

    /// Returns the thumbprint of the client key, for a limit per key.
    pub const fn client(&self) -> &[u8; 32] {
        &self.client
    }

    /// Returns the digest of the token's subject, for a limit per subject, or `None` if the token has
    /// none.
    ///
    /// With such a limit, a user with many keys has no more room than one with a single key.
    pub const fn subject(&self) -> Option<&[u8; 32]> {
        self.subject.as_ref()
    }

    /// Returns the SHA-256 digest of the thumbprint and the `jti`, which is a sufficient key for a
    /// database.
    pub const fn proof(&self) -> &[u8; 32] {
        &self.proof
    }
}

impl PartialEq for ReplayKey {
    fn eq(&self, other: &Self) -> bool {
        self.proof == other.proof && self.client == other.client
    }
}

impl Eq for ReplayKey {}

impl Hash for ReplayKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.proof.hash(state);
    }
}

impl fmt::Debug for ReplayKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayKey").finish_non_exhaustive()
    }
}

/// The use of a proof, as a [`ReplayStore`] is told of it.
///
/// Every field has to be named, so the two times cannot be confused.
///
/// ```
/// # #[cfg(feature = "josekit")] {
/// use std::time::Duration;
/// use dpop_tower::{clock::UnixTime, crypto::Josekit, replay::{ReplayKey, UsedProof}};
///
/// let proof = UsedProof {
///     key: ReplayKey::new([7; 32], "e1j3V_bKic8-LAEB", &Josekit),
///     now: UnixTime::from_secs(100),
///     expires_at: UnixTime::from_secs(175),
/// };
/// assert_eq!(proof.remember_for(), Some(Duration::from_secs(76)));
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct UsedProof {
    /// The identity of the proof.
    pub key: ReplayKey,
    /// The caller's reading of the clock.
    pub now: UnixTime,
    /// The last instant, inclusive, until which the proof has to be remembered.
    ///
    /// It is the last instant at which any configuration that shares the store could accept the proof
    /// (`iat` plus the longest of the [`windows`](ReplayStore::windows)), plus a few seconds for the time
    /// between the checks and this call.
    pub expires_at: UnixTime,
}

impl UsedProof {
    /// Returns for how long the proof has to be remembered from now on, or `None` if it has expired.
    ///
    /// A database that counts down can use it as the time to live, with a margin for the difference between
    /// the clocks of its clients. It includes the second of [`expires_at`](Self::expires_at), so it is not
    /// zero.
    pub fn remember_for(&self) -> Option<Duration> {
        let left = u64::try_from(self.expires_at.seconds_since(self.now)).ok()?;
        Some(Duration::from_secs(left.saturating_add(1)))
    }
}

/// The answer of a [`ReplayStore`]: whether a proof was used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Freshness {
    /// This is the first use. The proof is on record from now on.
    Fresh,
    /// The proof was used before, or is so old that its record may be gone. Reject the request.
    Replayed,
}

/// Remembers which proofs have been used.
///
/// # Security
///
/// A *false negative*, which is [`Fresh`](Freshness::Fresh) for a proof that was used before, lets an
/// attacker who copied a proof and its token act as the client once. A *false positive*, which is
/// [`Replayed`](Freshness::Replayed) or an error for a new proof, rejects a good request. The client can
/// repeat it with a new proof. Therefore a store rejects when in doubt.
///
/// Every implementation has to satisfy these rules:
///
/// 1. **Atomic.** Look-up and insertion are one step. Of any number of concurrent calls with one
///    key, on any number of machines, exactly one returns `Fresh`. "Find, then save" is not enough.
/// 2. **Keyed by both.** [`ReplayKey`] identifies client key *and* `jti`. Store
///    [`proof`](ReplayKey::proof), which covers both, and never the `jti` alone.
/// 3. **Live entries stay.** An entry is live while `now <= expires_at`. It is never evicted, not even
///    if there is no memory left: a full store returns [`StoreErrorKind::Full`]. A store that drops
///    old entries can be flooded until a copied proof passes.
/// 4. **Expiry is an instant**, not a time to live counted from the call. A proof whose `iat` lies
///    ahead of this server's clock lives longer than one that was made a minute ago. A store with a
///    clock of its own keeps entries longer by as much as the two clocks can differ. A replay does not
///    extend the life of an entry.
/// 5. **Expired proofs are not fresh.** If `expires_at` is before `now`, or entries with this
///    `expires_at` may have been removed already (a clock went back, a thread was slow), the result is
///    not `Fresh`.
/// 6. **Fail closed.** If the store cannot tell, it returns an error, never `Fresh`.
/// 7. **Bounded.** Memory has a limit, and neither one client key nor one
///    [subject](ReplayKey::subject) with many keys can take all of it.
/// 8. **No record lost unseen.** If the store has a [fence](self#the-fence), it returns `Fresh` only if the
///    record was made under the incarnation that [`incarnation`](Self::incarnation) returns from then on.
/// 9. **One set of windows.** The store holds one [`AcceptanceWindows`], made when the store is made,
///    and [`windows`](Self::windows) returns that one every time. Stores that share records share the
///    windows, too.
/// 10. **Cancel safe.** A call that is dropped takes no record away; see [below](#cancel-safety).
///
/// The test kit `test_util::replay` (feature `test-util`) checks a store against these rules, by their numbers: with
/// calls from several threads, with faults, and until records end. Its documentation says rule by rule how.
///
/// The layer calls the store last, after the signature, the claims and the access token. An invalid proof
/// uses up neither a `jti` nor memory.
///
/// # Cancel safety
///
/// If the future is dropped before it completes, the proof may or may not be on record. In both cases the
/// request was abandoned, and the client needs a new proof for the next one. An implementation must not
/// record a proof *after* the future has completed.
///
/// # Example
///
/// A small store in memory. The lock makes look-up and insertion one step, expired entries are removed first,
/// and a full store returns an error. It also remembers the latest time, in case the clock goes back. It has no limit
/// per client key or subject, which [`MemoryReplayStore`] has.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use std::{collections::HashMap, sync::Mutex};
/// use dpop_tower::{
///     clock::UnixTime,
///     future::MaybeReady,
///     replay::{AcceptanceWindows, Freshness, ReplayStore, StoreError, UsedProof},
/// };
///
/// #[derive(Debug, Default)]
/// struct SmallStore {
///     records: Mutex<Records>,
///     windows: AcceptanceWindows,
/// }
///
/// #[derive(Debug, Default)]
/// struct Records {
///     expiries: HashMap<[u8; 32], UnixTime>,
///     latest: Option<UnixTime>,
/// }
///
/// impl SmallStore {
///     fn record(&self, proof: UsedProof) -> Result<Freshness, StoreError> {
///         let UsedProof { key, now, expires_at } = proof;
///         let mut records = self
///             .records
///             .lock()
///             .map_err(|_| StoreError::unavailable("another thread panicked"))?;
///         let now = records.latest.map_or(now, |latest| latest.max(now));
///         records.latest = Some(now);
///         records.expiries.retain(|_, expires_at| now <= *expires_at);
///         if expires_at < now || records.expiries.contains_key(key.proof()) {
///             return Ok(Freshness::Replayed);
///         }
///         if records.expiries.len() >= 1000 {
///             return Err(StoreError::full());
///         }
///         records.expiries.insert(*key.proof(), expires_at);
///         Ok(Freshness::Fresh)
///     }
/// }
///
/// impl ReplayStore for SmallStore {
///     fn check_and_insert(&self, proof: UsedProof) -> MaybeReady<Result<Freshness, StoreError>> {
///         MaybeReady::ready(self.record(proof))
///     }
///
///     fn windows(&self) -> &AcceptanceWindows {
///         &self.windows
///     }
/// }
///
/// # #[cfg(feature = "josekit")] {
/// # use dpop_tower::{crypto::Josekit, replay::ReplayKey};
/// let store = SmallStore::default();
/// let proof = UsedProof {
///     key: ReplayKey::new([7; 32], "e1j3V_bKic8-LAEB", &Josekit),
///     now: UnixTime::from_secs(100),
///     expires_at: UnixTime::from_secs(175),
/// };
/// assert_eq!(store.check_and_insert(proof).await?, Freshness::Fresh);
/// assert_eq!(store.check_and_insert(proof).await?, Freshness::Replayed);
/// # }
/// # Ok::<(), StoreError>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot remember used proofs",
    label = "does not implement `ReplayStore`",
    note = "`MemoryReplayStore` of `dpop_tower::replay` can, and a type of your own that \
            implements `ReplayStore`; a value that implements it is given as it is, or in an `Arc`"
)]
#[doc(alias = "jti")]
pub trait ReplayStore: fmt::Debug + Send + Sync + 'static {
    /// Puts the proof on record if there is no live entry for its key, and returns whether there was one.
    ///
    /// # Errors
    ///
    /// The future yields an error if the store cannot record the proof. As far as the store can tell,
    /// nothing is stored then.
    fn check_and_insert(&self, proof: UsedProof) -> MaybeReady<Result<Freshness, StoreError>>;

    /// Returns the windows of the configurations that use this store.
    ///
    /// They are a field of the store. A store that wraps another one returns the windows of that one.
    ///
    /// ```
    /// use dpop_tower::{
    ///     future::MaybeReady,
    ///     replay::{AcceptanceWindows, Freshness, ReplayStore, StoreError, UsedProof},
    /// };
    ///
    /// #[derive(Debug)]
    /// struct Database {
    ///     windows: AcceptanceWindows,
    ///     // A pool of connections, and so on.
    /// }
    ///
    /// impl ReplayStore for Database {
    ///     fn check_and_insert(&self, proof: UsedProof) -> MaybeReady<Result<Freshness, StoreError>> {
    ///         # let _ = proof;
    ///         // One statement that inserts unless the row is there.
    ///         # MaybeReady::ready(Err(StoreError::unavailable("no database")))
    ///     }
    ///
    ///     fn windows(&self) -> &AcceptanceWindows {
    ///         &self.windows
    ///     }
    /// }
    /// ```
    fn windows(&self) -> &AcceptanceWindows;

    /// Returns the incarnation of the records, or `None` if the store has no [fence](self#the-fence). The default
    /// implementation returns `None`.
    ///
    /// The layer reads it before it checks a proof, and again when the store has returned
    /// [`Fresh`](Freshness::Fresh). If it has changed in between, the layer rejects the request. So a store that
    /// finds out during a call that its records were lost returns the new incarnation from here before the call
    /// completes. A store that does not know its incarnation yet returns `None`, and no proof that is checked
    /// until it knows passes.
    ///
    /// It is read several times a request, so it must not wait. A store that wraps another one returns the
    /// incarnation of that one, or there is no fence.
    ///
    /// # Security
    ///
    /// An incarnation that stays the same although records were lost accepts proofs again. One that
    /// changes needlessly costs each client one more request.
    fn incarnation(&self) -> Option<Incarnation> {
        None
    }

    /// Waits until the store can be used, or returns why it cannot. The default implementation is ready at once.
    ///
    /// A store over the network connects and checks its settings here. It connects without this call as well, and
    /// rejects until it is connected.
    ///
    /// # Errors
    ///
    /// The future yields an error if the store is out of reach, or if its settings lose live entries.
    fn warm_up(&self) -> MaybeReady<Result<(), StoreError>> {
        MaybeReady::ready(Ok(()))
    }

    /// Returns an error if a call to [`check_and_insert`](Self::check_and_insert) would fail now, as far as the store
    /// knows. The default implementation returns `Ok`.
    ///
    /// It is for a readiness probe, so it must not wait.
    ///
    /// # Errors
    ///
    /// Returns what the calls fail with.
    fn readiness(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Says in a few words which store this is and where, for the [settings in force](crate::DpopConfig) at start. The
    /// default implementation returns `None`, and the name of the type stands there.
    ///
    /// It must not contain a password.
    fn description(&self) -> Option<String> {
        None
    }

    /// Returns whether other processes share the records. The default implementation returns `false`.
    ///
    /// [`DpopConfigBuilder::build`](crate::DpopConfigBuilder::build) then warns of required nonces whose secret is that
    /// of one process, and rejects nonces that outlive the records if they stand in for `iat`.
    fn is_shared(&self) -> bool {
        false
    }

    /// Returns the longest [`UsedProof::remember_for`] that the store can keep an entry for, or `None` if there is no
    /// limit. The default implementation returns `None`.
    ///
    /// Use it for a database that removes entries by an age of its own.
    /// [`DpopConfigBuilder::build`](crate::DpopConfigBuilder::build) fails if that is too short for the proofs
    /// of the configuration.
    fn longest_life(&self) -> Option<Duration> {
        None
    }

    /// Returns how many entries the store can hold, if it knows. The default implementation returns `None`.
    ///
    /// [`DpopConfigBuilder::build`](crate::DpopConfigBuilder::build) logs a warning if that is little for
    /// the time that proofs are remembered.
    fn limits(&self) -> Option<ReplayLimits> {
        None
    }
}

impl<T: ReplayStore + ?Sized> ReplayStore for Arc<T> {
    fn check_and_insert(&self, proof: UsedProof) -> MaybeReady<Result<Freshness, StoreError>> {
        (**self).check_and_insert(proof)
    }

    fn windows(&self) -> &AcceptanceWindows {
        (**self).windows()
    }

    fn incarnation(&self) -> Option<Incarnation> {
        (**self).incarnation()
    }

    fn warm_up(&self) -> MaybeReady<Result<(), StoreError>> {
        (**self).warm_up()
    }

    fn readiness(&self) -> Result<(), StoreError> {
        (**self).readiness()
    }

    fn description(&self) -> Option<String> {
        (**self).description()
    }

    fn is_shared(&self) -> bool {
        (**self).is_shared()
    }

    fn longest_life(&self) -> Option<Duration> {
        (**self).longest_life()
    }

    fn limits(&self) -> Option<ReplayLimits> {
        (**self).limits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::pure_rust::PureRust;

    #[test]
    fn equal_jti_of_two_clients_are_two_proofs() {
        let one = ReplayKey::new([1; 32], "jti", &PureRust);
        let two = ReplayKey::new([2; 32], "jti", &PureRust);
        assert_ne!(one.proof(), two.proof());
        assert_ne!(one, two);
        assert_eq!(one, ReplayKey::new([1; 32], "jti", &PureRust));
    }

    #[test]
    fn the_identity_is_sha_256_over_thumbprint_and_jti() {
        // printf '\001%.0s' $(seq 32) | cat - <(printf jti) | sha256sum
        let key = ReplayKey::new([1; 32], "jti", &PureRust);
        let hex: String = key.proof().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            hex,
            "bb8645bdf56e106c3894256f6f42c81c66266e68a3ae3ede585e9f4371f4a566"
        );
        assert_eq!(key.client(), &[1; 32]);
    }

    #[test]
    fn whose_token_it_came_with_is_no_part_of_the_identity() {
        let key = ReplayKey::new([1; 32], "jti", &PureRust);
        let (alice, bob) = (key.of_subject([1; 32]), key.of_subject([2; 32]));
        assert_eq!(alice, bob);
        assert_eq!(std::collections::HashSet::from([key, alice, bob]).len(), 1);
        assert_eq!((key.subject(), bob.subject()), (None, Some(&[2; 32])));
        assert_eq!(key.proof(), alice.proof());
    }

    #[test]
    fn a_proof_is_to_be_remembered_through_its_last_second() {
        let proof = |now: i64, expires_at: i64| UsedProof {
            key: ReplayKey::new([1; 32], "jti", &PureRust),
            now: UnixTime::from_secs(now),
            expires_at: UnixTime::from_secs(expires_at),
        };
        let seconds = |proof: UsedProof| proof.remember_for().map(|time| time.as_secs());
        assert_eq!(seconds(proof(100, 175)), Some(76));
        assert_eq!(seconds(proof(175, 175)), Some(1));
        assert_eq!(seconds(proof(176, 175)), None);
        assert_eq!(seconds(proof(i64::MAX, i64::MIN)), None);
        assert_eq!(seconds(proof(i64::MIN, i64::MAX)), Some(1 << 63));
    }

    #[test]
    fn a_store_in_an_arc_is_the_store() {
        let store = Arc::new(MemoryReplayStore::new());
        let of_arc = ReplayStore::windows(&store);
        let _registered = of_arc.register(Duration::from_secs(7));
        assert_eq!(store.windows().longest().as_secs(), 7);
        assert_eq!(ReplayStore::limits(&store), (*store).limits());
        assert!(ReplayStore::limits(&store).is_some());
    }

    #[test]
    fn debug_prints_no_key_bytes() {
        let text = format!(
            "{:?}",
            ReplayKey::new([171; 32], "secret-jti", &PureRust).of_subject([172; 32])
        );
        assert_eq!(text, "ReplayKey { .. }");
    }

    #[test]
    fn the_trait_is_object_safe_and_shared_through_an_arc() {
        let store: Arc<dyn ReplayStore> = Arc::new(MemoryReplayStore::new());
        fn is_store(_: impl ReplayStore) {}
        is_store(store);
    }
}
