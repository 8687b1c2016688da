//! The app: this file is what an application needs.

use std::time::Duration;

use axum::{
    Router,
    routing::{get, post},
};
use dpop_tower::{
    BearerToken, BoundToken, ConfigError, DpopConfig, DpopLayer, Issuer, Policy, PublicOrigin,
    extract::Scopes, rejection::ProblemDetails,
};

pub(crate) const ORIGIN: &str = "https://api.example.com";

/// Runs for clients that have proved possession of the key of their token.
async fn orders(token: BoundToken) -> String {
    let subject = token.claims().subject().unwrap_or("someone");
    format!("the orders of {subject}")
}

/// Also runs for clients that do not support DPoP yet.
async fn catalogue(bound: Option<BoundToken>, bearer: Option<BearerToken>) -> &'static str {
    match (bound, bearer) {
        (Some(_), _) => "the catalogue, with your prices",
        (None, Some(_)) => "the catalogue",
        (None, None) => "nothing without a token",
    }
}

async fn change(scopes: Scopes) -> String {
    format!("changed, by someone with {scopes:?}")
}

pub(crate) fn router(tokens: Issuer) -> Result<Router, ConfigError> {
    let config = DpopConfig::builder(PublicOrigin::new(ORIGIN)?, tokens).build()?;
    // Clones of a configuration share its replay store and caches.
    let with = |policy| {
        DpopLayer::new(config.clone())
            .with_policy(policy)
            .with_rejection_response(ProblemDetails)
    };

    let staff = Router::new()
        .route("/orders", post(change))
        .route_layer(with(
            Policy::strict().require_scope("orders:write").build()?,
        ));
    let payments = Router::new()
        .route("/", post(async || "paid"))
        .route_layer(with(
            Policy::strict()
                .require_nonce()
                .require_acr(["urn:example:mfa"])
                .max_auth_age(Duration::from_secs(300))
                .build()?,
        ));
    Ok(Router::new()
        .route("/orders", get(orders))
        .merge(staff)
        .nest("/payments", payments)
        // The outer layer of all routes above. Inner layers can only add requirements.
        .layer(with(Policy::strict()))
        .merge(
            Router::new()
                .route("/catalogue", get(catalogue))
                .route_layer(with(Policy::optional())),
        )
        // Behind no layer, so it is open to everyone.
        .route("/health", get(async || "fine")))
}
