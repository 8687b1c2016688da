use super::{KnownKey, NonceStatus, ProofError, ProofErrorKind, ProofKey, kept::Kept, key::Signer};
use crate::{
    clock::UnixTime,
    crypto::{Algorithm, CryptoProvider, PreparedKey},
    jwk::{PublicJwk, Thumbprint},
};

/// A proof whose claims match this request but whose signature has not been verified.
///
/// [`ProofVerifier::check`](super::ProofVerifier::check) returns it, and
/// [`verify_signature`](Self::verify_signature) turns it into a [`VerifiedProof`].
///
/// # Security
///
/// Anyone can write such a proof with the public key of another client. Do not act on its thumbprint before
/// the signature is verified, except to reject the request.
#[derive(Debug)]
#[must_use = "nothing is proved until the signature is verified"]
pub struct UnverifiedProof {
    pub(super) key: ProofKey,
    pub(super) signer: Signer,
    pub(super) claims: Claims,
    pub(super) kept: Kept,
}

impl UnverifiedProof {
    /// Returns the thumbprint of the key that the proof claims to be signed with.
    pub const fn thumbprint(&self) -> &Thumbprint {
        self.signer.thumbprint()
    }

    /// Returns the key that the proof claims to be signed with.
    pub const fn public_jwk(&self) -> &PublicJwk {
        &self.key.key
    }

    /// Returns the algorithm that the proof claims to be signed with. It is allowed and fits the key.
    pub const fn algorithm(&self) -> Algorithm {
        self.key.algorithm
    }

    /// Returns when the proof claims to be made (`iat`), which is within the window.
    pub const fn issued_at(&self) -> UnixTime {
        self.claims.issued_at
    }

    /// Returns the status of the nonce, if the proof has one that was checked.
    pub(crate) const fn nonce_status(&self) -> Option<NonceStatus> {
        self.claims.nonce_status
    }

    /// Prepares the proof's key with `crypto`.
    ///
    /// Preparing a key can cost as much as verifying a signature, so a server that sees the same clients
    /// again can keep the result.
    ///
    /// # Errors
    ///
    /// Returns [`ProofErrorKind::KeyInvalid`] if it is not a valid key, such as a point that is not on its
    /// curve.
    pub fn prepare_key(&self, crypto: &dyn CryptoProvider) -> Result<PreparedKey, ProofError> {
        crypto
            .prepare(&self.key.key, self.key.algorithm)
            .map_err(|_| ProofErrorKind::KeyInvalid.into())
    }

    /// Returns the prepared key if the [context](super::ProofContext::known_key) knows it.
    pub(crate) fn known_key(&self) -> Option<PreparedKey> {
        match &self.signer {
            Signer::Known(known) => Some(PreparedKey::clone(&known.prepared)),
            Signer::New(_) => None,
        }
    }

    /// Returns the entry for a cache of known keys. Insert it only after the signature is verified.
    pub(crate) fn to_known_key(&self, prepared: &PreparedKey) -> (ProofKey, KnownKey) {
        let known = KnownKey {
            thumbprint: *self.thumbprint(),
            prepared: PreparedKey::clone(prepared),
        };
        (self.key.clone(), known)
    }
}

/// A proof that passed every check of RFC 9449 section 4.3 that concerns the proof itself.
///
/// It may have been used before. To reject replays, record its [`thumbprint`](Self::thumbprint) and
/// [`jti`](Self::jti) until [`expires_at`](Self::expires_at), for example in a
/// [`ReplayStore`](crate::replay::ReplayStore).
#[derive(Debug)]
pub struct VerifiedProof {
    pub(super) thumbprint: Thumbprint,
    pub(super) algorithm: Algorithm,
    pub(super) claims: Claims,
    pub(super) kept: Kept,
}

impl VerifiedProof {
    /// Returns the thumbprint of the key that signed the proof.
    pub const fn thumbprint(&self) -> &Thumbprint {
        &self.thumbprint
    }

    /// Returns the algorithm of the signature.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns the identifier of the proof, at most 256 bytes, which is unique among the proofs of a key.
    pub fn jti(&self) -> &str {
        self.kept.jti()
    }

    /// Returns when the proof was made (`iat`).
    pub const fn issued_at(&self) -> UnixTime {
        self.claims.issued_at
    }

    /// Returns the last instant at which the proof could be accepted. Its `jti` has to be remembered until
    /// then (RFC 9449 section 11.1).
    pub const fn expires_at(&self) -> UnixTime {
        self.claims.expires_at
    }

    /// Returns the status of the nonce, if the proof has one and there was a function to
    /// [check](super::ProofContext::require_nonce) it.
    pub const fn nonce_status(&self) -> Option<NonceStatus> {
        self.claims.nonce_status
    }
}

/// The claims of a proof that are needed after its checks.
#[derive(Debug)]
pub(super) struct Claims {
    pub(super) issued_at: UnixTime,
    pub(super) expires_at: UnixTime,
    pub(super) nonce_status: Option<NonceStatus>,
}
