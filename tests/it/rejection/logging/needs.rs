//! Each rejection is one line in the log, which says what the operator has to change.

use std::convert::Infallible;

use axum::{Router, body::Body, routing};
use dpop_tower::{
    BearerToken, BoundToken, DpopConfig, DpopLayer, Policy, PolicyTable, PublicOrigin,
    RequireScopeLayer,
    grpc::RequestExt as _,
    nonce::{NonceSecret, StatelessNonces},
    test_util::TestIssuer,
};
use http::{Method, Request, Response, header};
use tower::{Layer as _, ServiceExt as _, service_fn};

use super::Log;
use crate::support::{Api, ORIGIN, URL, send};

async fn hello() -> &'static str {
    "hello"
}

fn orders(layer: DpopLayer) -> Router {
    Router::new()
        .route("/orders", routing::get(hello).post(hello))
        .layer(layer)
}

fn layer(api: &Api) -> DpopLayer {
    DpopLayer::new(api.config().build().unwrap())
}

fn assert_told(line: &str, what: &[&str]) {
    for text in what {
        assert!(line.contains(text), "{text:?} is missing: {line}");
    }
}

#[tokio::test]
async fn a_policy_that_is_not_met_is_told_with_all_that_it_asks_for_and_its_route() {
    let (log, api) = (Log::listen(), Api::new());
    let table = PolicyTable::builder()
        .route(
            "/orders",
            Policy::strict()
                .require_any_scope(["read", "write"])
                .require_acr(["mfa"]),
        )
        .route(
            "/{name}",
            Policy::strict().require_claim("tier", |tier| tier == "gold"),
        )
        .otherwise(Policy::deny())
        .build()
        .unwrap();
    let router = orders(layer(&api).with_policy(table));
    let get = |path: &str, scope: &str| {
        let token = api.token().scope(scope).mint();
        api.client.get(&format!("{ORIGIN}{path}"), &token)
    };
    let policy = "policy=strict, any scope of read write, acr mfa";
    for (path, scope, told) in [
        (
            "/orders",
            "none",
            ["policy_scope_missing", policy, "route=\"/orders\""],
        ),
        (
            "/orders",
            "read",
            ["policy_acr_insufficient", policy, "route=\"/orders\""],
        ),
        (
            "/tier",
            "read",
            [
                "policy_claim_insufficient",
                "claim tier",
                "route=\"/{name}\"",
            ],
        ),
        (
            "/a/b",
            "read",
            ["policy_denied", "policy=deny", "route=\"not listed\""],
        ),
        (
            "/orders/",
            "none",
            [
                "policy_denied",
                "policy=deny",
                "route=\"/orders and not listed\"",
            ],
        ),
    ] {
        send(router.clone(), get(path, scope)).await;
        let line = log.line();
        assert_told(&line, &["INFO", "rejected request"]);
        assert_told(&line, &told);
    }
    send(router, get("/a/../orders", "read")).await;
    assert_told(&log.line(), &["path_malformed", "dot segment"]);
}

#[tokio::test]
async fn a_scope_that_a_layer_inside_wants_is_told_with_those_of_the_layer_around_it() {
    let (log, api) = (Log::listen(), Api::new());
    let policy = Policy::strict().require_scope("orders").build().unwrap();
    let router = Router::new()
        .route("/orders", routing::get(hello))
        .layer(RequireScopeLayer::new("admin").unwrap())
        .layer(layer(&api).with_policy(policy));
    let token = api.token().scope("orders").mint();
    send(router, api.client.get(URL, &token)).await;
    assert_told(
        &log.line(),
        &["policy_scope_missing", "scope orders, scope admin"],
    );
}

