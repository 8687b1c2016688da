use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Json, Router, extract::State, routing::get};
use dpop_tower::{
    BoundToken, ConfigErrorKind, DpopConfig, DpopLayer, Issuer, Policy, PolicyTable, PublicOrigin,
    crypto::Algorithm,
    test_util::{KeyKind, TestIssuer},
};
use http::Request;
use serde_json::{Value, json};

use super::{Api, issuer};
use crate::{
    rejection::logging::Log,
    support::{ORIGIN, Verdict, Why, invalid_token, send},
};

const OTHER_ISSUER: Verdict = invalid_token("token_issuer_mismatch");
const WRONG_SIGNATURE: Verdict = invalid_token("token_signature_invalid");

#[tokio::test]
async fn tokens_of_every_configured_issuer_are_admitted_and_of_no_other() {
    let [a, b, c] = ["https://a.test", "https://b.test", "https://c.test"].map(issuer);
    let api = Api::new([a.tokens(), b.tokens()]);
    for _ in 0..2 {
        // The second time by the cached verdict.
        assert_eq!(api.present(&api.token(&a)).await, Verdict::Admitted);
        assert_eq!(api.present(&api.token(&b)).await, Verdict::Admitted);
        assert_eq!(api.present(&api.token(&c)).await, OTHER_ISSUER);
    }
    // The only difference is in one character, or in case.
    for name in ["https://a.test/", "https://A.test", "https://a.tes", ""] {
        let token = api.token(&a.clone().issuer(name));
        assert_eq!(api.present(&token).await, OTHER_ISSUER, "{name}");
    }
}

/// Everything is verified for the issuer that the token names: another one's key does not help.
#[tokio::test]
async fn no_issuer_can_sign_a_token_of_another() {
    let (a, b) = (issuer("https://a.test"), issuer("https://b.test"));
    let api = Api::new([a.tokens(), b.tokens()]);
    let by_b = |token: dpop_tower::test_util::TokenBuilder| {
        let token = token.bound_to(&api.client);
        token.signed_by(&b).mint()
    };
    // With the kid of `a`'s key, and with none.
    assert_eq!(api.present(&by_b(a.token())).await, WRONG_SIGNATURE);
    let token = a.token().bound_to(&api.client).without_header("kid");
    assert_eq!(
        api.present(&token.signed_by(&b).mint()).await,
        WRONG_SIGNATURE
    );
    assert_eq!(api.present(&by_b(b.token())).await, Verdict::Admitted);
}

#[tokio::test]
async fn each_issuer_has_its_own_audiences_algorithms_and_types() {
    let a = issuer("https://a.test").audience("urn:a");
    let b = TestIssuer::with_key(KeyKind::Ed25519)
        .clock(super::clock())
        .issuer("https://b.test")
        .audience("urn:b");
    let api = Api::new([
        a.tokens().algorithms([Algorithm::Es256]),
        b.tokens()
            .algorithms([Algorithm::EdDsa, Algorithm::Ed25519])
            .danger_accept_typ_jwt()
            .scope_claim("scp"),
    ]);
    let present = async |issuer: &TestIssuer, aud: &str, typ: &str| {
        let token = issuer.token().bound_to(&api.client).claim("aud", aud);
        api.present(&token.header("typ", typ).mint()).await
    };
    let audience = invalid_token("token_audience_mismatch");
    assert_eq!(present(&a, "urn:a", "at+jwt").await, Verdict::Admitted);
    assert_eq!(present(&b, "urn:b", "JWT").await, Verdict::Admitted);
    assert_eq!(present(&a, "urn:b", "at+jwt").await, audience);
    assert_eq!(present(&b, "urn:a", "at+jwt").await, audience);
    let typ = invalid_token("token_typ_invalid");
    assert_eq!(present(&a, "urn:a", "JWT").await, typ);
    // A key of the other's kind, with the name of the one.
    let foreign = b.clone().issuer("https://a.test").audience("urn:a");
    let alg = invalid_token("token_alg_not_allowed");
    assert_eq!(present(&foreign, "urn:a", "at+jwt").await, alg);
}

#[tokio::test]
async fn a_token_needs_an_iss_that_is_text() {
    let (a, b) = (issuer("https://a.test"), issuer("https://b.test"));
    let api = Api::new(vec![a.tokens(), b.tokens()]);
    let token = || a.token().bound_to(&api.client);
    let missing = invalid_token("token_missing_claim");
    assert_eq!(
        api.present(&token().without_claim("iss").mint()).await,
        missing
    );
    for iss in [json!(7), json!(null), json!(["https://a.test"]), json!({})] {
        let token = token().claim("iss", iss.clone()).mint();
        let invalid = invalid_token("token_invalid_claim");
        assert_eq!(api.present(&token).await, invalid, "{iss}");
    }
}

