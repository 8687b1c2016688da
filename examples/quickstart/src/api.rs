//! The protected API: this file is all that an application needs.

use std::{error::Error, sync::Arc};

use axum::{Json, Router, routing::get};
use demo_support::{explain, is_loopback};
use dpop_tower::{
    BoundToken, DpopConfig, DpopLayer, Issuer, PublicOrigin,
    nonce::{NonceSecret, StatelessNonces},
    replay::{ReplayStore, ReplayStoreBuilder},
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
    replay_store: Arc<dyn ReplayStore>,
) -> Result<DpopConfig, Box<dyn Error>> {
    let mut tokens = Issuer::discover(issuer).audience(audience);
    // An issuer on the same machine may use plain http: nobody can intercept it.
    if is_loopback(issuer) {
        tokens = tokens.danger_allow_plain_http();
    }
    let config =
        DpopConfig::builder(PublicOrigin::new(public_origin)?, tokens).replay_store(replay_store);
    let config = match nonces {
        Nonces::Off => config,
        Nonces::Required => config
            .nonce_source(StatelessNonces::new(NonceSecret::random()?))
            .require_nonces(),
    };
    config.build().map_err(|error| explain(&error).into())
}

/// Makes the store that a URL names, and waits until it can be used.
pub(crate) async fn replay_store(url: &str) -> Result<Arc<dyn ReplayStore>, Box<dyn Error>> {
    let store: Arc<dyn ReplayStore> = match ReplayStoreBuilder::from_url(url)? {
        #[cfg(feature = "stores")]
        ReplayStoreBuilder::Postgres(postgres) => {
            let store = postgres.build()?;
            store
                .create_table()
                .await
                .map_err(|error| explain(&error))?;
            Arc::new(store)
        }
        other => other.build()?,
    };
    store.warm_up().await.map_err(|error| explain(&error))?;
    Ok(store)
}
