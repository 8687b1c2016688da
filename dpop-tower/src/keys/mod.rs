//! An issuer's keys: a JWK Set (RFC 7517 section 5), given or fetched.

#[cfg(feature = "jwks")]
mod endpoint;
#[cfg(feature = "jwks")]
mod remote;
mod set;

pub(crate) use self::set::{IssuerKey, KeySet};
#[cfg(feature = "jwks")]
pub(crate) use self::{endpoint::Endpoint, remote::RemoteKeys};

use std::sync::Arc;

use crate::time::UnixTime;

/// The keys are needed and cannot be had.
#[derive(Debug)]
pub(crate) struct KeysUnavailable;

/// Where an issuer's keys come from. A set is replaced whole or not at all.
#[derive(Debug)]
pub(crate) enum KeySource {
    Fixed(Arc<KeySet>),
    #[cfg(feature = "jwks")]
    Remote(Box<RemoteKeys>),
}

/// The keys at hand.
pub(crate) enum Keys {
    Fresh(Arc<KeySet>),
    /// None yet, or old enough to be fetched anew: see [`KeySource::load`].
    Stale,
}

impl KeySource {
    pub(crate) fn fixed(keys: KeySet) -> Self {
        Self::Fixed(Arc::new(keys))
    }

    #[cfg(feature = "jwks")]
    pub(crate) fn remote(keys: RemoteKeys) -> Self {
        Self::Remote(Box::new(keys))
    }

    pub(crate) fn current(&self, now: UnixTime) -> Keys {
        match self {
            Self::Fixed(keys) => Keys::Fresh(Arc::clone(keys)),
            #[cfg(feature = "jwks")]
            Self::Remote(remote) => remote.current(now),
        }
    }

    /// Whether [`load`](Self::load) could find a key that the current set does not have.
    pub(crate) fn may_have_newer(&self, now: UnixTime) -> bool {
        match self {
            Self::Fixed(_) => false,
            #[cfg(feature = "jwks")]
            Self::Remote(remote) => remote.may_have_newer(now),
        }
    }

    /// Fetches the keys, unless another request has done so since the caller saw `seen`.
    pub(crate) async fn load(
        &self,
        seen: Option<Arc<KeySet>>,
        now: UnixTime,
    ) -> Result<Arc<KeySet>, KeysUnavailable> {
        match self {
            Self::Fixed(keys) => Ok(Arc::clone(keys)),
            #[cfg(feature = "jwks")]
            Self::Remote(remote) => remote.load(seen.as_ref(), now).await,
        }
    }
}
