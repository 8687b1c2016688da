//! Reads the forwarded headers of trusted proxies.

use http::{HeaderMap, HeaderName, header};

use crate::proof::Origin;

pub(super) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(super) const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
pub(super) const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
pub(super) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The URI parts that a proxy claims the client has called.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Claimed<'h> {
    pub(super) host: Option<Host<'h>>,
    pub(super) prefix: Option<&'h str>,
    /// In reverse order, since the nearest proxy has written the last value.
    protos: Vec<&'h str>,
    ports: Vec<&'h str>,
    /// The hint for the log about a malformed header.
    pub(super) unreadable: Option<&'static str>,
}

/// A host, and the port behind it if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Host<'h> {
    name: &'h str,
    port: Option<&'h str>,
}

macro_rules! cannot_be_read {
    ($header:literal) => {
        concat!(
            "the `",
            $header,
            "` header of the trusted proxy cannot be read, so it chooses nothing"
        )
    };
}

impl<'h> Claimed<'h> {
    /// Reads `X-Forwarded-Host` and the related headers.
    pub(super) fn by_x_forwarded(headers: &'h HeaderMap) -> Self {
        let mut unreadable = None;
        let mut read = |name: HeaderName, hint| {
            elements(headers, &name).unwrap_or_else(|| {
                unreadable.get_or_insert(hint);
                Vec::new()
            })
        };
        let hosts = read(X_FORWARDED_HOST, cannot_be_read!("X-Forwarded-Host"));
        let protos = read(X_FORWARDED_PROTO, cannot_be_read!("X-Forwarded-Proto"));
        let ports = read(X_FORWARDED_PORT, cannot_be_read!("X-Forwarded-Port"));
        let prefixes = read(X_FORWARDED_PREFIX, cannot_be_read!("X-Forwarded-Prefix"));
        let mut host = None;
        if let Some(text) = hosts.first() {
            host = unquoted(text).and_then(Host::parse);
            if host.is_none() {
                unreadable.get_or_insert(
                    "the `X-Forwarded-Host` header of the trusted proxy names no host, so it chooses \
                     nothing",
                );
            }
        }
        Self {
            host,
            prefix: prefixes.first().copied(),
            protos,
            ports,
            unreadable,
        }
    }

    /// Reads the `Forwarded` header (RFC 7239).
    pub(super) fn by_forwarded(headers: &'h HeaderMap) -> Self {
        let read = || match elements(headers, &header::FORWARDED)?.first() {
            Some(element) => Self::of_element(element),
            None => Some(Self::default()),
        };
        read().unwrap_or_else(|| Self {
            unreadable: Some(cannot_be_read!("Forwarded")),
            ..Self::default()
        })
    }

    /// Reads one element. RFC 7239 section 4: pairs can be empty or unknown.
    ///
    /// A malformed element is ignored as a whole.
    fn of_element(element: &'h str) -> Option<Self> {
        let (mut host, mut proto) = (None, None);
        for pair in split(element, ';')? {
            let Some((name, value)) = pair.split_once('=') else {
                continue;
            };
            let name = name.trim();
            let slot = if name.eq_ignore_ascii_case("host") {
                &mut host
            } else if name.eq_ignore_ascii_case("proto") {
                &mut proto
            } else {
                continue;
            };
            // "Each parameter MUST NOT occur more than once per field-value."
            if slot.replace(unquoted(value.trim())?).is_some() {
                return None;
            }
        }
        let host = match host {
            Some(text) => Some(Host::parse(text)?),
            None => None,
        };
        Some(Self {
            host,
            protos: Vec::from_iter(proto),
            ..Self::default()
        })
    }

