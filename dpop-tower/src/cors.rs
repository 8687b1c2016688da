//! CORS for browsers: what a page of another origin has to be allowed so that it can use DPoP.
//!
//! A page needs to send the `Authorization` and `DPoP` headers, and to read `WWW-Authenticate` and
//! `DPoP-Nonce`: without the latter two, a client in a browser never learns why it was refused, nor the
//! nonce that it has to use (RFC 9449 section 8.2). [`cors_layer`] allows these, and nothing more:
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

use crate::{rejection::NONCE, verifier::PROOF};

/// The headers that a page has to be allowed to send: `Authorization` and `DPoP`.
pub const REQUEST_HEADERS: [HeaderName; 2] = [header::AUTHORIZATION, PROOF];

/// The headers that a page has to be allowed to read: `WWW-Authenticate` and `DPoP-Nonce`.
pub const RESPONSE_HEADERS: [HeaderName; 2] = [header::WWW_AUTHENTICATE, NONCE];

/// A layer of tower-http that lets pages of these origins use DPoP. It goes outside of the
/// [`DpopLayer`](crate::DpopLayer), so that it answers preflights and marks refusals too.
///
/// Methods other than `GET`, `HEAD` and `POST` have to be added. Setting `allow_headers` or
/// `expose_headers` replaces what is set here: an API that takes more headers, such as `Content-Type` for
/// JSON, gives [`REQUEST_HEADERS`] and its own.
pub fn cors_layer(origins: impl Into<AllowOrigin>) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(origins)
        .allow_headers(REQUEST_HEADERS)
        .expose_headers(RESPONSE_HEADERS)
}
