use std::sync::Arc;

use super::{InvalidSignature, PreparedKey, VerifyingKey};
use crate::jwk::PublicJwk;

/// A key that accepts signatures of one length only.
///
/// RFC 8017 section 8.2.2 step 1 and RFC 7518 section 3.4 fix the length. It is checked here because
/// libraries differ: OpenSSL accepts some RSA signatures without their leading zeros.
#[derive(Debug)]
struct FixedLength<K> {
    key: K,
    signature_len: usize,
}

/// Wraps `key`, which a library has made from `jwk`.
pub(super) fn prepared(key: impl VerifyingKey, jwk: &PublicJwk) -> PreparedKey {
    Arc::new(FixedLength {
        key,
        signature_len: jwk.signature_len(),
    })
}

impl<K: VerifyingKey> VerifyingKey for FixedLength<K> {
    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        if signature.len() != self.signature_len {
            return Err(InvalidSignature);
        }
        self.key.verify(message, signature)
    }
}
