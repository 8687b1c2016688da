//! Signature algorithms, and the backends that verify signatures and hash.
//!
//! A backend is a value given to the configuration, never a build-time switch: the features `josekit`
//! and `aws-lc-rs` only add one each. With both, `Josekit` is the default. Nothing here implements
//! cryptography.

#[cfg(feature = "aws-lc-rs")]
mod aws_lc_rs;
mod hash;
#[cfg(feature = "josekit")]
mod josekit;
#[cfg(any(feature = "aws-lc-rs", feature = "josekit"))]
mod prepared;
#[cfg(test)]
pub(crate) mod pure_rust;

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
/// cryptographic module computes them there and nowhere else. There is no other implementation to
/// fall back to: each method is required.
///
/// # Security
///
/// Everything rests on this trait. A false positive of [`VerifyingKey::verify`] lets whoever
/// provokes it act with a stolen token; a false negative only rejects a good request. Reject what
/// is odd: points off their curve, signatures of another length, keys that do not fit.
///
/// A hash identifies an access token, a key and a proof. Two inputs with the same hash count as the same, so
/// an attacker who finds such a pair acts as somebody else.
/// [`DpopConfigBuilder::build`](crate::DpopConfigBuilder::build) rejects a backend that fails known
/// answers.
///
/// Everything runs inline on the executor, so it should take well under a millisecond.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no crypto backend",
    label = "does not implement `CryptoProvider`",
    note = "`Josekit` and `AwsLcRs` of `dpop_tower::crypto` are, where their features are on, and \
            a type of your own that implements `CryptoProvider`; a value that implements it is \
            given as it is, or in an `Arc`"
)]
pub trait CryptoProvider: fmt::Debug + Send + Sync + 'static {
    /// Whether [`prepare`](Self::prepare) can succeed for `algorithm`.
    fn supports(&self, algorithm: Algorithm) -> bool;

    /// Parses `key` for use with `algorithm`. The result is kept and used for many signatures.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] if the key does not [fit](PublicJwk::fits) the algorithm, is not a valid key
    /// (such as a point that is not on its curve), or the backend does not support it. A backend that
    /// cannot tell whether the key is valid must verify nothing with one that is not.
    fn prepare(&self, key: &PublicJwk, algorithm: Algorithm) -> Result<PreparedKey, InvalidKey>;

    /// SHA-256 (FIPS 180-4) over `parts`, one after the other as if they were one message.
    ///
    /// # Panics
    ///
    /// If the backend cannot hash, for lack of memory say. It must not return anything else instead.
    fn sha256(&self, parts: &[&[u8]]) -> [u8; 32];

    /// HMAC-SHA-256 (FIPS 198-1) over `parts`, one after the other, under a key of any length.
    ///
    /// # Panics
    ///
    /// As [`sha256`](Self::sha256).
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
pub trait VerifyingKey: fmt::Debug + Send + Sync + 'static {
    /// Verifies `signature` over `message`, in the format of RFC 7518 section 3 (for ECDSA: the
    /// concatenation of R and S, not DER).
    ///
    /// # Errors
    ///
    /// [`InvalidSignature`] if it is anything but a valid signature.
    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature>;
}

/// A key that a backend has parsed, shared between requests.
pub type PreparedKey = Arc<dyn VerifyingKey>;

/// A key that a backend cannot use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidKey;

impl fmt::Display for InvalidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the key is not valid for the algorithm")
    }
}

impl std::error::Error for InvalidKey {}

/// A signature that does not verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidSignature;

impl fmt::Display for InvalidSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the signature does not verify")
    }
}

impl std::error::Error for InvalidSignature {}

/// A configured list of algorithms has to be one that the backend can serve.
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
