//! Signing with AWS-LC.

use std::sync::Arc;

use ::aws_lc_rs::{
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, KeyPairComponents, PublicKeyComponents},
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
        RSA_PSS_SHA256,
    },
};

use super::{Algorithm, PrivateKey, SigningFailed, parts::Parts};
use crate::{
    crypto::{AwsLcRs, CryptoProvider},
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
    let public = key.public_key();
    let n = base64url::encode(public.modulus().big_endian_without_leading_zero());
    let e = base64url::encode(public.exponent().big_endian_without_leading_zero());
    let public = format!(r#"{{"kty":"RSA","n":"{n}","e":"{e}"}}"#);
    Some((public, Arc::new(Key::Rsa(key))))
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
