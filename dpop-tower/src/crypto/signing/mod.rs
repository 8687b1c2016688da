//! Private keys, with which this process signs messages of its own.
//!
//! Keys are kept by the default crypto backend of the build. Each backend is a module with two functions,
//! which read a key from its parts and from PKCS#8.

#[cfg(any(test, not(feature = "josekit")))]
#[cfg(feature = "aws-lc-rs")]
mod aws_lc_rs;
#[cfg(feature = "josekit")]
mod openssl;
mod parts;
#[cfg(test)]
mod tests;

#[cfg(all(feature = "aws-lc-rs", not(feature = "josekit")))]
use self::aws_lc_rs as backend;
#[cfg(feature = "josekit")]
use self::openssl as backend;

use std::{fmt, sync::Arc};

use zeroize::Zeroizing;

#[cfg(any(feature = "aws-lc-rs", feature = "josekit"))]
use super::CryptoProvider as _;
#[cfg(feature = "client")]
use super::private::{Secret, der_to_pem};
use super::{
    Algorithm,
    private::{Parts, PrivateKeyError, pem_to_der},
};
use crate::jwk::PublicJwk;

/// The algorithms that this process signs with.
const ALGORITHMS: [Algorithm; 6] = [
    Algorithm::Es256,
    Algorithm::Es384,
    Algorithm::EdDsa,
    Algorithm::Ed25519,
    Algorithm::Ps256,
    Algorithm::Rs256,
];

#[cfg(all(feature = "client", feature = "josekit"))]
const RSA_BITS: u32 = 2048;

/// A private key and the algorithm it signs with. `Debug` hides the private half. Clones share one key.
#[derive(Clone)]
pub(crate) struct SigningKey {
    algorithm: Algorithm,
    public: PublicJwk,
    kid: Option<String>,
    key: Arc<dyn PrivateKey>,
}

/// A private key of a backend, which erases it when it is dropped.
pub(super) trait PrivateKey: Send + Sync {
    /// Signs in the format of RFC 7518 section 3.
    fn sign(&self, algorithm: Algorithm, input: &[u8]) -> Result<Vec<u8>, SigningFailed>;

    /// Returns the parts of the key, which has this public half.
    #[cfg(feature = "client")]
    fn to_parts(&self, public: &PublicJwk) -> Option<Parts>;

    /// Returns the key in PKCS#8 (RFC 5208).
    #[cfg(feature = "client")]
    fn to_pkcs8(&self) -> Option<Secret>;
}

/// The backend could not sign. That is a fault of the system, such as a lack of memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SigningFailed;

impl SigningKey {
    /// Parses a private JWK (RFC 7517). It signs with the key's `alg`, or else with `ES256`, `ES384`,
    /// `EdDSA` or `PS256`, whichever fits.
    pub(crate) fn from_jwk(text: &str) -> Result<Self, SigningKeyError> {
        let (parts, kid, algorithm) = parts::of_jwk(text)?;
        Self::of_parts(&parts, kid, algorithm)
    }

    /// Parses an unencrypted private key in PKCS#8, as PEM (RFC 7468 section 10).
    pub(crate) fn from_pkcs8_pem(pem: &str) -> Result<Self, SigningKeyError> {
        Self::of_pkcs8(&pem_to_der(pem)?)
    }

    /// Generates a key for `ES256`, `ES384`, `Ed25519`, `EdDSA`, `PS256` or `RS256`. RSA keys have 2048 bits.
    #[cfg(all(feature = "client", any(feature = "aws-lc-rs", feature = "josekit")))]
    pub(crate) fn generate(algorithm: Algorithm) -> Result<Self, SigningKeyError> {
        if !ALGORITHMS.contains(&algorithm) {
            return Err(SigningKeyError::Algorithm);
        }
        let der = backend::generate(algorithm).ok_or(SigningKeyError::NotGenerated)?;
        Self::of_pkcs8(&der)?.with_algorithm(algorithm)
    }

