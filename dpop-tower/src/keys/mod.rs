//! An issuer's keys: a JWK Set (RFC 7517 section 5), given or fetched.

#[cfg(feature = "jwks")]
mod endpoint;
#[cfg(feature = "jwks")]
mod remote;
mod set;

pub(crate) use self::set::{IssuerKey, KeySet};
#[cfg(feature = "jwks")]
pub(crate) use self::{endpoint::Endpoint, remote::RemoteKeys};

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use crate::clock::UnixTime;

/// The keys are needed and cannot be had.
#[derive(Debug)]
pub(crate) struct KeysUnavailable;

/// A set of keys that is being fetched.
pub(crate) type Load<'a> =
    Pin<Box<dyn Future<Output = Result<Arc<KeySet>, KeysUnavailable>> + Send + 'a>>;

/// Where an issuer's keys come from. A set is replaced whole or not at all.
pub(crate) trait KeySource: fmt::Debug + Send + Sync + 'static {
    /// The keys at hand; `None` if there are none yet, or they are old enough to be fetched anew.
    fn current(&self, now: UnixTime) -> Option<Arc<KeySet>>;

    /// Whether [`load`](Self::load) could find a key that the current set does not have.
    fn may_have_newer(&self, now: UnixTime) -> bool;

    /// Fetches the keys, unless another request has done so since the caller saw `seen`.
    fn load(&self, seen: Option<Arc<KeySet>>, now: UnixTime) -> Load<'_>;
}

/// Keys that were given with the configuration.
#[derive(Debug)]
pub(crate) struct FixedKeys(Arc<KeySet>);

impl FixedKeys {
    pub(crate) fn new(keys: KeySet) -> Self {
        Self(Arc::new(keys))
    }
}

impl KeySource for FixedKeys {
    fn current(&self, _now: UnixTime) -> Option<Arc<KeySet>> {
        Some(Arc::clone(&self.0))
    }

    fn may_have_newer(&self, _now: UnixTime) -> bool {
        false
    }

    fn load(&self, _seen: Option<Arc<KeySet>>, _now: UnixTime) -> Load<'_> {
        Box::pin(std::future::ready(Ok(Arc::clone(&self.0))))
    }
}
