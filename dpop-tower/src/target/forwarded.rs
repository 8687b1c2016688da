mod claimed;

use std::net::IpAddr;

use http::{HeaderMap, header};

use self::claimed::{
    Claimed, Host, X_FORWARDED_HOST, X_FORWARDED_PORT, X_FORWARDED_PREFIX, X_FORWARDED_PROTO,
};
use super::{PublicOrigin, TargetRequest, TargetUri, networks::Networks};
use crate::{
    error::ConfigError,
    proof::{Htu, HtuError, Origin},
};

/// Selects one of the public origins of a service by the forwarded headers of a trusted proxy.
///
/// Use it if clients reach the service by several names or prefixes, and the proxy calls it by an internal
/// one. If there is one public origin, a [`PublicOrigin`] alone is simpler and does not need to trust a
/// proxy.
///
/// ```
/// use dpop_tower::{PublicOrigin, target::ForwardedTarget};
///
/// let origins = PublicOrigin::new("https://api.example.com")?.with_alias("https://api.example.org")?;
/// let target = ForwardedTarget::x_forwarded(origins, ["10.0.0.0/8", "fd00::/8"])?
///     .prefixes(["/v1", "/v2"])?;
/// # Ok::<(), dpop_tower::ConfigError>(())
/// ```
///
/// # Selection
///
/// - **Peer.** Headers count only if the connection comes from a listed network. The address of the peer
///   is known from axum's `ConnectInfo<SocketAddr>` (serve with
///   `into_make_service_with_connect_info::<SocketAddr>()`, or use `MockConnectInfo<SocketAddr>` in tests),
///   from tonic's server, or from a [`PeerAddr`] in the request's extensions. If the peer is unknown or not
///   listed, forwarded headers are ignored, and the [`PublicOrigin`] alone decides.
/// - **Last value.** If a header has several hosts or prefixes, the last one counts, which the nearest
///   proxy has written. The caller may have written those before it.
/// - **Host.** A host selects a listed origin whatever its port. If several origins have this host, the
///   scheme selects among them, and then the port: the last value that one of them has. A scheme or a
///   port that none of them has is ignored, because an inner proxy is often called by `http` or on
///   another port. `wss` counts as `https`, and `ws` as `http`.
/// - **Prefix.** A prefix counts only if it is listed.
///
/// A value that is not listed or cannot be read selects nothing, and no header selects an origin that is
/// not listed. If the proof is then for another URL, the log says which header could not be read, or that
/// the host is not listed.
///
/// # Security
///
/// If a proxy passes the caller's `Host` on as `X-Forwarded-Host`, the caller can select one of the listed
/// origins, as without a proxy, but never another. Do not list an origin that is not this service.
#[derive(Clone, Debug)]
#[doc(alias = "trusted_proxies")]
#[doc(alias = "x_forwarded_host")]
pub struct ForwardedTarget {
    origins: PublicOrigin,
    trusted: Networks,
    prefixes: Vec<String>,
    syntax: Syntax,
}

#[derive(Clone, Copy, Debug)]
enum Syntax {
    /// RFC 7239.
    Forwarded,
    /// `X-Forwarded-Host` and the like.
    XForwarded,
}

/// The address that a connection comes from.
///
/// axum's and tonic's servers provide it. With another server or your own listener, put it into the
/// request's extensions before the request reaches the layer.
///
/// # Security
///
/// It has to be the address of the socket. An address from a header is chosen by the caller.
///
/// ```
/// use dpop_tower::target::PeerAddr;
/// use std::net::SocketAddr;
///
/// fn with_peer<B>(mut request: http::Request<B>, peer: SocketAddr) -> http::Request<B> {
///     request.extensions_mut().insert(PeerAddr(peer.ip()));
///     request
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[doc(alias = "peer")]
#[doc(alias = "remote_addr")]
pub struct PeerAddr(pub IpAddr);

