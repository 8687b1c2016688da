//! Revocation: tokens that are rejected before they expire.
//!
//! A JWT is valid until its `exp`, whatever happens in between. A [`RevocationList`] is asked about each
//! token that is otherwise good, also about tokens that were verified before. You set it with
//! [`DpopConfigBuilder::revocation_list`](crate::DpopConfigBuilder::revocation_list). Without one, nothing is
//! asked.
//!
//! [`MemoryRevocationList`] is a list for one process, which your code fills, or an `ssf::EventReceiver` with the
//! security events of the issuer. A list that several processes share is your own
//! [`RevocationList`], such as a table of a database.
//!
//! | to revoke | use |
//! |---|---|
//! | one token, by its `jti` | [`Revocation::Token`] |
//! | all tokens that are bound to one key, for example after the key was stolen | [`Revocation::Key`] |
//! | all tokens of a user that were issued before a time | [`Revocation::Subject`] |
//! | all tokens of one login, by its `sid` | [`Revocation::Session`] |
//! | all tokens of an OAuth client that were issued before a time | [`Revocation::Client`] |
//!
//! # Example
//!
//! ```
//! # #[cfg(feature = "test-util")]
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use dpop_tower::revocation::{MemoryRevocationList, Revocation};
//! use dpop_tower::{DpopConfig, PublicOrigin, RequestHead, Verdict, Verifier};
//! # use dpop_tower::clock::{SystemClock, TimeSource};
//! # use dpop_tower::test_util::{TestClient, TestIssuer};
//! use std::{sync::Arc, time::Duration};
//!
//! # let (issuer, client) = (TestIssuer::new().issuer("https://idp.example.com"), TestClient::new());
//! # let origin = PublicOrigin::new("https://api.example.com")?;
//! # let tokens = issuer.tokens();
//! let list = Arc::new(MemoryRevocationList::new());
//! let config = DpopConfig::builder(origin, tokens).revocation_list(Arc::clone(&list)).build()?;
//!
//! // The user has lost a device, and no token is valid for more than an hour.
//! let now = SystemClock.now();
//! let alice = Revocation::Subject {
//!     issuer: "https://idp.example.com",
//!     subject: "alice",
//!     issued_before: now.saturating_add(Duration::from_secs(1)),
//! };
//! list.revoke(alice, now.saturating_add(Duration::from_secs(3600)))?;
//! # let token = issuer.token().subject("alice").bound_to(&client).mint();
//! # let request = client.get("https://api.example.com/orders", &token);
//! # let head = RequestHead::new(request.method(), request.uri(), request.headers());
//! # match Verifier::new(config).verify_request(head).await {
//! #     Verdict::Admitted(_) => panic!("the token was admitted"),
//! #     Verdict::Rejected(rejection) => assert_eq!(rejection.reason(), "token_revoked"),
//! # }
//! # Ok(()) }
//! # #[cfg(not(feature = "test-util"))] fn main() {}
//! ```

mod entry;
mod error;
mod memory;
mod query;

pub use self::{
    entry::Revocation,
    error::{RevocationError, RevocationListFull},
    memory::MemoryRevocationList,
    query::RevocationQuery,
};

use std::{fmt, sync::Arc};

use crate::{clock::UnixTime, future::MaybeReady};

/// The answer of a [`RevocationList`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum RevocationStatus {
    /// Nothing on the list applies to the token.
    Active,
    /// The token is revoked. Reject the request.
    Revoked,
}

/// Takes entries for a revocation list, such as those of the security events that an `ssf::EventReceiver` gets.
///
/// [`MemoryRevocationList`] is one. Implement it for a list that several processes share.
///
/// # Security
///
/// The future must not complete with `Ok` before the entry is on the list, because the event is acknowledged then
/// and does not come again. Revoking the same twice must have the effect of revoking it once.
///
/// # Cancel safety
///
/// If the returned future is dropped, the entry may or may not be on the list. The event comes again.
///
/// # Example
///
/// ```
/// use dpop_tower::{
///     clock::UnixTime,
///     future::MaybeReady,
///     revocation::{Revocation, RevocationError, RevocationSink},
/// };
///
/// #[derive(Debug)]
/// struct Sessions;
///
/// impl Sessions {
///     async fn close(issuer: String, session: String) -> std::io::Result<()> {
///         # let _ = (issuer, session);
///         # Err(std::io::ErrorKind::TimedOut.into())
///     }
/// }
///
/// impl RevocationSink for Sessions {
///     fn add(
///         &self,
///         revocation: Revocation<'_>,
///         _until: UnixTime,
///     ) -> MaybeReady<Result<(), RevocationError>> {
///         let Revocation::Session { issuer, session_id } = revocation else {
///             return MaybeReady::ready(Ok(()));
///         };
///         let closed = Self::close(issuer.to_owned(), session_id.to_owned());
///         MaybeReady::pending(async { closed.await.map_err(RevocationError::unavailable) })
///     }
/// }
/// ```
pub trait RevocationSink: fmt::Debug + Send + Sync + 'static {
    /// Adds an entry that counts through the second `until`; see [`MemoryRevocationList::revoke`].
    ///
    /// # Errors
    ///
    /// The future yields an error if the entry could not be added.
    fn add(
        &self,
        revocation: Revocation<'_>,
        until: UnixTime,
    ) -> MaybeReady<Result<(), RevocationError>>;
}

