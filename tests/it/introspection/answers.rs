//! What the members of an answer mean.

use dpop_tower::{
    BoundToken, DpopConfig, DpopLayer, PublicOrigin, RequestHead, Verdict as Decision, Verifier,
    token::Introspection,
};
use serde_json::{Value, json};

use super::{ISSUER, OUT_OF_REACH, Opaque, by_secret, fresh, with, without};
use crate::support::{ORIGIN, URL, Verdict, invalid_token};

const INACTIVE: Verdict = invalid_token("token_inactive");
const INVALID: Verdict = invalid_token("token_invalid_claim");
const MISSING: Verdict = invalid_token("token_missing_claim");

#[tokio::test]
async fn rfc_7662_section_2_2_only_true_is_active() {
    let api = Opaque::new().await;
    let good = api.active();
    assert_eq!(api.judge(&good).await, Verdict::Admitted);
    assert_eq!(api.judge(&json!({ "active": false })).await, INACTIVE);
    assert_eq!(api.judge(&with(&good, "active", false)).await, INACTIVE);
    for odd in [
        json!("true"),
        json!(1),
        json!(null),
        json!([true]),
        json!({}),
    ] {
        assert_eq!(api.judge(&with(&good, "active", odd)).await, OUT_OF_REACH);
    }
    assert_eq!(api.judge(&without(&good, "active")).await, OUT_OF_REACH);
    assert_eq!(api.judge(&good).await, Verdict::Admitted);
}