    /// Returns the origin with this host that fits the claimed scheme and port best.
    ///
    /// A scheme or a port that no origin has is ignored, since an inner proxy was called by it.
    pub(super) fn choose<'o>(
        &self,
        host: Host<'_>,
        origins: impl Iterator<Item = &'o Origin>,
    ) -> Option<&'o Origin> {
        let mut fitting: Vec<&Origin> = origins.filter(|origin| host.is_of(origin)).collect();
        let schemes = self.protos.iter().filter_map(|proto| scheme(proto));
        narrow(&mut fitting, schemes, |origin, scheme| {
            origin.scheme() == scheme
        });
        let ports = self.ports.iter().filter_map(|port| unquoted(port));
        let ports = host.port.into_iter().chain(ports);
        let ports = ports.filter_map(|port| port.parse().ok()).map(Some);
        // A host without a port has the default port of its scheme.
        let ports = ports.chain([None]);
        narrow(&mut fitting, ports, |origin, port: Option<u16>| {
            origin.port() == port.unwrap_or_else(|| default_port(origin))
        });
        fitting.first().copied()
    }
}

/// Keeps the origins that fit the first claim that any of them fits.
fn narrow<T: Copy>(
    origins: &mut Vec<&Origin>,
    claims: impl Iterator<Item = T>,
    fits: impl Fn(&Origin, T) -> bool,
) {
    for claim in claims {
        if origins.iter().any(|origin| fits(origin, claim)) {
            origins.retain(|origin| fits(origin, claim));
            return;
        }
    }
}

/// Replaces the scheme of a web socket by that of HTTP (RFC 8441 section 5, RFC 6455 section 3).
fn scheme(proto: &str) -> Option<&'static str> {
    let proto = unquoted(proto)?;
    let is = |name: &str| proto.eq_ignore_ascii_case(name);
    if is("https") || is("wss") {
        Some("https")
    } else if is("http") || is("ws") {
        Some("http")
    } else {
        None
    }
}

fn default_port(origin: &Origin) -> u16 {
    match origin.scheme() {
        "https" => 443,
        _ => 80,
    }
}

impl<'h> Host<'h> {
    /// Reads `host` or `host:port`, where the host may be an IPv6 address in brackets.
    pub(super) fn parse(text: &'h str) -> Option<Self> {
        let name_end = match text.rfind(']') {
            Some(bracket) => bracket.checked_add(1)?,
            None => text.find(':').unwrap_or(text.len()),
        };
        let (name, port) = text.split_at_checked(name_end)?;
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            None => return None,
            // An empty port is none (RFC 3986 section 3.2.3).
            Some("") => None,
            Some(port) => Some(port),
        };
        let is_number = |port: &str| port.bytes().all(|digit| digit.is_ascii_digit());
        (!name.is_empty() && port.is_none_or(is_number)).then_some(Self { name, port })
    }

    /// Returns whether an origin has this host, whatever its port.
    fn is_of(self, origin: &Origin) -> bool {
        origin.authority_matches(&format!("{}:{}", self.name, origin.port()))
    }

    pub(super) fn is_listed<'o>(self, mut origins: impl Iterator<Item = &'o Origin>) -> bool {
        origins.any(|origin| self.is_of(origin))
    }
}

/// Returns the elements of a list header over all of its lines, the last first.
///
/// Returns `None` if the last line cannot be read. RFC 9110 section 5.6.1.2: empty elements are ignored.
fn elements<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<Vec<&'h str>> {
    let mut elements = Vec::new();
    for line in headers.get_all(name).iter().rev() {
        let of_line = line.to_str().ok().and_then(|line| split(line, ','));
        match of_line {
            Some(of_line) => {
                let of_line = of_line.into_iter().rev().map(str::trim);
                elements.extend(of_line.filter(|element| !element.is_empty()));
            }
            None if elements.is_empty() => return None,
            // Elements before one that cannot be read may come from the caller.
            None => break,
        }
    }
    Some(elements)
}

/// Splits at separators outside quoted strings. Returns `None` if a quoted string has no end.
fn split(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let parts = text
        .split(|c| {
            let was_escaped = std::mem::take(&mut is_escaped);
            match c {
                '\\' if is_quoted && !was_escaped => is_escaped = true,
                '"' if !was_escaped => is_quoted = !is_quoted,
                _ => return c == separator && !is_quoted,
            }
            false
        })
        .collect();
    (!is_quoted).then_some(parts)
}

/// A token or a quoted string (RFC 9110 section 5.6.4). Escapes stay, since no host or scheme has any.
fn unquoted(value: &str) -> Option<&str> {
    match value.strip_prefix('"') {
        None => Some(value),
        Some(rest) => rest.strip_suffix('"'),
    }
}
