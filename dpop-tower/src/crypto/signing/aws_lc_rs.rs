//! Signing with AWS-LC.

use std::sync::Arc;

use ::aws_lc_rs::{
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, KeyPairComponents, PublicKeyComponents},
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
        RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    },
};

use super::{Algorithm, PrivateKey, SigningFailed};
use crate::{
    crypto::{AwsLcRs, CryptoProvider, private::Parts},
    jose::base64url,
    jwk::KeyParameters,
};

pub(super) fn verifier() -> impl CryptoProvider {
    AwsLcRs
}

pub(super) fn from_parts(parts: &Parts) -> Option<Arc<dyn PrivateKey>> {
    let d = parts.d.as_slice();
    let key = match (parts.public.parameters(), &parts.rsa) {
        (KeyParameters::Ec { point, .. }, _) => EcdsaKeyPair::from_private_key_and_public_key(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            d,
            point.as_uncompressed(),
        )
        .map(Key::Ec),
        (KeyParameters::Ed25519 { x }, _) => {
            Ed25519KeyPair::from_seed_and_public_key(d, x).map(Key::Ed25519)
        }
        (KeyParameters::Rsa { n, e }, Some(private)) => {
            RsaKeyPair::from_components(&KeyPairComponents {
                public_key: PublicKeyComponents {
                    n: n.as_ref(),
                    e: e.as_ref(),
                },
                d,
                p: private.p.as_slice(),
                q: private.q.as_slice(),
                dP: private.dp.as_slice(),
                dQ: private.dq.as_slice(),
                qInv: private.qi.as_slice(),
            })
            .map(Key::Rsa)
        }
        (KeyParameters::Rsa { .. }, None) => return None,
    };
    Some(Arc::new(key.ok()?))
}

/// Returns the public half as a JWK, and the key.
pub(super) fn from_pkcs8(der: &[u8]) -> Option<(String, Arc<dyn PrivateKey>)> {
    if let Ok(key) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der) {
        let (x, y) = key.public_key().as_ref().get(1..)?.split_at_checked(32)?;
        let (x, y) = (base64url::encode(x), base64url::encode(y));
        let public = format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"}}"#);
        return Some((public, Arc::new(Key::Ec(key))));
    }
    if let Ok(key) = Ed25519KeyPair::from_pkcs8(der) {
        let x = base64url::encode(key.public_key().as_ref());
        let public = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#);
        return Some((public, Arc::new(Key::Ed25519(key))));
    }
    let key = RsaKeyPair::from_pkcs8(der).ok()?;
    let (n, e) = rsa_numbers(key.public_key().as_ref())?;
    let (n, e) = (base64url::encode(n), base64url::encode(e));
    let public = format!(r#"{{"kty":"RSA","n":"{n}","e":"{e}"}}"#);
    Some((public, Arc::new(Key::Rsa(key))))
}

/// Returns modulus and exponent of an `RSAPublicKey` (RFC 8017 appendix A.1.1), which AWS-LC has encoded.
fn rsa_numbers(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (sequence, _) = der_value(der, 0x30)?;
    let (n, rest) = der_value(sequence, 0x02)?;
    let (e, _) = der_value(rest, 0x02)?;
    Some((without_zero(n), without_zero(e)))
}

/// A number whose first bit is set has a zero in front.
fn without_zero(number: &[u8]) -> &[u8] {
    number.strip_prefix(&[0]).unwrap_or(number)
}

/// Splits DER after the first value, which has to have this tag, and returns its content and the rest.
fn der_value(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(*length), rest),
        _ => {
            let (bytes, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            let length = bytes.iter().try_fold(0_usize, |length, byte| {
                length.checked_mul(256)?.checked_add(usize::from(*byte))
            })?;
            (length, rest)
        }
    };
    rest.split_at_checked(length).filter(|_| *first == tag)
}

/// AWS-LC erases a key when it frees it.
enum Key {
    Ec(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl PrivateKey for Key {
    fn sign(&self, algorithm: Algorithm, input: &[u8]) -> Result<Vec<u8>, SigningFailed> {
        let random = SystemRandom::new();
        match self {
            Self::Ec(key) => {
                let signature = key.sign(&random, input).map_err(|_| SigningFailed)?;
                Ok(signature.as_ref().to_vec())
            }
            Self::Ed25519(key) => {
                let signature = key.try_sign(input).map_err(|_| SigningFailed)?;
                Ok(signature.as_ref().to_vec())
            }
            Self::Rsa(key) => {
                let padding = match algorithm {
                    Algorithm::Ps256 => &RSA_PSS_SHA256,
                    Algorithm::Rs256 => &RSA_PKCS1_SHA256,
                    _ => return Err(SigningFailed),
                };
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(padding, &random, input, &mut signature)
                    .map_err(|_| SigningFailed)?;
                Ok(signature)
            }
        }
    }
}
