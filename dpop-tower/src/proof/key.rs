use std::fmt;

use super::MAX_PROOF_LEN;
use crate::{
    crypto::{Algorithm, CryptoProvider, PreparedKey},
    jose::compact::CompactJws,
    jwk::{PublicJwk, Thumbprint},
};

/// The key and the algorithm that a proof claims to be signed with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ProofKey {
    pub(super) key: PublicJwk,
    pub(super) algorithm: Algorithm,
}

/// Returns the thumbprint of the key in a proof of which nothing else has been checked.
pub(crate) fn unverified_thumbprint(
    proof: &str,
    crypto: &dyn CryptoProvider,
) -> Option<Thumbprint> {
    if proof.len() > MAX_PROOF_LEN {
        return None;
    }
    let jws = CompactJws::decode(proof)?;
    let header = jws.header()?;
    let key = PublicJwk::from_object(header.get("jwk")?.as_object()?).ok()?;
    Some(Thumbprint::of(&key, crypto))
}

/// What is computed from a [`ProofKey`], and kept if the key has signed a valid proof.
#[derive(Clone)]
pub(crate) struct KnownKey {
    pub(super) thumbprint: Thumbprint,
    pub(super) prepared: PreparedKey,
}

/// A key that may have been seen before.
pub(super) enum Signer {
    Known(KnownKey),
    New(Thumbprint),
}

impl Signer {
    pub(super) fn new(key: &PublicJwk, crypto: &dyn CryptoProvider) -> Self {
        Self::New(Thumbprint::of(key, crypto))
    }

    pub(super) const fn thumbprint(&self) -> &Thumbprint {
        match self {
            Self::Known(known) => &known.thumbprint,
            Self::New(thumbprint) => thumbprint,
        }
    }
}

/// Hides the key.
impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signer").field(self.thumbprint()).finish()
    }
}
