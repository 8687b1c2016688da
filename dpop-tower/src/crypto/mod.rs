//! Signature algorithms, and the backends that verify signatures and compute hashes.
//!
//! A backend is a value of the configuration and not a build-time switch. The features `josekit` and
//! `aws-lc-rs` each add one. This crate implements no cryptography of its own.
//!
//! | backend | feature | library | notes |
//! |---|---|---|---|
//! | `Josekit` | `josekit`, on by default | OpenSSL | The default if it is compiled in. Uses the OpenSSL provider of the process, such as a FIPS provider. |
//! | `AwsLcRs` | `aws-lc-rs` | AWS-LC | The default without `josekit`. Verifies faster than OpenSSL. |
//! | your own [`CryptoProvider`] | none | any | For another library, or to wrap one of the above. |
//!
//! # Example
//!
//! With both features on, [`DpopConfigBuilder::crypto`](crate::DpopConfigBuilder::crypto) chooses AWS-LC:
//!
//! ```
//! # #[cfg(all(feature = "aws-lc-rs", feature = "test-util"))] {
//! # use dpop_tower::test_util::TestIssuer;
//! use dpop_tower::{DpopConfig, PublicOrigin, crypto::AwsLcRs};
//!
//! # let issuer = TestIssuer::new().tokens();
//! let origin = PublicOrigin::new("https://api.example.com")?;
//! let config = DpopConfig::builder(origin, issuer).crypto(AwsLcRs).build()?;
//! # }
//! # Ok::<(), dpop_tower::ConfigError>(())
//! ```

#[cfg(feature = "aws-lc-rs")]
mod aws_lc_rs;
#[cfg(feature = "josekit")]
pub(crate) mod decryption;
mod hash;
#[cfg(feature = "josekit")]
mod josekit;
#[cfg(any(feature = "aws-lc-rs", feature = "josekit"))]
mod prepared;
#[cfg(any(feature = "client", feature = "introspection", feature = "josekit"))]
#[cfg_attr(
    not(any(feature = "aws-lc-rs", feature = "josekit")),
    allow(dead_code, reason = "without a backend, no key can be made")
)]
mod private;
#[cfg(test)]
pub(crate) mod pure_rust;
#[cfg(any(feature = "client", feature = "introspection"))]
#[cfg_attr(
    not(any(feature = "aws-lc-rs", feature = "josekit")),
    allow(dead_code, reason = "without a backend, no key can be made")
)]
pub(crate) mod signing;

#[cfg(feature = "aws-lc-rs")]
pub use self::aws_lc_rs::AwsLcRs;
pub(crate) use self::hash::check_hashes;
#[cfg(feature = "josekit")]
pub use self::josekit::Josekit;

use std::{fmt, sync::Arc};

pub use crate::jose::algorithm::Algorithm;
use crate::{
    error::{ConfigError, ConfigErrorKind},
    jwk::PublicJwk,
};

