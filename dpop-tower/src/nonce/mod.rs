//! Nonces provided by the server (RFC 9449 section 9).
//!
//! A nonce limits how far ahead of its use a proof can be made. Without nonces, an attacker who can use
//! the key for a moment can sign proofs with an `iat` of tomorrow. Nonces cost clients an additional
//! request now and then, so they are off by default.
//!
//! [`DpopConfigBuilder::require_nonces`](crate::DpopConfigBuilder::require_nonces) turns them on for all
//! routes, and [`Policy::require_nonce`](crate::Policy::require_nonce) for one. Several nodes need a shared
//! secret, or clients are challenged again by each of them:
//!
//! ```
//! # #[cfg(feature = "test-util")] {
//! # use dpop_tower::test_util::TestIssuer;
//! use dpop_tower::{DpopConfig, PublicOrigin, nonce::{NonceSecret, StatelessNonces}};
//!
//! # let issuer = TestIssuer::new().tokens();
//! // 32 random bytes or more, the same on every node.
//! # let secret = [7; 32];
//! let nonces = StatelessNonces::new(NonceSecret::new(secret)?);
//! let config = DpopConfig::builder(PublicOrigin::new("https://api.example.com")?, issuer)
//!     .nonce_source(nonces)
//!     .require_nonces()
//!     .build()?;
//! # }
//! # Ok::<(), dpop_tower::ConfigError>(())
//! ```
//!
//! [`NonceSecrets`] describes how several nodes change their secret, [`StatelessNonces::partition`] how regions do
//! without a common replay store, and [`StatelessNonces::bind_to_key`] how a nonce is good for one client only.

mod context;
mod secret;
mod secrets;
mod stateless;

pub use self::{
    context::NonceContext, secret::NonceSecret, secrets::NonceSecrets, stateless::StatelessNonces,
};
pub use crate::proof::{NonceLife, NonceStatus};

use std::{fmt, sync::Arc, time::Duration};

/// Makes nonces and recognises them.
///
/// # Security
///
/// Anyone can request a nonce, so [`current`](Self::current) must not store anything. A false positive of
/// [`check`](Self::check) accepts a proof that was made ahead of time. A false negative costs an honest
/// client another request. If every check is a false negative, no client is ever admitted.
///
/// [`covers_incarnation`](Self::covers_incarnation) is a promise. If it is wrong, a proof that was used before
/// the replay store lost its records is accepted again.
///
/// # Example
///
/// A source of your own that counts the nonces it rejects, around [`StatelessNonces`]:
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use dpop_tower::{
///     clock::UnixTime,
///     nonce::{NonceContext, NonceSecret, NonceSource, NonceStatus, StatelessNonces},
/// };
///
/// #[derive(Debug)]
/// struct Counted {
///     nonces: StatelessNonces,
///     unknown: AtomicU64,
/// }
///
/// impl NonceSource for Counted {
///     fn current(&self, context: &NonceContext<'_>) -> String {
///         self.nonces.current(context)
///     }
///
///     fn check(&self, nonce: &str, context: &NonceContext<'_>) -> NonceStatus {
///         let status = self.nonces.check(nonce, context);
///         if status == NonceStatus::Unknown {
///             self.unknown.fetch_add(1, Ordering::Relaxed);
///         }
///         status
///     }
///
///     fn covers_incarnation(&self) -> bool {
///         self.nonces.covers_incarnation()
///     }
///
///     fn unusable(&self) -> Option<String> {
///         self.nonces.unusable()
///     }
/// }
///
/// # #[cfg(feature = "josekit")] {
/// # use dpop_tower::crypto::Josekit;
/// let nonces = StatelessNonces::new(NonceSecret::random()?);
/// let counted = Counted { nonces, unknown: AtomicU64::new(0) };
/// let context = NonceContext::new(UnixTime::from_secs(1_700_000_000), &Josekit);
/// assert_eq!(counted.check("guessed", &context), NonceStatus::Unknown);
/// assert_eq!(counted.unknown.into_inner(), 1);
/// # }
/// # Ok::<(), dpop_tower::ConfigError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot make nonces",
    label = "does not implement `NonceSource`",
    note = "`StatelessNonces::new(secret)` of `dpop_tower::nonce` can, and a type of your own that \
            implements `NonceSource`; a value that implements it is given as it is, or in an `Arc`"
)]
pub trait NonceSource: fmt::Debug + Send + Sync + 'static {
    /// Returns the nonce for clients.
    ///
    /// It has one or more of the characters of RFC 9449 section 8.1, which are visible ASCII without `"`
    /// and `\`.
    fn current(&self, context: &NonceContext<'_>) -> String;

    /// Checks the nonce of a proof.
    ///
    /// The caller chooses the content of `nonce`. Its length is limited by that of a proof.
    fn check(&self, nonce: &str, context: &NonceContext<'_>) -> NonceStatus;

    /// Returns whether a nonce that was made for another [incarnation](NonceContext::incarnation) of the replay
    /// store is [`Unknown`](NonceStatus::Unknown).
    ///
    /// Only then does a good nonce show that its proof was made after the store lost its records, so that the
    /// proof passes the [fence](crate::replay#the-fence). The default implementation returns `false`: by the
    /// fence, such a nonce counts for nothing.
    fn covers_incarnation(&self) -> bool {
        false
    }

    /// Returns whether a nonce is good with one key only. The layer then sets
    /// [`NonceContext::thumbprint`], and sends no nonce in the response to a request without a readable key. The
    /// default implementation returns `false`.
    fn binds_to_key(&self) -> bool {
        false
    }

    /// Returns whether no other process can accept these nonces, as with a secret from [`NonceSecret::random`]. The
    /// default implementation returns `false`.
    ///
    /// [`DpopConfigBuilder::build`](crate::DpopConfigBuilder::build) then warns if nonces are required and other
    /// processes share the replay store.
    fn is_per_process(&self) -> bool {
        false
    }

    /// Returns the lifetime of a nonce that [`check`](Self::check) accepts, if the nonce contains a time.
    ///
    /// [`DpopConfigBuilder::accept_nonce_for_iat`](crate::DpopConfigBuilder::accept_nonce_for_iat) needs
    /// it. The default implementation returns `None`.
    fn life(&self, nonce: &str) -> Option<NonceLife> {
        let _ = nonce;
        None
    }

    /// Returns the longest [`life`](Self::life) of a nonce, or `None` if nonces contain no time.
    ///
    /// The default implementation returns `None`.
    fn longest_life(&self) -> Option<Duration> {
        None
    }

    /// Returns why these nonces cannot be used, or `None` if they can.
    ///
    /// The text becomes part of the error at start-up. It names the setting, what is wrong with it, and
    /// what to write instead.
    fn unusable(&self) -> Option<String> {
        None
    }
}

impl<T: NonceSource + ?Sized> NonceSource for Arc<T> {
    fn current(&self, context: &NonceContext<'_>) -> String {
        (**self).current(context)
    }

    fn check(&self, nonce: &str, context: &NonceContext<'_>) -> NonceStatus {
        (**self).check(nonce, context)
    }

    fn covers_incarnation(&self) -> bool {
        (**self).covers_incarnation()
    }

    fn binds_to_key(&self) -> bool {
        (**self).binds_to_key()
    }

    fn is_per_process(&self) -> bool {
        (**self).is_per_process()
    }

    fn life(&self, nonce: &str) -> Option<NonceLife> {
        (**self).life(nonce)
    }

    fn longest_life(&self) -> Option<Duration> {
        (**self).longest_life()
    }

    fn unusable(&self) -> Option<String> {
        (**self).unusable()
    }
}
