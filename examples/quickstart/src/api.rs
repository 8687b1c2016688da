//! The API that is protected: this file is all that an application needs.

use std::error::Error;

use axum::{Json, Router, routing::get};
use demo_support::{explain, is_loopback};
use dpop_tower::{
    BoundToken, DpopConfig, DpopLayer, Issuer, PublicOrigin,
    nonce::{NonceSecret, StatelessNonces},
};
use serde::{Deserialize, Serialize};

/// The `aud` of tokens for this API, when its own identity provider issues them.
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

/// Runs only if the caller has proved that it holds the key its token is bound to.
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
        // Added after the layer, so open to everybody.
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
    // Nobody is on the path to an issuer on the same machine.
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
