//! The crypto backend of inspections.

use std::sync::Arc;

use dpop_tower::{
    crypto::{Algorithm, CryptoProvider, InvalidKey, InvalidSignature, PreparedKey, VerifyingKey},
    jwk::PublicJwk,
};

#[cfg(all(feature = "aws-lc-rs", not(feature = "josekit")))]
pub(super) use dpop_tower::crypto::AwsLcRs as Backend;
#[cfg(feature = "josekit")]
pub(super) use dpop_tower::crypto::Josekit as Backend;

pub(super) const BACKEND: Backend = Backend;

/// A key of each kind that nobody has. They stand for the keys of an issuer that are not known.
pub(super) const NOBODY: &str = r#"{"keys":[
{"kty":"EC","crv":"P-256","x":"bm9ib2R5LW5vYm9keS1ub2JvZHktbm9ib2R5LW5vYm8","y":"bm9ib2R5LW5vYm9keS1ub2JvZHktbm9ib2R5LW5vYm8"},
{"kty":"EC","crv":"P-384","x":"bm9ib2R5LW5vYm9keS1ub2JvZHktbm9ib2R5LW5vYm9keS1ub2JvZHktbm9ib2R5","y":"bm9ib2R5LW5vYm9keS1ub2JvZHktbm9ib2R5LW5vYm9keS1ub2JvZHktbm9ib2R5"},
{"kty":"EC","crv":"P-521","x":"AG5vYm9keS1ub2JvZHktbm9ib2R5LW5vYm9keS1ub2JvZHktbm9ib2R5LW5vYm9keS1ub2JvZHktbm9ib2R5LW5v","y":"AG5vYm9keS1ub2JvZHktbm9ib2R5LW5vYm9keS1ub2JvZHktbm9ib2R5LW5vYm9keS1ub2JvZHktbm9ib2R5LW5v"},
{"kty":"OKP","crv":"Ed25519","x":"bm9ib2R5LW5vYm9keS1ub2JvZHktbm9ib2R5LW5vYm8"},
{"kty":"RSA","e":"AQAB","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"}
]}"#;

/// Accepts every signature of the keys of [`NOBODY`], so that the library checks the rest of a token whose
/// issuer is not known.
///
/// # Security
///
/// It is used for tokens only, and the report says that their signature was not checked. The signatures of
/// proofs are verified with [`BACKEND`].
#[derive(Debug)]
pub(super) struct WithoutTokenSignature {
    nobody: Vec<PublicJwk>,
}

impl WithoutTokenSignature {
    pub(super) fn new() -> Self {
        let set: serde_json::Value = serde_json::from_str(NOBODY).unwrap_or_default();
        let keys = set.get("keys").and_then(|keys| keys.as_array());
        let nobody = (keys.into_iter().flatten())
            .filter_map(|key| PublicJwk::from_json(&key.to_string()).ok())
            .collect();
        Self { nobody }
    }
}

impl CryptoProvider for WithoutTokenSignature {
    fn supports(&self, algorithm: Algorithm) -> bool {
        BACKEND.supports(algorithm)
    }

    fn prepare(&self, key: &PublicJwk, algorithm: Algorithm) -> Result<PreparedKey, InvalidKey> {
        if self.nobody.contains(key) {
            return Ok(Arc::new(AcceptsAll));
        }
        BACKEND.prepare(key, algorithm)
    }

    fn sha256(&self, parts: &[&[u8]]) -> [u8; 32] {
        BACKEND.sha256(parts)
    }

    fn hmac_sha256(&self, key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
        BACKEND.hmac_sha256(key, parts)
    }
}

#[derive(Debug)]
struct AcceptsAll;

impl VerifyingKey for AcceptsAll {
    fn verify(&self, _message: &[u8], _signature: &[u8]) -> Result<(), InvalidSignature> {
        Ok(())
    }
}
