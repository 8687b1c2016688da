//! A service that is protected itself, and calls another protected service.

use axum::{Router, extract::State, routing::get};
use bytes::Bytes;
use dpop_tower::{
    BoundToken, ConfigError, DpopConfig, DpopLayer, PublicOrigin, test_util::TestIssuer,
};
use http::{HeaderMap, HeaderName, StatusCode};
use http_body_util::Full;

use crate::api::Api;

/// What the other service gets of a caller's headers. Everything else stays here: the token and the proof of the
/// caller are for this service, and would not be accepted by another one.
const PASSED_ON: [HeaderName; 2] = [
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("x-request-id"),
];

pub(crate) fn router(url: &str, issuer: &TestIssuer, orders: Api) -> Result<Router, ConfigError> {
    let config = DpopConfig::builder(PublicOrigin::new(url)?, issuer.tokens()).build()?;
    Ok(Router::new()
        .route("/report", get(report))
        .layer(DpopLayer::new(config))
        .with_state(orders))
}

async fn report(
    State(orders): State<Api>,
    caller: BoundToken,
    headers: HeaderMap,
) -> Result<String, StatusCode> {
    let mut request = orders.get("/orders");
    for name in PASSED_ON {
        if let Some(value) = headers.get(&name) {
            request = request.header(name, value);
        }
    }
    let request = request.body(Full::<Bytes>::default());
    let request = request.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    // A rejection by the other service is no rejection of the caller, so its challenge is not passed on.
    let response = orders.send(request).await;
    let response = response.map_err(|_| StatusCode::BAD_GATEWAY)?;
    if !response.status().is_success() {
        return Err(StatusCode::BAD_GATEWAY);
    }
    let orders = String::from_utf8_lossy(response.body());
    let caller = caller.claims().subject().unwrap_or_default();
    Ok(format!("report for {caller}: {orders}"))
}
