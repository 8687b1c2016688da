//! State that survives a reload.

use std::{fmt, num::NonZeroUsize, sync::Arc};

use dpop_tower::{
    ConfigError, clock::UnixTime, nonce::NonceSecret, replay::MemoryReplayStore,
    revocation::MemoryRevocationList, token::FetchedKeys,
};

/// The used proofs, the revoked tokens, the nonce secret if none is configured, and the keys fetched from issuers. A
/// [`Gateway`] keeps one for as long as it runs.
///
/// [`Gateway`]: crate::gateway::Gateway
#[derive(Clone)]
pub struct ReloadState {
    proofs: Arc<MemoryReplayStore>,
    revocations: Arc<MemoryRevocationList>,
    nonce_secret: NonceSecret,
    fetched_keys: FetchedKeys,
}

impl ReloadState {
    /// Creates empty state with room for `capacity` proofs (a million by default), of which one client
    /// may use `capacity_per_key` (a tenth of the whole by default) and one subject
    /// `capacity_per_subject` (as many as one client by default). With `fenced_since`, it rejects proofs that may
    /// have been used up to then; see [`MemoryReplayStore::fenced_since`].
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] if the operating system provides no randomness.
    pub fn new(
        capacity: Option<NonZeroUsize>,
        capacity_per_key: Option<NonZeroUsize>,
        capacity_per_subject: Option<NonZeroUsize>,
        fenced_since: Option<UnixTime>,
    ) -> Result<Self, ConfigError> {
        let mut proofs = match capacity {
            None => MemoryReplayStore::new(),
            Some(capacity) => MemoryReplayStore::with_capacity(capacity),
        };
        if let Some(entries) = capacity_per_key {
            proofs = proofs.capacity_per_key(entries);
        }
        if let Some(entries) = capacity_per_subject {
            proofs = proofs.capacity_per_subject(entries);
        }
        if let Some(since) = fenced_since {
            proofs = proofs.fenced_since(since)?;
        }
        Ok(Self {
            proofs: Arc::new(proofs),
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
    pub(crate) fn proofs(&self) -> Arc<MemoryReplayStore> {
        Arc::clone(&self.proofs)
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
