//! The protected API. Nothing in it is about metrics or traces.

use std::sync::Arc;

use axum::{
    Json, Router,
    routing::{get, post},
};
use dpop_tower::{
    BoundToken, DpopConfig, DpopLayer, Issuer, Policy, PolicyTable, PublicOrigin,
    revocation::MemoryRevocationList,
    ssf::{EventReceiver, Transmitter},
    token::{ClientSecret, Introspection},
};
use serde_json::{Value, json};

use crate::Result;

async fn orders(token: BoundToken) -> String {
    format!("orders of {:?}\n", token.claims().subject())
}

pub(crate) fn router(idp: &str, origin: &str) -> Result<Router> {
    let list = Arc::new(MemoryRevocationList::new());
    let transmitter = Transmitter::discover(idp)
        .audience(format!("{origin}/security-events"))
        .danger_allow_plain_http();
    let receiver = EventReceiver::builder([transmitter], Arc::clone(&list)).build()?;

    let opaque = Introspection::new(idp)
        .endpoint(format!("{idp}/introspect"))
        .client_secret_basic("orders", ClientSecret::new("secret-of-this-demo")?)
        .audience(origin)
        .danger_allow_plain_http();
    let issuer = Issuer::discover(idp)
        .audience(origin)
        .opaque_tokens(opaque)
        .danger_allow_plain_http();
    let config = DpopConfig::builder(PublicOrigin::new(origin)?, issuer)
        .revocation_list(list)
        .build()?;
    let policies = PolicyTable::builder()
        .route("/transfers", Policy::strict().require_nonce())
        .route("/trial", Policy::report_only())
        .otherwise(Policy::strict())
        .build()?;
    Ok(Router::new()
        .route("/orders", get(orders))
        .route("/transfers", get(orders))
        .route("/trial", get(async || "open for now\n"))
        .layer(DpopLayer::new(config).with_policy(policies))
        .route_service("/security-events", receiver))
}

/// Adds an endpoint that knows no opaque token.
pub(crate) fn with_introspection(idp: Router) -> Router {
    let inactive = async || -> Json<Value> { Json(json!({ "active": false })) };
    idp.route("/introspect", post(inactive))
}
