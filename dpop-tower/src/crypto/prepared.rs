use std::sync::Arc;

use super::{InvalidSignature, PreparedKey, VerifyingKey};
use crate::jwk::PublicJwk;

/// A key that takes signatures of one length only.
///
/// RFC 8017 section 8.2.2 step 1 and RFC 7518 section 3.4 fix the length. OpenSSL would take some RSA
/// signatures that lack their leading zeros, so it does not depend on how strict a library is.
#[derive(Debug)]
struct FixedLength<K> {
    key: K,
    signature_len: usize,
}

/// Shares `key`, which a library has made of `jwk`.
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
