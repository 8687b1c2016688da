//! What trusted proxies say was called, read from their headers.

use http::{HeaderMap, HeaderName, header};

use crate::proof::Origin;

pub(super) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(super) const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
pub(super) const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
pub(super) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What was called, as far as it is said.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Claimed<'h> {
    pub(super) host: Option<Host<'h>>,
    pub(super) prefix: Option<&'h str>,
    /// The last of the header first, which the nearest proxy has written.
    protos: Vec<&'h str>,
    ports: Vec<&'h str>,
    /// What to tell of a header that cannot be read.
    pub(super) unreadable: Option<&'static str>,
}

/// A host, and the port behind it if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Host<'h> {
    name: &'h str,
    port: Option<&'h str>,
}

impl<'h> Claimed<'h> {
    /// By `X-Forwarded-Host` and the like.
    pub(super) fn by_x_forwarded(headers: &'h HeaderMap) -> Self {
        let mut unreadable = None;
        let mut read = |name: HeaderName, hint| {
            elements(headers, &name).unwrap_or_else(|| {
                unreadable.get_or_insert(hint);
                Vec::new()
            })
        };
        let hosts = read(
            X_FORWARDED_HOST,
            "the `X-Forwarded-Host` header of the trusted proxy cannot be read, so it chooses nothing",
        );
        let protos = read(
            X_FORWARDED_PROTO,
            "the `X-Forwarded-Proto` header of the trusted proxy cannot be read, so it chooses nothing",
        );
        let ports = read(
            X_FORWARDED_PORT,
            "the `X-Forwarded-Port` header of the trusted proxy cannot be read, so it chooses nothing",
        );
        let prefixes = read(
            X_FORWARDED_PREFIX,
            "the `X-Forwarded-Prefix` header of the trusted proxy cannot be read, so it chooses nothing",
        );
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

    /// By the `Forwarded` header (RFC 7239).
    pub(super) fn by_forwarded(headers: &'h HeaderMap) -> Self {
        let read = || match elements(headers, &header::FORWARDED)?.first() {
            Some(element) => Self::of_element(element),
            None => Some(Self::default()),
        };
        read().unwrap_or_else(|| Self {
            unreadable: Some(
                "the `Forwarded` header of the trusted proxy cannot be read, so it chooses nothing",
            ),
            ..Self::default()
        })
    }

    /// RFC 7239 section 4: pairs may be empty, and there may be others than are known here. None of a
    /// malformed element counts.
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

    /// The origin with this host that fits best what is said of scheme and port.
    ///
    /// A scheme or a port narrows the choice if one of the origins has it, and is passed over otherwise:
    /// it is what an inner proxy was called by.
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
        // Without a port, a host has that of its scheme.
        let ports = ports.chain([None]);
        narrow(&mut fitting, ports, |origin, port: Option<u16>| {
            origin.port() == port.unwrap_or_else(|| default_port(origin))
        });
        fitting.first().copied()
    }
}

/// Keeps those that fit the first of the claims that any of them fits.
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

/// The scheme of the request that opens a web socket is that of `http` (RFC 8441 section 5, RFC 6455
/// section 3).
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

    /// Whether it is that of an origin, whatever the port.
    fn is_of(self, origin: &Origin) -> bool {
        origin.authority_matches(&format!("{}:{}", self.name, origin.port()))
    }

    pub(super) fn is_listed<'o>(self, mut origins: impl Iterator<Item = &'o Origin>) -> bool {
        origins.any(|origin| self.is_of(origin))
    }
}

/// The elements of a list header over all of its lines, the last first; `None` if the last line cannot
/// be read. RFC 9110 section 5.6.1.2: empty elements do not count.
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
            // Whatever stands before an element that cannot be read may be anybody's.
            None => break,
        }
    }
    Some(elements)
}

/// Splits where the separator is not inside a quoted string; `None` if one of those has no end.
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