/// A crypto backend: turns a public key into something that verifies signatures, and hashes.
///
/// Every hash and every MAC of a configuration comes from its backend, so a program with a validated
/// cryptographic module computes all of them there. Every method is required because there is no other
/// implementation to fall back to.
///
/// The methods run inline on the executor. Each call should take well under a millisecond.
///
/// # Security
///
/// A false positive of [`VerifyingKey::verify`] lets an attacker act with a stolen token. A false negative
/// rejects a good request. When in doubt, reject: points that are not on their curve, signatures of another
/// length, keys that do not fit the algorithm.
///
/// A hash identifies an access token, a key and a proof. Two inputs with the same hash count as the same, so
/// an attacker who finds such a pair acts as somebody else.
/// [`DpopConfigBuilder::build`](crate::DpopConfigBuilder::build) rejects a backend that fails known
/// answers.
///
/// # Example
///
/// A backend can wrap another one. This one supports `ES256` only, whatever the wrapped one supports:
///
/// ```
/// use dpop_tower::{
///     crypto::{Algorithm, CryptoProvider, InvalidKey, PreparedKey},
///     jwk::PublicJwk,
/// };
///
/// #[derive(Debug)]
/// struct Es256Only<C>(C);
///
/// impl<C: CryptoProvider> CryptoProvider for Es256Only<C> {
///     fn supports(&self, algorithm: Algorithm) -> bool {
///         algorithm == Algorithm::Es256 && self.0.supports(algorithm)
///     }
///
///     fn prepare(&self, key: &PublicJwk, algorithm: Algorithm) -> Result<PreparedKey, InvalidKey> {
///         if self.supports(algorithm) {
///             self.0.prepare(key, algorithm)
///         } else {
///             Err(InvalidKey)
///         }
///     }
///
///     fn sha256(&self, parts: &[&[u8]]) -> [u8; 32] {
///         self.0.sha256(parts)
///     }
///
///     fn hmac_sha256(&self, key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
///         self.0.hmac_sha256(key, parts)
///     }
/// }
///
/// # #[cfg(feature = "josekit")] {
/// let crypto = Es256Only(dpop_tower::crypto::Josekit);
/// assert!(crypto.supports(Algorithm::Es256));
/// assert!(!crypto.supports(Algorithm::Rs256));
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no crypto backend",
    label = "does not implement `CryptoProvider`",
    note = "`Josekit` and `AwsLcRs` of `dpop_tower::crypto` are, where their features are on, and \
            a type of your own that implements `CryptoProvider`; a value that implements it is \
            given as it is, or in an `Arc`"
)]
pub trait CryptoProvider: fmt::Debug + Send + Sync + 'static {
    /// Returns whether [`prepare`](Self::prepare) can succeed for `algorithm`.
    ///
    /// [`DpopConfigBuilder::build`](crate::DpopConfigBuilder::build) rejects a list of allowed algorithms
    /// that contains one for which this returns `false`.
    fn supports(&self, algorithm: Algorithm) -> bool;

    /// Parses `key` for use with `algorithm`. The layer keeps the result and uses it for many signatures.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidKey`] if the key does not [fit](PublicJwk::fits) the algorithm, if it is not a valid
    /// key (such as a point that is not on its curve), or if the backend does not support it. A backend that
    /// cannot check whether a key is valid may prepare an invalid one, but no signature may verify with it.
    fn prepare(&self, key: &PublicJwk, algorithm: Algorithm) -> Result<PreparedKey, InvalidKey>;

    /// Computes SHA-256 (FIPS 180-4) over the concatenation of `parts`.
    ///
    /// # Panics
    ///
    /// Panics if the backend cannot hash, for example because memory is exhausted. It must not return
    /// anything else instead, because the same substitute for many inputs makes all of them equal.
    fn sha256(&self, parts: &[&[u8]]) -> [u8; 32];

    /// Computes HMAC-SHA-256 (FIPS 198-1) over the concatenation of `parts`. The key can have any length.
    ///
    /// # Panics
    ///
    /// Panics if the backend cannot hash, as [`sha256`](Self::sha256) does.
    fn hmac_sha256(&self, key: &[u8], parts: &[&[u8]]) -> [u8; 32];
}

impl<T: CryptoProvider + ?Sized> CryptoProvider for Arc<T> {
    fn supports(&self, algorithm: Algorithm) -> bool {
        (**self).supports(algorithm)
    }

    fn prepare(&self, key: &PublicJwk, algorithm: Algorithm) -> Result<PreparedKey, InvalidKey> {
        (**self).prepare(key, algorithm)
    }

    fn sha256(&self, parts: &[&[u8]]) -> [u8; 32] {
        (**self).sha256(parts)
    }

    fn hmac_sha256(&self, key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
        (**self).hmac_sha256(key, parts)
    }
}

