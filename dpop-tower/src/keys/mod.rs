//! An issuer's keys: a JWK Set (RFC 7517 section 5), given or fetched.
//!
//! What is fetched goes through these hands: `endpoint` says where, `fetch` and `metadata` do it,
//! `decision` says when, `source` keeps what was fetched and has one attempt at a time, and `remote`
//! is what one configuration makes of it.

#[cfg(feature = "jwks")]
mod decision;
#[cfg(feature = "jwks")]
mod endpoint;
#[cfg(feature = "jwks")]
mod error;
#[cfg(feature = "jwks")]
mod fetch;
#[cfg(feature = "jwks")]
mod fetched;
#[cfg(feature = "jwks")]
mod metadata;
mod quoted;
#[cfg(feature = "jwks")]
mod remote;
mod set;
#[cfg(feature = "jwks")]
mod source;

#[cfg(feature = "jwks")]
pub(crate) use self::endpoint::Endpoint;
#[cfg(feature = "jwks")]
pub use self::fetched::FetchedKeys;
pub(crate) use self::set::{IssuerKey, KeySet};

use std::{fmt, future::Future, pin::Pin, sync::Arc};

/// Files of some servers begin with it, and RFC 8259 section 8.1 lets a reader ignore it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The keys are needed and cannot be had.
#[derive(Debug)]
pub(crate) struct KeysUnavailable;

/// Keys that can be used now.
pub(crate) struct AtHand {
    pub(crate) keys: Arc<KeySet>,
    /// It is time to [`refresh`](KeySource::refresh) them.
    pub(crate) is_due: bool,
}

/// A set of keys that is being fetched.
pub(crate) type Load<'a> =
    Pin<Box<dyn Future<Output = Result<Arc<KeySet>, KeysUnavailable>> + Send + 'a>>;

/// Where an issuer's keys come from. A set is replaced whole or not at all.
pub(crate) trait KeySource: fmt::Debug + Send + Sync + 'static {
    /// The keys that can be used now, if there are any.
    fn at_hand(&self) -> Option<AtHand>;

    /// Has newer keys fetched in the background, if it is time for that.
    fn refresh(&self);

    /// Whether [`load`](Self::load) could find a key that this set does not have.
    fn may_have_others(&self, than: &Arc<KeySet>) -> bool;

    /// The keys; others than `seen`, which do not do. Waits for one attempt to fetch them at most.
    ///
    /// # Cancel safety
    ///
    /// The attempt goes on without the caller.
    fn load(&self, seen: Option<Arc<KeySet>>) -> Load<'_>;
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
    fn at_hand(&self) -> Option<AtHand> {
        Some(AtHand {
            keys: Arc::clone(&self.0),
            is_due: false,
        })
    }

    fn refresh(&self) {}

    fn may_have_others(&self, _than: &Arc<KeySet>) -> bool {
        false
    }

    fn load(&self, _seen: Option<Arc<KeySet>>) -> Load<'_> {
        Box::pin(std::future::ready(Ok(Arc::clone(&self.0))))
    }
}
