use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};

use super::RejectionKind;

/// The metadata entry that contains the code of a rejection.
pub(crate) const DPOP_REASON: &str = "dpop-reason";

const MEDIA_TYPES: [&str; 3] = [
    "application/grpc-web-text",
    "application/grpc-web",
    "application/grpc",
];

/// Returns the content type of the response to a gRPC request, and `None` for any other request.
///
/// It only decides the form of a rejection.
pub(crate) fn response_type(headers: &HeaderMap) -> Option<&'static str> {
    let value = headers.get(header::CONTENT_TYPE)?;
    MEDIA_TYPES
        .into_iter()
        .find(|known| is_of_type(value, known))
}

/// Returns whether the content type is `known`, with or without a suffix such as `+proto`.
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

/// Returns the metadata that ends a rejected call.
///
/// It belongs into the trailers, or into the headers of a trailers-only response.
pub(crate) fn status(
    kind: RejectionKind,
    code: &'static str,
    description: &'static str,
) -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(3);
    trailers.insert("grpc-status", u64::from(kind.grpc_status()).into());
    // Descriptions contain no character that the protocol would percent-encode.
    trailers.insert("grpc-message", HeaderValue::from_static(description));
    trailers.insert(DPOP_REASON, HeaderValue::from_static(code));
    trailers
}

/// Returns a response without a body ("Trailers-Only" in the gRPC protocol).
///
/// With a bare 401, clients would have to guess the gRPC status.
pub(super) fn trailers_only(
    content_type: &'static str,
    kind: RejectionKind,
    code: &'static str,
    description: &'static str,
) -> Response<Bytes> {
    let mut headers = status(kind, code, description);
    let content_type = HeaderValue::from_static(content_type);
    headers.insert(header::CONTENT_TYPE, content_type);
    let mut response = Response::new(Bytes::new());
    *response.headers_mut() = headers;
    response
}
