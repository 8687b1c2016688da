//! The request that Envoy describes.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::proto::envoy::{
    config::core::v3::HeaderValue as ProtoHeader,
    service::auth::v3::{CheckRequest, attribute_context::HttpRequest},
};
use crate::gateway::{
    asked::{self, OriginalRequest},
    server::head::{self, Malformed},
};

/// Why a check has no verdict.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Envoy is misconfigured, or the peer is not Envoy.
    Envoy(&'static str),
    /// No honest client makes such a request.
    Request,
    /// The request is malformed.
    Malformed(Malformed),
}

impl From<Malformed> for Trouble {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// What Envoy says.
pub(super) struct Understood {
    pub(super) asked: OriginalRequest,
    /// All headers of the request.
    pub(super) headers: HeaderMap,
    /// The certificate of the client's connection, in PEM with URL encoding. It is empty if there is none, or
    /// if Envoy is not configured to send it.
    pub(super) peer_certificate: HeaderValue,
}

/// Returns the request and all of its headers.
pub(super) fn understand(question: CheckRequest) -> Result<Understood, Trouble> {
    let attributes = question.attributes.unwrap_or_default();
    let peer_certificate = attributes.source.unwrap_or_default().certificate;
    let peer_certificate = HeaderValue::try_from(peer_certificate)
        .map_err(|_| Trouble::Envoy("a certificate that is not URL-encoded"))?;
    let http = (attributes.request)
        .and_then(|request| request.http)
        .ok_or(Trouble::Envoy(
            "a check without the attributes of an HTTP request",
        ))?;
    let headers = headers(&http)?;
    head::framing(&headers)?;
    let asked = OriginalRequest {
        method: asked::method(http.method.as_bytes()).ok_or(Trouble::Request)?,
        target: asked::target(http.path.as_bytes()).ok_or(Trouble::Request)?,
        host: host(&http, &headers)?,
    };
    Ok(Understood {
        asked,
        headers,
        peer_certificate,
    })
}

/// The host that selects one of the public origins. The `Host` header must not differ from it: the
/// service would read the header.
fn host(http: &HttpRequest, headers: &HeaderMap) -> Result<Option<HeaderValue>, Trouble> {
    let sent = head::only_host(headers)?;
    let told = match http.host.as_str() {
        "" => None,
        host => Some(HeaderValue::from_str(host).map_err(|_| Trouble::Request)?),
    };
    let is_other = |sent: &HeaderValue, told: &HeaderValue| {
        !sent.as_bytes().eq_ignore_ascii_case(told.as_bytes())
    };
    let differ = sent
        .zip(told.as_ref())
        .is_some_and(|(sent, told)| is_other(sent, told));
    if differ
        || sent
            .or(told.as_ref())
            .is_some_and(|host| !head::is_host(host))
    {
        return Err(Trouble::Request);
    }
    Ok(told)
}

/// Returns the headers without the pseudo-headers, which must agree with the attributes.
fn headers(http: &HttpRequest) -> Result<HeaderMap, Trouble> {
    let raw = http.header_map.as_ref().map_or(&[][..], |map| &map.headers);
    if !raw.is_empty() && !http.headers.is_empty() {
        return Err(Trouble::Envoy("the headers in two formats at once"));
    }
    let joined = http
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()));
    let raw = raw
        .iter()
        .map(|header| (header.key.as_str(), value(header)));
    let mut headers = HeaderMap::new();
    for (name, value) in joined.chain(raw) {
        let said = match name {
            ":method" => Some(&http.method),
            ":path" => Some(&http.path),
            ":authority" => Some(&http.host),
            _ => None,
        };
        if said.is_some_and(|said| said.as_bytes() != value) {
            return Err(Trouble::Envoy("attributes that contradict the headers"));
        }
        if name.starts_with(':') {
            continue;
        }
        // Every HTTP header has a valid name. Skipping an invalid one could keep a header that must be
        // removed.
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Trouble::Request)?;
        let value = HeaderValue::from_bytes(value).map_err(|_| Trouble::Request)?;
        headers
            .try_append(name, value)
            .map_err(|_| Trouble::Request)?;
    }
    Ok(headers)
}

fn value(header: &ProtoHeader) -> &[u8] {
    match header.raw_value.as_slice() {
        [] => header.value.as_bytes(),
        raw => raw,
    }
}
