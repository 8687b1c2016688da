//! The file's settings for issuers and their tokens.

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};

use super::{ORIGIN, Rig, Wanted, mirror};

/// Returns a valid request whose token has these claims.
fn with_claims(rig: &Rig, path: &str, claims: &[(&str, Value)]) -> Request<Body> {
    let mut token = rig.issuer.token().subject("alice").bound_to(&rig.client);
    for (name, value) in claims {
        token = token.claim(name, value.clone());
    }
    let url = format!("{ORIGIN}{path}");
    rig.client.get(&url, &token.mint()).map(|()| Body::empty())
}

const ROUTE: &str = "[[route]]\npath = '/orders'\nscopes = ['a']";

#[tokio::test]
async fn scopes_may_be_an_array() {
    let rig = Rig::with(mirror(), Wanted::tables(ROUTE)).await;
    for (scope, status, header) in [
        (json!("a b"), 200, "a b"),
        (json!(["a", "b"]), 200, "a b"),
        (json!(["b", "a", 7, null, "c d", ""]), 200, "b a"),
        (json!(["a b"]), 403, ""),
        (json!(["b"]), 403, ""),
        (json!(null), 403, ""),
    ] {
        let request = || with_claims(&rig, "/orders", &[("scope", scope.clone())]);
        assert_eq!(rig.status(request()).await, status, "{scope}");
        if status == 200 {
            let seen = rig.seen(request()).await;
            assert_eq!(seen.header("x-dpop-scope"), Some(header), "{scope}");
        }
    }
    for scope in [json!(null), json!([]), json!(["a b"]), json!(7), json!("")] {
        let request = with_claims(&rig, "/other", &[("scope", scope.clone())]);
        let seen = rig.seen(request).await;
        assert_eq!(seen.header("x-dpop-scope"), None, "{scope}");
    }
}

#[tokio::test]
async fn scopes_are_those_of_the_claim_that_the_file_names() {
    let tables = format!("scope_claim = 'scp'\n{ROUTE}");
    let rig = Rig::with(mirror(), Wanted::tables(&tables)).await;
    for (claims, status) in [
        (&[("scp", json!("b a"))][..], 200),
        (&[("scp", json!(["a", "b"]))], 200),
        (&[("scp", json!(["b"])), ("scope", json!("a"))], 403),
        (&[("scope", json!("a"))], 403),
        (&[("roles", json!(["a"]))], 403),
    ] {
        let request = with_claims(&rig, "/orders", claims);
        assert_eq!(rig.status(request).await, status, "{claims:?}");
    }
    let claims = [("scp", json!(["a", "b"])), ("scope", json!("admin"))];
    let seen = rig.seen(with_claims(&rig, "/orders", &claims)).await;
    assert_eq!(seen.header("x-dpop-scope"), Some("a b"));
    assert!(!seen.has_anywhere("admin"));
}

#[tokio::test]
async fn the_client_is_that_of_the_claim_that_the_file_names() {
    let rig = Rig::with(mirror(), Wanted::tables("client_id_claim = 'azp'")).await;
    for (azp, header) in [
        (json!("shop"), Some("shop")),
        (json!(["shop"]), None),
        (json!(7), None),
        (json!(null), None),
    ] {
        let claims = [("azp", azp.clone()), ("client_id", json!("other"))];
        let seen = rig.seen(with_claims(&rig, "/orders", &claims)).await;
        assert_eq!(seen.header("x-dpop-client-id"), header, "{azp}");
        assert!(!seen.has_anywhere("other"), "{azp}");
    }
}

#[tokio::test]
async fn access_tokens_have_the_types_that_the_file_names() {
    let table = "typ = ['application/example-at+jwt']
                 accept_typ_jwt_if = { claim = 'typ', values = ['Bearer', 'DPoP'] }";
    let rig = Rig::with(mirror(), Wanted::tables(table)).await;
    for (typ, mark, status) in [
        ("at+jwt", json!(null), 200),
        ("example-at+jwt", json!(null), 200),
        ("JWT", json!("Bearer"), 200),
        ("JWT", json!("DPoP"), 200),
        ("JWT", json!("ID"), 401),
        ("JWT", json!(["Bearer"]), 401),
        ("JWT", json!(null), 401),
        ("other-at+jwt", json!("Bearer"), 401),
    ] {
        let token = rig.issuer.token().bound_to(&rig.client);
        let token = token.header("typ", typ).claim("typ", mark.clone());
        let url = format!("{ORIGIN}/orders");
        let request = rig.client.get(&url, &token.mint());
        let request = request.map(|()| Body::empty());
        assert_eq!(rig.status(request).await, status, "{typ} {mark}");
    }
}

/// A number must not be passed on as a name that looks the same.
#[tokio::test]
async fn a_subject_that_is_no_text_is_none() {
    let rig = Rig::new(mirror()).await;
    for value in [json!(7), json!(null), json!(["alice"]), json!({"a": 1})] {
        let claims = [("sub", value.clone()), ("client_id", value.clone())];
        let seen = rig.seen(with_claims(&rig, "/orders", &claims)).await;
        assert_eq!(seen.header("x-dpop-subject"), None, "{value}");
        assert_eq!(seen.header("x-dpop-client-id"), None, "{value}");
        assert_eq!(seen.header("x-dpop-issuer"), Some("https://issuer.test"));
    }
}

#[tokio::test]
async fn a_token_may_be_ahead_by_the_leeway_of_its_issuer() {
    for (line, ahead) in [
        ("", 10),
        ("leeway = 0", 0),
        ("leeway = 60", 60),
        ("danger_leeway = 300", 300),
    ] {
        let rig = Rig::with(mirror(), Wanted::tables(line)).await;
        let now: Value = serde_json::from_str(&rig.issuer.token().payload_json()).unwrap();
        let now = now["iat"].as_i64().unwrap();
        // The clock advances in between.
        for (nbf, status) in [(now + ahead + 30, 401), (now + ahead, 200)] {
            let request = with_claims(&rig, "/orders", &[("nbf", json!(nbf))]);
            assert_eq!(rig.status(request).await, status, "{line}: {}", nbf - now);
        }
    }
}

#[tokio::test]
async fn a_token_is_signed_as_the_file_allows() {
    let rig = Rig::with(mirror(), Wanted::tables("algorithms = ['RS256', 'ES256']")).await;
    assert_eq!(rig.status(rig.get("/orders")).await, 200);
    let none = with_claims(&rig, "/orders", &[]);
    let (mut head, body) = none.into_parts();
    let token = rig
        .issuer
        .token()
        .bound_to(&rig.client)
        .header("alg", "ES384");
    let token = format!("DPoP {}", token.mint());
    head.headers.insert("authorization", token.parse().unwrap());
    assert_eq!(rig.status(Request::from_parts(head, body)).await, 401);
}

#[tokio::test]
async fn one_user_with_many_keys_has_one_share_of_the_memory() {
    let tables = "[replay]\ncapacity_per_subject = 3";
    let rig = Rig::with(mirror(), Wanted::tables(tables)).await;
    let url = format!("{ORIGIN}/orders");
    for n in 0..6 {
        let client = dpop_tower::test_util::TestClient::new();
        let token = rig.issuer.token().subject("mallory").bound_to(&client);
        let request = client.get(&url, &token.mint()).map(|()| Body::empty());
        let status = if n < 3 { 200 } else { 503 };
        assert_eq!(rig.status(request).await, status, "{n}");
    }
    assert_eq!(rig.status(rig.get("/orders")).await, 200);
}
