use std::net::IpAddr;

use http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;

use super::{PublicOrigin, TargetRequest, TargetUri, refused};
use crate::{
    error::ConfigError,
    proof::{Htu, HtuError},
};

const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Chooses among the public origins of a service by what a trusted proxy says was called: for services
/// that are reached under several names or prefixes, and see an internal one.
///
/// Where there is one public origin, [`PublicOrigin`] alone is simpler and needs to trust nobody.
///
/// ```
/// use dpop_tower::{PublicOrigin, target::ForwardedTarget};
///
/// let origins = PublicOrigin::new("https://api.example.com")?.also("https://api.example.org")?;
/// let target = ForwardedTarget::x_forwarded(origins, ["10.0.0.0/8", "fd00::/8"])?
///     .prefixes(["/v1", "/v2"])?;
/// # Ok::<(), dpop_tower::ConfigError>(())
/// ```
///
/// # What counts
///
/// - The address of the peer, the one that the connection comes from. It is known from axum's
///   `ConnectInfo<SocketAddr>` (serve with `into_make_service_with_connect_info::<SocketAddr>()`; in tests
///   `MockConnectInfo<SocketAddr>` does as well), from tonic's server, or from a [`PeerAddr`] in the
///   request's extensions. If the peer is unknown or not in the list, forwarded headers are ignored and it
///   is as with the [`PublicOrigin`] alone.
/// - Of several values in a header, the last: the one that the nearest proxy has written. Values before
///   it may be the caller's.
/// - A host only if it is that of a listed origin, and a prefix only if it is listed. What is not
///   listed, or cannot be read, chooses nothing.
///
/// # Security
///
/// A proxy that passes on the caller's `Host` as `X-Forwarded-Host` lets the caller choose among the
/// listed origins, as without a proxy; but never beyond them. List no origin that is not this service.
#[derive(Clone, Debug)]
pub struct ForwardedTarget {
    origins: PublicOrigin,
    trusted: Vec<IpNet>,
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

/// The address that a connection comes from, for servers other than axum's and tonic's, and for
/// listeners of your own: put it into the request's extensions before the layer.
///
/// It has to be that of the socket. One that was read from a header is what the caller says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerAddr(pub IpAddr);

impl ForwardedTarget {
    /// Reads `X-Forwarded-Host`, `-Proto`, `-Port` and `-Prefix` of peers in these networks
    /// (`10.0.0.0/8`, `2001:db8::/32`, or single addresses).
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if there is no network, or one is malformed.
    pub fn x_forwarded<'n>(
        origins: PublicOrigin,
        trusted: impl IntoIterator<Item = &'n str>,
    ) -> Result<Self, ConfigError> {
        Self::new(origins, trusted, Syntax::XForwarded)
    }

    /// Reads the `Forwarded` header (RFC 7239) of peers in these networks.
    ///
    /// # Errors
    ///
    /// As [`x_forwarded`](Self::x_forwarded).
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
        let trusted = trusted
            .into_iter()
            .map(network)
            .collect::<Result<Vec<_>, _>>()?;
        if trusted.is_empty() {
            return Err(refused("forwarded headers of no peer are trusted"));
        }
        Ok(Self {
            origins,
            trusted,
            prefixes: Vec::new(),
            syntax,
        })
    }

    /// The values that `X-Forwarded-Prefix` may have: what the proxy takes off the path.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] as with [`PublicOrigin::path_prefix`].
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

    fn is_trusted(&self, peer: Option<IpAddr>) -> bool {
        // A socket that serves both has IPv4 peers as `::ffff:10.0.0.1`.
        let peer = peer.map(|peer| peer.to_canonical());
        peer.is_some_and(|peer| self.trusted.iter().any(|network| network.contains(&peer)))
    }

    fn claimed(&self, headers: &HeaderMap) -> Claimed {
        match self.syntax {
            Syntax::Forwarded => last_value(headers, &header::FORWARDED, ',')
                .map(Claimed::from_forwarded)
                .unwrap_or_default(),
            Syntax::XForwarded => {
                let last = |name| last_value(headers, name, ',').map(str::to_owned);
                Claimed {
                    host: last(&X_FORWARDED_HOST),
                    proto: last(&X_FORWARDED_PROTO),
                    port: last(&X_FORWARDED_PORT),
                    prefix: last(&X_FORWARDED_PREFIX),
                }
            }
        }
    }
}

