//! DPoP ([RFC 9449]) for tower services: an OAuth access token is accepted only from the client that
//! holds the key it is bound to.
//!
//! ```
//! # #[cfg(all(any(feature = "aws-lc-rs", feature = "josekit"), feature = "axum", feature = "jwks"))]
//! # fn app() -> Result<axum::Router, dpop_tower::ConfigError> {
//! use axum::{Router, routing::get};
//! use dpop_tower::{BoundToken, DpopConfig, DpopLayer, Issuer, PublicOrigin};
//!
//! async fn orders(token: BoundToken) -> String {
//!     format!("hello, holder of key {}", token.thumbprint())
//! }
//!
//! let config = DpopConfig::builder(
//!     PublicOrigin::new("https://api.example.com")?,
//!     Issuer::discover("https://idp.example.com").audience("https://api.example.com"),
//! )
//! .build()?;
//! let app = Router::new().route("/orders", get(orders)).layer(DpopLayer::new(config));
//! # Ok(app)
//! # }
//! # #[cfg(all(any(feature = "aws-lc-rs", feature = "josekit"), feature = "axum", feature = "jwks"))]
//! # app().unwrap();
//! ```
//!
//! # What is checked
//!
//! A request is admitted if it satisfies all of these conditions. Otherwise the inner service is not called.
//!
//! 1. It has one `Authorization` header with the scheme `DPoP`, and one `DPoP` header.
//! 2. The proof is a well-formed JWT with the `typ` `dpop+jwt`, an allowed algorithm, a public key
//!    that fits the algorithm, and no unknown critical extension (RFC 9449 section 4.3 items 2 to 7).
//! 3. The proof was made recently, for this method, this URL and this access token. It has a nonce if the
//!    policy requires one (items 8 to 12).
//! 4. The access token comes from the issuer, is for this API, and is active (RFC 9068 section 4).
//! 5. The token is bound to the proof's key (item 12), and the proof's signature is valid (item 6).
//! 6. The proof was not used before (section 11.1).
//!
//! The layer puts the verified [`BoundToken`] into the request's extensions. A rejected client gets a
//! challenge that tells it what to do; see [`rejection`].
//!
//! # What has to be configured
//!
//! - **The origin by which clients call the service**, [`PublicOrigin`]. It is not taken from the request,
//!   since a malicious API could then replay a proof that was made for it, with a forged `Host`. Behind a
//!   proxy, it is the public address of the proxy.
//! - **The issuer and the audience** of access tokens, [`Issuer`].
//!
//! Everything else has a safe default; see [`DpopConfigBuilder`]. A setting that weakens a default has
//! `danger` in its name.
//!
//! # Common tasks
//!
//! [`_guide`] has tutorials, guides for tasks and tables to look things up;
//! [begin here](_guide::introduction).
//!
//! | task | API |
//! |---|---|
//! | Require a scope, a nonce or a recent login on some routes | [`PolicyTable`], [`Policy`] |
//! | Introduce DPoP while some clients still send bearer tokens | [`Policy::optional`] |
//! | See what would be rejected before anything is | [`Policy::report_only`], [`Report`] |
//! | Reject tokens that have been revoked | [`revocation::RevocationList`] |
//! | Revoke tokens when the issuer reports the end of a session | `ssf::EventReceiver` |
//! | Run several nodes | [`replay::ReplayStore`], [`nonce::StatelessNonces`] |
//! | Run behind a proxy with several public names | [`target::ForwardedTarget`] |
//! | Accept tokens that are bound to a client certificate (RFC 8705) | [`Policy::accept_certificate_bound`], [`certificate`] |
//! | Follow the FAPI 2.0 Security Profile, MCP or the AT Protocol | [`DpopConfig::fapi2`], [`DpopConfig::mcp`], [`DpopConfig::atproto`] |
//! | Log all settings in force at start | the [`Display`](std::fmt::Display) of a [`DpopLayer`] |
//! | Tell clients where to get tokens (RFC 9728) | [`metadata`], [`DpopConfigBuilder::resource_metadata`] |
//! | Change the body of rejections, or log them | [`rejection::RejectionResponse`], [`rejection::Rejection`] |
//! | Verify requests of a framework that is not built on tower | [`Verifier`] |
//! | Issue bound tokens at the token endpoint of an authorization server | [`token_endpoint`] |
//! | Call a protected API | `client::DpopClientLayer` |
//! | Test a protected service, or a replay store of your own | `test_util` |
//!
//! # Limits
//!
//! - By default, only the process that admitted a proof notices its replay; see [`replay`].
//! - A proof does not cover the query, the body, or other headers. TLS does.
//! - Fetching keys and introspection need a tokio runtime with I/O and time enabled; nothing else does.
//!
//! # Features
//!
//! | name | description | default |
//! |---|---|---|
//! | `josekit` | The crypto backend `crypto::Josekit`: OpenSSL, and encrypted tokens: `token::DecryptionKeys` | yes |
//! | `aws-lc-rs` | The crypto backend `crypto::AwsLcRs`: AWS-LC, the faster one | |
//! | `jwks` | Fetching an issuer's keys: `Issuer::discover`, `Issuer::jwks_url` | yes |
//! | `introspection` | Opaque tokens, about which the issuer is asked: `token::Introspection` | |
//! | `axum` | Extractors, in `extract`, the router of `metadata`, and the full path inside `Router::nest` | |
//! | `client` | The client side: keys, proofs and a layer for HTTP clients: `client` | |
//! | `client-tokens` | Tokens from an authorization server, obtained and renewed: `client::oauth` | |
//! | `cors` | The headers that browsers need: `cors` | |
//! | `lifetime` | Ending streams when their token expires: `lifetime` | |
//! | `metrics` | Verdicts counted, times and caches measured, with the `metrics` crate: `telemetry` | |
//! | `postgres` | A replay store for several nodes in PostgreSQL: `replay::PostgresReplayStore` | |
//! | `postgres-native-tls` | TLS for it with OpenSSL | |
//! | `postgres-rustls` | TLS for it with AWS-LC | |
//! | `redis` | A replay store for several nodes in Redis or Valkey: `replay::RedisReplayStore` | |
//! | `ssf` | Security events of the issuer, which revoke tokens: `ssf` | |
//! | `status-list` | Tokens revoked by the issuer's Token Status Lists: `token::StatusLists` | |
//! | `test-util` | An issuer and a client for tests, and a test kit for replay stores: `test_util` | |
//! | `tonic` | The layer on single services, the token of a `tonic::Request`, the peer of its server: `grpc` | |
//! | `vendored` | Builds OpenSSL from source | |
//!
//! [RFC 9449]: https://www.rfc-editor.org/rfc/rfc9449
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    not(test),
    deny(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

// The code of the guides is tested in `tests/readme.rs`, with all that it needs.
#[cfg(all(doc, not(doctest)))]
pub mod _guide;
mod cache;
pub mod certificate;
#[cfg(feature = "client")]
#[cfg_attr(docsrs, doc(cfg(feature = "client")))]
pub mod client;
#[cfg(any(feature = "client-tokens", feature = "introspection"))]
mod client_auth;
pub mod clock;
mod config;
#[cfg(feature = "cors")]
#[cfg_attr(docsrs, doc(cfg(feature = "cors")))]
pub mod cors;
mod credentials;
pub mod crypto;
#[cfg(any(feature = "introspection", feature = "ssf", feature = "status-list"))]
mod document;
mod error;
#[cfg(feature = "axum")]
#[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
pub mod extract;
pub mod future;
#[cfg(feature = "tonic")]
#[cfg_attr(docsrs, doc(cfg(feature = "tonic")))]
pub mod grpc;
pub mod header;
#[cfg(feature = "jwks")]
mod http_client;
mod jose;
pub mod jwk;
mod keys;
#[cfg(feature = "lifetime")]
#[cfg_attr(docsrs, doc(cfg(feature = "lifetime")))]
pub mod lifetime;
pub mod metadata;
mod middleware;
pub mod nonce;
pub mod policy;
pub mod proof;
mod reason;
pub mod rejection;
pub mod replay;
pub mod revocation;
#[cfg(feature = "ssf")]
#[cfg_attr(docsrs, doc(cfg(feature = "ssf")))]
pub mod ssf;
pub mod target;
#[cfg(not(feature = "metrics"))]
mod telemetry;
#[cfg(feature = "metrics")]
#[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
pub mod telemetry;
#[cfg(feature = "test-util")]
#[cfg_attr(docsrs, doc(cfg(feature = "test-util")))]
pub mod test_util;
pub mod token;
pub mod token_endpoint;
mod verifier;

pub use self::{
    config::{DpopConfig, DpopConfigBuilder},
    error::{ConfigError, ConfigErrorKind},
    middleware::{Dpop, DpopLayer, RequireScope, RequireScopeLayer, ResponseBody, ResponseFuture},
    policy::{Mode, Policy, PolicyTable},
    target::PublicOrigin,
    token::{BearerToken, BoundToken, CertificateBoundToken, Issuer},
    verifier::{Admitted, Report, RequestHead, Verdict, Verification, Verifier},
};

/// The types and traits that most programs with a [`DpopLayer`] name, for `use dpop_tower::prelude::*`.
///
/// ```
/// use dpop_tower::prelude::*;
///
/// # #[cfg(feature = "test-util")] {
/// # let issuer = dpop_tower::test_util::TestIssuer::new().tokens();
/// let origin = PublicOrigin::new("https://api.example.com")?;
/// let config = DpopConfig::builder(origin, issuer).build()?;
/// let layer = DpopLayer::new(config).with_policy(Policy::optional());
/// # }
/// # Ok::<(), dpop_tower::ConfigError>(())
/// ```
pub mod prelude {
    #[cfg(feature = "tonic")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tonic")))]
    pub use crate::grpc::RequestExt;
    pub use crate::{
        BearerToken, BoundToken, DpopConfig, DpopLayer, Issuer, Policy, PolicyTable, PublicOrigin,
    };
}
