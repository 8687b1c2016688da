//! The token endpoint of an authorization server: verifying the proofs of clients that have no access token yet.
//!
//! A client proves that it holds a key, and the authorization server binds the new tokens to that key (RFC 9449 section
//! 5). [`TokenEndpointLayer`] makes the checks of the proof, and [`TokenRequest`] the ones that need the grant:
//!
//! ```
//! # #[cfg(all(feature = "axum", feature = "test-util"))]
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use axum::{Router, body::Body, routing::post};
//! use dpop_tower::{DpopConfig, PublicOrigin};
//! use dpop_tower::token_endpoint::{TokenEndpointLayer, TokenRequest, TokenRequestRejection};
//! # use dpop_tower::test_util::TestClient;
//! # struct Grant { subject: &'static str, dpop_jkt: Option<dpop_tower::jwk::Thumbprint> }
//! # fn grant_of_authenticated_client(_: &str) -> Grant { Grant { subject: "alice", dpop_jkt: None } }
//! # fn sign(claims: serde_json::Value) -> String { claims.to_string() }
//! use serde_json::json;
//! # use tower::ServiceExt as _;
//!
//! async fn token(request: TokenRequest, form: String) -> Result<String, TokenRequestRejection> {
//!     // Authenticate the client, and look its authorization code up.
//!     let grant = grant_of_authenticated_client(&form);
//!     request.check_code(grant.dpop_jkt.as_ref())?;
//!     // The proof is good once.
//!     let binding = request.redeem(grant.subject).await?;
//!     let access_token = sign(json!({ "sub": grant.subject, "cnf": binding.cnf() }));
//!     // With axum's `Json`, the response also gets the content type.
//!     Ok(json!({ "access_token": access_token, "token_type": binding.token_type() }).to_string())
//! }
//!
//! let origin = PublicOrigin::new("https://idp.example.com")?;
//! let config = DpopConfig::authorization_server(origin).require_nonces().build()?;
//! let app = Router::new()
//!     .route("/token", post(token))
//!     .layer(TokenEndpointLayer::new(config));
//!
//! # let client = TestClient::new();
//! # let request = |proof: String| axum::http::Request::post("/token").header("dpop", proof).body(Body::empty());
//! let proof = client.proof("POST", "https://idp.example.com/token").sign();
//! let response = app.clone().oneshot(request(proof)?).await?;
//! assert_eq!(response.status(), 400);
//! let nonce = response.headers()["dpop-nonce"].to_str()?;
//!
//! let proof = client.proof("POST", "https://idp.example.com/token").nonce(nonce).sign();
//! let response = app.oneshot(request(proof)?).await?;
//! assert_eq!(response.status(), 200);
//! # Ok(()) }
//! # #[cfg(not(all(feature = "axum", feature = "test-util")))] fn main() {}
//! ```
//!
//! Without tower, use [`Verifier::verify_token_request`](crate::Verifier::verify_token_request).
//!
//! # The order of the checks
//!
//! 1. The proof is checked as at a resource server, but has no `ath`: RFC 9449 section 4.3, items 1 to 11, and its
//!    signature. Nothing is stored.
//! 2. Your code authenticates the client and checks the grant. [`TokenRequest::check_code`] compares the key with the
//!    `dpop_jkt` of the authorization request (section 10), [`TokenRequest::check_refresh_token`] with the key that a
//!    refresh token is bound to (section 5), and [`TokenRequest::require_proof`] is for clients that must use DPoP
//!    (section 5.2).
//! 3. [`TokenRequest::redeem`] puts the proof on record, or rejects it as a replay (section 11.1). It returns a
//!    [`TokenBinding`], which has the `cnf` claim and the `token_type`.
//! 4. Your code uses the grant up and issues the tokens.
//!
//! At a resource server, only the holder of a valid token can get a proof on record. At a token endpoint anyone can send
//! a valid proof with a key of their own. If it were put on record at once, strangers could fill the replay store, and
//! then no client gets a token. So step 3 comes after step 2, and a stranger costs one signature check.
//!
//! # Policies
//!
//! The [mode](crate::policy::Mode) of the policy decides whether a client needs a proof:
//!
//! | policy | a request without a proof | a request with an invalid proof |
//! |---|---|---|
//! | [`Policy::strict`](crate::Policy::strict), the default | is rejected | is rejected |
//! | [`Policy::optional`](crate::Policy::optional) | passes, for a bearer token | is rejected |
//! | [`Policy::report_only`](crate::Policy::report_only) | passes, for a bearer token | passes, for a bearer token |
//! | [`Policy::off`](crate::Policy::off) | passes, for a bearer token | passes, for a bearer token, as does a valid one |
//! | [`Policy::deny`](crate::Policy::deny) | is rejected | is rejected |
//!
//! `require_nonce`, `max_proof_age` and `proof_algorithms` of the policy apply. What it requires of access tokens does
//! not. The checks of step 2 apply with every policy.
//!
//! # Metrics
//!
//! Verdicts are [counted](crate::policy::Mode#metrics) and logged as those of a [`DpopLayer`](crate::DpopLayer) are. A
//! request counts as admitted when it is redeemed.
//!
//! # Nonces
//!
//! Nonces of an authorization server and of a resource server are different things to a client (RFC 9449 section 8). If
//! both run in one process, they can have one configuration, and so one source of nonces.
//!
//! # Pushed authorization requests
//!
//! The layer also serves the endpoint for pushed authorization requests (section 10.1). Store what
//! [`TokenRequest::pushed_dpop_jkt`] returns with the request.

pub use crate::{
    middleware::{TokenEndpoint, TokenEndpointLayer},
    rejection::token_request::{GrantErrorKind, TokenRequestRejection},
    verifier::{TokenBinding, TokenRequest},
};
