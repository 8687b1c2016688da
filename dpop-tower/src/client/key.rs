use std::fmt;

use zeroize::Zeroizing;

use super::{ClientError, ClientErrorKind, ProofSigner, SignerError};
use crate::{
    crypto::{Algorithm, default_provider, signing::SigningKey},
    future::MaybeReady,
    jwk::{PublicJwk, Thumbprint},
};

/// A private key of this process, to which access tokens are bound.
///
/// The default crypto backend of the build holds it, signs with it, and erases it when the last clone is
/// dropped. `Debug` hides the private half.
///
/// ```
/// # #[cfg(any(feature = "aws-lc-rs", feature = "josekit"))] {
/// use dpop_tower::{client::ClientKey, crypto::Algorithm};
///
/// let key = ClientKey::generate(Algorithm::Ed25519)?;
/// let again = ClientKey::from_jwk(key.to_jwk()?.as_str())?;
/// assert_eq!(again.thumbprint(), key.thumbprint());
/// # }
/// # Ok::<(), dpop_tower::client::ClientError>(())
/// ```
#[derive(Clone)]
pub struct ClientKey {
    key: SigningKey,
    thumbprint: Thumbprint,
}

impl ClientKey {
    /// Generates a key for `ES256`, `ES384`, `Ed25519`, `EdDSA`, `PS256` or `RS256`.
    ///
    /// RSA keys have 2048 bits. Prefer `ES256`, which every server supports.
    ///
    /// # Errors
    ///
    /// Returns an error of the kind [`Key`](ClientErrorKind::Key) for another algorithm, or if the backend
    /// cannot generate a key.
    pub fn generate(algorithm: Algorithm) -> Result<Self, ClientError> {
        Self::of(SigningKey::generate(algorithm)?)
    }

    /// Parses a private JWK (RFC 7517): an EC key on P-256 or P-384, an Ed25519 key, or an RSA key.
    ///
    /// It signs with the `alg` of the key, or else with `ES256`, `ES384`, `EdDSA` or `PS256`, whichever fits.
    ///
    /// # Errors
    ///
    /// Returns an error of the kind [`Key`](ClientErrorKind::Key) if the key cannot be read, or if its halves
    /// do not belong together.
    pub fn from_jwk(json: &str) -> Result<Self, ClientError> {
        Self::of(SigningKey::from_jwk(json)?)
    }

    /// Parses an unencrypted private key in PKCS#8, as PEM (RFC 7468 section 10), of the same kinds as
    /// [`from_jwk`](Self::from_jwk).
    ///
    /// # Errors
    ///
    /// Returns an error of the kind [`Key`](ClientErrorKind::Key) if the key cannot be read.
    ///
    /// ```
    /// # #[cfg(any(feature = "aws-lc-rs", feature = "josekit"))] {
    /// # use dpop_tower::{client::ClientKey, crypto::Algorithm};
    /// let key = ClientKey::generate(Algorithm::Es384)?;
    /// let pem = key.to_pkcs8_pem()?;
    /// assert!(pem.as_str().starts_with("-----BEGIN PRIVATE KEY-----"));
    /// assert_eq!(ClientKey::from_pkcs8_pem(pem.as_str())?.algorithm(), Algorithm::Es384);
    /// # }
    /// # Ok::<(), dpop_tower::client::ClientError>(())
    /// ```
    pub fn from_pkcs8_pem(pem: &str) -> Result<Self, ClientError> {
        Self::of(SigningKey::from_pkcs8_pem(pem)?)
    }

    fn of(key: SigningKey) -> Result<Self, ClientError> {
        let crypto = default_provider().ok_or_else(no_backend)?;
        let thumbprint = Thumbprint::of(key.public_jwk(), &*crypto);
        Ok(Self { key, thumbprint })
    }

