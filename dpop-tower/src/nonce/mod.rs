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

mod secret;
mod stateless;

pub use self::{secret::NonceSecret, stateless::StatelessNonces};
pub use crate::proof::{NonceLife, NonceStatus};

use std::{fmt, sync::Arc, time::Duration};

use crate::{clock::UnixTime, crypto::CryptoProvider};

/// Makes nonces and recognises them.
///
/// # Security
///
/// Anyone can request a nonce, so [`current`](Self::current) must not store anything. A false positive of
/// [`check`](Self::check) accepts a proof that was made ahead of time. A false negative costs an honest
/// client another request. If every check is a false negative, no client is ever admitted.
///
/// # Example
///
/// A source of your own that counts the nonces it rejects, around [`StatelessNonces`]:
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use dpop_tower::{
///     clock::UnixTime,
///     crypto::CryptoProvider,
///     nonce::{NonceSecret, NonceSource, NonceStatus, StatelessNonces},
/// };
///
/// #[derive(Debug)]
/// struct Counted {
///     nonces: StatelessNonces,
///     unknown: AtomicU64,
/// }
///
/// impl NonceSource for Counted {
///     fn current(&self, now: UnixTime, crypto: &dyn CryptoProvider) -> String {
///         self.nonces.current(now, crypto)
///     }
///
///     fn check(&self, nonce: &str, now: UnixTime, crypto: &dyn CryptoProvider) -> NonceStatus {
///         let status = self.nonces.check(nonce, now, crypto);
///         if status == NonceStatus::Unknown {
///             self.unknown.fetch_add(1, Ordering::Relaxed);
///         }
///         status
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
/// let now = UnixTime::from_secs(1_700_000_000);
/// assert_eq!(counted.check("guessed", now, &Josekit), NonceStatus::Unknown);
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
    /// Returns the nonce for clients at `now`, made with the backend of the configuration.
    ///
    /// It has one or more of the characters of RFC 9449 section 8.1, which are visible ASCII without `"`
    /// and `\`.
    fn current(&self, now: UnixTime, crypto: &dyn CryptoProvider) -> String;

    /// Checks the nonce of a proof at `now`.
    ///
    /// The caller chooses the content of `nonce`. Its length is limited by that of a proof.
    fn check(&self, nonce: &str, now: UnixTime, crypto: &dyn CryptoProvider) -> NonceStatus;

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
    fn current(&self, now: UnixTime, crypto: &dyn CryptoProvider) -> String {
        (**self).current(now, crypto)
    }

    fn check(&self, nonce: &str, now: UnixTime, crypto: &dyn CryptoProvider) -> NonceStatus {
        (**self).check(nonce, now, crypto)
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
