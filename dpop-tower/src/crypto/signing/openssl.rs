//! Signing with OpenSSL, which is the library of josekit.

use std::sync::Arc;

use ::openssl::{
    bn::{BigNum, BigNumContext},
    ec::{EcGroup, EcKey, EcPoint},
    ecdsa::EcdsaSig,
    error::ErrorStack,
    hash::MessageDigest,
    nid::Nid,
    pkey::{Id, PKey, Private},
    rsa::{Padding, RsaPrivateKeyBuilder},
    sign::{RsaPssSaltlen, Signer},
};

use super::{
    Algorithm, PrivateKey, SigningFailed,
    parts::{Parts, RsaParts},
};
use crate::{
    crypto::{CryptoProvider, Josekit},
    jose::base64url,
    jwk::KeyParameters,
};

pub(super) fn verifier() -> impl CryptoProvider {
    Josekit
}

pub(super) fn from_parts(parts: &Parts) -> Option<Arc<dyn PrivateKey>> {
    let key = match (parts.public.parameters(), &parts.rsa) {
        (KeyParameters::Ec { point, .. }, _) => ec(point.as_uncompressed(), &parts.d),
        (KeyParameters::Ed25519 { .. }, _) => {
            PKey::private_key_from_raw_bytes(&parts.d, Id::ED25519)
        }
        (KeyParameters::Rsa { n, e }, Some(private)) => rsa(n, e, &parts.d, private),
        (KeyParameters::Rsa { .. }, None) => return None,
    };
    let key = key.ok()?;
    if let Ok(rsa) = key.rsa()
        && !rsa.check_key().ok()?
    {
        return None;
    }
    Some(Arc::new(Key(key)))
}

fn ec(public: &[u8], d: &[u8]) -> Result<PKey<Private>, ErrorStack> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    let public = EcPoint::from_bytes(&group, public, &mut *BigNumContext::new()?)?;
    let mut secret = BigNum::from_slice(d)?;
    let key = EcKey::from_private_components(&group, &secret, &public);
    secret.clear();
    let key = key?;
    key.check_key()?;
    PKey::from_ec_key(key)
}

fn rsa(n: &[u8], e: &[u8], d: &[u8], private: &RsaParts) -> Result<PKey<Private>, ErrorStack> {
    let number = |bytes: &[u8]| BigNum::from_slice(bytes);
    let key = RsaPrivateKeyBuilder::new(number(n)?, number(e)?, number(d)?)?
        .set_factors(number(&private.p)?, number(&private.q)?)?
        .set_crt_params(
            number(&private.dp)?,
            number(&private.dq)?,
            number(&private.qi)?,
        )?;
    PKey::from_rsa(key.build())
}

/// Returns the public half as a JWK, and the key.
pub(super) fn from_pkcs8(der: &[u8]) -> Option<(String, Arc<dyn PrivateKey>)> {
    let key = PKey::private_key_from_pkcs8(der).ok()?;
    let public = match key.id() {
        Id::ED25519 => {
            let x = base64url::encode(&key.raw_public_key().ok()?);
            format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#)
        }
        Id::EC => ec_jwk(&key)?,
        Id::RSA => {
            let rsa = key.rsa().ok()?;
            let (n, e) = (rsa.n().to_vec(), rsa.e().to_vec());
            let (n, e) = (base64url::encode(&n), base64url::encode(&e));
            format!(r#"{{"kty":"RSA","n":"{n}","e":"{e}"}}"#)
        }
        _ => return None,
    };
    Some((public, Arc::new(Key(key))))
}

fn ec_jwk(key: &PKey<Private>) -> Option<String> {
    let key = key.ec_key().ok()?;
    if key.group().curve_name() != Some(Nid::X9_62_PRIME256V1) {
        return None;
    }
    let (mut x, mut y) = (BigNum::new().ok()?, BigNum::new().ok()?);
    let mut context = BigNumContext::new().ok()?;
    key.public_key()
        .affine_coordinates(key.group(), &mut x, &mut y, &mut context)
        .ok()?;
    let text = |number: &BigNum| Some(base64url::encode(&number.to_vec_padded(32).ok()?));
    let (x, y) = (text(&x)?, text(&y)?);
    Some(format!(
        r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"}}"#
    ))
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
