//! Nonces that the server hands out (RFC 9449 section 9).
//!
//! A nonce limits how far ahead of its use a proof can be made: without one, whoever has the key for
//! a moment can sign proofs with an `iat` of tomorrow. They cost clients a round trip now and then,
//! so they are off unless [`DpopConfigBuilder::nonces`](crate::DpopConfigBuilder::nonces) turns them
//! on.

mod stateless;

pub use self::stateless::{NonceSecret, StatelessNonces};
pub use crate::proof::{NonceLife, NonceStatus};

use std::{fmt, sync::Arc, time::Duration};

use crate::{clock::UnixTime, crypto::CryptoProvider};

/// Makes nonces and recognises them.
///
/// # Security
///
/// Anyone can ask for a nonce, so making one must store nothing. A false positive of
/// [`check`](Self::check) lets a proof pass that was made ahead of time; a false negative costs an
/// honest client one more round trip, or all of them if it never stops.
pub trait NonceSource: fmt::Debug + Send + Sync + 'static {
    /// The nonce to hand out at `now`: one or more characters of RFC 9449 section 8.1 (visible ASCII
    /// without `"` and `\`). `crypto` is the backend of the configuration.
    fn current(&self, now: UnixTime, crypto: &dyn CryptoProvider) -> String;

    /// What becomes of a proof with this nonce at `now`. Its length is bounded, its content is
    /// whatever the caller wrote.
    fn check(&self, nonce: &str, now: UnixTime, crypto: &dyn CryptoProvider) -> NonceStatus;

    /// The life of a nonce that [`check`](Self::check) accepts, if there is a time in it; see
    /// [`DpopConfigBuilder::accept_nonce_for_iat`](crate::DpopConfigBuilder::accept_nonce_for_iat). By
    /// default there is none.
    fn life(&self, nonce: &str) -> Option<NonceLife> {
        let _ = nonce;
        None
    }

    /// How long the life of a nonce is at most; `None` if nonces have no time in them, as by default.
    fn longest_life(&self) -> Option<Duration> {
        None
    }

    /// Why these nonces cannot be used, for the error at start-up: what is wrong with which setting, and
    /// what to write instead. `None` if they can.
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
