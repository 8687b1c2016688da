//! The issuer. Unlike a real one, it gives a token to anyone who asks, and lets the client choose its lifetime.

use std::time::Duration;

use axum::{
    Json, Router,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
    routing::post,
};
use dpop_tower::{
    ConfigError, DpopConfig, PublicOrigin,
    test_util::TestIssuer,
    token_endpoint::{TokenEndpointLayer, TokenRequest, TokenRequestRejection},
};
use serde_json::json;

use crate::api::public_origin;

/// The longest lifetime, and the one of tokens for clients that do not choose, in seconds.
const LIFETIME: u64 = 300;

/// The scope of every token. `/api/audit` requires another one.
const SCOPE: &str = "orders:read orders:write";

pub(crate) fn issuer(url: &str, audience: &str) -> TestIssuer {
    TestIssuer::new().issuer(url).audience(audience)
}

/// Serves `/token`, which binds a token to the key of the proof in the request (RFC 9449 section 5).
pub(crate) fn router(url: &str, issuer: &TestIssuer) -> Result<Router, ConfigError> {
    let origin: PublicOrigin = public_origin(url)?;
    let config = DpopConfig::authorization_server(origin).build()?;
    Ok(Router::new()
        .route("/token", post(token).layer(TokenEndpointLayer::new(config)))
        .with_state(issuer.clone()))
}

async fn token(
    State(issuer): State<TestIssuer>,
    request: TokenRequest,
    form: String,
) -> Result<Response, TokenRequestRejection> {
    // A real issuer authenticates the client and looks its grant up here, before it redeems the proof.
    let binding = request.redeem("alice").await?;
    let lifetime = lifetime(&form);
    let token = (issuer.token().subject("alice").scope(SCOPE)).expires_in(lifetime);
    let token = match binding.thumbprint() {
        Some(thumbprint) => token.bound_to_thumbprint(thumbprint),
        None => token,
    };
    let body = json!({
        "access_token": token.mint(),
        "token_type": binding.token_type(),
        "expires_in": lifetime.as_secs(),
        "scope": SCOPE,
    });
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response())
}

/// Reads `lifetime`, which is not a parameter of OAuth. Zero makes a token that has expired.
fn lifetime(form: &str) -> Duration {
    let mut parameters = form_urlencoded::parse(form.as_bytes());
    let chosen = parameters.find(|(name, _)| name == "lifetime");
    let secs: Option<u64> = chosen.and_then(|(_, value)| value.parse().ok());
    Duration::from_secs(secs.unwrap_or(LIFETIME).min(LIFETIME))
}
