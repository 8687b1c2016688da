//! The headers that are forwarded, removed and added (RFC 9110 section 7.6).

use std::sync::Arc;

use dpop_tower::{
    header::{DPOP, DPOP_NONCE},
    target::TargetUri,
};
use http::{HeaderMap, HeaderName, HeaderValue, Version, header, request::Parts};
use ipnet::IpNet;

use crate::gateway::{
    identity::{Identity, folded},
    names::{
        imitates_framing, is_client_certificate, is_framing, is_of_proxies, is_override,
        is_spelling_of,
    },
};

const VIA: &str = "dpop-tower-gateway";

/// What the gateway tells the upstream about a request's origin, and what it withholds.
#[derive(Clone, Debug)]
pub struct Forwarding {
    /// The target that the guard uses. The upstream is told the origin that it selects for a request.
    pub target: Arc<dyn TargetUri>,
    /// The proxies in front of the gateway. What they say about a request's origin is passed on.
    pub trusted: Vec<IpNet>,
    /// The headers that these proxies use.
    pub header: ForwardedHeader,
    /// The path prefixes that these proxies may report as stripped, in normal form.
    pub prefixes: Vec<String>,
    /// Whether the upstream receives the token and the proof.
    pub danger_pass_on_credentials: bool,
    /// Whether only the gateway decides which pages may read a response.
    pub answers_cors: bool,
    /// The header in which the trusted proxies report the certificate of their client. It is passed on if it
    /// comes from one of them.
    pub client_certificate: Option<HeaderName>,
    /// The headers in which services behind other proxies find the certificate. None is passed on.
    pub certificates_of_others: Vec<HeaderName>,
}

/// The headers in which proxies describe a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For` and its siblings. The upstream always receives these.
    #[default]
    XForwarded,
    /// `Forwarded` (RFC 7239). The upstream then receives this one as well.
    Forwarded,
}

impl Forwarding {
    /// Creates settings that trust no proxy.
    pub fn new(target: impl TargetUri) -> Self {
        Self {
            target: Arc::new(target),
            trusted: Vec::new(),
            header: ForwardedHeader::default(),
            prefixes: Vec::new(),
            danger_pass_on_credentials: false,
            answers_cors: false,
            client_certificate: None,
            certificates_of_others: Vec::new(),
        }
    }

    /// Returns the headers of the request to the upstream, without the identity.
    pub(super) fn request(&self, parts: &Parts, identity: &Identity) -> HeaderMap {
        let mut headers = parts.headers.clone();
        let wants_trailers = has_token(&headers, &header::TE, "trailers");
        remove_hop_by_hop(&mut headers);
        let is_of_proxy = self.is_from_proxy(parts);
        retain(&mut headers, |name| {
            let keeps_credentials = self.danger_pass_on_credentials
                && (*name == header::AUTHORIZATION || *name == DPOP);
            let is_report = is_of_proxy && self.reports_certificate(name);
            (keeps_credentials || !is_credential(name))
                && !identity.is_reserved(name)
                && (is_report || !(is_of_proxies(name) || self.is_of_certificate(name)))
                && !is_override(name)
                && !imitates_framing(name)
        });
        // The client library writes the upstream's `Host`. Nothing waits for a 100 response of the
        // upstream.
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

    /// Whether the trusted proxies write this header about the certificate of their client. With
    /// `Client-Cert`, they have to write or remove `Client-Cert-Chain` as well (RFC 9440 section 2.4).
    fn reports_certificate(&self, name: &HeaderName) -> bool {
        self.client_certificate.as_ref().is_some_and(|header| {
            name == header || (header == "client-cert" && name == "client-cert-chain")
        })
    }

    /// Whether a service could read the certificate of the client from this header.
    fn is_of_certificate(&self, name: &HeaderName) -> bool {
        let mut configured = (self.client_certificate.iter()).chain(&self.certificates_of_others);
        is_client_certificate(name) || configured.any(|header| is_spelling_of(name, header))
    }

    /// Removes fields that trailers must not contain: upstreams may read them as headers.
    pub(super) fn clean_trailers(&self, trailers: &mut HeaderMap, identity: &Identity) {
        retain(trailers, |name| {
            !identity.is_reserved(name)
                && !is_credential(name)
                && !is_of_proxies(name)
                && !is_override(name)
                && !is_framing(name)
                && !self.is_of_certificate(name)
        });
    }

    /// Removes the headers that concern only the upstream and the gateway.
    pub(super) fn clean_response(&self, headers: &mut HeaderMap) {
        remove_hop_by_hop(headers);
        if !self.danger_pass_on_credentials {
            // The upstream sees no proofs. A nonce of its own would only replace the gateway's.
            headers.remove(DPOP_NONCE);
        }
        if self.answers_cors {
            // Browsers reject a response with two answers, and the upstream's may allow more.
            retain(headers, |name| {
                !name.as_str().starts_with("access-control-")
            });
        }
        append_via(headers, Version::HTTP_11);
    }
}

fn is_credential(name: &HeaderName) -> bool {
    matches!(&*folded(name.as_str()), "authorization" | "dpop")
}

/// Removes the headers that `Connection` names, and those that always apply to one connection. The
/// gateway adds its own headers afterwards, so `Connection` cannot remove them.
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

/// Joins all values of a header. They may contain bytes beyond ASCII.
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

/// Joins cookies: HTTP/2 allows a header for each cookie, HTTP/1.1 only one for all (RFC 9113 section
/// 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(header::COOKIE).iter().nth(1).is_some()
        && let Ok(value) = HeaderValue::from_bytes(&joined(headers, &header::COOKIE, b"; "))
    {
        headers.insert(header::COOKIE, value);
    }
}
