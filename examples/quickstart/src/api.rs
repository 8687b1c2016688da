//! The protected API: this file is all that an application needs.

use std::error::Error;

use axum::{Json, Router, routing::get};
use demo_support::{explain, is_loopback};
use dpop_tower::{
    BoundToken, DpopConfig, DpopLayer, Issuer, PublicOrigin,
    nonce::{NonceSecret, StatelessNonces},
};
use serde::{Deserialize, Serialize};

/// The `aud` of tokens for this API, if its own identity provider issues them.
pub(crate) const AUDIENCE: &str = "https://orders.example";

#[derive(Deserialize)]
struct Claims {
    sub: String,
}

#[derive(Serialize)]
struct Caller {
    sub: String,
    jkt: String,
}

/// Runs only if the caller has proved possession of the key that its token is bound to.
async fn resource(token: BoundToken<Claims>) -> Json<Caller> {
    Json(Caller {
        sub: token.claims().sub.clone(),
        jkt: token.thumbprint().to_string(),
    })
}

pub(crate) fn router(config: DpopConfig) -> Router {
    Router::new()
        .route("/resource", get(resource).post(resource))
        .route("/other", get(resource))
        .layer(DpopLayer::new(config))
        // Added after the layer, so it is open to everyone.
        .route("/healthz", get(async || "ok"))
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nonces {
    Off,
    Required,
}

pub(crate) fn config(
    issuer: &str,
    audience: &str,
    public_origin: &str,
    nonces: Nonces,
) -> Result<DpopConfig, Box<dyn Error>> {
    let mut tokens = Issuer::discover(issuer).audience(audience);
    // An issuer on the same machine may use plain http: nobody can intercept it.
    if is_loopback(issuer) {
        tokens = tokens.danger_allow_plain_http();
    }
    let config = DpopConfig::builder(PublicOrigin::new(public_origin)?, tokens);
    let config = match nonces {
        Nonces::Off => config,
        Nonces::Required => config
            .nonce_source(StatelessNonces::new(NonceSecret::random()?))
            .require_nonces(),
    };
    config.build().map_err(|error| explain(&error).into())
}
