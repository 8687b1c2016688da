//! CORS for browsers: the headers that a page of another origin needs for DPoP.
//!
//! A page has to send the `Authorization` and `DPoP` headers, and `Content-Type` if it sends JSON. It has to
//! read `WWW-Authenticate` and `DPoP-Nonce`. Otherwise it learns neither why it was rejected nor which nonce
//! to use (RFC 9449 section 8.2). [`cors_layer`] allows these headers and no others:
//!
//! ```
//! # #[cfg(all(feature = "axum", feature = "test-util"))] {
//! # use axum::Router;
//! # use dpop_tower::{DpopConfig, DpopLayer, PublicOrigin, test_util::TestIssuer};
//! use dpop_tower::cors::cors_layer;
//! use http::{HeaderValue, Method};
//!
//! # let origin = PublicOrigin::new("https://api.example.com")?;
//! # let config = DpopConfig::builder(origin, TestIssuer::new().tokens()).build()?;
//! # let router: Router = Router::new();
//! let app = router
//!     .layer(DpopLayer::new(config))
//!     // Outside the DpopLayer, since a preflight has no token.
//!     .layer(
//!         cors_layer(HeaderValue::from_static("https://app.example.com"))
//!             .allow_methods([Method::GET, Method::POST, Method::DELETE]),
//!     );
//! # let _: Router = app;
//! # }
//! # Ok::<(), dpop_tower::ConfigError>(())
//! ```
//!
//! The layer answers a preflight, and the `DpopLayer` does not see it:
//!
//! ```
//! # #[cfg(feature = "test-util")]
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use dpop_tower::{DpopConfig, DpopLayer, PublicOrigin, cors::cors_layer, test_util::TestIssuer};
//! # use http::{HeaderValue, Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # let origin = PublicOrigin::new("https://api.example.com")?;
//! # let config = DpopConfig::builder(origin, TestIssuer::new().tokens()).build()?;
//! let service = ServiceBuilder::new()
//!     .layer(cors_layer(HeaderValue::from_static("https://app.example.com")))
//!     .layer(DpopLayer::new(config))
//!     .service(service_fn(async |_: Request<()>| {
//!         Ok::<_, std::io::Error>(Response::new(String::new()))
//!     }));
//!
//! let preflight = Request::options("/orders")
//!     .header("origin", "https://app.example.com")
//!     .header("access-control-request-method", "GET")
//!     .header("access-control-request-headers", "authorization, dpop")
//!     .body(())?;
//! let response = service.oneshot(preflight).await?;
//! assert_eq!(response.status(), 200);
//! assert_eq!(response.headers()["access-control-allow-headers"], "authorization,content-type,dpop");
//! # Ok(()) }
//! # #[cfg(not(feature = "test-util"))] fn main() {}
//! ```
//!
//! # Security
//!
//! CORS decides which pages can read a response in a browser. It does not decide who can call the API. With
//! DPoP, a page needs both the token and the key. It is therefore safe to allow
//! [`Any`](::tower_http::cors::Any) origin, provided that the API accepts no cookies.

use ::tower_http::cors::{AllowOrigin, CorsLayer};
use http::{HeaderName, header};

use crate::header::{DPOP, DPOP_NONCE};

/// The request headers that a page needs: `Authorization`, `Content-Type` and `DPoP`.
pub const REQUEST_HEADERS: [HeaderName; 3] = [header::AUTHORIZATION, header::CONTENT_TYPE, DPOP];

/// The response headers that a page needs to read: `WWW-Authenticate` and `DPoP-Nonce`.
///
/// Use both lists if you configure a [`CorsLayer`] yourself:
///
/// ```
/// use dpop_tower::cors::{REQUEST_HEADERS, RESPONSE_HEADERS};
/// use tower_http::cors::{Any, CorsLayer};
///
/// let layer = CorsLayer::new()
///     .allow_origin(Any)
///     .allow_headers(REQUEST_HEADERS)
///     .expose_headers(RESPONSE_HEADERS);
/// ```
pub const RESPONSE_HEADERS: [HeaderName; 2] = [header::WWW_AUTHENTICATE, DPOP_NONCE];

/// Returns a layer of tower-http that allows pages of these origins to use DPoP.
///
/// Put it outside the [`DpopLayer`](crate::DpopLayer), so that it answers preflights and adds its headers to
/// rejections.
///
/// Add methods other than `GET`, `HEAD` and `POST` with `allow_methods`. To allow more headers, use
/// [`cors_layer_with`], since `allow_headers` and `expose_headers` replace the lists of this function.
pub fn cors_layer(origins: impl Into<AllowOrigin>) -> CorsLayer {
    cors_layer_with(origins, [], [])
}

/// Returns the layer of [`cors_layer`], with further headers that a page may send and read.
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
