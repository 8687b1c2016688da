//! The metadata of a protected resource (RFC 9728): the document that tells clients where to get tokens.
//!
//! A client that knows only the URL of a service is challenged, fetches the document that `resource_metadata` in the
//! challenge names (RFC 9728 section 5.1), and learns the authorization servers, the scopes, and that tokens have to
//! be bound by DPoP. The [settings](ResourceMetadata) are part of the configuration, so the challenges and the
//! document cannot disagree.
//!
//! The document is public. Serve it outside the [`DpopLayer`](crate::DpopLayer), which only wraps the routes that
//! the router has when the layer is added:
//!
//! ```
//! # #[cfg(all(feature = "axum", feature = "test-util"))]
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use axum::{Router, routing::get};
//! use dpop_tower::{
//!     DpopConfig, DpopLayer, Policy, PublicOrigin,
//!     metadata::{self, ResourceMetadata},
//! };
//! # use dpop_tower::test_util::TestIssuer;
//! # use http::Request;
//! # use tower::ServiceExt;
//!
//! # let (origin, issuer) = (PublicOrigin::new("https://api.example.com")?, TestIssuer::new().tokens());
//! let config = DpopConfig::builder(origin, issuer)
//!     .resource_metadata(ResourceMetadata::new().resource("https://api.example.com/orders"))
//!     .policy(Policy::strict().require_scope("orders:read"))
//!     .build()?;
//! let layer = DpopLayer::new(config);
//! let app = Router::new()
//!     .route("/orders", get(async || "orders"))
//!     .layer(layer.clone())
//!     .merge(metadata::router(&layer)?);
//!
//! # let request = |uri: &str| Request::get(uri).body(axum::body::Body::empty());
//! let challenged = app.clone().oneshot(request("/orders")?).await?;
//! let challenge = challenged.headers()["www-authenticate"].to_str()?;
//! let url = "https://api.example.com/.well-known/oauth-protected-resource/orders";
//! assert!(challenge.contains(&format!("resource_metadata=\"{url}\"")));
//! let document = app.oneshot(request("/.well-known/oauth-protected-resource/orders")?).await?;
//! assert_eq!(document.status(), 200);
//! # Ok(()) }
//! # #[cfg(not(all(feature = "axum", feature = "test-util")))] fn main() {}
//! ```
//!
//! Without axum, [`ResourceMetadataService`] is a tower service.
//!
//! # What is served
//!
//! | member | value |
//! |---|---|
//! | `resource` | [`ResourceMetadata::resource`], by default the public origin |
//! | `authorization_servers` | [`ResourceMetadata::authorization_servers`], by default all issuers |
//! | `scopes_supported` | [`ResourceMetadata::scopes_supported`], by default the scopes of all policies |
//! | `bearer_methods_supported` | `["header"]` |
//! | `dpop_signing_alg_values_supported` | [`algorithms`](crate::DpopConfigBuilder::algorithms) |
//! | `dpop_bound_access_tokens_required` | `true` if no policy admits a token that is not bound by DPoP |
//! | `tls_client_certificate_bound_access_tokens` | `true` if a policy [accepts](crate::Policy::accept_certificate_bound) such tokens |
//! | `resource_name` and others | [`ResourceMetadata::resource_name`], [`ResourceMetadata::parameter`] |
//!
//! Members that are `false` or empty are left out (RFC 9728 section 3.2). `GET` and `HEAD` are answered, and the
//! preflight of a browser. Every page may read the document, and caches may keep it for 10 minutes.
//!
//! # Security
//!
//! Anyone who can change the document, or its URL in a challenge, can send clients to an authorization server of their
//! own (RFC 9728 section 7). Serve it with TLS. A client has to check that `resource` is what it calls (section 3.3),
//! and asks for tokens of this resource only (section 7.4), so the issuer has to put an audience into them. The
//! document is public: name no scopes that are a secret.

mod document;
mod service;

#[cfg(feature = "axum")]
mod router;

#[cfg(feature = "axum")]
#[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
pub use self::router::router;
pub use self::service::ResourceMetadataService;
pub use crate::config::ResourceMetadata;