/// A parsed public key, tied to one algorithm.
///
/// # Example
///
/// A key can wrap the one of another backend, here to measure each verification:
///
/// ```
/// use std::time::Instant;
/// use dpop_tower::crypto::{InvalidSignature, PreparedKey, VerifyingKey};
///
/// #[derive(Debug)]
/// struct Timed(PreparedKey);
///
/// impl VerifyingKey for Timed {
///     fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
///         let start = Instant::now();
///         let result = self.0.verify(message, signature);
///         println!("verified a signature in {:?}", start.elapsed());
///         result
///     }
/// }
/// ```
pub trait VerifyingKey: fmt::Debug + Send + Sync + 'static {
    /// Verifies `signature` over `message`.
    ///
    /// The signature has the format of RFC 7518 section 3. For ECDSA, this is the concatenation of R and S,
    /// not DER. The caller chooses both arguments, so the length of the signature is not checked yet.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidSignature`] for anything but a valid signature.
    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature>;
}

/// A key that a backend has parsed, shared between requests.
///
/// [`CryptoProvider::prepare`] returns it. A clone is a handle to the same key.
pub type PreparedKey = Arc<dyn VerifyingKey>;

/// The error of preparing a key that a backend cannot use.
///
/// A proof with such a key is rejected with
/// [`ProofErrorKind::KeyInvalid`](crate::proof::ProofErrorKind::KeyInvalid). Such a key of an issuer is
/// skipped and logged at `warn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidKey;

impl fmt::Display for InvalidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the key is not valid for the algorithm")
    }
}

impl std::error::Error for InvalidKey {}

/// The error of verifying a signature that is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidSignature;

impl fmt::Display for InvalidSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the signature does not verify")
    }
}

impl std::error::Error for InvalidSignature {}

/// Rejects a configured list of algorithms that is empty or contains one that the backend does not support.
pub(crate) fn check_algorithms(
    algorithms: &[Algorithm],
    crypto: &dyn CryptoProvider,
) -> Result<(), ConfigError> {
    let reject = |message: String| Err(ConfigError::new(ConfigErrorKind::Algorithms, message));
    if algorithms.is_empty() {
        return reject("no algorithm is allowed".to_owned());
    }
    match algorithms
        .iter()
        .find(|algorithm| !crypto.supports(**algorithm))
    {
        Some(algorithm) => reject(format!("the crypto backend does not support {algorithm}")),
        None => Ok(()),
    }
}

/// Returns the default backend of the build.
#[cfg(feature = "josekit")]
pub(crate) fn default_provider() -> Option<Arc<dyn CryptoProvider>> {
    Some(Arc::new(Josekit))
}

#[cfg(all(feature = "aws-lc-rs", not(feature = "josekit")))]
pub(crate) fn default_provider() -> Option<Arc<dyn CryptoProvider>> {
    Some(Arc::new(AwsLcRs))
}

#[cfg(not(any(feature = "aws-lc-rs", feature = "josekit")))]
pub(crate) fn default_provider() -> Option<Arc<dyn CryptoProvider>> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Es256Only;

    impl CryptoProvider for Es256Only {
        fn supports(&self, algorithm: Algorithm) -> bool {
            algorithm == Algorithm::Es256
        }

        fn prepare(&self, _: &PublicJwk, _: Algorithm) -> Result<PreparedKey, InvalidKey> {
            Err(InvalidKey)
        }

        fn sha256(&self, parts: &[&[u8]]) -> [u8; 32] {
            pure_rust::PureRust.sha256(parts)
        }

        fn hmac_sha256(&self, key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
            pure_rust::PureRust.hmac_sha256(key, parts)
        }
    }

    #[test]
    fn a_list_of_algorithms_is_not_empty_and_what_the_backend_supports() {
        let check = |algorithms: &[Algorithm]| {
            check_algorithms(algorithms, &Es256Only).map_err(|error| error.to_string())
        };
        assert_eq!(check(&[Algorithm::Es256]), Ok(()));
        assert!(check(&[]).is_err());
        let error = check(&[Algorithm::Es256, Algorithm::Rs256]).unwrap_err();
        assert!(error.contains("does not support RS256"), "{error}");
    }

    #[test]
    fn errors_say_whether_it_is_the_key_or_the_signature() {
        assert!(InvalidKey.to_string().contains("the key"));
        assert!(InvalidSignature.to_string().contains("the signature"));
    }
}
