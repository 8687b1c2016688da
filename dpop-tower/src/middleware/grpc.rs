use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};

use crate::rejection::Rejection;

/// The content type to answer a gRPC request with; `None` if it is none.
///
/// It only decides what a rejection looks like.
pub(super) fn response_type(headers: &HeaderMap) -> Option<HeaderValue> {
    [
        "application/grpc-web-text",
        "application/grpc-web",
        "application/grpc",
    ]
    .into_iter()
    .find(|known| is_media_type(headers, known))
    .map(HeaderValue::from_static)
}

/// Whether the content type is `known`, with or without a suffix such as `+proto`.
pub(crate) fn is_media_type(headers: &HeaderMap, known: &str) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.as_bytes().split_at_checked(known.len()))
        .is_some_and(|(start, rest)| {
            start.eq_ignore_ascii_case(known.as_bytes())
                // A message format, a parameter, or nothing.
                && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
        })
}

/// A response of headers alone ("Trailers-Only" in the gRPC protocol), which clients of any language
/// read as the status it names. Of a bare 401 they would have to guess.
pub(super) fn trailers_only(content_type: HeaderValue, rejection: &Rejection) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(
        "grpc-status",
        u64::from(rejection.kind().grpc_status()).into(),
    );
    // Descriptions have no character that the protocol would have percent-encoded.
    headers.insert(
        "grpc-message",
        HeaderValue::from_static(rejection.description()),
    );
    response
}
