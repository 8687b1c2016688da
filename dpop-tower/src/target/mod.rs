//! The URI that clients call: what the `htu` of a proof is compared with.
//!
//! `Host`, `:authority` and forwarded headers are chosen by the caller. If they decided the expected
//! URI, a malicious API could replay a proof that was made for it: it would send the proof here with
//! its own name as `Host`. Therefore the expected URI comes from the configuration.
//!
//! A [`PublicOrigin`] is enough for most services. Behind a proxy that is called by several names, a
//! [`ForwardedTarget`] lets the proxy choose among the configured origins. For anything else, implement
//! [`TargetUri`]:
//!
//! ```
//! use dpop_tower::{
//!     PublicOrigin,
//!     proof::{Htu, HtuError},
//!     target::{TargetRequest, TargetUri},
//! };
//!
//! /// One service with two origins, told apart by the path.
//! #[derive(Debug)]
//! struct ByPath {
//!     api: PublicOrigin,
//!     admin: PublicOrigin,
//! }
//!
//! impl TargetUri for ByPath {
//!     fn expected(&self, request: TargetRequest<'_>) -> Result<Htu, HtuError> {
//!         match request.uri().path().starts_with("/admin/") {
//!             true => self.admin.expected(request),
//!             false => self.api.expected(request),
//!         }
//!     }
//! }
//!
//! let target = ByPath {
//!     api: PublicOrigin::new("https://api.example.com")?,
//!     admin: PublicOrigin::new("https://admin.example.com")?,
//! };
//! let (uri, headers) = ("/admin/users".parse()?, http::HeaderMap::new());
//! let htu = target.expected(TargetRequest::new(&uri, &headers, None))?;
//! assert_eq!(htu.as_str(), "https://admin.example.com/admin/users");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Proxies can also report the certificate of a client; see [`ClientCertificates`].

mod client_certificates;
mod forwarded;
mod networks;
mod public_origin;

pub(crate) use self::client_certificates::{MalformedCertificate, PresentedCertificate};
pub use self::{
    client_certificates::{CertificateHeader, ClientCertificates},
    forwarded::{ForwardedTarget, PeerAddr},
    public_origin::PublicOrigin,
};

use std::{fmt, net::IpAddr, sync::Arc};

use http::{HeaderMap, Uri, header};

use crate::proof::{Htu, HtuError, Origin};

/// Determines the URI that the proof of a request has to be made for.
///
/// # Security
///
/// If the caller can influence the result, a proof that was made for another server is accepted here.
/// Any other wrong result rejects good requests.
pub trait TargetUri: fmt::Debug + Send + Sync + 'static {
    /// Returns the expected `htu` of a request.
    ///
    /// # Errors
    ///
    /// Returns an [`HtuError`] if no proof can be made for the request's target, such as `*`.
    fn expected(&self, request: TargetRequest<'_>) -> Result<Htu, HtuError>;

    /// Returns the likely reason why the proof of a request has another `htu`, for the log.
    fn hint(&self, request: TargetRequest<'_>) -> Option<&'static str> {
        let _ = request;
        None
    }

    /// Returns what is valid but often a mistake, a sentence each, for the log at start and the text of a
    /// [configuration](crate::DpopConfig). The default implementation returns nothing.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// Returns the origins that the expected URIs can have, if they are known in advance.
    ///
    /// They are part of the text of a [configuration](crate::DpopConfig). The default implementation returns
    /// none.
    fn origins(&self) -> Vec<&Origin> {
        Vec::new()
    }
}

/// The parts of a request that a [`TargetUri`] can use.
#[derive(Clone, Copy, Debug)]
pub struct TargetRequest<'a> {
    uri: &'a Uri,
    headers: &'a HeaderMap,
    peer: Option<IpAddr>,
}

impl<'a> TargetRequest<'a> {
    /// Describes a request with this URI, these headers and, if it is known, this peer address.
    ///
    /// Use it to ask a [`TargetUri`] outside a layer for the URI that the layer expects.
    pub const fn new(uri: &'a Uri, headers: &'a HeaderMap, peer: Option<IpAddr>) -> Self {
        Self { uri, headers, peer }
    }

    /// Returns the URI as the client sent it, before a router removed a prefix.
    pub const fn uri(&self) -> &'a Uri {
        self.uri
    }

    /// Returns the request's headers.
    pub const fn headers(&self) -> &'a HeaderMap {
        self.headers
    }

    /// Returns the address that the connection comes from, if it is known; see [`ForwardedTarget`].
    pub const fn peer(&self) -> Option<IpAddr> {
        self.peer
    }

    /// Returns the host that the caller claims to have called, which is not to be trusted.
    fn claimed_authority(&self) -> Option<&'a str> {
        match self.uri.authority() {
            Some(authority) => Some(authority.as_str()),
            None => self.headers.get(header::HOST)?.to_str().ok(),
        }
    }
}

/// The source of the expected `htu`: a [`PublicOrigin`], a [`ForwardedTarget`], or your own
/// [`TargetUri`], as a value or in an [`Arc`].
#[derive(Clone, Debug)]
pub struct Target(pub(crate) Arc<dyn TargetUri>);

/// Converts into a [`Target`], the first argument of [`DpopConfig::builder`](crate::DpopConfig::builder).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot tell what clients call this service",
    label = "does not implement `TargetUri`",
    note = "give `PublicOrigin::new(\"https://api.example.com\")?`, a `ForwardedTarget`, or a type \
            of your own that implements `TargetUri`; a value that implements it is given as it is, \
            or in an `Arc`"
)]
pub trait IntoTarget: Into<Target> {}

impl<T: Into<Target>> IntoTarget for T {}

impl From<Arc<dyn TargetUri>> for Target {
    fn from(target: Arc<dyn TargetUri>) -> Self {
        Self(target)
    }
}

impl<T: TargetUri> From<Arc<T>> for Target {
    fn from(target: Arc<T>) -> Self {
        Self(target)
    }
}

impl<T: TargetUri> From<T> for Target {
    fn from(target: T) -> Self {
        Self(Arc::new(target))
    }
}