/// An issuer's server that counts what it is asked.
async fn server(issuers: &[&TestIssuer]) -> (String, Arc<AtomicUsize>) {
    let keys: Vec<Value> = (issuers.iter())
        .map(|issuer| serde_json::from_str::<Value>(&issuer.jwks()).unwrap()["keys"][0].clone())
        .collect();
    let hits = Arc::new(AtomicUsize::new(0));
    let count = async move |State(hits): State<Arc<AtomicUsize>>| {
        hits.fetch_add(1, Ordering::SeqCst);
        Json(json!({ "keys": keys }))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/jwks", listener.local_addr().unwrap());
    let router = Router::new()
        .route("/jwks", get(count))
        .with_state(Arc::clone(&hits));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, hits)
}

#[tokio::test]
async fn ten_thousand_random_issuers_cause_no_fetch() {
    let (a, b) = (issuer("https://a.test"), issuer("https://b.test"));
    let (url, hits) = server(&[&a, &b]).await;
    let remote = |name: &str| {
        Issuer::new(name)
            .jwks_url(url.as_str())
            .audience(ORIGIN)
            .danger_allow_plain_http()
    };
    let tokens = [remote("https://a.test"), remote("https://b.test")];
    let api = Api::with(tokens, |config| config.policy(Policy::optional()));
    let present = async |iss: &str| {
        let token = a.clone().issuer(iss).token();
        let parts = [token.header_json(), token.payload_json(), "none".to_owned()];
        let token = parts.map(|part| base64url(&part)).join(".");
        let request = Request::get("/orders").header("authorization", format!("Bearer {token}"));
        let response = send(api.router.clone(), request.body(()).unwrap()).await;
        Why::of(&response).unwrap().reason
    };
    for n in 0..10_000 {
        let reason = present(&format!("https://{n}.test")).await;
        assert_eq!(reason, "token_issuer_mismatch");
    }
    assert_eq!(hits.load(Ordering::SeqCst), 0);
    // The same with the name of an issuer does.
    assert_eq!(present("https://b.test").await, "token_signature_invalid");
    assert_eq!(hits.load(Ordering::SeqCst), 1);
}

fn base64url(text: &str) -> String {
    let text = openssl::base64::encode_block(text.as_bytes());
    text.replace('+', "-").replace('/', "_").replace('=', "")
}

#[tokio::test]
async fn a_policy_can_name_its_issuers() {
    let names = ["https://a.test", "https://b.test", "https://c.test"];
    let [a, b, c] = names.map(issuer);
    let table = PolicyTable::builder()
        .route(
            "/orders",
            Policy::strict().require_any_issuer([names[0], names[1]]),
        )
        .otherwise(Policy::strict())
        .build()
        .unwrap();
    let origin = PublicOrigin::new(ORIGIN).unwrap();
    let tokens = [a.tokens(), b.tokens(), c.tokens()];
    let config = DpopConfig::builder(origin, tokens)
        .clock(super::clock())
        .build()
        .unwrap();
    let handler = async |token: BoundToken| {
        let principal = token.principal().unwrap();
        format!("{} of {}", principal.subject(), principal.issuer())
    };
    let router = Router::new()
        .route("/orders", get(handler))
        .route("/other", get(handler))
        .layer(DpopLayer::new(config).with_policy(table));
    let api = Api {
        client: dpop_tower::test_util::TestClient::new().clock(super::clock()),
        router,
    };
    let not_accepted = invalid_token("policy_issuer_not_accepted");
    for (issuer, orders) in [
        (&a, Verdict::Admitted),
        (&b, Verdict::Admitted),
        (&c, not_accepted),
    ] {
        let token = api.token(issuer);
        assert_eq!(api.present(&token).await, orders);
        let other = api.client.get(&format!("{ORIGIN}/other"), &token);
        let verdict = Verdict::of(send(api.router.clone(), other).await);
        assert_eq!(verdict, Verdict::Admitted);
    }
    // The same subject of two issuers is two principals.
    let body = async |issuer: &TestIssuer| {
        let response = send(api.router.clone(), api.request(&api.token(issuer))).await;
        let body = axum::body::to_bytes(response.into_body(), 100).await;
        String::from_utf8(body.unwrap().to_vec()).unwrap()
    };
    assert_eq!(body(&a).await, "alice of https://a.test");
    assert_eq!(body(&b).await, "alice of https://b.test");
}

