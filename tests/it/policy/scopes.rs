//! `RequireScopeLayer`, the layer for inner routes.

use axum::{
    Router,
    body::Body,
    routing::{get, post},
};
use dpop_tower::{
    ConfigErrorKind, DpopLayer, Policy, Report, RequireScopeLayer,
    nonce::{NonceSecret, StatelessNonces},
    rejection::{ProblemDetails, Rejection},
};
use http::{Extensions, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;

use crate::{
    each_way_of_the_layer,
    rejection::challenge::Challenge,
    support::{Api, URL, Verdict, Way, invalid_token},
};

each_way_of_the_layer!(
    a_route_can_ask_for_a_scope_on_top_of_what_the_layer_asks_for,
    a_bearer_token_that_the_layer_lets_in_needs_the_scope_too,
    a_grpc_client_reads_permission_denied,
);

const MISSING: Verdict = Verdict::Rejected {
    status: 403,
    error: "insufficient_scope",
    reason: "policy_scope_missing",
};

/// `GET` for every valid token, `POST` for those with the scope.
fn router(layer: DpopLayer, scope: RequireScopeLayer) -> Router {
    let orders = post(|| async { "placed" }).route_layer(scope);
    Router::new()
        .route("/orders", orders.get(|| async { "listed" }))
        .layer(layer)
}

fn layer(api: &Api) -> DpopLayer {
    DpopLayer::new(api.config().build().unwrap())
}

async fn respond(api: &Api, router: &Router, method: http::Method, token: &str) -> Response<Body> {
    let request = api.client.request(method, URL, token);
    api.way.send(router.clone(), request).await
}

async fn a_route_can_ask_for_a_scope_on_top_of_what_the_layer_asks_for(way: Way) {
    let api = way.api();
    let one = || RequireScopeLayer::new("orders:write").unwrap();
    let any = || RequireScopeLayer::any(["a", "b"]).unwrap();
    let both = || one().and("admin").unwrap();
    let (get, post) = (http::Method::GET, http::Method::POST);
    for (scope, granted, method, expected) in [
        (one(), "orders:write", &post, Verdict::Admitted),
        (one(), "a orders:write", &post, Verdict::Admitted),
        (one(), "orders:writer", &post, MISSING),
        (one(), "", &post, MISSING),
        (one(), "", &get, Verdict::Admitted),
        (any(), "b", &post, Verdict::Admitted),
        (any(), "c", &post, MISSING),
        (both(), "orders:write", &post, MISSING),
        (both(), "admin orders:write", &post, Verdict::Admitted),
    ] {
        let router = router(layer(&api), scope.clone());
        let token = api.token().scope(granted).mint();
        let response = respond(&api, &router, method.clone(), &token).await;
        assert_eq!(Verdict::of(response), expected, "{scope:?}: {granted}");
    }

    // The client learns everything that it needs.
    let policy = Policy::strict().require_scope("orders").build().unwrap();
    let router = router(layer(&api).with_policy(policy), both());
    let token = api.token().scope("orders").mint();
    let response = respond(&api, &router, post, &token).await;
    let challenges = Challenge::all(response.headers());
    let scope = challenges[0].get("scope");
    assert_eq!(scope, Some("orders orders:write admin"));
}

async fn a_bearer_token_that_the_layer_lets_in_needs_the_scope_too(way: Way) {
    let api = way.api();
    let layer = layer(&api).with_policy(Policy::optional());
    let router = router(layer, RequireScopeLayer::new("orders:write").unwrap());
    for (granted, expected) in [("orders:write", Verdict::Admitted), ("orders", MISSING)] {
        let token = api.issuer.token().scope(granted).mint();
        let request = Request::post("/orders")
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(())
            .unwrap();
        let response = api.way.send(router.clone(), request).await;
        if expected == MISSING {
            let challenges = Challenge::all(response.headers());
            assert_eq!(challenges[1].scheme, "Bearer");
            assert_eq!(challenges[1].get("error"), Some("insufficient_scope"));
            assert_eq!(challenges[1].get("scope"), Some("orders:write"));
        } else {
            assert_eq!(Verdict::of(response), expected);
        }
    }
}

async fn a_grpc_client_reads_permission_denied(way: Way) {
    let api = way.api();
    let router = router(layer(&api), RequireScopeLayer::new("orders:write").unwrap());
    let mut request = api
        .client
        .request(http::Method::POST, URL, &api.token().mint());
    let content_type = "application/grpc".parse().unwrap();
    request
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    let response = api.way.send(router, request).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["grpc-status"], "7");
}

