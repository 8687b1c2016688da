//! Each proof counts once: the record of the proofs that have been accepted.
//!
//! A DPoP proof travels in clear text headers through logs and proxies, and whoever copies one can
//! send it again until it is too old. [RFC 9449 section 11.1] therefore has a server remember the
//! `jti` of every proof it accepted for as long as that proof could be accepted again, which is the
//! last item on the check list of [section 4.3].
//!
//! [`MemoryReplayStore`] does this for one process. Where several processes serve the same
//! resources, they have to share one [`ReplayStore`]; otherwise each of them accepts a copied proof
//! once.
//!
//! # Several configurations
//!
//! Configurations may share a store, side by side or one after the other, also with different
//! [maximum ages](crate::DpopConfigBuilder::max_age): a proof is remembered for the longest window among
//! them ([`AcceptanceWindows`]). Layers *around one handler* share a configuration, not just a store, or
//! the inner one takes every proof for a replay.
//!
//! # Example
//!
//! ```
//! # #[cfg(feature = "josekit")] {
//! # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
//! use dpop_tower::{
//!     crypto::Josekit,
//!     replay::{Freshness, MemoryReplayStore, ReplayKey, ReplayStore, StoreError},
//!     clock::UnixTime,
//! };
//!
//! # let example = async {
//! let store = MemoryReplayStore::new();
//! let key = ReplayKey::new([7; 32], "e1j3V_bKic8-LAEB", &Josekit);
//! let now = UnixTime::from_secs(1_700_000_000);
//! let expires_at = UnixTime::from_secs(1_700_000_065);
//!
//! let first = store.check_and_insert(key, expires_at, now).await?;
//! assert_eq!(first, Freshness::Fresh);
//! let again = store.check_and_insert(key, expires_at, expires_at).await?;
//! assert_eq!(again, Freshness::Replayed);
//! # Ok::<(), StoreError>(())
//! # };
//! # let done = pin!(example).poll(&mut Context::from_waker(Waker::noop()));
//! # assert!(matches!(done, Poll::Ready(Ok(()))));
//! # }
//! ```
//!
//! [RFC 9449 section 11.1]: https://www.rfc-editor.org/rfc/rfc9449#section-11.1
//! [section 4.3]: https://www.rfc-editor.org/rfc/rfc9449#section-4.3

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use crate::{clock::UnixTime, crypto::CryptoProvider, future::MaybeReady};

mod error;
mod limits;
mod memory;
mod used;
mod windows;

pub(crate) use self::used::UsedProofs;

pub use self::{
    error::{StoreError, StoreErrorKind},
    limits::ReplayLimits,
    memory::MemoryReplayStore,
    windows::AcceptanceWindows,
};

/// Identity of a proof: which client key signed it, and which `jti` it carries.
///
/// It has a fixed size whatever the caller wrote into `jti`, so no store keeps anything whose size
/// a caller chose.
///
/// Beside its identity it says whose token the proof came with, for a limit. That is not part of the
/// identity: two keys are equal if client key and `jti` are.
#[derive(Clone, Copy)]
pub struct ReplayKey {
    client: [u8; 32],
    proof: [u8; 32],
    subject: Option<[u8; 32]>,
}

impl ReplayKey {
    /// The identity of the proof `jti` made with the key whose RFC 7638 SHA-256 thumbprint is
    /// `client`.
    ///
    /// The key is part of the identity because a `jti` is unique only among the proofs of one
    /// client: otherwise one client could use up the `jti` of another.
    pub fn new(client: [u8; 32], jti: &str, crypto: &dyn CryptoProvider) -> Self {
        Self {
            client,
            // The prefix has a fixed length, so no other pair gives the same input.
            proof: crypto.sha256(&[&client, jti.as_bytes()]),
            subject: None,
        }
    }

    /// Says whose token the proof came with, by a digest.
    ///
    /// The layer takes SHA-256 over the token's issuer and its `sub`, or its `client_id` where there is
    /// no `sub`: the same in every process.
    #[must_use]
    pub const fn of_subject(mut self, digest: [u8; 32]) -> Self {
        self.subject = Some(digest);
        self
    }

    /// The thumbprint of the client key: what a limit per client is counted by.
    pub const fn client(&self) -> &[u8; 32] {
        &self.client
    }

    /// The digest of whose token it came with: what a limit per subject is counted by, so that a user
    /// with many keys has no more room than one with a single key. `None` if the token does not say.
    pub const fn subject(&self) -> Option<&[u8; 32]> {
        self.subject.as_ref()
    }

    /// SHA-256 over the thumbprint and the `jti`: on its own a sufficient key for a database.
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

/// Whether a proof has been seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Freshness {
    /// First use. The proof is on record from now on.
    Fresh,
    /// Seen before, or so old that a record of it may be gone. Reject the request.
    Replayed,
}

