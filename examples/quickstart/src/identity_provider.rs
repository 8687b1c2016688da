//! An identity provider in miniature, so that nothing else has to be started. It issues DPoP-bound
//! tokens to whoever asks, which no real one would.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
#[cfg(not(feature = "josekit"))]
use dpop_tower::crypto::AwsLcRs as Backend;
#[cfg(feature = "josekit")]
use dpop_tower::crypto::Josekit as Backend;
use dpop_tower::{
    clock::{SystemClock, TimeSource},
    proof::{Htu, ProofContext, ProofVerifier},
    test_util::{TestClient, TestIssuer},
};
use serde_json::json;

use crate::api::AUDIENCE;

#[derive(Clone)]
struct Provider {
    url: Arc<str>,
    api_url: Arc<str>,
    issuer: TestIssuer,
}

pub(crate) fn router(url: &str, api_url: &str) -> Router {
    let provider = Provider {
        url: url.into(),
        api_url: api_url.into(),
        issuer: TestIssuer::new().issuer(url).audience(AUDIENCE),
    };
    Router::new()
        .route("/.well-known/oauth-authorization-server", get(metadata))
        .route("/jwks", get(jwks))
        .route("/token", post(token))
        .route("/try", get(try_it))
        .with_state(provider)
}

async fn metadata(State(provider): State<Provider>) -> Response {
    let jwks_uri = format!("{}/jwks", provider.url);
    as_json(provider.issuer.metadata(&jwks_uri))
}

async fn jwks(State(provider): State<Provider>) -> Response {
    as_json(provider.issuer.jwks())
}

fn as_json(document: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], document).into_response()
}

/// RFC 9449 section 5: the client proves that it has a key, and the token is bound to that.
async fn token(State(provider): State<Provider>, headers: HeaderMap) -> Response {
    let verified = headers
        .get("dpop")
        .and_then(|proof| proof.to_str().ok())
        .zip(Htu::parse(&format!("{}/token", provider.url)).ok())
        .and_then(|(proof, htu)| {
            let context = ProofContext::new(&Method::POST, &htu, SystemClock.now());
            ProofVerifier::default()
                .verify(proof, &context, &Backend)
                .ok()
        });
    match verified {
        Some(proof) => {
            let token = provider.issuer.token().subject("alice");
            let token = token.bound_to_thumbprint(proof.thumbprint()).mint();
            let body = json!({ "access_token": token, "token_type": "DPoP", "expires_in": 300 });
            ([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
        }
        None => {
            let body = json!({ "error": "invalid_dpop_proof" });
            (StatusCode::BAD_REQUEST, Json(body)).into_response()
        }
    }
}

/// A request to paste into a shell: curl can send a proof but not make one.
async fn try_it(State(provider): State<Provider>) -> String {
    let client = TestClient::new();
    let url = format!("{}/resource", provider.api_url);
    let token = provider
        .issuer
        .token()
        .subject("alice")
        .bound_to(&client)
        .mint();
    let proof = client.proof("GET", &url).access_token(&token).sign();
    format!("curl -si {url} \\\n  -H 'Authorization: DPoP {token}' \\\n  -H 'DPoP: {proof}'\n")
}
