use std::{fmt, sync::OnceLock};

use ::josekit::{
    JoseError,
    jwk::Jwk,
    jws::{ES256, ES384, ES512, EdDSA, JwsVerifier, PS256, PS384, PS512, RS256, RS384, RS512},
};
use openssl::{
    error::ErrorStack,
    hash::{Hasher, MessageDigest},
    pkey::PKey,
    sign::Signer,
};

use super::{
    Algorithm, CryptoProvider, InvalidKey, InvalidSignature, PreparedKey, VerifyingKey,
    prepared::prepared,
};
use crate::jwk::PublicJwk;

/// The crypto backend on OpenSSL, through the crate `josekit`.
///
/// It supports every [`Algorithm`], and is the default backend wherever the feature `josekit` is on. It
/// links the system's OpenSSL. The feature `vendored` builds OpenSSL from source instead.
///
/// [`prepare`](CryptoProvider::prepare) checks that a point lies on its NIST curve. An Ed25519 key that
/// is not a point can be prepared, and no signature verifies with it.
///
/// Hashes and MACs use OpenSSL's high-level functions, and so the provider that the program has loaded,
/// such as the FIPS provider.
///
/// ```
/// use dpop_tower::crypto::{CryptoProvider, Josekit};
///
/// // Parts are hashed as one message.
/// assert_eq!(Josekit.sha256(&[b"access", b"-token"]), Josekit.sha256(&[b"access-token"]));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Josekit;

impl CryptoProvider for Josekit {
    fn supports(&self, _algorithm: Algorithm) -> bool {
        true
    }

    fn prepare(&self, key: &PublicJwk, algorithm: Algorithm) -> Result<PreparedKey, InvalidKey> {
        if !key.fits(algorithm) {
            return Err(InvalidKey);
        }
        // Only the required members: josekit also obeys `use`, `key_ops` and `alg`, which the caller chooses
        // in a proof.
        let jwk = Jwk::from_bytes(key.required_members()).map_err(|_| InvalidKey)?;
        let verifier = verifier(&jwk, algorithm).map_err(|_| InvalidKey)?;
        Ok(prepared(Key { verifier }, key))
    }

    fn sha256(&self, parts: &[&[u8]]) -> [u8; 32] {
        or_panic(sha256(parts))
    }

    fn hmac_sha256(&self, key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
        or_panic(hmac_sha256(key, parts))
    }
}

/// Hashes with OpenSSL's high-level functions, which use the provider that the program has loaded, such as
/// the FIPS provider. The functions in `openssl::sha` bypass it and hide errors.
fn sha256(parts: &[&[u8]]) -> Result<[u8; 32], ErrorStack> {
    // Looking up a hash function takes longer than using it.
    static FOUND: OnceLock<Hasher> = OnceLock::new();
    let mut hasher = match FOUND.get() {
        Some(hasher) => hasher.clone(),
        None => {
            let hasher = Hasher::new(MessageDigest::sha256())?;
            FOUND.get_or_init(|| hasher).clone()
        }
    };
    for part in parts {
        hasher.update(part)?;
    }
    let digest = hasher.finish()?;
    let mut bytes = [0; 32];
    bytes.copy_from_slice(&digest);
    Ok(bytes)
}

fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> Result<[u8; 32], ErrorStack> {
    // OpenSSL rejects an empty key. HMAC pads every key with zeros (FIPS 198-1 section 4).
    let key = PKey::hmac(if key.is_empty() { &[0] } else { key })?;
    let mut signer = Signer::new(MessageDigest::sha256(), &key)?;
    for part in parts {
        signer.update(part)?;
    }
    let mut bytes = [0; 32];
    signer.sign(&mut bytes)?;
    Ok(bytes)
}

#[expect(
    clippy::expect_used,
    reason = "what stands in for a hash would be the same for many inputs"
)]
fn or_panic(hash: Result<[u8; 32], ErrorStack>) -> [u8; 32] {
    hash.expect("OpenSSL has memory and a provider of SHA-256")
}

fn verifier(jwk: &Jwk, algorithm: Algorithm) -> Result<Box<dyn JwsVerifier>, JoseError> {
    Ok(match algorithm {
        Algorithm::Ed25519 | Algorithm::EdDsa => Box::new(EdDSA.verifier_from_jwk(jwk)?),
        Algorithm::Es256 => Box::new(ES256.verifier_from_jwk(jwk)?),
        Algorithm::Es384 => Box::new(ES384.verifier_from_jwk(jwk)?),
        Algorithm::Es512 => Box::new(ES512.verifier_from_jwk(jwk)?),
        Algorithm::Ps256 => Box::new(PS256.verifier_from_jwk(jwk)?),
        Algorithm::Ps384 => Box::new(PS384.verifier_from_jwk(jwk)?),
        Algorithm::Ps512 => Box::new(PS512.verifier_from_jwk(jwk)?),
        Algorithm::Rs256 => Box::new(RS256.verifier_from_jwk(jwk)?),
        Algorithm::Rs384 => Box::new(RS384.verifier_from_jwk(jwk)?),
        Algorithm::Rs512 => Box::new(RS512.verifier_from_jwk(jwk)?),
    })
}

struct Key {
    verifier: Box<dyn JwsVerifier>,
}

impl VerifyingKey for Key {
    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        self.verifier
            .verify(message, signature)
            .map_err(|_| InvalidSignature)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("josekit::Key")
            .field("algorithm", &self.verifier.algorithm().name())
            .finish_non_exhaustive()
    }
}
