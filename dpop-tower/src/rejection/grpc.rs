use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};

use super::RejectionKind;

/// The metadata that has the code of a rejection.
pub(crate) const DPOP_REASON: &str = "dpop-reason";

const MEDIA_TYPES: [&str; 3] = [
    "application/grpc-web-text",
    "application/grpc-web",
    "application/grpc",
];

/// The content type to answer a gRPC request with; `None` if it is none.
///
/// It only decides what a rejection looks like.
pub(crate) fn response_type(headers: &HeaderMap) -> Option<&'static str> {
    let value = headers.get(header::CONTENT_TYPE)?;
    MEDIA_TYPES
        .into_iter()
        .find(|known| is_of_type(value, known))
}

/// Whether the content type is `known`, with or without a suffix such as `+proto`.
#[cfg(feature = "lifetime")]
pub(crate) fn is_media_type(headers: &HeaderMap, known: &str) -> bool {
    let value = headers.get(header::CONTENT_TYPE);
    value.is_some_and(|value| is_of_type(value, known))
}

fn is_of_type(value: &HeaderValue, known: &str) -> bool {
    let split = value.as_bytes().split_at_checked(known.len());
    split.is_some_and(|(start, rest)| {
        start.eq_ignore_ascii_case(known.as_bytes())
            // A message format, a parameter, or nothing.
            && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
    })
}

/// How a call ends that is rejected, in words that clients of any language read. They stand in the
/// trailers, or in the headers of a response of headers alone.
pub(crate) fn status(
    kind: RejectionKind,
    code: &'static str,
    description: &'static str,
) -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(3);
    trailers.insert("grpc-status", u64::from(kind.grpc_status()).into());
    // Descriptions have no character that the protocol would have percent-encoded.
    trailers.insert("grpc-message", HeaderValue::from_static(description));
    trailers.insert(DPOP_REASON, HeaderValue::from_static(code));
    trailers
}

/// A response of headers alone ("Trailers-Only" in the gRPC protocol). Of a bare 401, clients would have
/// to guess the status.
pub(super) fn trailers_only(
    content_type: &'static str,
    kind: RejectionKind,
    code: &'static str,
    description: &'static str,
) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.headers_mut() = status(kind, code, description);
    let content_type = HeaderValue::from_static(content_type);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}
