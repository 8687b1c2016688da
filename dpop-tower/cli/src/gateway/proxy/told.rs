//! What the upstream is told about a request's origin and target.
//!
//! None of it comes from the client. The target is the origin that the guard's
//! [`TargetUri`](dpop_tower::target::TargetUri) selects. The addresses are those that trusted proxies
//! vouch for.

use std::{
    fmt::Write as _,
    net::{IpAddr, SocketAddr},
};

use dpop_tower::{
    proof::Htu,
    target::{PeerAddr, TargetRequest},
};
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header, request::Parts, uri::PathAndQuery};

use super::headers::{ForwardedHeader, Forwarding};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

impl Forwarding {
    /// Writes all of these headers. Those of the request have already been removed.
    pub(super) fn tell(&self, headers: &mut HeaderMap, parts: &Parts) {
        let peer = peer(parts);
        let chain = peer.map_or_else(Vec::new, |peer| self.chain(&parts.headers, peer));
        let mut tell = |name: HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        };
        if !chain.is_empty() {
            let addresses: Vec<_> = chain.iter().map(ToString::to_string).collect();
            tell(X_FORWARDED_FOR, &addresses.join(", "));
        }
        let called = self.called(parts, peer);
        if let Some(called) = &called {
            tell(X_FORWARDED_HOST, &authority(called));
            tell(X_FORWARDED_PORT, &called.port().to_string());
            tell(X_FORWARDED_PROTO, called.scheme());
            if peer.is_some_and(|peer| self.trusts(peer))
                && let Some(prefix) = self.prefix(called)
            {
                tell(X_FORWARDED_PREFIX, prefix);
            }
        }
        if self.header == ForwardedHeader::Forwarded {
            tell(header::FORWARDED, &forwarded(&chain, called.as_ref()));
        }
    }

    /// Returns the `htu` that the guard expects in a proof for the root of the service. The path does
    /// not matter here, and may be one that no proof can be made for.
    fn called(&self, parts: &Parts, peer: Option<IpAddr>) -> Option<Htu> {
        let mut root = parts.uri.clone().into_parts();
        root.path_and_query = Some(PathAndQuery::from_static("/"));
        // A request-target may have an authority without a scheme (`CONNECT`), but a URI may not.
        let root = Uri::from_parts(root).unwrap_or_else(|_| Uri::from_static("/"));
        let request = TargetRequest::new(&root, &parts.headers, peer);
        self.target.expected(request).ok()
    }

    /// Returns the stripped path prefix if it is one of the listed prefixes.
    fn prefix<'h>(&self, called: &'h Htu) -> Option<&'h str> {
        let prefix = called.path().strip_suffix('/')?;
        self.prefixes
            .iter()
            .any(|listed| listed == prefix)
            .then_some(prefix)
    }

    /// Whether the connection is that of a trusted proxy.
    pub(super) fn is_from_proxy(&self, parts: &Parts) -> bool {
        peer(parts).is_some_and(|peer| self.trusts(peer))
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted
            .iter()
            .any(|network| network.contains(&address))
    }

    /// Returns the addresses from the furthest one that a trusted proxy vouches for up to the peer. An
    /// untrusted address vouches for nothing before it.
    fn chain(&self, headers: &HeaderMap, peer: IpAddr) -> Vec<IpAddr> {
        let mut chain = vec![peer];
        let mut last = peer;
        let mut said = self.said(headers);
        while self.trusts(last)
            && let Some(Some(before)) = said.pop()
        {
            chain.push(before);
            last = before;
        }
        chain.reverse();
        chain
    }

    /// Returns the addresses that proxies have reported in the configured header, in its order.
    fn said(&self, headers: &HeaderMap) -> Vec<Option<IpAddr>> {
        let (name, read): (_, fn(&str) -> Option<IpAddr>) = match self.header {
            ForwardedHeader::XForwarded => (X_FORWARDED_FOR, address),
            ForwardedHeader::Forwarded => (header::FORWARDED, forwarded_for),
        };
        let mut said = Vec::new();
        for line in headers.get_all(name) {
            match line.to_str() {
                Ok(line) => said.extend(split(line, ',').map(read)),
                Err(_) => said.push(None),
            }
        }
        said
    }
}

