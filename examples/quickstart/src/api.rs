//! The API that is protected: this file is all that an application needs.

use std::error::Error;

use axum::{Json, Router, routing::get};
use dpop_tower::{
    BoundToken, ConfigError, DpopConfig, DpopLayer, Issuer, PublicOrigin,
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
    config.build().map_err(|error| explain(&error))
}

/// Nobody is on the path to an issuer on the same machine.
fn is_loopback(issuer: &str) -> bool {
    let uri: Option<http::Uri> = issuer.parse().ok();
    let host = uri.as_ref().and_then(http::Uri::host);
    host.is_some_and(|host| matches!(host, "127.0.0.1" | "[::1]" | "localhost"))
}

fn explain(error: &ConfigError) -> Box<dyn Error> {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text.into()
}