#[test]
fn mistakes_name_the_issuer_they_are_about() {
    let (a, b) = (issuer("https://a.test"), issuer("https://b.test"));
    let origin = || PublicOrigin::new(ORIGIN).unwrap();
    let error = |tokens: Vec<Issuer>| DpopConfig::builder(origin(), tokens).build().unwrap_err();
    let none = error(Vec::new());
    assert_eq!(none.kind(), ConfigErrorKind::AccessTokens);
    assert_eq!(none.to_string(), "there is no issuer: give at least one");
    let twice = error(vec![a.tokens(), b.tokens(), a.tokens()]);
    assert_eq!(twice.issuer(), Some("https://a.test"));
    assert!(twice.to_string().contains("given twice"), "{twice}");
    let deaf = Issuer::new("https://b.test").jwks(b.jwks());
    let no_audience = error(vec![a.tokens(), deaf]);
    assert_eq!(no_audience.issuer(), Some("https://b.test"));
    let text = no_audience.to_string();
    assert!(
        text.starts_with("issuer \"https://b.test\": no audience"),
        "{text}"
    );
}

#[test]
fn a_policy_for_no_configured_issuer_is_a_mistake() {
    let policy = Policy::strict().require_issuer("https://c.test");
    let tokens = || {
        let (a, b) = (issuer("https://a.test"), issuer("https://b.test"));
        [a.tokens(), b.tokens()]
    };
    let origin = || PublicOrigin::new(ORIGIN).unwrap();
    let config = DpopConfig::builder(origin(), tokens()).policy(policy.clone());
    let error = config.build().unwrap_err();
    assert_eq!(error.kind(), ConfigErrorKind::Policy);
    assert!(error.to_string().contains("none of the configured issuers"));
    let config = DpopConfig::builder(origin(), tokens()).build().unwrap();
    let log = Log::listen();
    let policy = policy.build().unwrap();
    drop(DpopLayer::new(config).with_policy(policy));
    let line = log.line();
    assert!(line.contains("none of the configured issuers"), "{line}");
}

#[tokio::test]
async fn of_many_issuers_the_log_names_a_few() {
    let names: Vec<String> = (0..100).map(|n| format!("https://{n}.test")).collect();
    let issuers: Vec<_> = names.iter().map(|name| issuer(name)).collect();
    let api = Api::new(issuers.iter().map(TestIssuer::tokens).collect::<Vec<_>>());
    for one in issuers.iter().step_by(33) {
        assert_eq!(api.present(&api.token(one)).await, Verdict::Admitted);
    }
    let stranger = api.token(&issuer("https://7.test/"));
    let response = send(api.router.clone(), api.request(&stranger)).await;
    let why = Why::of(&response).unwrap().detail;
    assert!(why.contains("https://4.test or one of 95 others"), "{why}");
    assert!(why.contains("differs by a trailing slash"), "{why}");
}

/// An outage of one issuer is told, and does not keep the keys of the others from being fetched.
#[tokio::test]
async fn warming_up_fetches_the_keys_of_every_issuer() {
    let (a, b) = (issuer("https://a.test"), issuer("https://b.test"));
    let (url, hits) = server(&[&a, &b]).await;
    let remote = |name: &str, url: &str| {
        Issuer::new(name)
            .jwks_url(url)
            .audience(ORIGIN)
            .danger_allow_plain_http()
    };
    let missing = url.replace("/jwks", "/missing");
    let tokens = [
        remote("https://a.test", &url),
        remote("https://b.test", &url),
        remote("https://c.test", &missing),
    ];
    let origin = PublicOrigin::new(ORIGIN).unwrap();
    let config = DpopConfig::builder(origin, tokens).build().unwrap();
    let states = || config.readiness().to_string();
    assert_eq!(
        states(),
        "https://a.test: missing, https://b.test: missing, https://c.test: missing"
    );
    let error = config.warm_up().await.unwrap_err();
    let failed: Vec<_> = error.failures().map(|(issuer, _)| issuer).collect();
    assert_eq!(failed, ["https://c.test"], "{error}");
    assert_eq!(
        states(),
        "https://a.test: fresh, https://b.test: fresh, https://c.test: missing"
    );
    assert!(!config.readiness().is_ready());
    assert_eq!(hits.load(Ordering::SeqCst), 2);
}
