//! Which headers go on, which do not, and which are the gateway's (RFC 9110 section 7.6).

use std::sync::Arc;

use dpop_tower::{
    header::{DPOP, DPOP_NONCE},
    target::TargetUri,
};
use http::{HeaderMap, HeaderName, HeaderValue, Version, header, request::Parts};
use ipnet::IpNet;

use crate::gateway::{
    identity::{Identity, folded},
    names::{imitates_framing, is_client_certificate, is_framing, is_of_proxies, is_override},
};

const VIA: &str = "dpop-tower-gateway";

/// What the gateway says of where a request comes from, and what it keeps to itself.
#[derive(Clone, Debug)]
pub struct Forwarding {
    /// What the guard goes by: the origin that it chooses for a request is the one that the upstream is
    /// told.
    pub target: Arc<dyn TargetUri>,
    /// Proxies in front of the gateway. What they say of where a request comes from is passed on.
    pub trusted: Vec<IpNet>,
    /// Where they say it.
    pub header: ForwardedHeader,
    /// What they may say to have taken off the path, as a path in its normal form.
    pub prefixes: Vec<String>,
    /// Whether the upstream gets the token and the proof.
    pub danger_pass_on_credentials: bool,
    /// Whether the gateway alone says which pages may read a response.
    pub answers_cors: bool,
    /// Whether TLS ends here, so that nobody else can know the certificate of a client.
    pub ends_tls: bool,
}

/// The headers by which proxies tell what they have seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For` and the like. The upstream is told in these anyway.
    #[default]
    XForwarded,
    /// RFC 7239. The upstream is told in this one, too.
    Forwarded,
}

impl Forwarding {
    /// Trusts no proxy.
    pub fn new(target: impl TargetUri) -> Self {
        Self {
            target: Arc::new(target),
            trusted: Vec::new(),
            header: ForwardedHeader::default(),
            prefixes: Vec::new(),
            danger_pass_on_credentials: false,
            answers_cors: false,
            ends_tls: false,
        }
    }

    /// The headers of the request as the upstream gets it, but for the identity.
    pub(super) fn request(&self, parts: &Parts, identity: &Identity) -> HeaderMap {
        let mut headers = parts.headers.clone();
        let wants_trailers = has_token(&headers, &header::TE, "trailers");
        remove_hop_by_hop(&mut headers);
        retain(&mut headers, |name| {
            let keeps_credentials = self.danger_pass_on_credentials
                && (*name == header::AUTHORIZATION || *name == DPOP);
            (keeps_credentials || !is_credential(name))
                && !identity.is_reserved(name)
                && !is_of_proxies(name)
                && !is_override(name)
                && !imitates_framing(name)
                && !(self.ends_tls && is_client_certificate(name))
        });
        // The client library writes the upstream's; and nobody waits for a 100 of the upstream's.
        headers.remove(header::HOST);
        headers.remove(header::EXPECT);
        if wants_trailers {
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
        }
        self.tell(&mut headers, parts);
        append_via(&mut headers, parts.version);
        join_cookies(&mut headers);
        headers
    }

    /// Takes away what is between the upstream and the gateway.
    pub(super) fn clean_response(&self, headers: &mut HeaderMap) {
        remove_hop_by_hop(headers);
        if !self.danger_pass_on_credentials {
            // The upstream sees no proofs. A nonce of its own would only replace the gateway's.
            headers.remove(DPOP_NONCE);
        }
        if self.answers_cors {
            // Browsers take two answers for none, and the upstream's may allow more.
            retain(headers, |name| {
                !name.as_str().starts_with("access-control-")
            });
        }
        append_via(headers, Version::HTTP_11);
    }
}

/// Takes out of trailers what they may not have: upstreams may read them as they read headers.
pub(super) fn clean_trailers(trailers: &mut HeaderMap, identity: &Identity) {
    retain(trailers, |name| {
        !identity.is_reserved(name)
            && !is_credential(name)
            && !is_of_proxies(name)
            && !is_override(name)
            && !is_framing(name)
            && !is_client_certificate(name)
    });
}

fn is_credential(name: &HeaderName) -> bool {
    matches!(&*folded(name.as_str()), "authorization" | "dpop")
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