/// Remembers which proofs have been used.
///
/// # Security
///
/// A *false negative* ([`Fresh`](Freshness::Fresh) for a proof that was used before) lets whoever
/// copied a proof and its token act as the client, once per false answer. A *false positive*
/// ([`Replayed`](Freshness::Replayed) or an error for a proof that is new) rejects a good request;
/// the client may repeat it with a new proof. So in doubt a store rejects.
///
/// Every implementation has to hold to this:
///
/// 1. **Atomic.** Look-up and insertion are one step. Of any number of concurrent calls with one
///    key, on any number of machines, exactly one is told `Fresh`. "Find, then save" is not enough.
/// 2. **Keyed by both.** [`ReplayKey`] identifies client key *and* `jti`. Store
///    [`proof`](ReplayKey::proof), which covers both, and never the `jti` alone.
/// 3. **Live entries stay.** An entry is live while `now <= expires_at`. It is not evicted, also
///    not for lack of memory: a full store answers [`StoreErrorKind::Full`]. A store which drops
///    old entries can be flooded until a copied proof passes.
/// 4. **Expiry is an instant**, not a time to live counted from the call: a proof whose `iat` lies
///    ahead of this server's clock lives longer than one that was made a minute ago. A store that
///    goes by a clock of its own keeps entries longer by as much as the two clocks may differ. A
///    replay does not extend the life of an entry.
/// 5. **Over is over.** If `expires_at` is before `now`, or entries with this `expires_at` may have
///    been removed already (a clock went back, a thread was slow), the answer is not `Fresh`.
/// 6. **Fail closed.** Whatever keeps the store from knowing is an error, never `Fresh`.
/// 7. **Bounded.** Memory has a limit, and neither one client key nor one
///    [subject](ReplayKey::subject) with many keys can take all of it.
///
/// 8. **One set of windows.** The store holds one [`AcceptanceWindows`], made when the store is made,
///    and [`windows`](Self::windows) returns that one every time. Stores that share records share the
///    windows, too.
///
/// The caller asks last, after the signature, the claims and the access token were found good: a
/// bad proof must use up neither a `jti` nor memory.
///
/// # Cancel safety
///
/// Dropping the future before it completes leaves open whether the proof is on record. If it is,
/// the client's request was rejected or abandoned anyway and it needs a new proof, which is the safe
/// direction. An implementation must not record a proof *after* it has answered.
pub trait ReplayStore: fmt::Debug + Send + Sync + 'static {
    /// Puts `key` on record if there is no live entry for it, and tells which it was.
    ///
    /// `expires_at` is the last instant, inclusive, to which the proof has to be remembered: that at
    /// which any configuration that shares the store could still accept it (`iat` plus the longest
    /// window of [`windows`](Self::windows)), and a few seconds for the time between looking at a proof
    /// and asking here. `now` is the caller's reading of the clock.
    ///
    /// # Errors
    ///
    /// The future gives an error if the store cannot record the proof. Nothing is stored then, as
    /// far as the store can know.
    fn check_and_insert(
        &self,
        key: ReplayKey,
        expires_at: UnixTime,
        now: UnixTime,
    ) -> MaybeReady<Result<Freshness, StoreError>>;

    /// The windows of the configurations that use this store: a field of the store, returned as it is.
    /// A store that passes calls on to another returns that one's.
    ///
    /// ```
    /// use dpop_tower::{
    ///     future::MaybeReady,
    ///     replay::{AcceptanceWindows, Freshness, ReplayKey, ReplayStore, StoreError},
    ///     time::UnixTime,
    /// };
    ///
    /// #[derive(Debug)]
    /// struct Database {
    ///     windows: AcceptanceWindows,
    ///     // A pool of connections, and so on.
    /// }
    ///
    /// impl ReplayStore for Database {
    ///     fn check_and_insert(
    ///         &self,
    ///         key: ReplayKey,
    ///         expires_at: UnixTime,
    ///         now: UnixTime,
    ///     ) -> MaybeReady<Result<Freshness, StoreError>> {
    ///         # let _ = (key, expires_at, now);
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

    /// How much it holds, if it knows. [`DpopConfigBuilder::build`](crate::DpopConfigBuilder::build)
    /// warns if that is little for the time that proofs are remembered.
    fn limits(&self) -> Option<ReplayLimits> {
        None
    }
}

impl<T: ReplayStore + ?Sized> ReplayStore for Arc<T> {
    fn check_and_insert(
        &self,
        key: ReplayKey,
        expires_at: UnixTime,
        now: UnixTime,
    ) -> MaybeReady<Result<Freshness, StoreError>> {
        (**self).check_and_insert(key, expires_at, now)
    }

    fn windows(&self) -> &AcceptanceWindows {
        (**self).windows()
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
    fn a_store_in_an_arc_is_the_store() {
        let store = Arc::new(MemoryReplayStore::new());
        let of_arc = ReplayStore::windows(&store);
        let _registered = of_arc.register(std::time::Duration::from_secs(7));
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