#[tokio::test]
async fn an_issuer_or_audience_that_differs_is_told_with_what_is_configured() {
    let (log, api) = (Log::listen(), Api::new());
    let issuer = "the configured issuer is https://issuer.test";
    let audience = "the configured audience is https://api.test";
    let slash = "differs by a trailing slash";
    for (claim, value, told, is_slip) in [
        ("iss", "https://issuer.test/", issuer, true),
        ("iss", "https://issuer.example", issuer, false),
        ("iss", "https://issuer.test/realm", issuer, false),
        ("aud", "https://api.test/", audience, true),
        ("aud", "api", audience, false),
    ] {
        let token = api.token().claim(claim, value).mint();
        let proof = api.proof(&token).sign();
        api.get(&token, &proof).await;
        let line = log.line();
        assert_told(&line, &[told]);
        assert_eq!(line.contains(slash), is_slip, "{line}");
    }
    let token = api
        .token()
        .claim("aud", serde_json::json!(["x", "https://api.test//"]))
        .mint();
    let proof = api.proof(&token).sign();
    api.get(&token, &proof).await;
    assert_told(&log.line(), &[audience, slash]);
}

#[tokio::test]
async fn a_typ_that_a_setting_accepts_is_told_with_the_setting() {
    let (log, api) = (Log::listen(), Api::new());
    for (token, is_told) in [
        (api.token().header("typ", "JWT"), true),
        (api.token().header("typ", "application/jwt"), true),
        (api.token().without_header("typ"), true),
        (api.token().header("typ", "dpop+jwt"), false),
        (api.token().header("typ", 7), false),
    ] {
        let token = token.mint();
        let proof = api.proof(&token).sign();
        api.get(&token, &proof).await;
        let line = log.line();
        assert_told(&line, &["token_typ_invalid"]);
        assert_eq!(line.contains("danger_accept_typ_jwt"), is_told, "{line}");
    }
}

#[tokio::test]
async fn the_setting_for_a_type_is_told_and_nothing_of_the_token() {
    let log = Log::listen();
    let marked = |tokens: dpop_tower::Issuer| tokens.accept_typ_jwt_if("token_use", ["access"]);
    let (plain, marked) = (Api::new(), Api::with(marked, |config| config));
    for (api, typ, told) in [
        (&plain, "JWT", "`accept_typ_jwt_if` of its issuer"),
        (&plain, "x-secret-at+jwt", "`accept_typ` of its issuer"),
        (&marked, "x-secret-at+jwt", "`accept_typ` of its issuer"),
        (&marked, "JWT", "its claim `token_use` does not say"),
    ] {
        let token = api.token().header("typ", typ);
        let token = token.claim("token_use", "a-secret").mint();
        let proof = api.proof(&token).sign();
        api.get(&token, &proof).await;
        let line = log.line();
        assert_told(&line, &["token_typ_invalid", told]);
        assert!(!line.contains("secret"), "{line}");
    }
    for typ in ["logout+jwt", "text/plain", ""] {
        let token = plain.token().header("typ", typ).mint();
        let proof = plain.proof(&token).sign();
        plain.get(&token, &proof).await;
        let line = log.line();
        assert!(!line.contains("accept_typ"), "{typ}: {line}");
    }
}

#[tokio::test]
async fn a_missing_claim_is_named_wherever_it_is_missed() {
    #[derive(serde::Deserialize)]
    struct Claims {
        #[expect(dead_code, reason = "no token has it")]
        tenant: u32,
    }
    let (log, api) = (Log::listen(), Api::new());
    let token = api.token().without_claim("aud").mint();
    let proof = api.proof(&token).sign();
    api.get(&token, &proof).await;
    assert_told(&log.line(), &["token_missing_claim", "aud"]);

    let router = Router::new()
        .route(
            "/orders",
            routing::get(async |_: BoundToken<Claims>| "typed"),
        )
        .layer(layer(&api));
    send(router.clone(), api.client.get(URL, &api.token().mint())).await;
    assert_told(
        &log.line(),
        &["token_invalid_claim", "Claims needs the claim `tenant`"],
    );
    let wrong = api.token().claim("tenant", "secret-of-the-caller").mint();
    send(router, api.client.get(URL, &wrong)).await;
    let line = log.line();
    assert_told(&line, &["token_invalid_claim", "does not fit", "Claims"]);
    assert!(!line.contains("secret-of-the-caller"), "{line}");
}