    /// Sets the algorithm, which has to fit the key: `PS256` or `RS256` for an RSA key, and either name of
    /// Ed25519.
    ///
    /// # Errors
    ///
    /// Returns an error of the kind [`Key`](ClientErrorKind::Key) if the algorithm does not fit.
    pub fn with_algorithm(mut self, algorithm: Algorithm) -> Result<Self, ClientError> {
        self.key = self.key.with_algorithm(algorithm)?;
        Ok(self)
    }

    /// Returns the algorithm of the key's signatures.
    pub const fn algorithm(&self) -> Algorithm {
        self.key.algorithm()
    }

    /// Returns the `kid` of the JWK that the key was read from, or the one that was set.
    pub fn key_id(&self) -> Option<&str> {
        self.key.kid()
    }

    /// Sets the `kid` of the JWK that [`to_jwk`](Self::to_jwk) returns, such as the thumbprint of the key.
    #[must_use]
    pub fn with_key_id(mut self, key_id: impl Into<String>) -> Self {
        self.key = self.key.with_kid(key_id.into());
        self
    }

    /// Returns the public half.
    pub const fn public_jwk(&self) -> &PublicJwk {
        self.key.public_jwk()
    }

    /// Returns the thumbprint of the public half, which is the `cnf.jkt` of tokens and the `dpop_jkt` of
    /// authorization requests (RFC 9449 sections 6.1 and 10).
    pub const fn thumbprint(&self) -> Thumbprint {
        self.thumbprint
    }

    /// Signs a message in the format of RFC 7518 section 3.
    ///
    /// # Errors
    ///
    /// Returns an error of the kind [`Signer`](ClientErrorKind::Signer) if the backend cannot sign, for
    /// example because memory is exhausted.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, ClientError> {
        let failed =
            |_| ClientError::new(ClientErrorKind::Signer, "the crypto backend cannot sign");
        self.key.sign(message).map_err(failed)
    }

    /// Returns the private key as a JWK, with its `alg` and its `kid`.
    ///
    /// # Security
    ///
    /// Anyone who reads it can use the tokens that are bound to the key. Write it only to a file that nobody else
    /// can read.
    ///
    /// # Errors
    ///
    /// Returns an error of the kind [`Key`](ClientErrorKind::Key) if the backend does not return the key.
    pub fn to_jwk(&self) -> Result<ExportedKey, ClientError> {
        Ok(ExportedKey(self.key.to_jwk()?))
    }

    /// Returns the unencrypted private key in PKCS#8, as PEM.
    ///
    /// # Security
    ///
    /// See [`to_jwk`](Self::to_jwk).
    ///
    /// # Errors
    ///
    /// Returns an error of the kind [`Key`](ClientErrorKind::Key) if the backend does not return the key.
    pub fn to_pkcs8_pem(&self) -> Result<ExportedKey, ClientError> {
        Ok(ExportedKey(self.key.to_pkcs8_pem()?))
    }
}

pub(super) fn no_backend() -> ClientError {
    ClientError::new(
        ClientErrorKind::Crypto,
        "no crypto backend is compiled in: turn on the feature `josekit` or `aws-lc-rs`, or set one",
    )
}

impl ProofSigner for ClientKey {
    fn algorithm(&self) -> Algorithm {
        self.algorithm()
    }

    fn public_jwk(&self) -> &PublicJwk {
        self.public_jwk()
    }

    fn sign(&self, input: &[u8]) -> MaybeReady<Result<Vec<u8>, SignerError>> {
        MaybeReady::ready(self.sign(input).map_err(SignerError::new))
    }
}

/// Hides the private half.
impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientKey")
            .field("algorithm", &self.algorithm().as_str())
            .field("thumbprint", &self.thumbprint)
            .finish_non_exhaustive()
    }
}

/// The text of a private key, which is erased when it is dropped. `Debug` hides it.
pub struct ExportedKey(Zeroizing<String>);

impl ExportedKey {
    /// Returns the text, which is a secret.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ExportedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExportedKey(..)")
    }
}
