//! What Envoy tells of a request.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::proto::envoy::{
    config::core::v3::HeaderValue as ProtoHeader,
    service::auth::v3::{CheckRequest, attribute_context::HttpRequest},
};
use crate::gateway::{
    asked::{self, OriginalRequest},
    server::head::{self, Malformed},
};

/// Why there is no verdict.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Envoy is not set up as it has to be, or it is not Envoy.
    Envoy(&'static str),
    /// The request cannot be one that anybody makes in good faith.
    Request,
    /// It is no request at all.
    Malformed(Malformed),
}

impl From<Malformed> for Trouble {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// The request and all of its headers.
pub(super) fn understand(question: CheckRequest) -> Result<(OriginalRequest, HeaderMap), Trouble> {
    let http = (question.attributes)
        .and_then(|attributes| attributes.request)
        .and_then(|request| request.http)
        .ok_or(Trouble::Envoy("without the attributes of an HTTP request"))?;
    let headers = headers(&http)?;
    head::framing(&headers)?;
    let asked = OriginalRequest {
        method: asked::method(http.method.as_bytes()).ok_or(Trouble::Request)?,
        target: asked::target(http.path.as_bytes()).ok_or(Trouble::Request)?,
        host: host(&http, &headers)?,
    };
    Ok((asked, headers))
}

/// What chooses among the public origins. A header with another host would be read by the service.
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

/// Without the pseudo-headers, which have to say the same as the attributes.
fn headers(http: &HttpRequest) -> Result<HeaderMap, Trouble> {
    let raw = http.header_map.as_ref().map_or(&[][..], |map| &map.headers);
    if !raw.is_empty() && !http.headers.is_empty() {
        return Err(Trouble::Envoy("with the headers in two ways"));
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
            return Err(Trouble::Envoy(
                "with attributes that its headers contradict",
            ));
        }
        if name.starts_with(':') {
            continue;
        }
        // Which they are in HTTP. A header that is left out here could be one that has to be removed.
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
