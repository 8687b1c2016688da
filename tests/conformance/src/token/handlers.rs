//! What a handler and the operator can see of a token.

use axum::{
    Router,
    body::to_bytes,
    routing::{MethodRouter, get},
};
use dpop_tower::{BoundToken, DpopConfig, DpopLayer, PublicOrigin};
use http::Method;
use serde_json::{Value, json};

use super::ISSUER;
use crate::support::{Api, ORIGIN, URL, Way, Why};

/// Serves the resource of [`Api`] with a handler of the test's own.
fn protected(api: &Api, handler: MethodRouter) -> Router {
    let config = DpopConfig::builder(PublicOrigin::new(ORIGIN).unwrap(), api.issuer.tokens())
        .clock(api.clock.clone())
        .build()
        .unwrap();
    Router::new()
        .route("/orders", handler)
        .layer(DpopLayer::new(config))
}

pub(super) async fn a_handler_sees_the_scopes_of_the_token(way: Way) {
    async fn scopes(token: BoundToken) -> String {
        let scopes: Vec<_> = token.scopes().collect();
        assert!(scopes.iter().all(|scope| token.has_scope(scope)));
        for not_granted in ["", " ", "orders", "orders:rea", "ORDERS:READ", "a b"] {
            assert!(!token.has_scope(not_granted), "{not_granted:?}");
        }
        assert_eq!(token.claims().scopes().collect::<Vec<_>>(), scopes);
        scopes.join("|")
    }
    let api = way.api();
    let router = protected(&api, get(scopes));
    for (scope, expected) in [
        (None, ""),
        (Some(""), ""),
        (Some(" "), ""),
        (Some("orders:read"), "orders:read"),
        (Some("orders:read orders:write"), "orders:read|orders:write"),
        (Some("  orders:read   a  "), "orders:read|a"),
        (Some("a\tb"), "a\tb"),
        (Some("a,b"), "a,b"),
    ] {
        let token = match scope {
            None => api.token(),
            Some(scope) => api.token().scope(scope),
        };
        let request = api.client.get(URL, &token.mint());
        let response = way.send(router.clone(), request).await;
        let body = to_bytes(response.into_body(), 100).await.unwrap();
        assert_eq!(body, expected.as_bytes(), "{scope:?}");
    }
}

pub(super) async fn a_handler_sees_what_the_token_says(way: Way) {
    async fn claims(token: BoundToken) -> String {
        let claims = token.claims();
        json!([
            token.issuer(),
            claims.subject(),
            claims.client_id(),
            token.expires_at().as_secs(),
            token.thumbprint().to_string(),
            claims.get("z"),
            claims.get("nothing"),
        ])
        .to_string()
    }
    let api = way.api();
    let router = protected(&api, get(claims));
    let token = api.token().claim("z", json!({"y": [1, null]})).mint();
    // The second time, the verdict comes from the cache.
    for _ in 0..2 {
        let response = way.send(router.clone(), api.client.get(URL, &token)).await;
        let body = to_bytes(response.into_body(), 1000).await.unwrap();
        assert_eq!(
            serde_json::from_slice::<Value>(&body).unwrap(),
            json!([
                ISSUER,
                "alice",
                "test-client",
                api.now() + 300,
                api.client.thumbprint().to_string(),
                {"y": [1, null]},
                null,
            ])
        );
    }
}

pub(super) async fn the_reason_says_which_claim_it_is_and_nothing_of_the_token(way: Way) {
    let api = way.api();
    for (token, expected) in [
        (
            api.token().claim("nbf", "secret").mint(),
            "a claim of the token is invalid: nbf",
        ),
        (
            api.token().without_claim("aud").mint(),
            "a required claim of the token is missing: aud",
        ),
        (
            api.token().claim("iss", "secret").mint(),
            "the token is of another issuer: the configured issuer is https://issuer.test",
        ),
    ] {
        let request =
            api.client
                .request_with_proof(Method::GET, URL, &token, &api.proof(&token).sign());
        let response = api.response(request).await;
        assert_eq!(Why::of(&response).unwrap().detail, expected);
    }
}
