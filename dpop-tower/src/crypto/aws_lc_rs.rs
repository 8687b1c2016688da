use std::fmt;

use ::aws_lc_rs::{
    digest, hmac,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
        EcdsaVerificationAlgorithm, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
        RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
        RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    },
};

use super::{
    Algorithm, CryptoProvider, InvalidKey, InvalidSignature, PreparedKey, VerifyingKey,
    prepared::prepared,
};
use crate::jwk::{KeyParameters, PublicJwk};

/// The crypto backend on AWS-LC, through the crate `aws-lc-rs`.
///
/// It supports every [`Algorithm`] and verifies faster than OpenSSL. It is the default backend in builds
/// without the feature `josekit`. Such builds contain no OpenSSL.
///
/// [`prepare`](CryptoProvider::prepare) checks that a point lies on its NIST curve. An Ed25519 key that
/// is not a point can be prepared, and no signature verifies with it.
///
/// ```
/// use dpop_tower::crypto::{Algorithm, AwsLcRs, CryptoProvider};
///
/// assert!(Algorithm::ALL.into_iter().all(|algorithm| AwsLcRs.supports(algorithm)));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct AwsLcRs;

impl CryptoProvider for AwsLcRs {
    fn supports(&self, _algorithm: Algorithm) -> bool {
        true
    }

    fn prepare(&self, key: &PublicJwk, algorithm: Algorithm) -> Result<PreparedKey, InvalidKey> {
        if !key.fits(algorithm) {
            return Err(InvalidKey);
        }
        let public_key = match key.parameters() {
            KeyParameters::Ec { point, .. } => {
                ParsedPublicKey::new(ecdsa(algorithm).ok_or(InvalidKey)?, point.as_uncompressed())
            }
            KeyParameters::Ed25519 { x } => ParsedPublicKey::new(&ED25519, x),
            KeyParameters::Rsa { n, e } => RsaPublicKeyComponents { n, e }
                .to_parsed_public_key(rsa(algorithm).ok_or(InvalidKey)?),
        };
        let public_key = public_key.map_err(|_| InvalidKey)?;
        let parsed = Key {
            public_key,
            algorithm,
        };
        Ok(prepared(parsed, key))
    }

    fn sha256(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut bytes = [0; 32];
        let digest = match parts {
            [whole] => digest::digest(&digest::SHA256, whole),
            parts => {
                let mut context = digest::Context::new(&digest::SHA256);
                parts.iter().for_each(|part| context.update(part));
                context.finish()
            }
        };
        bytes.copy_from_slice(digest.as_ref());
        bytes
    }

    fn hmac_sha256(&self, key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
        parts.iter().for_each(|part| context.update(part));
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.sign().as_ref());
        bytes
    }
}

const fn ecdsa(algorithm: Algorithm) -> Option<&'static EcdsaVerificationAlgorithm> {
    match algorithm {
        Algorithm::Es256 => Some(&ECDSA_P256_SHA256_FIXED),
        Algorithm::Es384 => Some(&ECDSA_P384_SHA384_FIXED),
        Algorithm::Es512 => Some(&ECDSA_P521_SHA512_FIXED),
        _ => None,
    }
}

/// These accept a wider range of key sizes than [`PublicJwk`], which limits it first.
const fn rsa(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    match algorithm {
        Algorithm::Ps256 => Some(&RSA_PSS_2048_8192_SHA256),
        Algorithm::Ps384 => Some(&RSA_PSS_2048_8192_SHA384),
        Algorithm::Ps512 => Some(&RSA_PSS_2048_8192_SHA512),
        Algorithm::Rs256 => Some(&RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Rs384 => Some(&RSA_PKCS1_2048_8192_SHA384),
        Algorithm::Rs512 => Some(&RSA_PKCS1_2048_8192_SHA512),
        _ => None,
    }
}

struct Key {
    public_key: ParsedPublicKey,
    algorithm: Algorithm,
}

impl VerifyingKey for Key {
    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        self.public_key
            .verify_sig(message, signature)
            .map_err(|_| InvalidSignature)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("aws_lc_rs::Key")
            .field("algorithm", &self.algorithm.as_str())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AWS-LC is told the algorithm of an Ed25519 key by the key, so it would not notice.
    #[test]
    fn an_ed25519_key_is_prepared_for_its_two_names_only() {
        let key = PublicJwk::from_json(
            r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
        )
        .unwrap();
        for algorithm in Algorithm::ALL {
            let fits = matches!(algorithm, Algorithm::Ed25519 | Algorithm::EdDsa);
            let prepared = AwsLcRs.prepare(&key, algorithm);
            assert_eq!(prepared.is_ok(), fits, "{algorithm}");
        }
    }
}
