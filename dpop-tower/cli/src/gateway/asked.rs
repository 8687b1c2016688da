//! A request that another proxy received and asks about: what the proxy says about it, and which proxies
//! may ask.

use std::net::IpAddr;

use dpop_tower::target::{CertificateHeader, PeerAddr};
use http::{
    Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header, uri::PathAndQuery,
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::gateway::{
    identity::Identity,
    names::{is_misspelt, is_override, is_spelling_of},
};

/// The proxies that may ask. A proof is checked against the request that the proxy describes. Anyone who
/// can describe a request could therefore use a proof that was made for a different one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Trusts proxies on this machine.
    pub fn loopback() -> Self {
        let v4 = Ipv4Net::new_assert([127, 0, 0, 0].into(), 8);
        let v6 = Ipv6Net::new_assert(std::net::Ipv6Addr::LOCALHOST, 128);
        Self(vec![v4.into(), v6.into()])
    }

    /// Trusts proxies whose address is in one of these networks.
    pub const fn in_networks(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether the request's connection comes from one of these networks. An unknown address never does.
    pub(crate) fn include(&self, extensions: &Extensions) -> bool {
        peer(extensions).is_some_and(|peer| self.0.iter().any(|network| network.contains(&peer)))
    }
}

/// The address of the other end of the connection, if it is known.
pub(crate) fn peer(extensions: &Extensions) -> Option<IpAddr> {
    extensions
        .get::<PeerAddr>()
        .map(|peer| peer.0.to_canonical())
}

/// The original request, as the proxy describes it.
#[derive(Debug)]
pub(crate) struct OriginalRequest {
    pub(crate) method: Method,
    pub(crate) target: PathAndQuery,
    pub(crate) host: Option<HeaderValue>,
}

impl OriginalRequest {
    /// Builds the request for the guard. Only the headers in `names` are copied, so no other header can
    /// affect the verdict.
    pub(crate) fn request(
        self,
        headers: &HeaderMap,
        names: &[HeaderName],
        peer: Option<IpAddr>,
    ) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = self.method;
        *request.uri_mut() = Uri::from(self.target);
        for name in names {
            for value in headers.get_all(name) {
                request.headers_mut().append(name, value.clone());
            }
        }
        if let Some(host) = self.host {
            request.headers_mut().insert(header::HOST, host);
        }
        if let Some(peer) = peer {
            request.extensions_mut().insert(PeerAddr(peer));
        }
        request
    }
}

/// Makes the guard read the client's certificate from this header of the request, with these values. The values
/// are those of the proxy that asks: it has to write the header in every question.
pub(crate) fn report_certificate<'v>(
    request: &mut Request<()>,
    header: CertificateHeader,
    values: impl IntoIterator<Item = &'v HeaderValue>,
) {
    for value in values {
        request.headers_mut().append(header.name(), value.clone());
    }
    request.extensions_mut().insert(header);
}

/// Parses a method without changing it: methods are case-sensitive (RFC 9110 section 9.1).
pub(crate) fn method(text: &[u8]) -> Option<Method> {
    Method::from_bytes(text).ok()
}

/// Parses a path with an optional query, without changing it (RFC 9112 section 3.2.1). A fragment is
/// rejected: it is not part of a request, and the proxy and the gateway could disagree on where it
/// begins.
pub(crate) fn target(text: &[u8]) -> Option<PathAndQuery> {
    if !text.starts_with(b"/") || text.contains(&b'#') {
        return None;
    }
    PathAndQuery::try_from(text)
        .ok()
        .filter(|target| target.as_str().as_bytes() == text)
}

/// Returns the value of a header that must be present exactly once.
pub(crate) fn only<'h>(
    headers: &'h HeaderMap,
    name: &'static str,
) -> Result<&'h HeaderValue, NotOne> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value),
        (None, _) => Err(NotOne {
            name,
            is_missing: true,
        }),
        (Some(_), Some(_)) => Err(NotOne {
            name,
            is_missing: false,
        }),
    }
}

/// A header that the proxy has to set is missing, or is present more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotOne {
    pub(crate) name: &'static str,
    pub(crate) is_missing: bool,
}

/// Returns the first header that a service could mistake for one of the gateway's own.
pub(crate) fn forged<'n>(
    mut names: impl Iterator<Item = &'n HeaderName>,
    identity: &Identity,
) -> Option<&'n HeaderName> {
    names.find(|name| identity.is_reserved(name))
}

/// Returns the first header that could make a service see another method, path, host, framing or client
/// certificate than was checked: an override, or a misspelling of a header that a proxy writes.
pub(crate) fn misleading<'n>(
    mut names: impl Iterator<Item = &'n HeaderName>,
    certificate: Option<&CertificateHeader>,
) -> Option<&'n HeaderName> {
    let of_certificate = certificate.map(CertificateHeader::name);
    let imitates_certificate = |name: &HeaderName| {
        of_certificate.is_some_and(|exact| name != exact && is_spelling_of(name, exact))
    };
    names.find(|name| is_override(name) || is_misspelt(name) || imitates_certificate(name))
}

/// Joins all challenges into one header, which means the same (RFC 9110 section 11.6.1). Some proxies
/// pass on only one.
pub(crate) fn join_challenges(headers: &mut HeaderMap) {
    let challenges = headers.get_all(header::WWW_AUTHENTICATE).iter();
    let challenges: Vec<&[u8]> = challenges.map(HeaderValue::as_bytes).collect();
    if challenges.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&challenges.join(&b", "[..]))
    {
        headers.insert(header::WWW_AUTHENTICATE, joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_taken_as_it_is_or_not_at_all() {
        for good in [
            "/",
            "/a?b",
            "/a?",
            "/%7Euser/%2f..//x;y=1?q=%00&r=a/b?c",
            "//host/a",
            "/a%23b",
        ] {
            assert_eq!(target(good.as_bytes()).unwrap().as_str(), good);
        }
        for wrong in [
            "",
            "*",
            "a",
            "?a",
            " /a",
            "/a b",
            "/a#b",
            "/a?b#c",
            "/#",
            "https://api.test/a",
            "/a\0",
            "/a\t",
            "/a\x7f",
        ] {
            assert_eq!(target(wrong.as_bytes()), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_method_is_a_token_in_the_case_it_has() {
        assert_eq!(method(b"get").unwrap().as_str(), "get");
        assert_eq!(method(b"M-SEARCH").unwrap().as_str(), "M-SEARCH");
        for wrong in ["", "GET ", " GET", "GET,POST", "G\u{c9}T", "GET\0", "GET\n"] {
            assert_eq!(method(wrong.as_bytes()), None, "{wrong:?}");
        }
    }

    #[test]
    fn whoever_is_not_known_may_not_ask() {
        let from = |peer: Option<&str>| {
            let mut extensions = Extensions::new();
            if let Some(peer) = peer {
                extensions.insert(PeerAddr(peer.parse().unwrap()));
            }
            extensions
        };
        let loopback = TrustedProxies::loopback();
        for near in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(loopback.include(&from(Some(near))), "{near}");
        }
        for far in [
            "126.255.255.255",
            "128.0.0.1",
            "10.0.0.1",
            "::2",
            "::ffff:10.0.0.1",
        ] {
            assert!(!loopback.include(&from(Some(far))), "{far}");
        }
        assert!(!loopback.include(&from(None)));
    }
}
