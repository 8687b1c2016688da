//! The names of the headers that RFC 9449 adds to HTTP.
//!
//! ```
//! use dpop_tower::header::DPOP_NONCE;
//! use http::Response;
//!
//! // A client keeps the nonce of each response for its next proof.
//! fn next_nonce<B>(response: &Response<B>) -> Option<&str> {
//!     response.headers().get(DPOP_NONCE)?.to_str().ok()
//! }
//!
//! let response = Response::builder().header(DPOP_NONCE, "eyJ7S_zG.eyJH0-Z").body(())?;
//! assert_eq!(next_nonce(&response), Some("eyJ7S_zG.eyJH0-Z"));
//! # Ok::<(), http::Error>(())
//! ```

use http::HeaderName;

/// `DPoP`, which contains the proof of a request (RFC 9449 section 4.1). A request has exactly one.
pub const DPOP: HeaderName = HeaderName::from_static("dpop");

/// `DPoP-Nonce`, which contains the nonce for the client's next proof (RFC 9449 section 8).
pub const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
