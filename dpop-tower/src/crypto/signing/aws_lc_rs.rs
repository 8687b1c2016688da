//! Signing with AWS-LC.

use std::sync::Arc;

#[cfg(feature = "client")]
use ::aws_lc_rs::{
    encoding::{AsBigEndian as _, AsDer as _, Curve25519SeedBin, EcPrivateKeyBin, Pkcs8V1Der},
    rsa::KeySize,
};
use ::aws_lc_rs::{
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, KeyPairComponents, PublicKeyComponents},
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    },
};

use super::{Algorithm, PrivateKey, SigningFailed};
#[cfg(feature = "client")]
use crate::{
    crypto::private::{RsaParts, Secret},
    jwk::PublicJwk,
};
use crate::{
    crypto::{AwsLcRs, CryptoProvider, private::Parts},
    jose::base64url,
    jwk::{EcCurve, KeyParameters},
};

pub(super) fn verifier() -> impl CryptoProvider {
    AwsLcRs
}

pub(super) fn from_parts(parts: &Parts) -> Option<Arc<dyn PrivateKey>> {
    let d = parts.d.as_slice();
    let key = match (parts.public.parameters(), &parts.rsa) {
        (KeyParameters::Ec { curve, point }, _) => EcdsaKeyPair::from_private_key_and_public_key(
            ecdsa(*curve)?,
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
    for curve in [EcCurve::P256, EcCurve::P384] {
        if let Ok(key) = EcdsaKeyPair::from_pkcs8(ecdsa(curve)?, der) {
            let point = key.public_key().as_ref().get(1..)?;
            let (x, y) = point.split_at_checked(curve.field_len())?;
            let (x, y) = (base64url::encode(x), base64url::encode(y));
            let curve = curve.as_str();
            let public = format!(r#"{{"kty":"EC","crv":"{curve}","x":"{x}","y":"{y}"}}"#);
            return Some((public, Arc::new(Key::Ec(key))));
        }
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

const fn ecdsa(curve: EcCurve) -> Option<&'static EcdsaSigningAlgorithm> {
    match curve {
        EcCurve::P256 => Some(&ECDSA_P256_SHA256_FIXED_SIGNING),
        EcCurve::P384 => Some(&ECDSA_P384_SHA384_FIXED_SIGNING),
        EcCurve::P521 => None,
    }
}

/// Generates a key, in PKCS#8.
#[cfg(feature = "client")]
pub(super) fn generate(algorithm: Algorithm) -> Option<Secret> {
    let random = SystemRandom::new();
    let ec = |curve| EcdsaKeyPair::generate_pkcs8(ecdsa(curve)?, &random).ok();
    let document = match algorithm {
        Algorithm::Es256 => ec(EcCurve::P256)?,
        Algorithm::Es384 => ec(EcCurve::P384)?,
        // The first version of PKCS#8, which every library reads.
        Algorithm::Ed25519 | Algorithm::EdDsa => Ed25519KeyPair::generate_pkcs8v1(&random).ok()?,
        Algorithm::Ps256 | Algorithm::Rs256 => {
            let key = RsaKeyPair::generate(KeySize::Rsa2048).ok()?;
            return Key::Rsa(key).to_pkcs8();
        }
        _ => return None,
    };
    Some(Secret::new(document.as_ref().to_vec()))
}

/// Returns the private numbers of an RSA key in PKCS#8 (RFC 5208 section 5, RFC 8017 appendix A.1.2), which
/// AWS-LC has encoded: d, and those that speed up its operation.
#[cfg(feature = "client")]
fn rsa_private_numbers(pkcs8: &[u8]) -> Option<(Secret, RsaParts)> {
    const SEQUENCE: u8 = 0x30;
    const INTEGER: u8 = 0x02;
    const BYTES: u8 = 0x04;
    let (info, _) = der_value(pkcs8, SEQUENCE)?;
    let (_version, rest) = der_value(info, INTEGER)?;
    let (_algorithm, rest) = der_value(rest, SEQUENCE)?;
    let (key, _) = der_value(rest, BYTES)?;
    let (mut numbers, _) = der_value(key, SEQUENCE)?;
    let mut next = || {
        let (number, rest) = der_value(numbers, INTEGER)?;
        numbers = rest;
        Some(Secret::new(without_zero(number).to_vec()))
    };
    let (_version, _n, _e) = (next()?, next()?, next()?);
    let d = next()?;
    let parts = RsaParts {
        p: next()?,
        q: next()?,
        dp: next()?,
        dq: next()?,
        qi: next()?,
    };
    Some((d, parts))
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
    #[cfg(feature = "client")]
    fn to_parts(&self, public: &PublicJwk) -> Option<Parts> {
        let (d, rsa) = match self {
            Self::Ec(key) => {
                let d: EcPrivateKeyBin<'_> = key.private_key().as_be_bytes().ok()?;
                (Secret::new(d.as_ref().to_vec()), None)
            }
            Self::Ed25519(key) => {
                let seed = key.seed().ok()?;
                let seed: Curve25519SeedBin<'_> = seed.as_be_bytes().ok()?;
                (Secret::new(seed.as_ref().to_vec()), None)
            }
            Self::Rsa(_) => {
                let (d, parts) = rsa_private_numbers(&self.to_pkcs8()?)?;
                (d, Some(parts))
            }
        };
        Some(Parts {
            public: public.clone(),
            d,
            rsa,
        })
    }

    #[cfg(feature = "client")]
    fn to_pkcs8(&self) -> Option<Secret> {
        let document = match self {
            Self::Ec(key) => key.to_pkcs8v1().ok()?,
            Self::Ed25519(key) => key.to_pkcs8v1().ok()?,
            Self::Rsa(key) => {
                let der: Pkcs8V1Der<'_> = key.as_der().ok()?;
                return Some(Secret::new(der.as_ref().to_vec()));
            }
        };
        Some(Secret::new(document.as_ref().to_vec()))
    }
}
