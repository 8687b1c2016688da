//! Signed answers (RFC 9701).

use std::time::Duration;

use dpop_tower::{
    crypto::Algorithm,
    test_util::{KeyKind, TestIssuer, TokenBuilder},
};
use http::header;
use serde_json::{Value, json};

use super::{ISSUER, OUT_OF_REACH, Opaque, by_secret, fresh, server::Idp, with};
use crate::support::{ORIGIN, Verdict, invalid_token, unavailable};

const JWT: &str = "application/token-introspection+jwt";

/// An API that asks for signed answers, and the issuer's key.
async fn signed() -> (Opaque, TestIssuer) {
    let idp = Idp::start().await;
    let tokens = by_secret(&idp)
        .signed_responses()
        .jwks_url(idp.url("/jwks"));
    let api = Opaque::of(idp, tokens);
    let issuer = TestIssuer::new().issuer(ISSUER).clock(api.clock.clone());
    api.idp.put("/jwks", issuer.jwks());
    (api, issuer)
}

/// A good answer, to break.
fn good(api: &Opaque, issuer: &TestIssuer) -> TokenBuilder {
    saying(issuer, &api.active()).claim("iat", api.now())
}

/// An answer with this description of the token.
fn saying(issuer: &TestIssuer, introspection: &Value) -> TokenBuilder {
    issuer
        .token()
        .header("typ", "token-introspection+jwt")
        .claim("aud", "orders-api")
        .without_claim("exp")
        .without_claim("sub")
        .claim("token_introspection", introspection.clone())
}

async fn judge(api: &Opaque, answer: TokenBuilder) -> Verdict {
    api.idp.answer_text(JWT, answer.mint());
    api.clock.advance(Duration::from_secs(120));
    api.present(&fresh()).await
}

#[tokio::test]
async fn rfc_9701_section_4_a_signed_answer_is_asked_for_and_decides() {
    let (api, issuer) = signed().await;
    api.idp.answer_text(JWT, good(&api, &issuer).mint());
    let token = fresh();
    assert_eq!(api.present(&token).await, Verdict::Admitted);
    let accepted = api
        .idp
        .each(|seen| seen.head.headers[header::ACCEPT].clone());
    assert_eq!(accepted, [JWT]);
    let inactive = saying(&issuer, &json!({ "active": false }));
    assert_eq!(judge(&api, inactive).await, invalid_token("token_inactive"));
    let other = saying(&issuer, &with(&api.active(), "aud", "other"));
    let mismatch = invalid_token("token_audience_mismatch");
    assert_eq!(judge(&api, other).await, mismatch);
    assert_eq!(api.idp.fetched(), ["/jwks"]);
}

#[tokio::test]
async fn an_answer_that_is_not_signed_is_rejected() {
    let (api, issuer) = signed().await;
    let plain = api.active().to_string();
    api.idp.answer_text("application/json", plain.as_str());
    assert_eq!(api.present(&fresh()).await, OUT_OF_REACH);
    api.idp.answer_text(JWT, plain);
    assert_eq!(api.present(&fresh()).await, OUT_OF_REACH);
    api.idp
        .answer_text("application/jwt", good(&api, &issuer).mint());
    assert_eq!(api.present(&fresh()).await, OUT_OF_REACH);
    let unsigned = good(&api, &issuer).header("alg", "none").empty_signature();
    assert_eq!(judge(&api, unsigned).await, OUT_OF_REACH);
    let corrupt = good(&api, &issuer).corrupt_signature();
    assert_eq!(judge(&api, corrupt).await, OUT_OF_REACH);
    let other = good(&api, &issuer).signed_by(&TestIssuer::new());
    assert_eq!(judge(&api, other).await, OUT_OF_REACH);
    let admitted = judge(&api, saying(&issuer, &api.active())).await;
    assert_eq!(admitted, Verdict::Admitted);
}