fn peer(parts: &Parts) -> Option<IpAddr> {
    let peer = parts.extensions.get::<PeerAddr>();
    peer.map(|peer| peer.0.to_canonical())
}

/// Parses an address with an optional port (RFC 7239 section 6). `unknown` and obfuscated names are not
/// addresses.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let address = text
        .parse()
        .or_else(|_| text.parse().map(|address: SocketAddr| address.ip()))
        .ok()
        .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok())?;
    Some(address.to_canonical())
}

/// Returns the `for` parameter of one element of a `Forwarded` header (RFC 7239 section 4).
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut found = None;
    for pair in split(element, ';') {
        let Some((name, value)) = pair.split_once('=') else {
            continue;
        };
        if !name.trim().eq_ignore_ascii_case("for") {
            continue;
        }
        if found.is_some() {
            return None;
        }
        let value = value.trim();
        let quoted = value
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'));
        found = Some(address(quoted.unwrap_or(value)));
    }
    found.flatten()
}

/// Splits at each separator that is not inside a quoted string.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
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

/// Formats host and port for a `Host` header.
fn authority(called: &Htu) -> String {
    let usual = if called.scheme() == "https" { 443 } else { 80 };
    match called.port() {
        port if port == usual => called.host().to_owned(),
        port => format!("{}:{port}", called.host()),
    }
}

/// Formats the header of RFC 7239. Some services read the first element and others the last, so every
/// element contains the same target.
fn forwarded(chain: &[IpAddr], called: Option<&Htu>) -> String {
    let mut origin = String::new();
    if let Some(called) = called {
        // Writing to a `String` cannot fail.
        let _ = write!(
            origin,
            ";host=\"{}\";proto={}",
            authority(called),
            called.scheme()
        );
    }
    let elements = chain.iter().map(|address| match address {
        IpAddr::V4(address) => format!("for={address}{origin}"),
        IpAddr::V6(address) => format!("for=\"[{address}]\"{origin}"),
    });
    let elements: Vec<_> = elements.collect();
    if elements.is_empty() {
        return format!("for=unknown{origin}");
    }
    elements.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_have_a_port_and_is_nothing_else() {
        for (text, expected) in [
            ("192.0.2.1", Some("192.0.2.1")),
            (" 192.0.2.1:4711 ", Some("192.0.2.1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("[2001:DB8::1]:80", Some("2001:db8::1")),
            ("::ffff:192.0.2.1", Some("192.0.2.1")),
            ("unknown", None),
            ("_hidden", None),
            ("api.test", None),
            ("192.0.2.1:", None),
            ("192.0.2.1, 192.0.2.2", None),
            ("", None),
        ] {
            let expected = expected.map(|address| address.parse::<IpAddr>().unwrap());
            assert_eq!(address(text), expected, "{text:?}");
        }
    }

    #[test]
    fn an_element_of_rfc_7239_has_one_address_or_none() {
        for (element, expected) in [
            ("for=192.0.2.1", Some("192.0.2.1")),
            ("proto=https;FOR=\"192.0.2.1:80\";host=a", Some("192.0.2.1")),
            (";; for=\"[2001:db8::1]\" ;", Some("2001:db8::1")),
            ("host=\"a;for=192.0.2.1\"", None),
            ("for=192.0.2.1;for=192.0.2.2", None),
            ("for=_hidden", None),
            ("for=\"192.0.2.1", None),
            ("host=a", None),
            ("", None),
        ] {
            let expected = expected.map(|address| address.parse::<IpAddr>().unwrap());
            assert_eq!(forwarded_for(element), expected, "{element:?}");
        }
    }

    #[test]
    fn every_element_says_the_same_of_what_was_called() {
        let called = Htu::parse("https://b.test:8443/").unwrap();
        let chain = ["192.0.2.1".parse().unwrap(), "::1".parse().unwrap()];
        assert_eq!(
            forwarded(&chain, Some(&called)),
            "for=192.0.2.1;host=\"b.test:8443\";proto=https, \
             for=\"[::1]\";host=\"b.test:8443\";proto=https"
        );
    }
}
