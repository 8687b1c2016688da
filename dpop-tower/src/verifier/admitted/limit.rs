use std::sync::Arc;

use crate::{
    clock::UnixTime,
    config::Settings,
    jwk::Thumbprint,
    revocation::{RevocationList, RevocationQuery},
    token::ClaimSet,
};

/// The token of a stream, and the configuration that decides when it ends.
#[derive(Clone)]
pub(crate) struct Limit {
    config: Arc<Settings>,
    claims: ClaimSet,
    thumbprint: Option<Thumbprint>,
}

impl Limit {
    pub(super) const fn new(
        config: Arc<Settings>,
        claims: ClaimSet,
        thumbprint: Option<Thumbprint>,
    ) -> Self {
        Self {
            config,
            claims,
            thumbprint,
        }
    }

    pub(crate) fn expires_at(&self) -> UnixTime {
        self.claims.expires_at()
    }

    pub(crate) fn now(&self) -> UnixTime {
        self.config.clock.now()
    }

    /// Returns the revocation list, if there is one.
    pub(crate) fn revocations(&self) -> Option<&dyn RevocationList> {
        self.config.revocations.as_deref()
    }

    /// Describes the token for the revocation list.
    pub(crate) fn query(&self) -> RevocationQuery<'_> {
        let query = RevocationQuery::new(&self.claims, self.now());
        match &self.thumbprint {
            Some(thumbprint) => query.bound_to(thumbprint),
            None => query,
        }
    }
}
