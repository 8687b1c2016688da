use std::fmt;

use quick_cache::sync::Cache;

use crate::{crypto::Algorithm, jwk::Thumbprint, proof::Ath, token::VerifiedToken};

/// Verdicts on tokens, by the token's hash.
///
/// Only tokens with a valid signature get in, so a stranger cannot push others out; if a verdict is
/// evicted, the signature is checked again.
pub(super) struct TokenCache(Cache<Ath, Verdict>);

#[derive(Clone)]
pub(super) struct Verdict {
    pub(super) token: VerifiedToken,
    /// The key that signed it: the verdict is worth nothing once the issuer has withdrawn that.
    pub(super) signed_by: Thumbprint,
    pub(super) algorithm: Algorithm,
}

impl TokenCache {
    pub(super) fn new(capacity: usize) -> Self {
        Self(Cache::new(capacity.max(1)))
    }

    pub(super) fn get(&self, token: &Ath) -> Option<Verdict> {
        self.0.get(token)
    }

    pub(super) fn insert(&self, token: Ath, verdict: Verdict) {
        self.0.insert(token, verdict);
    }

    pub(super) fn remove(&self, token: &Ath) {
        self.0.remove(token);
    }
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache")
            .field("len", &self.0.len())
            .finish()
    }
}