fn network(text: &str) -> Result<IpNet, ConfigError> {
    let network = match text.parse::<IpAddr>() {
        Ok(address) => Ok(IpNet::from(address)),
        Err(_) => text.parse::<IpNet>(),
    };
    network.map_err(|error| {
        refused("a trusted network looks like 10.0.0.0/8 or 2001:db8::/32").with_source(error)
    })
}

/// What the nearest proxy says was called.
#[derive(Debug, Default, PartialEq)]
struct Claimed {
    host: Option<String>,
    proto: Option<String>,
    port: Option<String>,
    prefix: Option<String>,
}

impl Claimed {
    /// One element of a `Forwarded` header. Of a malformed one nothing counts.
    fn from_forwarded(element: &str) -> Self {
        let mut claimed = Self::default();
        for pair in split_unquoted(element, ';') {
            let Some((name, value)) = pair.trim().split_once('=') else {
                return Self::default();
            };
            let slot = match name.to_ascii_lowercase().as_str() {
                "host" => &mut claimed.host,
                "proto" => &mut claimed.proto,
                _ => continue,
            };
            // RFC 7239 section 4: each parameter once.
            match unquoted(value) {
                Some(value) if slot.is_none() => *slot = Some(value.to_owned()),
                _ => return Self::default(),
            }
        }
        claimed
    }

    /// The authority that was called, as a `Host` header would have it.
    fn authority(&self) -> Option<String> {
        let host = self.host.as_deref()?;
        let has_port = host
            .rsplit_once(':')
            .is_some_and(|(_, port)| !port.contains(']'));
        match &self.port {
            Some(port) if !has_port => Some(format!("{host}:{port}")),
            _ => Some(host.to_owned()),
        }
    }
}

/// The last element of a list header, over all of its lines.
fn last_value<'h>(headers: &'h HeaderMap, name: &HeaderName, separator: char) -> Option<&'h str> {
    let line = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    let last = split_unquoted(line, separator).last()?.trim();
    (!last.is_empty()).then_some(last)
}

/// Splits where the separator is not inside of a quoted string.
fn split_unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |c| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match c {
            '\\' if is_quoted && !was_escaped => is_escaped = true,
            '"' if !was_escaped => is_quoted = !is_quoted,
            _ => return c == separator && !is_quoted,
        }
        false
    })
}

/// A token or a quoted string (RFC 9110 section 5.6.4). Escapes stay, since no host or scheme has any.
fn unquoted(value: &str) -> Option<&str> {
    match value.strip_prefix('"') {
        None => Some(value),
        Some(rest) => rest.strip_suffix('"'),
    }
}

impl TargetUri for ForwardedTarget {
    fn expected(&self, request: TargetRequest<'_>) -> Result<Htu, HtuError> {
        if !self.is_trusted(request.peer()) {
            return self.origins.expected(request);
        }
        let claimed = self.claimed(request.headers());
        // A proxy that keeps the host may tell the scheme alone.
        let origin = claimed
            .authority()
            .or_else(|| request.claimed_authority().map(str::to_owned))
            .and_then(|authority| self.origins.named(&authority, claimed.proto.as_deref()))
            .unwrap_or_else(|| self.origins.called(request));
        let prefix = claimed
            .prefix
            .as_deref()
            .and_then(|prefix| self.prefixes.iter().find(|listed| *listed == prefix));
        self.origins
            .join(origin, prefix.map(String::as_str), request.uri().path())
    }

    fn hint(&self, request: TargetRequest<'_>) -> Option<&'static str> {
        if !has_forwarded_headers(request.headers()) {
            return None;
        }
        if !self.is_trusted(request.peer()) {
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
        let is_listed = |authority: &str| {
            let proto = claimed.proto.as_deref();
            self.origins.named(authority, proto).is_some()
        };
        match claimed.authority() {
            Some(authority) if !is_listed(&authority) => {
                Some("the trusted proxy names a host that is none of the public origins")
            }
            _ => None,
        }
    }
}

/// Whether something on the way says what was called.
pub(super) fn has_forwarded_headers(headers: &HeaderMap) -> bool {
    [
        header::FORWARDED,
        X_FORWARDED_HOST,
        X_FORWARDED_PROTO,
        X_FORWARDED_PREFIX,
    ]
    .iter()
    .any(|name| headers.contains_key(name))
}

#[cfg(test)]
mod tests;