#[tokio::test]
async fn what_a_handler_rejects_is_one_line_and_has_its_reason_in_the_response() {
    let (log, api) = (Log::listen(), Api::new());
    let router = Router::new()
        .route("/orders", routing::get(async |_: BoundToken| "bound"))
        .route("/bearer", routing::get(async |_: BearerToken| "bearer"))
        .layer(layer(&api).with_policy(Policy::optional()));
    let bearer = format!("Bearer {}", api.issuer.token().mint());
    let request = Request::get("/orders").header(header::AUTHORIZATION, bearer);
    let response = send(router.clone(), request.body(()).unwrap()).await;
    assert_eq!(response.status(), 401);
    assert_told(
        &log.line(),
        &["INFO", "rejected request", "token_scheme_not_accepted"],
    );
    let rejection = response
        .extensions()
        .get::<dpop_tower::rejection::Rejection>();
    assert_eq!(rejection.unwrap().reason(), "token_scheme_not_accepted");

    let bound = api
        .client
        .get(&format!("{ORIGIN}/bearer"), &api.token().mint());
    let response = send(router, bound).await;
    assert_eq!(response.status(), 401);
    assert_told(
        &log.line(),
        &["INFO", "rejected request", "token_unbound_needed"],
    );
    assert!(
        response
            .extensions()
            .get::<dpop_tower::rejection::Rejection>()
            .is_some()
    );
}

#[tokio::test]
async fn what_a_method_of_a_service_rejects_is_one_line() {
    let (log, api) = (Log::listen(), Api::new());
    let method = service_fn(async |request: Request<()>| {
        let status = tonic::Request::from_http(request)
            .bound_token()
            .unwrap_err();
        assert_eq!(status.code(), tonic::Code::Unauthenticated);
        Ok::<_, Infallible>(Response::new(Body::empty()))
    });
    let service = layer(&api).with_policy(Policy::optional()).layer(method);
    let bearer = format!("Bearer {}", api.issuer.token().mint());
    let request = Request::post("/pkg.Service/Method").header(header::AUTHORIZATION, bearer);
    service.oneshot(request.body(()).unwrap()).await.unwrap();
    assert_told(
        &log.line(),
        &["INFO", "rejected request", "token_scheme_not_accepted"],
    );
}

#[tokio::test]
async fn a_preflight_without_a_token_is_told_apart_from_other_requests_without_one() {
    let (log, api) = (Log::listen(), Api::new());
    let router = orders(layer(&api));
    let options = || Request::options("/orders").header("origin", "https://app.test");
    let preflight = options().header("access-control-request-method", "POST");
    send(router.clone(), preflight.body(()).unwrap()).await;
    let hint = "the CORS layer has to be outside of the DpopLayer";
    assert_told(&log.line(), &["INFO", "credentials_missing", hint]);
    send(router.clone(), options().body(()).unwrap()).await;
    let line = log.line();
    assert_told(
        &line,
        &["DEBUG", "challenged request", "credentials_missing"],
    );
    assert!(!line.contains("CORS"), "{line}");
    // A method that only looks like one.
    let get = Request::get("/orders").header("access-control-request-method", "POST");
    send(router, get.body(()).unwrap()).await;
    assert!(!log.line().contains("CORS"));
}

#[tokio::test]
async fn the_htu_of_a_websocket_is_told_to_be_https() {
    let (log, api) = (Log::listen(), Api::new());
    for (scheme, is_told) in [("wss", true), ("WS", true), ("ftp", false)] {
        let token = api.token().mint();
        let htu = format!("{scheme}://api.test/orders");
        let proof = api.client.proof("GET", &htu).access_token(&token).sign();
        api.get(&token, &proof).await;
        let line = log.line();
        assert_told(&line, &["proof_htu_invalid"]);
        assert_eq!(
            line.contains("htu of a websocket is the https uri"),
            is_told,
            "{line}"
        );
    }
}

