//! The API that both programs call. It requires nonces.

use axum::{Router, routing::get};
use dpop_tower::{
    BoundToken, ConfigError, DpopConfig, DpopLayer, PublicOrigin, test_util::TestIssuer,
};
use http::HeaderMap;

pub(crate) fn router(url: &str, issuer: &TestIssuer) -> Result<Router, ConfigError> {
    let origin = PublicOrigin::new(url)?;
    let config = DpopConfig::builder(origin, issuer.tokens()).require_nonces();
    Ok(Router::new()
        .route("/orders", get(orders))
        .layer(DpopLayer::new(config.build()?)))
}

/// Responds with the subject of the token and the names of the headers, for the demo.
async fn orders(token: BoundToken, headers: HeaderMap) -> String {
    let subject = token.claims().subject().unwrap_or_default();
    let names: Vec<_> = headers.keys().map(http::HeaderName::as_str).collect();
    format!("orders of {subject} ({})", names.join(", "))
}
