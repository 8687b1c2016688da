//! Which headers go on, which do not, and which are the gateway's (RFC 9110 section 7.6).

use std::net::IpAddr;

use dpop_tower::target::PeerAddr;
use http::{
    HeaderMap, HeaderName, HeaderValue, Uri, Version,
    header::{self, Entry},
    request::Parts,
    uri::Authority,
};
use ipnet::IpNet;

use crate::identity::{Identity, folded};

const VIA: &str = "dpop-tower-gateway";
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What the gateway says of where a request comes from, and what it keeps to itself.
#[derive(Clone, Debug, Default)]
pub struct Forwarding {
    /// What clients call the gateway, the usual one first.
    pub origins: Vec<Uri>,
    /// Proxies in front of the gateway, whose word is passed on.
    pub trusted: Vec<IpNet>,
    /// Whether the upstream gets the token and the proof.
    pub danger_pass_on_credentials: bool,
}

impl Forwarding {
    /// The headers of the request as the upstream gets it, but for the identity.
    pub(super) fn request(&self, parts: &Parts, identity: &Identity) -> HeaderMap {
        let peer = parts
            .extensions
            .get::<PeerAddr>()
            .map(|peer| peer.0.to_canonical());
        let is_trusted =
            peer.is_some_and(|peer| self.trusted.iter().any(|net| net.contains(&peer)));
        let mut headers = parts.headers.clone();
        let wants_trailers = has_token(&headers, &header::TE, "trailers");
        remove_hop_by_hop(&mut headers);
        // Another name of the same header must not be mistaken for it further on.
        retain(&mut headers, |name| {
            let keeps_credentials = self.danger_pass_on_credentials
                && (*name == header::AUTHORIZATION || *name == "dpop");
            let folded = folded(name.as_str());
            let is_credential = matches!(folded.as_str(), "authorization" | "dpop");
            let is_plain = folded == name.as_str();
            !identity.is_reserved(name)
                && (keeps_credentials || !is_credential)
                && !(is_of_proxies(&folded) && !(is_trusted && is_plain))
        });
        // The client library writes the upstream's; and nobody waits for a 100 of the upstream's.
        headers.remove(header::HOST);
        headers.remove(header::EXPECT);
        if wants_trailers {
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
        }
        self.say_where_from(&mut headers, parts, peer);
        append_via(&mut headers, parts.version);
        join_cookies(&mut headers);
        headers
    }

    /// Takes away what is between the upstream and the gateway.
    pub(super) fn clean_response(&self, headers: &mut HeaderMap) {
        remove_hop_by_hop(headers);
        if !self.danger_pass_on_credentials {
            // The upstream sees no proofs. A nonce of its own would only replace the gateway's.
            headers.remove("dpop-nonce");
        }
        append_via(headers, Version::HTTP_11);
    }

    fn say_where_from(&self, headers: &mut HeaderMap, parts: &Parts, peer: Option<IpAddr>) {
        if let Some(peer) = peer {
            append_to_list(headers, X_FORWARDED_FOR, &peer.to_string());
            if headers.contains_key(header::FORWARDED) {
                let node = match peer {
                    IpAddr::V4(peer) => peer.to_string(),
                    IpAddr::V6(peer) => format!("\"[{peer}]\""),
                };
                append_to_list(headers, header::FORWARDED, &format!("for={node}"));
            }
        }
        let Some(origin) = self.called(parts) else {
            return;
        };
        let said = [
            (X_FORWARDED_HOST, origin.authority().map(Authority::as_str)),
            (X_FORWARDED_PROTO, origin.scheme_str()),
        ];
        for (name, value) in said {
            // A trusted proxy has said so already, or else nobody has.
            if let (Entry::Vacant(entry), Some(Ok(value))) =
                (headers.entry(name), value.map(HeaderValue::try_from))
            {
                entry.insert(value);
            }
        }
    }

    /// The origin that the client says it called, if it is one, or else the first.
    fn called(&self, parts: &Parts) -> Option<&Uri> {
        let host = parts
            .headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        let claimed = parts.uri.authority().map(Authority::as_str).or(host);
        let is_claimed = |origin: &&Uri| {
            let authority = origin.authority().map(Authority::as_str);
            matches!((authority, claimed), (Some(a), Some(b)) if a.eq_ignore_ascii_case(b))
        };
        self.origins
            .iter()
            .find(is_claimed)
            .or(self.origins.first())
    }
}

/// Headers by which proxies tell what they have seen.
fn is_of_proxies(folded: &str) -> bool {
    folded == "forwarded" || folded == "x-real-ip" || folded.starts_with("x-forwarded-")
}

/// Those that `Connection` names, and those that are about one connection anyway. What the gateway
/// writes is written after this, so that `Connection` cannot name it.
pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in [
        header::CONNECTION,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::TE,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ] {
        headers.remove(name);
    }
}

pub(super) fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|listed| {
            listed
                .split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .eq_ignore_ascii_case(token)
        })
}

fn retain(headers: &mut HeaderMap, keep: impl Fn(&HeaderName) -> bool) {
    let dropped: Vec<HeaderName> = headers.keys().filter(|name| !keep(name)).cloned().collect();
    for name in dropped {
        headers.remove(name);
    }
}

/// Into the same line, since not every service reads several.
fn append_to_list(headers: &mut HeaderMap, name: HeaderName, element: &str) {
    let mut list = joined(headers, &name, b", ");
    if !list.is_empty() {
        list.extend(b", ");
    }
    list.extend(element.bytes());
    if let Ok(value) = HeaderValue::from_bytes(&list) {
        headers.insert(name, value);
    }
}

/// All values of a header. They need not be ASCII.
fn joined(headers: &HeaderMap, name: &HeaderName, separator: &[u8]) -> Vec<u8> {
    let values = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    values.collect::<Vec<_>>().join(separator)
}

fn append_via(headers: &mut HeaderMap, received: Version) {
    let protocol = match received {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2.0",
        _ => "1.1",
    };
    if let Ok(value) = HeaderValue::try_from(format!("{protocol} {VIA}")) {
        headers.append(header::VIA, value);
    }
}

/// HTTP/2 may have a header for each cookie, HTTP/1.1 has one for all (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(header::COOKIE).iter().nth(1).is_some()
        && let Ok(value) = HeaderValue::from_bytes(&joined(headers, &header::COOKIE, b"; "))
    {
        headers.insert(header::COOKIE, value);
    }
}