/// Each layer provides a nonce that the other does not know, so a client is challenged forever.
#[tokio::test]
async fn two_configurations_with_nonces_of_their_own_are_a_warning() {
    let (log, api) = (Log::listen(), Api::new());
    let nonces = |secret| StatelessNonces::new(NonceSecret::new([secret; 32]).unwrap());
    let with = |secret| {
        DpopLayer::new(
            api.config()
                .nonce_source(nonces(secret))
                .require_nonces()
                .build()
                .unwrap(),
        )
    };
    for (outer, inner, is_warned) in [(1, 2, true), (1, 1, false)] {
        let router = orders(with(inner)).layer(with(outer));
        let token = api.token().mint();
        let request = |nonce: Option<&str>| {
            let proof = api.proof(&token);
            let proof = nonce
                .map_or(proof.clone(), |nonce| proof.nonce(nonce))
                .sign();
            api.client
                .request_with_proof(Method::GET, URL, &token, &proof)
        };
        let challenge = send(router.clone(), request(None)).await;
        assert_told(&log.line(), &["DEBUG", "proof_nonce_missing"]);
        let nonce = challenge.headers()["dpop-nonce"].to_str().unwrap();
        let response = send(router, request(Some(nonce))).await;
        let lines = log.take();
        assert_eq!(response.status() == 401, is_warned, "{lines:?}");
        if is_warned {
            assert_eq!(lines.len(), 1, "{lines:?}");
            assert_told(
                &lines[0],
                &["WARN", "proof_nonce_unknown", "one source of nonces"],
            );
        }
    }
}

/// One layer takes the proof that another has used for a replay: either two configurations share a
/// store, or a layer of another configuration is between two of the same.
#[tokio::test]
async fn a_replay_that_comes_of_two_configurations_is_a_warning() {
    let (log, api) = (Log::listen(), Api::new());
    let store = std::sync::Arc::new(crate::stores::CountingStore::default());
    let sharing = || {
        let config = api.config().replay_store(std::sync::Arc::clone(&store));
        DpopLayer::new(config.build().unwrap())
    };
    let shared = orders(sharing()).layer(sharing());
    let around = layer(&api);
    let between = orders(around.clone()).layer(layer(&api)).layer(around);
    for router in [shared, between] {
        let request = api.client.get(URL, &api.token().mint());
        assert_eq!(send(router, request).await.status(), 401);
        let hint = "an outer layer of another configuration has accepted this proof";
        assert_told(&log.line(), &["WARN", "proof_replayed", hint]);
    }
    // A client that sends a proof twice is no reason for a warning.
    let router = orders(layer(&api));
    let request = api.client.get(URL, &api.token().mint());
    send(router.clone(), request.clone()).await;
    send(router, request).await;
    assert_told(&log.line(), &["INFO", "proof_replayed"]);
}

#[tokio::test]
async fn a_report_has_what_a_rejection_has() {
    let (log, api) = (Log::listen(), Api::new());
    let table = PolicyTable::builder()
        .route("/orders", Policy::report_only().require_scope("read"))
        .build()
        .unwrap();
    let router = orders(layer(&api).with_policy(table));
    send(
        router.clone(),
        api.client.get(URL, &api.token().scope("x").mint()),
    )
    .await;
    let told = [
        "INFO",
        "would reject request",
        "report_only, scope read",
        "route=\"/orders\"",
    ];
    assert_told(&log.line(), &told);
    let preflight = Request::options("/orders").header("access-control-request-method", "PUT");
    send(router, preflight.body(()).unwrap()).await;
    assert_told(&log.line(), &["would reject request", "CORS layer"]);
}

/// Names from the caller do not reach the log.
#[tokio::test]
async fn what_is_told_is_what_is_configured_and_not_what_the_caller_wrote() {
    let (log, api) = (Log::listen(), Api::new());
    let other = TestIssuer::new().issuer("https://secret-of-the-caller.test");
    let origin = PublicOrigin::new(ORIGIN).unwrap();
    let router = orders(DpopLayer::new(
        DpopConfig::builder(origin, api.issuer.tokens())
            .build()
            .unwrap(),
    ));
    let token = other
        .token()
        .bound_to(&api.client)
        .claim("aud", "secret-of-the-caller")
        .mint();
    send(router, api.client.get(URL, &token)).await;
    let line = log.line();
    assert!(!line.contains("secret-of-the-caller"), "{line}");
}
