//! What a rejected client is told, and requirements that a handler adds.

use axum::{Router, routing::get};
use dpop_tower::{
    BoundToken, DpopLayer, Policy, PolicyTable, extract::Scopes, rejection::ProblemDetails,
};
use http::{HeaderValue, Method, Request, header};
use serde_json::{Value, json};

use super::{bearer, hello};
use crate::{
    challenge::Challenge,
    support::{ORIGIN, URL, Way},
};

pub(super) async fn a_scope_that_is_missing_is_permission_denied_in_grpc(way: Way) {
    let api = way.api();
    let table = PolicyTable::builder()
        .route(
            "/shop.Orders/{*method}",
            Policy::strict().require_scope("read"),
        )
        .route("/grpc.health.v1.Health/{*method}", Policy::off())
        .build()
        .unwrap();
    let handlers = Router::new().fallback(hello);
    let router = way.protect_by(api.config().build().unwrap(), table, handlers);
    let call = |path: &str, granted: &str| {
        let token = api.token().scope(granted).mint();
        let uri = format!("{ORIGIN}{path}");
        let mut request = api.client.request(Method::POST, &uri, &token);
        let value = HeaderValue::from_static("application/grpc");
        request.headers_mut().insert(header::CONTENT_TYPE, value);
        request
    };
    let response = way
        .send(router.clone(), call("/shop.Orders/List", "write"))
        .await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["grpc-status"], "7");
    let challenges = Challenge::all(response.headers());
    assert_eq!(challenges[0].get("error"), Some("insufficient_scope"));
    assert_eq!(challenges[0].get("scope"), Some("read"));
    let response = way
        .send(router.clone(), call("/shop.Orders/List", "read"))
        .await;
    assert!(!response.headers().contains_key("grpc-status"));
    let mut open = Request::post("/grpc.health.v1.Health/Check")
        .body(())
        .unwrap();
    let value = HeaderValue::from_static("application/grpc");
    open.headers_mut().insert(header::CONTENT_TYPE, value);
    let response = way.send(router, open).await;
    assert!(!response.headers().contains_key("grpc-status"));
}

pub(super) async fn handlers_can_ask_for_the_scopes_and_the_key_alone(way: Way) {
    async fn scopes(scopes: Scopes) -> String {
        let known = scopes.contains("b") && !scopes.contains("c");
        format!("{scopes:?} {known}")
    }
    async fn key(token: BoundToken) -> String {
        token.thumbprint().to_string()
    }
    async fn optional_key(token: Option<BoundToken>) -> &'static str {
        token.map_or("none", |_| "some")
    }
    let api = way.api();
    let layer = DpopLayer::new(api.config().policy(Policy::optional()).build().unwrap());
    let router = Router::new()
        .route("/scopes", get(scopes))
        .route("/key", get(key))
        .route("/optional", get(optional_key))
        .layer(layer);
    let bound = api.token().scope("a b").mint();
    let open = api.issuer.token().scope("a b").mint();
    let thumbprint = api.client.thumbprint().to_string();
    for (path, of_bound, of_open) in [
        (
            "/scopes",
            "[\"a\", \"b\"] true",
            Some("[\"a\", \"b\"] true"),
        ),
        ("/key", &thumbprint, None),
        ("/optional", "some", Some("none")),
    ] {
        let mut open = bearer(&open);
        *open.uri_mut() = path.parse().unwrap();
        let bound = api.client.get(&format!("{ORIGIN}{path}"), &bound);
        for (request, expected) in [(bound, Some(of_bound)), (open, of_open)] {
            let response = way.send(router.clone(), request).await;
            let status = response.status();
            let body = axum::body::to_bytes(response.into_body(), 100)
                .await
                .unwrap();
            assert_eq!(status, if expected.is_some() { 200 } else { 401 }, "{path}");
            assert_eq!(&body[..], expected.unwrap_or_default().as_bytes(), "{path}");
        }
    }
    let bare = Router::new()
        .route("/scopes", get(scopes))
        .route("/key", get(key));
    for path in ["/scopes", "/key"] {
        let request = Request::get(path).body(()).unwrap();
        assert_eq!(way.send(bare.clone(), request).await.status(), 500);
    }
}

pub(super) async fn rfc_9457_a_rejection_can_have_problem_details(way: Way) {
    let api = way.api();
    let layer = DpopLayer::new(api.config().build().unwrap())
        .with_policy(Policy::strict().require_scope("b").build().unwrap())
        .with_rejection_response(ProblemDetails);
    let router = Router::new().route("/orders", get(hello)).layer(layer);
    let token = api.token().scope("a").mint();
    let nothing = Request::get("/orders").body(()).unwrap();
    for (request, expected) in [
        (
            api.client.get(URL, &token),
            json!({
                "status": 403,
                "title": "Forbidden",
                "detail": "the token lacks a scope",
                "error": "insufficient_scope",
                "reason": "policy_scope_missing",
            }),
        ),
        (
            nothing,
            json!({
                "status": 401,
                "title": "Unauthorized",
                "detail": "no access token was sent",
                "reason": "credentials_missing",
            }),
        ),
    ] {
        let response = way.send(router.clone(), request).await;
        assert_eq!(json!(response.status().as_u16()), expected["status"]);
        let media_type = &response.headers()[header::CONTENT_TYPE];
        assert_eq!(media_type, "application/problem+json");
        assert!(!Challenge::all(response.headers()).is_empty());
        let body = axum::body::to_bytes(response.into_body(), 1000)
            .await
            .unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body, expected);
    }
}
