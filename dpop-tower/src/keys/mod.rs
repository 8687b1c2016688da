//! An issuer's keys, which are a JWK Set (RFC 7517 section 5) that is configured or fetched.
//!
//! These modules fetch keys:
//!
//! | module | responsibility |
//! |---|---|
//! | `endpoint` | The URLs, and which of them may be fetched. |
//! | `fetch`, `metadata` | The HTTP requests, and the issuer's metadata. |
//! | `freshness` | How long a response says that it is fresh. |
//! | `fetching`, `intervals` | The settings, and what follows from them. |
//! | `authorization_server` | The endpoints of the issuer, which a client uses. |
//! | `introspection` | The introspection endpoint, which the metadata names. |
//! | `decision` | When keys are fetched, and when a request waits. A pure function of times. |
//! | `source` | The fetched document, and at most one attempt at a time. Configurations share it. |
//! | `remote` | The keys of the document that one configuration can use. |

#[cfg(feature = "client-tokens")]
mod authorization_server;
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
mod fetching;
#[cfg(feature = "jwks")]
mod freshness;
#[cfg(feature = "jwks")]
mod intervals;
#[cfg(feature = "introspection")]
mod introspection;
#[cfg(feature = "jwks")]
mod metadata;
mod quoted;
#[cfg(feature = "jwks")]
mod remote;
mod set;
#[cfg(feature = "jwks")]
mod source;

#[cfg(feature = "client-tokens")]
pub(crate) use self::authorization_server::{AuthorizationServer, Discovery};
#[cfg(feature = "jwks")]
pub(crate) use self::endpoint::{Endpoint, PlainHttp};
#[cfg(feature = "status-list")]
pub(crate) use self::endpoint::{configured_url, may_be_fetched};
#[cfg(feature = "introspection")]
pub(crate) use self::introspection::IntrospectionEndpoint;
pub(crate) use self::set::{IssuerKey, KeySet};
#[cfg(feature = "jwks")]
pub use self::{fetched::FetchedKeys, fetching::KeyFetching};

use std::{fmt, future::Future, pin::Pin, sync::Arc};

/// The documents of some servers begin with it. RFC 8259 section 8.1 allows parsers to ignore it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The keys are needed and not available.
#[derive(Debug)]
#[cfg_attr(
    not(any(feature = "introspection", feature = "ssf", feature = "status-list")),
    expect(dead_code, reason = "only documents that are fetched need to know")
)]
pub(crate) struct KeysUnavailable {
    /// Whether the issuer has just published the same keys again.
    pub(crate) no_others_exist: bool,
}

/// Keys that can be used now.
pub(crate) struct AtHand {
    pub(crate) keys: Arc<KeySet>,
    /// Whether it is time to [`refresh`](KeySource::refresh) them.
    pub(crate) is_due: bool,
}

/// What is at hand of an issuer's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyState {
    /// There are keys, and it is not time to refresh them. Keys of a file or a string are always fresh.
    Fresh,
    /// There are keys, and it is time to refresh them. Requests use them.
    Stale,
    /// There are no keys, or they are too old. A request that needs them waits for a fetch, or is rejected with
    /// 503.
    Missing,
}

/// Keys that are being fetched ahead of need, and the reason if that fails.
pub(crate) type WarmUp<'a> = Pin<Box<dyn Future<Output = Result<(), Arc<str>>> + Send + 'a>>;

/// A set of keys that is being fetched.
pub(crate) type Load<'a> =
    Pin<Box<dyn Future<Output = Result<Arc<KeySet>, KeysUnavailable>> + Send + 'a>>;

/// A source of an issuer's keys. It replaces a set as a whole or not at all.
pub(crate) trait KeySource: fmt::Debug + Send + Sync + 'static {
    /// Returns the keys that can be used now, if there are any.
    fn at_hand(&self) -> Option<AtHand>;

    /// Starts to fetch newer keys in the background, if it is time for that.
    fn refresh(&self);

    /// Returns whether [`load`](Self::load) may find a key that this set does not have.
    fn may_have_others(&self, than: &Arc<KeySet>) -> bool;

    /// Loads keys other than `seen`, which the caller cannot use. Waits for at most one attempt to fetch
    /// them.
    ///
    /// # Cancel safety
    ///
    /// The attempt continues without the caller.
    fn load(&self, seen: Option<Arc<KeySet>>) -> Load<'_>;

    /// Returns what is at hand, without fetching anything.
    fn state(&self) -> KeyState;

    /// Fetches the keys if there are none. Waits for at most one attempt.
    fn warm_up(&self) -> WarmUp<'_>;
}

/// Keys that are part of the configuration.
#[derive(Debug, Default)]
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

    fn state(&self) -> KeyState {
        KeyState::Fresh
    }

    fn warm_up(&self) -> WarmUp<'_> {
        Box::pin(std::future::ready(Ok(())))
    }
}
