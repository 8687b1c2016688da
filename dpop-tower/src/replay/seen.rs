use std::fmt;

use quick_cache::sync::Cache;
use sha2::{Digest as _, Sha256};

/// A proof, by the SHA-256 hash of its text: header, claims and signature.
pub(crate) type ProofDigest = [u8; 32];

/// Proofs whose signature is known to be valid. Everything else about them has to be checked again.
///
/// Only proofs that have proved a bound token get in, so a stranger cannot push others out. Eviction is
/// harmless: the signature is checked again.
pub(crate) struct SeenProofs(Cache<ProofDigest, ()>);

impl SeenProofs {
    pub(crate) fn new(capacity: usize) -> Self {
        Self(Cache::new(capacity))
    }

    pub(crate) fn digest(proof: &str) -> ProofDigest {
        Sha256::digest(proof).into()
    }

    pub(crate) fn contains(&self, proof: &ProofDigest) -> bool {
        self.0.get(proof).is_some()
    }

    pub(crate) fn insert(&self, proof: ProofDigest) {
        self.0.insert(proof, ());
    }
}

impl fmt::Debug for SeenProofs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeenProofs")
            .field("len", &self.0.len())
            .finish()
    }
}
