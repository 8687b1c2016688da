//! Signing with OpenSSL, which is the library of josekit.

use std::sync::Arc;

use ::openssl::{
    ecdsa::EcdsaSig,
    error::ErrorStack,
    hash::MessageDigest,
    nid::Nid,
    pkey::{PKey, Private},
    rsa::Padding,
    sign::{RsaPssSaltlen, Signer},
};

use super::{Algorithm, PrivateKey, SigningFailed};
use crate::crypto::{
    CryptoProvider, Josekit,
    private::{self, Parts},
};

pub(super) fn verifier() -> impl CryptoProvider {
    Josekit
}

pub(super) fn from_parts(parts: &Parts) -> Option<Arc<dyn PrivateKey>> {
    Some(Arc::new(Key(private::openssl::from_parts(parts)?)))
}

/// Returns the public half as a JWK, and the key.
pub(super) fn from_pkcs8(der: &[u8]) -> Option<(String, Arc<dyn PrivateKey>)> {
    let key = PKey::private_key_from_pkcs8(der).ok()?;
    if let Ok(key) = key.ec_key()
        && key.group().curve_name() != Some(Nid::X9_62_PRIME256V1)
    {
        return None;
    }
    let public = private::openssl::public_jwk(&key)?;
    Some((public, Arc::new(Key(key))))
}

/// OpenSSL erases the key when it frees it.
struct Key(PKey<Private>);

impl PrivateKey for Key {
    fn sign(&self, algorithm: Algorithm, input: &[u8]) -> Result<Vec<u8>, SigningFailed> {
        sign(&self.0, algorithm, input).map_err(|_| SigningFailed)
    }
}

fn sign(key: &PKey<Private>, algorithm: Algorithm, input: &[u8]) -> Result<Vec<u8>, ErrorStack> {
    if matches!(algorithm, Algorithm::Ed25519 | Algorithm::EdDsa) {
        return Signer::new_without_digest(key)?.sign_oneshot_to_vec(input);
    }
    let mut signer = Signer::new(MessageDigest::sha256(), key)?;
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
    if algorithm != Algorithm::Es256 {
        return Ok(signature);
    }
    // RFC 7518 section 3.4: R and S, and not DER.
    let signature = EcdsaSig::from_der(&signature)?;
    let mut both = signature.r().to_vec_padded(32)?;
    both.extend(signature.s().to_vec_padded(32)?);
    Ok(both)
}