#[tokio::test]
async fn rfc_9701_section_5_type_issuer_audience_and_time_are_checked() {
    let (api, issuer) = signed().await;
    let good = || saying(&issuer, &api.active());
    for typ in [
        "token-introspection+jwt",
        "application/Token-Introspection+JWT",
    ] {
        assert_eq!(
            judge(&api, good().header("typ", typ)).await,
            Verdict::Admitted
        );
    }
    for typ in ["at+jwt", "JWT", "token-introspection", ""] {
        let verdict = judge(&api, good().header("typ", typ)).await;
        assert_eq!(verdict, OUT_OF_REACH, "{typ}");
    }
    assert_eq!(
        judge(&api, good().without_header("typ")).await,
        OUT_OF_REACH
    );
    let critical = good().header("crit", json!(["x"]));
    assert_eq!(judge(&api, critical).await, OUT_OF_REACH);
    let in_a_list = good().claim("aud", json!(["other", "orders-api"]));
    assert_eq!(judge(&api, in_a_list).await, Verdict::Admitted);
    for (name, value) in [
        ("iss", json!("https://other.test")),
        ("iss", json!([ISSUER])),
        ("aud", json!(ORIGIN)),
        ("aud", json!(["other"])),
        ("aud", json!([])),
        ("iat", json!("now")),
        ("iat", json!(0)),
        ("exp", json!(0)),
        ("token_introspection", json!(api.active().to_string())),
        ("token_introspection", json!([api.active()])),
    ] {
        let verdict = judge(&api, good().claim(name, value.clone())).await;
        assert_eq!(verdict, OUT_OF_REACH, "{name}: {value}");
    }
    for name in ["iss", "aud", "iat", "token_introspection"] {
        let verdict = judge(&api, good().without_claim(name)).await;
        assert_eq!(verdict, OUT_OF_REACH, "{name}");
    }
}

#[tokio::test]
async fn an_answer_was_made_within_the_last_five_minutes() {
    let (api, issuer) = signed().await;
    for (offset, expected) in [
        (10, Verdict::Admitted),
        (11, OUT_OF_REACH),
        (-310, Verdict::Admitted),
        (-311, OUT_OF_REACH),
    ] {
        let answer = good(&api, &issuer).claim("iat", api.now() + offset);
        api.idp.answer_text(JWT, answer.mint());
        assert_eq!(api.present(&fresh()).await, expected, "{offset}");
    }
}

/// A claim beside `token_introspection` describes the answer, and not the token.
#[tokio::test]
async fn nothing_outside_token_introspection_counts() {
    let (api, issuer) = signed().await;
    let mut answer = saying(&issuer, &json!({ "active": false }));
    for (name, value) in api.active().as_object().unwrap() {
        if !["iss", "aud", "exp"].contains(&name.as_str()) {
            answer = answer.claim(name, value.clone());
        }
    }
    assert_eq!(judge(&api, answer).await, invalid_token("token_inactive"));
    let without = saying(&issuer, &json!({})).claim("active", true);
    assert_eq!(judge(&api, without).await, OUT_OF_REACH);
}

#[tokio::test]
async fn a_new_key_of_the_issuer_is_fetched() {
    let (api, issuer) = signed().await;
    assert_eq!(
        judge(&api, saying(&issuer, &api.active())).await,
        Verdict::Admitted
    );
    let new = TestIssuer::new().issuer(ISSUER).clock(api.clock.clone());
    api.idp.put("/jwks", new.jwks());
    assert_eq!(
        judge(&api, saying(&new, &api.active())).await,
        Verdict::Admitted
    );
    assert_eq!(api.idp.fetched(), ["/jwks", "/jwks"]);
}

#[tokio::test]
async fn without_the_issuers_keys_there_is_no_verdict() {
    let (api, issuer) = signed().await;
    api.idp.put("/jwks", "{}");
    api.idp.answer_text(JWT, good(&api, &issuer).mint());
    let verdict = api.present(&fresh()).await;
    assert_eq!(verdict, unavailable("keys_unavailable"));
}

#[tokio::test]
async fn algorithms_of_signed_answers_are_those_of_the_configuration() {
    let idp = Idp::start().await;
    let tokens = by_secret(&idp)
        .signed_responses()
        .jwks_url(idp.url("/jwks"))
        .algorithms([Algorithm::Ed25519, Algorithm::EdDsa]);
    let api = Opaque::of(idp, tokens);
    for (kind, expected) in [
        (KeyKind::Ed25519, Verdict::Admitted),
        (KeyKind::P256, OUT_OF_REACH),
    ] {
        let issuer = TestIssuer::with_key(kind)
            .issuer(ISSUER)
            .clock(api.clock.clone());
        let other = TestIssuer::with_key(KeyKind::Ed25519);
        let keys = [issuer.jwks(), other.jwks()].map(|keys| {
            let keys: Value = serde_json::from_str(&keys).unwrap();
            keys["keys"][0].clone()
        });
        api.idp.put("/jwks", json!({ "keys": keys }).to_string());
        let verdict = judge(&api, saying(&issuer, &api.active())).await;
        assert_eq!(verdict, expected, "{kind:?}");
    }
}
