use std::fmt;
#[cfg(feature = "josekit")]
use std::sync::{Arc, PoisonError, RwLock};

use super::KeyId;
#[cfg(feature = "josekit")]
use super::unusable;
#[cfg(feature = "josekit")]
use crate::crypto::decryption::{KeyRing, KeyRingError};
use crate::error::ConfigError;

/// The private keys with which encrypted access tokens are decrypted.
///
/// Give the public halves to the issuer. Each key has a `kid`, and a token names its key by it.
///
/// | key | algorithms (`alg`) |
/// |---|---|
/// | RSA with 2048 to 4096 bits | `RSA-OAEP-256` |
/// | P-256, P-384 or P-521 | `ECDH-ES`, `ECDH-ES+A128KW`, `ECDH-ES+A256KW` |
///
/// The content is encrypted with `A128GCM` or `A256GCM` (`enc`). Prefer keys on P-256: anyone can make the
/// server decrypt, and a decryption with any other key takes three to twenty times as long.
///
/// Clones share the keys, so that [`replace_with`](Self::replace_with) changes them while the configuration is in
/// use. OpenSSL keeps the private keys, and erases them when they are dropped. `Debug` shows the `kid`s only.
///
/// Without the feature `josekit`, nothing is parsed, and [`build`](crate::DpopConfigBuilder::build) rejects a
/// configuration with such keys.
///
/// ```
/// use dpop_tower::token::DecryptionKeys;
///
/// let keys = DecryptionKeys::from_jwk_set(
///     r#"{"keys":[{
///         "kty": "EC",
///         "crv": "P-256",
///         "kid": "2026-01",
///         "alg": "ECDH-ES",
///         "x": "weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ",
///         "y": "e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck",
///         "d": "VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw"
///     }]}"#,
/// )?;
/// # if cfg!(feature = "josekit") {
/// assert_eq!(format!("{keys:?}"), r#"DecryptionKeys(["2026-01"])"#);
/// # }
/// # Ok::<(), dpop_tower::ConfigError>(())
/// ```
#[derive(Clone)]
#[doc(alias = "jwe")]
pub struct DecryptionKeys {
    #[cfg(feature = "josekit")]
    ring: Arc<RwLock<Arc<KeyRing>>>,
}

impl DecryptionKeys {
    /// Parses a JWK Set (RFC 7517 section 5) of private keys, with at most 64 KiB of text.
    ///
    /// Each key needs a `kid`. `alg` and `enc` are optional, and restrict the key to one algorithm. An RSA key needs
    /// all of `d`, `p`, `q`, `dp`, `dq` and `qi`. A key whose `use` is not `enc` is an error.
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] of the kind [`Decryption`](crate::ConfigErrorKind::Decryption) if the set is empty, if
    /// one of its keys cannot be used, or if two have the same `kid`. It names the key by its `kid` and its position,
    /// counted from one.
    pub fn from_jwk_set(json: &str) -> Result<Self, ConfigError> {
        #[cfg(feature = "josekit")]
        return Self::of(KeyRing::from_jwk_set(json));
        #[cfg(not(feature = "josekit"))]
        return Self::not_parsed(json);
    }

    /// Parses an unencrypted private key in PKCS#8, as PEM with the label `PRIVATE KEY`. Tokens name it by `kid`.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`from_jwk_set`](Self::from_jwk_set).
    pub fn from_pkcs8_pem(kid: &str, pem: &str) -> Result<Self, ConfigError> {
        #[cfg(feature = "josekit")]
        return Self::of(KeyRing::from_pkcs8_pem(kid, pem));
        #[cfg(not(feature = "josekit"))]
        return Self::not_parsed((kid, pem));
    }

    /// Returns the keys of both, as they are now. The result shares no later change of either.
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] if both have a key with the same `kid`.
    ///
    /// ```
    /// # fn main() -> Result<(), dpop_tower::ConfigError> {
    /// use dpop_tower::token::DecryptionKeys;
    ///
    /// fn current_and_previous(current: &str, previous: &str) -> Result<DecryptionKeys, dpop_tower::ConfigError> {
    ///     let current = DecryptionKeys::from_pkcs8_pem("2026-02", current)?;
    ///     current.and(&DecryptionKeys::from_pkcs8_pem("2026-01", previous)?)
    /// }
    /// # let _ = current_and_previous;
    /// # Ok(())
    /// # }
    /// ```
    pub fn and(&self, other: &Self) -> Result<Self, ConfigError> {
        #[cfg(feature = "josekit")]
        return Self::of(self.current().and(&other.current()));
        #[cfg(not(feature = "josekit"))]
        return Self::not_parsed(other);
    }

    /// Replaces the keys in all clones, and so in every configuration that uses them.
    ///
    /// A token that was encrypted for a key that is gone is rejected at once, also if it was accepted before.
    /// Keep the previous key until the tokens that were encrypted for it have expired.
    pub fn replace_with(&self, other: &Self) {
        #[cfg(feature = "josekit")]
        {
            let new = other.current();
            *self.ring.write().unwrap_or_else(PoisonError::into_inner) = new;
        }
        #[cfg(not(feature = "josekit"))]
        let _ = other;
    }
}

#[cfg(feature = "josekit")]
impl DecryptionKeys {
    fn of(ring: Result<KeyRing, KeyRingError>) -> Result<Self, ConfigError> {
        let ring = ring.map_err(|error| unusable(error.to_string()))?;
        Ok(Self {
            ring: Arc::new(RwLock::new(Arc::new(ring))),
        })
    }

    /// Returns the keys. No code under the lock can leave them inconsistent, so poisoning is ignored.
    pub(super) fn current(&self) -> Arc<KeyRing> {
        Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(in crate::token::jwt) fn contains(&self, id: &KeyId) -> bool {
        self.current().contains(id)
    }

    /// Returns a `kid` that both have for different keys.
    pub(super) fn conflict_with(&self, other: &Self) -> Option<String> {
        let (ours, theirs) = (self.current(), other.current());
        let conflict = ours
            .ids()
            .find(|id| theirs.find(&id.kid).is_some_and(|key| **key.id() != **id));
        conflict.map(|id| id.kid.clone())
    }
}

#[cfg(not(feature = "josekit"))]
impl DecryptionKeys {
    /// `build` rejects them.
    fn not_parsed<T>(_: T) -> Result<Self, ConfigError> {
        Ok(Self {})
    }

    pub(in crate::token::jwt) fn contains(&self, id: &KeyId) -> bool {
        match *id {}
    }

    pub(super) fn conflict_with(&self, _: &Self) -> Option<String> {
        None
    }
}

impl fmt::Debug for DecryptionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[cfg(feature = "josekit")]
        {
            let ring = self.current();
            let kids: Vec<&str> = ring.ids().map(|id| id.kid.as_str()).collect();
            f.debug_tuple("DecryptionKeys").field(&kids).finish()
        }
        #[cfg(not(feature = "josekit"))]
        f.write_str("DecryptionKeys(..)")
    }
}