impl ForwardedTarget {
    /// Reads `X-Forwarded-Host`, `-Proto`, `-Port` and `-Prefix` of peers in these networks
    /// (`10.0.0.0/8`, `2001:db8::/32`, or single addresses).
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] if there is no network, or one is malformed.
    pub fn x_forwarded<'n>(
        origins: PublicOrigin,
        trusted: impl IntoIterator<Item = &'n str>,
    ) -> Result<Self, ConfigError> {
        Self::new(origins, trusted, Syntax::XForwarded)
    }

    /// Reads the `Forwarded` header (RFC 7239) of peers in these networks.
    ///
    /// The proxy then selects the origin that the proof has to be made for:
    ///
    /// ```
    /// use dpop_tower::{
    ///     PublicOrigin,
    ///     target::{ForwardedTarget, TargetRequest, TargetUri},
    /// };
    /// use http::{HeaderMap, HeaderValue};
    ///
    /// let origins = PublicOrigin::new("https://api.example.com")?.with_alias("https://api.example.org")?;
    /// let target = ForwardedTarget::forwarded(origins, ["10.0.0.0/8"])?;
    ///
    /// let uri = "/orders".parse()?;
    /// let mut headers = HeaderMap::new();
    /// headers.insert("forwarded", HeaderValue::from_static("host=api.example.org;proto=https"));
    /// let htu = |peer: &str| -> Result<_, Box<dyn std::error::Error>> {
    ///     Ok(target.expected(TargetRequest::new(&uri, &headers, Some(peer.parse()?)))?)
    /// };
    /// assert_eq!(htu("10.0.0.1")?.as_str(), "https://api.example.org/orders");
    /// // A stranger is not a proxy.
    /// assert_eq!(htu("203.0.113.7")?.as_str(), "https://api.example.com/orders");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`x_forwarded`](Self::x_forwarded).
    pub fn forwarded<'n>(
        origins: PublicOrigin,
        trusted: impl IntoIterator<Item = &'n str>,
    ) -> Result<Self, ConfigError> {
        Self::new(origins, trusted, Syntax::Forwarded)
    }

    fn new<'n>(
        origins: PublicOrigin,
        trusted: impl IntoIterator<Item = &'n str>,
        syntax: Syntax,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            origins,
            trusted: Networks::parse(trusted, "forwarded headers of no peer are trusted")?,
            prefixes: Vec::new(),
            syntax,
        })
    }

    /// Sets the values that `X-Forwarded-Prefix` may have: the prefixes that the proxy removes from the
    /// path.
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] as [`PublicOrigin::path_prefix`] does.
    pub fn prefixes<'p>(
        mut self,
        prefixes: impl IntoIterator<Item = &'p str>,
    ) -> Result<Self, ConfigError> {
        for prefix in prefixes {
            self.origins.check_prefix(prefix)?;
            self.prefixes.push(prefix.to_owned());
        }
        Ok(self)
    }

    fn claimed<'h>(&self, headers: &'h HeaderMap) -> Claimed<'h> {
        match self.syntax {
            Syntax::Forwarded => Claimed::by_forwarded(headers),
            Syntax::XForwarded => Claimed::by_x_forwarded(headers),
        }
    }
}

impl TargetUri for ForwardedTarget {
    fn expected(&self, request: TargetRequest<'_>) -> Result<Htu, HtuError> {
        if !self.trusted.include(request.peer()) {
            return self.origins.expected(request);
        }
        let claimed = self.claimed(request.headers());
        // A proxy that keeps the host may tell the scheme alone.
        let host = claimed
            .host
            .or_else(|| request.claimed_authority().and_then(Host::parse));
        let origin = host
            .and_then(|host| claimed.choose(host, self.origins.all()))
            .unwrap_or_else(|| self.origins.called(request));
        let prefix = claimed
            .prefix
            .and_then(|prefix| self.prefixes.iter().find(|listed| *listed == prefix));
        self.origins
            .join(origin, prefix.map(String::as_str), request.uri().path())
    }

    fn origins(&self) -> Vec<&Origin> {
        self.origins.all().collect()
    }

    fn warnings(&self) -> Vec<String> {
        // Without a choice, nobody gains anything by the headers.
        let chooses = self.origins.all().nth(1).is_some() || !self.prefixes.is_empty();
        let is_open = chooses && self.trusted.include_everyone();
        let warning = "forwarded headers of every peer are trusted, so each caller selects the public origin and the \
                       prefix of its requests: list the networks of your proxies";
        is_open.then(|| warning.to_owned()).into_iter().collect()
    }

    fn hint(&self, request: TargetRequest<'_>) -> Option<&'static str> {
        if !has_forwarded_headers(request.headers()) {
            return None;
        }
        if !self.trusted.include(request.peer()) {
            return Some(match request.peer() {
                Some(_) => {
                    "the request has forwarded headers, but they do not count: its peer is in none \
                     of the trusted networks"
                }
                None => {
                    "the request has forwarded headers, but they do not count: its peer is not known \
                     (serve with connect info, or put a `PeerAddr` into its extensions)"
                }
            });
        }
        let claimed = self.claimed(request.headers());
        if claimed.unreadable.is_some() {
            return claimed.unreadable;
        }
        match claimed.host {
            Some(host) if !host.is_listed(self.origins.all()) => {
                Some("the trusted proxy names a host that is none of the public origins")
            }
            _ => None,
        }
    }
}

/// Returns whether a proxy on the way has added forwarded headers.
pub(super) fn has_forwarded_headers(headers: &HeaderMap) -> bool {
    [
        header::FORWARDED,
        X_FORWARDED_HOST,
        X_FORWARDED_PORT,
        X_FORWARDED_PROTO,
        X_FORWARDED_PREFIX,
    ]
    .iter()
    .any(|name| headers.contains_key(name))
}

#[cfg(test)]
mod tests;