#[tokio::test]
async fn an_answer_is_one_json_object_without_duplicate_members() {
    let api = Opaque::new().await;
    let good = api.active().to_string();
    let twice = good.replacen('{', r#"{"active":false,"#, 1);
    let escaped = good.replacen('{', r#"{"\u0061ctive":true,"#, 1);
    let inner = good.replacen(r#"{"jkt""#, r#"{"jkt":"x","jkt""#, 1);
    let list = format!("[{good}]");
    let both = format!("{good}{good}");
    for wrong in [
        &twice,
        &escaped,
        &inner,
        &list,
        &both,
        "",
        "null",
        "active",
        &good[1..],
    ] {
        api.idp.answer_text("application/json", wrong);
        assert_eq!(api.present(&fresh()).await, OUT_OF_REACH, "{wrong}");
    }
    api.idp.answer_text("application/json", good);
    assert_eq!(api.present(&fresh()).await, Verdict::Admitted);
}

#[tokio::test]
async fn an_issuer_that_is_named_is_the_configured_one() {
    let api = Opaque::new().await;
    let good = api.active();
    assert_eq!(api.judge(&without(&good, "iss")).await, Verdict::Admitted);
    assert_eq!(
        api.judge(&with(&good, "iss", Value::Null)).await,
        Verdict::Admitted
    );
    for other in [
        "https://issuer.test/",
        "https://ISSUER.test",
        "https://other.test",
        "",
    ] {
        let verdict = api.judge(&with(&good, "iss", other)).await;
        assert_eq!(verdict, invalid_token("token_issuer_mismatch"), "{other}");
    }
    assert_eq!(
        api.judge(&with(&good, "iss", json!([ISSUER]))).await,
        INVALID
    );
}

#[tokio::test]
async fn an_answer_names_this_api_as_its_audience() {
    let api = Opaque::with(|tokens| tokens.audience("orders")).await;
    let good = api.active();
    for aud in [json!("orders"), json!([ORIGIN]), json!(["other", "orders"])] {
        assert_eq!(api.judge(&with(&good, "aud", aud)).await, Verdict::Admitted);
    }
    for aud in [
        json!("other"),
        json!([]),
        json!(["other"]),
        json!(""),
        json!("https://api.test/"),
    ] {
        let verdict = api.judge(&with(&good, "aud", aud.clone())).await;
        assert_eq!(verdict, invalid_token("token_audience_mismatch"), "{aud}");
    }
    for aud in [json!(7), json!({}), json!([ORIGIN, 7])] {
        assert_eq!(api.judge(&with(&good, "aud", aud)).await, INVALID);
    }
}

#[tokio::test]
async fn an_answer_without_audience_is_accepted_by_a_setter_only() {
    let strict = Opaque::new().await;
    let lenient = Opaque::with(Introspection::danger_accept_missing_audience).await;
    for (api, expected) in [(strict, MISSING), (lenient, Verdict::Admitted)] {
        let good = api.active();
        assert_eq!(api.judge(&without(&good, "aud")).await, expected);
        assert_eq!(api.judge(&with(&good, "aud", Value::Null)).await, expected);
        let other = api.judge(&with(&good, "aud", "other")).await;
        assert_eq!(other, invalid_token("token_audience_mismatch"));
    }
}

#[tokio::test]
async fn times_are_those_of_a_jwt() {
    let api = Opaque::new().await;
    let (good, now) = (api.active(), api.now());
    let expired = invalid_token("token_expired");
    let early = invalid_token("token_not_yet_valid");
    for (name, value, expected) in [
        ("exp", json!(now + 1), Verdict::Admitted),
        ("exp", json!(now), expired),
        ("exp", json!(now - 1), expired),
        ("exp", json!(i64::MIN), expired),
        ("exp", json!(now.to_string()), INVALID),
        ("nbf", json!(now + 10), Verdict::Admitted),
        ("nbf", json!(now + 11), early),
        ("iat", json!(now + 10), Verdict::Admitted),
        ("iat", json!(now + 11), early),
        ("iat", json!(u64::MAX), early),
        ("nbf", json!("soon"), INVALID),
        ("iat", json!(true), INVALID),
        ("nbf", json!(null), Verdict::Admitted),
    ] {
        let verdict = api.judge(&with(&good, name, value.clone())).await;
        assert_eq!(verdict, expected, "{name}: {value}");
    }
}

/// Then the answer counts for as long as it is cached, and at least for a minute.
#[tokio::test]
async fn a_token_without_exp_has_a_bounded_lifetime() {
    for exp in [None, Some(Value::Null)] {
        let api = Opaque::new().await;
        let answer = match exp {
            None => without(&api.active(), "exp"),
            Some(value) => with(&api.active(), "exp", value),
        };
        api.idp.answer_json(&answer);
        let origin = PublicOrigin::new(ORIGIN).unwrap();
        let config = DpopConfig::builder(origin, by_secret(&api.idp)).clock(api.clock.clone());
        let verifier = Verifier::new(config.build().unwrap());
        let request = api.client.get(URL, &fresh());
        let head = RequestHead::new(request.method(), request.uri(), request.headers());
        let Decision::Admitted(admitted) = verifier.verify_request(head).await else {
            panic!("rejected");
        };
        let token = admitted.bound_token().unwrap();
        assert_eq!(token.expires_at().as_secs(), api.now() + 60);
    }
}

#[tokio::test]
async fn a_handler_finds_what_the_issuer_says() {
    async fn orders(token: BoundToken) -> String {
        let text = |name| token.claims().get(name).and_then(Value::as_str).unwrap();
        let (user, client) = (text("username"), token.claims().client_id().unwrap());
        let (sub, iss) = (token.claims().subject().unwrap(), token.issuer().unwrap());
        let scopes: Vec<_> = token.scopes().collect();
        format!("{user} {client} {sub} {iss} {scopes:?}")
    }
    let api = Opaque::new().await;
    let answer = with(&without(&api.active(), "iss"), "username", "Alice");
    let answer = with(&answer, "scope", "a b");
    api.idp.answer_json(&answer);
    let origin = PublicOrigin::new(ORIGIN).unwrap();
    let config = DpopConfig::builder(origin, by_secret(&api.idp)).clock(api.clock.clone());
    let router = axum::Router::new()
        .route("/orders", axum::routing::get(orders))
        .layer(DpopLayer::new(config.build().unwrap()));
    let response = crate::support::send(router, api.client.get(URL, &fresh())).await;
    let body = axum::body::to_bytes(response.into_body(), 1000)
        .await
        .unwrap();
    let expected = format!(r#"Alice shop alice {ISSUER} ["a", "b"]"#);
    assert_eq!(body, expected);
}
