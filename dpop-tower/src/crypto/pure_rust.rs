//! Hashes for unit tests, which also run without any backend.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use super::{Algorithm, CryptoProvider, InvalidKey, PreparedKey};
use crate::jwk::PublicJwk;

/// Hashes with pure Rust crates, and verifies nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PureRust;

impl CryptoProvider for PureRust {
    fn supports(&self, _: Algorithm) -> bool {
        false
    }

    fn prepare(&self, _: &PublicJwk, _: Algorithm) -> Result<PreparedKey, InvalidKey> {
        Err(InvalidKey)
    }

    fn sha256(&self, parts: &[&[u8]]) -> [u8; 32] {
        Sha256::digest(parts.concat()).into()
    }

    fn hmac_sha256(&self, key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
        let mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.chain_update(parts.concat())
            .finalize()
            .into_bytes()
            .into()
    }
}