#[tokio::test]
async fn the_client_gets_a_nonce_where_the_layer_wants_one() {
    let api = Api::new();
    let secret = NonceSecret::new([3; 32]).unwrap();
    let config = api
        .config()
        .nonce_source(StatelessNonces::new(secret))
        .require_nonces()
        .build();
    let router = router(
        DpopLayer::new(config.unwrap()),
        RequireScopeLayer::new("admin").unwrap(),
    );
    let token = api.token().mint();
    let rejected = respond(&api, &router, http::Method::POST, &token).await;
    let nonce = rejected.headers()["dpop-nonce"].to_str().unwrap();
    let proof = api.client.proof("POST", URL).access_token(&token);
    let proof = proof.nonce(nonce).sign();
    let request = api
        .client
        .request_with_proof(http::Method::POST, URL, &token, &proof);
    let rejected = api.way.send(router, request).await;
    assert_eq!(rejected.headers()["dpop-nonce"], nonce);
    assert_eq!(Verdict::of(rejected), MISSING);
}

#[tokio::test]
async fn a_layer_that_looks_at_nothing_is_no_substitute_for_a_token() {
    let api = Api::new();
    let layer = layer(&api).with_policy(Policy::off());
    let router = router(layer, RequireScopeLayer::new("orders:write").unwrap());
    let token = api.token().scope("orders:write").mint();
    let response = respond(&api, &router, http::Method::POST, &token).await;
    assert_eq!(
        Verdict::of(response),
        invalid_token("token_scheme_not_accepted")
    );
}

#[tokio::test]
async fn without_a_layer_it_is_an_error_of_the_server() {
    let api = Api::new();
    let router: Router = Router::new().route(
        "/orders",
        post(|| async { "placed" }).route_layer(RequireScopeLayer::new("orders:write").unwrap()),
    );
    let token = api.token().scope("orders:write").mint();
    let response = respond(&api, &router, http::Method::POST, &token).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!response.headers().contains_key(header::WWW_AUTHENTICATE));
}

#[tokio::test]
async fn where_the_layer_only_reports_so_does_the_scope() {
    async fn reason(extensions: Extensions) -> &'static str {
        let report = extensions.get::<Report>().unwrap();
        report.rejection().map_or("none", Rejection::reason)
    }
    let api = Api::new();
    let router = Router::new()
        .route(
            "/orders",
            get(reason).route_layer(RequireScopeLayer::new("admin").unwrap()),
        )
        .layer(layer(&api).with_policy(Policy::report_only()));
    let with = |scope: &str| api.client.get(URL, &api.token().scope(scope).mint());
    let nothing = Request::get(URL).body(()).unwrap();
    for (request, expected) in [
        (with("admin"), "none"),
        (with("user"), "policy_scope_missing"),
        // The operator wants to know the first reason.
        (nothing, "credentials_missing"),
    ] {
        let response = api.way.send(router.clone(), request).await;
        assert_eq!(response.status(), StatusCode::OK);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, expected);
    }
}

#[tokio::test]
async fn the_answer_can_have_a_body() {
    let api = Api::new();
    let scope = RequireScopeLayer::new("admin")
        .unwrap()
        .with_rejection_response(ProblemDetails);
    let router = Router::new()
        .route("/orders", post(|| async {}).route_layer(scope))
        .layer(layer(&api));
    let token = api.token().mint();
    let response = respond(&api, &router, http::Method::POST, &token).await;
    assert_eq!(
        response.headers()[header::CONTENT_TYPE],
        "application/problem+json"
    );
    assert_eq!(Verdict::of(response), MISSING);
}

#[test]
fn what_is_no_scope_is_named_when_the_layer_is_made() {
    for (made, told) in [
        (RequireScopeLayer::new("a b"), "\"a b\""),
        (RequireScopeLayer::new(""), "\"\""),
        (RequireScopeLayer::any([""; 0]), "no scopes"),
        (RequireScopeLayer::any(["a", "b\n"]), "\"b\\n\""),
        (RequireScopeLayer::new("a").unwrap().and("\""), "\"\\\"\""),
    ] {
        let error = made.unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::Policy);
        assert!(error.to_string().contains(told), "{error}");
    }
}
