//! The names of the headers that RFC 9449 adds to HTTP.

use http::HeaderName;

/// The proof of a request (RFC 9449 section 4.1).
pub const DPOP: HeaderName = HeaderName::from_static("dpop");

/// The nonce that a response gives to the client (RFC 9449 section 8).
pub const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