impl<T: RevocationSink + ?Sized> RevocationSink for Arc<T> {
    fn add(
        &self,
        revocation: Revocation<'_>,
        until: UnixTime,
    ) -> MaybeReady<Result<(), RevocationError>> {
        (**self).add(revocation, until)
    }
}

/// Knows which tokens have been revoked before their expiry.
///
/// # Security
///
/// A *false negative*, which is [`Active`](RevocationStatus::Active) for a revoked token, admits the client
/// or the thief that the revocation is meant for, until the token expires. A *false positive*, which is
/// [`Revoked`](RevocationStatus::Revoked) for another token, rejects a good client. It gets a new token, which
/// does not help if the whole subject or key counts as revoked.
///
/// Every implementation has to satisfy these rules:
///
/// 1. **Fail closed.** If the list cannot tell, it returns an error, never `Active`. The request is rejected
///    with 503.
/// 2. **Subjects, sessions, clients and `jti` are those of one issuer.** Two issuers can use the same value
///    for different users or tokens. Only the [thumbprint](RevocationQuery::thumbprint) of a key is the same
///    everywhere.
/// 3. **Entries stay.** An entry is kept for as long as a token that it applies to can be valid. A list that
///    has no room left rejects the new entry and keeps the old ones.
/// 4. **A missing claim does not protect a token.** A token without `iat` may have been issued at any time, so
///    it counts as issued before the time of an entry.
///
/// The list is asked when the token is valid, the proof is signed with the token's key, and the policy is
/// satisfied. Only the [replay store](crate::replay::ReplayStore) is asked later, so a request that the list
/// rejects does not use up its proof. A copied request makes the list work, and an invented one does not.
/// Nested layers of one configuration ask once. While a stream is under way, the list is asked again every few
/// seconds if a layer ends streams; see `lifetime`.
///
/// # Cancel safety
///
/// If the returned future is dropped, the request is abandoned. Nothing may depend on its completion.
///
/// # Example
///
/// A list that asks a database for the session of the token:
///
/// ```
/// use dpop_tower::{
///     future::MaybeReady,
///     revocation::{RevocationError, RevocationList, RevocationQuery, RevocationStatus},
/// };
///
/// #[derive(Debug)]
/// struct Sessions;
///
/// impl Sessions {
///     async fn is_open(issuer: String, session: String) -> std::io::Result<bool> {
///         # let _ = (issuer, session);
///         # Err(std::io::ErrorKind::TimedOut.into())
///     }
/// }
///
/// impl RevocationList for Sessions {
///     fn status(
///         &self,
///         token: RevocationQuery<'_>,
///     ) -> MaybeReady<Result<RevocationStatus, RevocationError>> {
///         let (Some(issuer), Some(session)) = (token.issuer(), token.session_id()) else {
///             // Every token of this issuer has a session.
///             return MaybeReady::ready(Ok(RevocationStatus::Revoked));
///         };
///         let answer = Self::is_open(issuer.to_owned(), session.to_owned());
///         MaybeReady::pending(async {
///             match answer.await.map_err(RevocationError::unavailable)? {
///                 true => Ok(RevocationStatus::Active),
///                 false => Ok(RevocationStatus::Revoked),
///             }
///         })
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not know which tokens are revoked",
    label = "does not implement `RevocationList`",
    note = "`MemoryRevocationList` of `dpop_tower::revocation` does, and a type of your own that \
            implements `RevocationList`; a value that implements it is given as it is, or in an `Arc`"
)]
#[doc(alias = "denylist")]
#[doc(alias = "blocklist")]
pub trait RevocationList: fmt::Debug + Send + Sync + 'static {
    /// Returns whether a token is revoked.
    ///
    /// # Errors
    ///
    /// The future yields an error if the list cannot tell.
    fn status(
        &self,
        token: RevocationQuery<'_>,
    ) -> MaybeReady<Result<RevocationStatus, RevocationError>>;

    /// Returns a number that changes after each new entry, if the list has one.
    ///
    /// While it stays the same, the list is not asked again about the token of an open stream. The default
    /// implementation returns `None`, so the list is asked every few seconds.
    fn version(&self) -> Option<u64> {
        None
    }
}

impl<T: RevocationList + ?Sized> RevocationList for Arc<T> {
    fn status(
        &self,
        token: RevocationQuery<'_>,
    ) -> MaybeReady<Result<RevocationStatus, RevocationError>> {
        (**self).status(token)
    }

    fn version(&self) -> Option<u64> {
        (**self).version()
    }
}
