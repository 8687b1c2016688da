//! State that survives a reload.

use std::{fmt, num::NonZeroUsize, sync::Arc};

use dpop_tower::{
    ConfigError, nonce::NonceSecret, revocation::MemoryRevocationList, token::FetchedKeys,
};

use crate::gateway::used_proofs::UsedProofs;

/// The used proofs, the revoked tokens, the nonce secret if none is configured, and the keys fetched from issuers. A
/// [`Gateway`] keeps one for as long as it runs.
///
/// [`Gateway`]: crate::gateway::Gateway
#[derive(Clone)]
pub struct ReloadState {
    proofs: UsedProofs,
    revocations: Arc<MemoryRevocationList>,
    nonce_secret: NonceSecret,
    fetched_keys: FetchedKeys,
}

impl ReloadState {
    /// Creates empty state with this store of used proofs.
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] if the operating system provides no randomness.
    pub fn new(proofs: UsedProofs) -> Result<Self, ConfigError> {
        Ok(Self {
            proofs,
            revocations: Arc::default(),
            nonce_secret: NonceSecret::random()?,
            fetched_keys: FetchedKeys::new(),
        })
    }

    /// Sets the number of entries of the revocation list, which is empty afterwards. Defaults to 100,000.
    #[must_use]
    pub fn revocation_capacity(mut self, entries: NonZeroUsize) -> Self {
        self.revocations = Arc::new(MemoryRevocationList::with_capacity(entries));
        self
    }

    /// All configurations share one list, so a token that was revoked under one is revoked under the next.
    pub(crate) fn revocations(&self) -> Arc<MemoryRevocationList> {
        Arc::clone(&self.revocations)
    }

    pub(crate) fn nonce_secret(&self) -> NonceSecret {
        self.nonce_secret.clone()
    }

    /// All configurations share one store, so a proof that was used under one is used under the next.
    pub(crate) const fn proofs(&self) -> &UsedProofs {
        &self.proofs
    }

    pub(crate) fn fetched_keys(&self) -> FetchedKeys {
        self.fetched_keys.clone()
    }
}

impl fmt::Debug for ReloadState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReloadState").finish_non_exhaustive()
    }
}
