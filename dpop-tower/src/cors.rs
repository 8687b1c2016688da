//! CORS for browsers: what a page of another origin has to be allowed so that it can use DPoP.
//!
//! A page needs to send the `Authorization` and `DPoP` headers, and to read `WWW-Authenticate` and
//! `DPoP-Nonce`: without the latter two, a client in a browser never learns why it was rejected, nor the
//! nonce that it has to use (RFC 9449 section 8.2). Without `Content-Type` it cannot send JSON.
//! [`cors_layer`] allows these, and nothing more:
//!
//! ```
//! # #[cfg(all(feature = "axum", feature = "test-util"))] {
//! # use axum::Router;
//! # use dpop_tower::{DpopConfig, DpopLayer, PublicOrigin, test_util::TestIssuer};
//! use dpop_tower::cors::cors_layer;
//! use http::{HeaderValue, Method};
//!
//! # let config = DpopConfig::builder(PublicOrigin::new("https://api.example.com")?, TestIssuer::new().tokens()).build()?;
//! # let router: Router = Router::new();
//! let app = router
//!     .layer(DpopLayer::new(config))
//!     // Outside of it: a preflight has no token.
//!     .layer(
//!         cors_layer(HeaderValue::from_static("https://app.example.com"))
//!             .allow_methods([Method::GET, Method::POST, Method::DELETE]),
//!     );
//! # let _: Router = app;
//! # }
//! # Ok::<(), dpop_tower::ConfigError>(())
//! ```
//!
//! # Security
//!
//! CORS decides which pages may read an answer in a browser, and nothing about who may call the API.
//! With DPoP a page has to hold the token and the key, so it does no harm to allow
//! [`Any`](::tower_http::cors::Any) origin, provided that the API takes no cookies.

use ::tower_http::cors::{AllowOrigin, CorsLayer};
use http::{HeaderName, header};

use crate::header::{DPOP, DPOP_NONCE};

/// The headers that a page has to be allowed to send: `Authorization`, `Content-Type` and `DPoP`.
pub const REQUEST_HEADERS: [HeaderName; 3] = [header::AUTHORIZATION, header::CONTENT_TYPE, DPOP];

/// The headers that a page has to be allowed to read: `WWW-Authenticate` and `DPoP-Nonce`.
pub const RESPONSE_HEADERS: [HeaderName; 2] = [header::WWW_AUTHENTICATE, DPOP_NONCE];

/// A layer of tower-http that lets pages of these origins use DPoP. It goes outside of the
/// [`DpopLayer`](crate::DpopLayer), so that it answers preflights and marks rejections too.
///
/// Methods other than `GET`, `HEAD` and `POST` have to be added. Setting `allow_headers` or
/// `expose_headers` replaces what is set here: where there are more headers, use [`cors_layer_with`].
pub fn cors_layer(origins: impl Into<AllowOrigin>) -> CorsLayer {
    cors_layer_with(origins, [], [])
}

/// The same, where a page may also send `request_headers` and read `response_headers` of yours.
///
/// ```
/// use dpop_tower::cors::cors_layer_with;
/// use http::{HeaderName, HeaderValue};
///
/// let layer = cors_layer_with(
///     HeaderValue::from_static("https://app.example.com"),
///     [HeaderName::from_static("idempotency-key")],
///     [http::header::ETAG, http::header::RETRY_AFTER],
/// );
/// ```
pub fn cors_layer_with(
    origins: impl Into<AllowOrigin>,
    request_headers: impl IntoIterator<Item = HeaderName>,
    response_headers: impl IntoIterator<Item = HeaderName>,
) -> CorsLayer {
    let allowed = REQUEST_HEADERS.into_iter().chain(request_headers);
    let exposed = RESPONSE_HEADERS.into_iter().chain(response_headers);
    CorsLayer::new()
        .allow_origin(origins)
        .allow_headers(allowed.collect::<Vec<_>>())
        .expose_headers(exposed.collect::<Vec<_>>())
}
