//! The layer in front of an axum handler.

use axum::{Json, Router, body::Body, routing::post};
use dpop_tower::token_endpoint::TokenEndpointLayer;
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;

type Handled = Result<Json<Value>, TokenRequestRejection>;

/// Binds a token, as a token endpoint does. The body is the thumbprint that the code is bound to.
async fn token(request: TokenRequest, dpop_jkt: String) -> Handled {
    let dpop_jkt = dpop_jkt.parse().ok();
    request.check_code(dpop_jkt.as_ref())?;
    let binding = request.redeem("alice").await?;
    Ok(Json(
        json!({ "token_type": binding.token_type(), "cnf": binding.cnf() }),
    ))
}

fn app(config: DpopConfigBuilder) -> Router {
    let layer = TokenEndpointLayer::new(config.build().unwrap());
    Router::new().route("/token", post(token)).layer(layer)
}

fn request(proof: Option<&str>, body: &str) -> Request<Body> {
    let mut request = Request::post("/token");
    if let Some(proof) = proof {
        request = request.header("dpop", proof);
    }
    request.body(Body::from(body.to_owned())).unwrap()
}

async fn send(app: &Router, request: Request<Body>) -> (http::response::Parts, Value) {
    let (parts, body) = app.clone().oneshot(request).await.unwrap().into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    (parts, serde_json::from_slice(&bytes).unwrap_or_default())
}

#[tokio::test]
async fn a_handler_gets_the_verified_key_and_binds_the_token_to_it() {
    let idp = Idp::new();
    let app = app(idp.config());
    let proof = idp.proof().sign();
    let (parts, body) = send(&app, request(Some(&proof), "")).await;
    assert_eq!(parts.status, 200);
    assert_eq!(body["token_type"], "DPoP");
    assert_eq!(body["cnf"]["jkt"], idp.client.thumbprint().to_string());
    let (parts, body) = send(&app, request(Some(&proof), "")).await;
    assert_eq!(parts.status, 400);
    assert_eq!(body["error"], "invalid_dpop_proof");
}

#[tokio::test]
async fn a_handler_does_not_see_a_request_that_the_layer_rejects() {
    let idp = Idp::new();
    let app = app(idp.config());
    for proof in [None, Some("no proof")] {
        let (parts, body) = send(&app, request(proof, "")).await;
        assert_eq!(parts.status, 400);
        assert_eq!(parts.headers["cache-control"], "no-store");
        assert_eq!(body["error"], "invalid_dpop_proof");
    }
}

#[tokio::test]
async fn a_handler_answers_with_the_rejection_that_its_checks_return() {
    let idp = Idp::new();
    let app = app(idp.config());
    let other = TestClient::new().thumbprint().to_string();
    let (parts, body) = send(&app, request(Some(&idp.proof().sign()), &other)).await;
    assert_eq!(parts.status, 400);
    assert_eq!(parts.headers["cache-control"], "no-store");
    assert_eq!(parts.headers["content-type"], "application/json");
    assert_eq!(body["error"], "invalid_grant");
}

#[tokio::test]
async fn a_client_without_a_proof_gets_a_bearer_token_if_proofs_are_optional() {
    let idp = Idp::new();
    let app = app(idp.config().policy(Policy::optional()));
    let (parts, body) = send(&app, request(None, "")).await;
    assert_eq!(parts.status, 200);
    assert_eq!(body, json!({ "token_type": "Bearer", "cnf": null }));
}

#[tokio::test]
async fn every_response_has_a_nonce_if_nonces_are_offered() {
    let idp = Idp::new();
    let app = app(idp.config().offer_nonces());
    let (parts, _) = send(&app, request(Some(&idp.proof().sign()), "")).await;
    assert_eq!(parts.status, 200);
    assert!(parts.headers.contains_key("dpop-nonce"));
    assert_eq!(parts.headers["cache-control"], "no-store");
}

#[tokio::test]
async fn a_missing_layer_is_an_error_of_the_server() {
    let idp = Idp::new();
    let app = Router::new().route("/token", post(token));
    let (parts, _) = send(&app, request(Some(&idp.proof().sign()), "")).await;
    assert_eq!(parts.status, 500);
}

#[tokio::test]
async fn the_path_inside_nest_is_that_of_the_client() {
    let idp = Idp::new();
    let layer = TokenEndpointLayer::new(idp.config().build().unwrap());
    let inner = Router::new().route("/token", post(token)).layer(layer);
    let app = Router::new().nest("/oauth", inner);
    let url = "https://idp.example.com/oauth/token";
    let proof = idp.client.proof("POST", url).sign();
    let mut request = request(Some(&proof), "");
    *request.uri_mut() = Uri::from_static("/oauth/token");
    let (parts, _) = send(&app, request).await;
    assert_eq!(parts.status, 200);
}
