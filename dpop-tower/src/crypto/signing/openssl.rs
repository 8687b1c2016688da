//! Signing with OpenSSL, which is the library of josekit.

use std::sync::Arc;

#[cfg(feature = "client")]
use ::openssl::{
    ec::{EcGroup, EcKey},
    rsa::Rsa,
};
use ::openssl::{
    ecdsa::EcdsaSig,
    error::ErrorStack,
    hash::MessageDigest,
    pkey::{PKey, Private},
    rsa::Padding,
    sign::{RsaPssSaltlen, Signer},
};

use super::{Algorithm, PrivateKey, SigningFailed};
#[cfg(feature = "client")]
use super::{RSA_BITS, Secret};
use crate::crypto::{
    CryptoProvider, Josekit,
    private::{self, Parts},
};
#[cfg(feature = "client")]
use crate::jwk::{EcCurve, PublicJwk};

pub(super) fn verifier() -> impl CryptoProvider {
    Josekit
}

pub(super) fn from_parts(parts: &Parts) -> Option<Arc<dyn PrivateKey>> {
    Some(Arc::new(Key(private::openssl::from_parts(parts)?)))
}

/// Returns the public half as a JWK, and the key.
pub(super) fn from_pkcs8(der: &[u8]) -> Option<(String, Arc<dyn PrivateKey>)> {
    let key = PKey::private_key_from_pkcs8(der).ok()?;
    let public = private::openssl::public_jwk(&key)?;
    Some((public, Arc::new(Key(key))))
}

/// OpenSSL erases the key when it frees it.
struct Key(PKey<Private>);

impl PrivateKey for Key {
    fn sign(&self, algorithm: Algorithm, input: &[u8]) -> Result<Vec<u8>, SigningFailed> {
        sign(&self.0, algorithm, input).map_err(|_| SigningFailed)
    }

    #[cfg(feature = "client")]
    fn to_parts(&self, public: &PublicJwk) -> Option<Parts> {
        private::openssl::to_parts(&self.0, public)
    }

    #[cfg(feature = "client")]
    fn to_pkcs8(&self) -> Option<Secret> {
        self.0.private_key_to_pkcs8().ok().map(Secret::new)
    }
}

/// Generates a key, in PKCS#8.
#[cfg(feature = "client")]
pub(super) fn generate(algorithm: Algorithm) -> Option<Secret> {
    let ec = |curve| {
        let group = EcGroup::from_curve_name(private::openssl::nid(curve))?;
        PKey::from_ec_key(EcKey::generate(&group)?)
    };
    let key = match algorithm {
        Algorithm::Es256 => ec(EcCurve::P256),
        Algorithm::Es384 => ec(EcCurve::P384),
        Algorithm::Ed25519 | Algorithm::EdDsa => PKey::generate_ed25519(),
        Algorithm::Ps256 | Algorithm::Rs256 => Rsa::generate(RSA_BITS).and_then(PKey::from_rsa),
        _ => return None,
    };
    Some(Secret::new(key.ok()?.private_key_to_pkcs8().ok()?))
}

fn sign(key: &PKey<Private>, algorithm: Algorithm, input: &[u8]) -> Result<Vec<u8>, ErrorStack> {
    if matches!(algorithm, Algorithm::Ed25519 | Algorithm::EdDsa) {
        return Signer::new_without_digest(key)?.sign_oneshot_to_vec(input);
    }
    let digest = match algorithm {
        Algorithm::Es384 => MessageDigest::sha384(),
        _ => MessageDigest::sha256(),
    };
    let mut signer = Signer::new(digest, key)?;
    match algorithm {
        Algorithm::Ps256 => {
            // RFC 7518 section 3.5: MGF1 with the same hash, and a salt as long as the hash.
            signer.set_rsa_padding(Padding::PKCS1_PSS)?;
            signer.set_rsa_mgf1_md(MessageDigest::sha256())?;
            signer.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH)?;
        }
        Algorithm::Rs256 => signer.set_rsa_padding(Padding::PKCS1)?,
        _ => {}
    }
    let signature = signer.sign_oneshot_to_vec(input)?;
    let len = match algorithm {
        Algorithm::Es256 => 32,
        Algorithm::Es384 => 48,
        _ => return Ok(signature),
    };
    // RFC 7518 section 3.4: R and S, and not DER.
    let signature = EcdsaSig::from_der(&signature)?;
    let mut both = signature.r().to_vec_padded(len)?;
    both.extend(signature.s().to_vec_padded(len)?);
    Ok(both)
}
