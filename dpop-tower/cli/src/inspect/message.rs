//! HTTP messages of captures.

use dpop_tower::clock::UnixTime;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::Unreadable;

/// A request, and the response to it, as far as the capture has them.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    pub(super) request: Option<Request>,
    pub(super) response: Option<Response>,
    /// When the client sent the request, by its own clock.
    pub(super) started: Option<UnixTime>,
    /// How long the exchange took, in whole seconds.
    pub(super) seconds: u64,
    /// The place in the input, such as `entry 1`.
    pub(super) place: Option<String>,
    pub(super) notes: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    /// A path, or a whole URL.
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Request {
    /// Returns whether this asks a token endpoint for a token (RFC 6749 section 4).
    pub(super) fn is_for_a_token(&self) -> bool {
        self.method == Method::POST
            && (self.body.split('&')).any(|field| field.trim_start().starts_with("grant_type="))
    }
}

/// Parses a method.
pub(super) fn method(text: &str) -> Result<Method, Unreadable> {
    Method::from_bytes(text.as_bytes())
        .map_err(|_| Unreadable::new("the method of the request is not an HTTP method"))
}

/// Adds a header field. Pseudo-header fields of HTTP/2 are left out.
pub(super) fn append(headers: &mut HeaderMap, name: &str, value: &[u8]) -> Result<(), Unreadable> {
    if name.starts_with(':') {
        return Ok(());
    }
    let unreadable = || Unreadable::new("a header field of the message is malformed");
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unreadable())?;
    let mut value = HeaderValue::from_bytes(value.trim_ascii()).map_err(|_| unreadable())?;
    value.set_sensitive(true);
    headers.try_append(name, value).map_err(|_| unreadable())?;
    Ok(())
}