    #[cfg(all(
        feature = "client",
        not(any(feature = "aws-lc-rs", feature = "josekit"))
    ))]
    pub(crate) fn generate(_: Algorithm) -> Result<Self, SigningKeyError> {
        Err(SigningKeyError::NoBackend)
    }

    /// Returns the private JWK, with its `alg` and its `kid`.
    #[cfg(feature = "client")]
    pub(crate) fn to_jwk(&self) -> Result<Zeroizing<String>, SigningKeyError> {
        let parts = self.key.to_parts(&self.public);
        let mut further = vec![("alg", self.algorithm.as_str())];
        further.extend(self.kid.as_deref().map(|kid| ("kid", kid)));
        parts
            .map(|parts| parts.to_jwk(&further))
            .ok_or(SigningKeyError::NotExported)
    }

    /// Returns the unencrypted private key in PKCS#8, as PEM.
    #[cfg(feature = "client")]
    pub(crate) fn to_pkcs8_pem(&self) -> Result<Zeroizing<String>, SigningKeyError> {
        let der = self.key.to_pkcs8();
        der.map(|der| der_to_pem(&der))
            .ok_or(SigningKeyError::NotExported)
    }

    #[cfg(any(feature = "aws-lc-rs", feature = "josekit"))]
    fn of_parts(
        parts: &Parts,
        kid: Option<String>,
        algorithm: Option<Algorithm>,
    ) -> Result<Self, SigningKeyError> {
        let key = backend::from_parts(parts).ok_or(SigningKeyError::Inconsistent)?;
        Self::checked(parts.public.clone(), kid, algorithm, key)
    }

    #[cfg(any(feature = "aws-lc-rs", feature = "josekit"))]
    fn of_pkcs8(der: &Zeroizing<Vec<u8>>) -> Result<Self, SigningKeyError> {
        let (public, key) = backend::from_pkcs8(der).ok_or(SigningKeyError::NotPkcs8)?;
        let public = PublicJwk::from_json(&public).map_err(PrivateKeyError::Jwk)?;
        Self::checked(public, None, None, key)
    }

    #[cfg(not(any(feature = "aws-lc-rs", feature = "josekit")))]
    fn of_parts(
        _: &Parts,
        _: Option<String>,
        _: Option<Algorithm>,
    ) -> Result<Self, SigningKeyError> {
        Err(SigningKeyError::NoBackend)
    }

    #[cfg(not(any(feature = "aws-lc-rs", feature = "josekit")))]
    fn of_pkcs8(_: &Zeroizing<Vec<u8>>) -> Result<Self, SigningKeyError> {
        Err(SigningKeyError::NoBackend)
    }

    /// Makes a signature and verifies it, so that a key whose halves do not belong together is an error at
    /// start-up.
    #[cfg(any(feature = "aws-lc-rs", feature = "josekit"))]
    fn checked(
        public: PublicJwk,
        kid: Option<String>,
        algorithm: Option<Algorithm>,
        key: Arc<dyn PrivateKey>,
    ) -> Result<Self, SigningKeyError> {
        const INPUT: &[u8] = b"dpop-tower";
        let algorithm = match algorithm {
            Some(algorithm) => algorithm,
            None => ALGORITHMS
                .into_iter()
                .find(|algorithm| public.fits(*algorithm))
                .ok_or(SigningKeyError::Unsupported)?,
        };
        let key = Self {
            algorithm,
            public,
            kid,
            key,
        };
        let inconsistent = SigningKeyError::Inconsistent;
        let signature = key.sign(INPUT).map_err(|_| inconsistent)?;
        backend::verifier()
            .prepare(&key.public, algorithm)
            .map_err(|_| inconsistent)?
            .verify(INPUT, &signature)
            .map_err(|_| inconsistent)?;
        Ok(key)
    }

    /// Sets the algorithm, which must fit the key.
    pub(crate) fn with_algorithm(mut self, algorithm: Algorithm) -> Result<Self, SigningKeyError> {
        if !is_supported(&self.public, algorithm) {
            return Err(SigningKeyError::Algorithm);
        }
        self.algorithm = algorithm;
        Ok(self)
    }

    pub(crate) fn with_kid(mut self, kid: String) -> Self {
        self.kid = Some(kid);
        self
    }

    /// Signs in the format of RFC 7518 section 3.
    pub(crate) fn sign(&self, input: &[u8]) -> Result<Vec<u8>, SigningFailed> {
        self.key.sign(self.algorithm, input)
    }

    pub(crate) const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(crate) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    #[cfg(any(test, feature = "client"))]
    pub(crate) const fn public_jwk(&self) -> &PublicJwk {
        &self.public
    }
}

fn is_supported(public: &PublicJwk, algorithm: Algorithm) -> bool {
    ALGORITHMS.contains(&algorithm) && public.fits(algorithm)
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("algorithm", &self.algorithm.as_str())
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

/// The reason why a private key cannot be used. It contains nothing of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SigningKeyError {
    /// The `alg` is not one that this process signs with, or does not fit the key.
    Algorithm,
    /// The private half does not belong to the public half.
    Inconsistent,
    #[cfg(not(any(feature = "aws-lc-rs", feature = "josekit")))]
    NoBackend,
    #[cfg(feature = "client")]
    NotExported,
    NotForSignatures,
    #[cfg(all(feature = "client", any(feature = "aws-lc-rs", feature = "josekit")))]
    NotGenerated,
    NotPkcs8,
    Unreadable(PrivateKeyError),
    Unsupported,
}

impl fmt::Display for SigningKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Algorithm => {
                "its algorithm does not fit the key, or is none of ES256, ES384, EdDSA, Ed25519, PS256 and RS256"
            }
            Self::Inconsistent => "its private half does not belong to its public half",
            #[cfg(not(any(feature = "aws-lc-rs", feature = "josekit")))]
            Self::NoBackend => {
                "no crypto backend is compiled in: turn on the feature `josekit` or `aws-lc-rs`"
            }
            #[cfg(feature = "client")]
            Self::NotExported => "the crypto backend does not return its private half",
            Self::NotForSignatures => "its `use` is not sig",
            #[cfg(all(feature = "client", any(feature = "aws-lc-rs", feature = "josekit")))]
            Self::NotGenerated => "the crypto backend could not generate it",
            Self::NotPkcs8 => "it is not a private key in PKCS#8 of a supported kind",
            Self::Unreadable(error) => return error.fmt(f),
            Self::Unsupported => "only keys on P-256 and P-384, Ed25519 keys and RSA keys are supported",
        })
    }
}

impl std::error::Error for SigningKeyError {}
