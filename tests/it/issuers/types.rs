//! The `typ` of access tokens, and the claim that marks them where it is `JWT`.

use dpop_tower::{
    ConfigError, ConfigErrorKind, DpopConfig, Issuer, PublicOrigin, replay::MemoryReplayStore,
    test_util::TestClient,
};
use serde_json::{Value, json};

use super::{Api, issuer};
use crate::support::{ORIGIN, URL, Verdict, invalid_token, send, unavailable};

const ISSUER: &str = "https://idp.test/realms/shop";
const WRONG_TYPE: Verdict = invalid_token("token_typ_invalid");

/// An API with these settings, and the verdict on a token that differs from a valid one by its `typ` and by
/// some claims.
async fn verdict(
    settings: impl FnOnce(Issuer) -> Issuer,
    typ: Option<Value>,
    claims: &[(&str, Value)],
) -> Verdict {
    let issuer = issuer(ISSUER).audience(ORIGIN);
    let api = Api::new(settings(issuer.tokens()));
    let mut token = issuer.token().subject("alice").bound_to(&api.client);
    token = match typ {
        Some(typ) => token.header("typ", typ),
        None => token.without_header("typ"),
    };
    for (name, value) in claims {
        token = token.claim(name, value.clone());
    }
    api.present(&token.mint()).await
}

fn error(settings: impl FnOnce(Issuer) -> Issuer) -> ConfigError {
    let tokens = settings(issuer(ISSUER).tokens());
    let config = DpopConfig::builder(PublicOrigin::new(ORIGIN).unwrap(), tokens);
    config.build().unwrap_err()
}

#[tokio::test]
async fn a_further_type_is_compared_as_a_media_type() {
    for configured in ["application/example-at+jwt", "Example-AT+jwt"] {
        for (typ, accepted) in [
            (json!("application/example-at+jwt"), true),
            (json!("example-at+jwt"), true),
            (json!("APPLICATION/Example-At+JWT"), true),
            (json!("at+jwt"), true),
            (json!("application/at+jwt"), true),
            (json!("JWT"), false),
            (json!("text/example-at+jwt"), false),
            (json!("application/application/example-at+jwt"), false),
            (json!("example-at+jwt "), false),
            (json!("example"), false),
            (json!("dpop+jwt"), false),
            (json!(["example-at+jwt"]), false),
            (json!(null), false),
            (json!(""), false),
        ] {
            let settings = |tokens: Issuer| tokens.accept_typ(configured);
            let verdict = verdict(settings, Some(typ.clone()), &[]).await;
            let expected = if accepted {
                Verdict::Admitted
            } else {
                WRONG_TYPE
            };
            assert_eq!(verdict, expected, "{configured}: {typ}");
        }
        let none = verdict(|tokens| tokens.accept_typ(configured), None, &[]).await;
        assert_eq!(none, WRONG_TYPE);
    }
    let two = |tokens: Issuer| tokens.accept_typ("a+jwt").accept_typ("b+jwt");
    for typ in ["a+jwt", "b+jwt"] {
        assert_eq!(verdict(two, Some(json!(typ)), &[]).await, Verdict::Admitted);
    }
}

#[test]
fn a_type_that_tells_access_tokens_from_nothing_is_an_error() {
    for (typ, told) in [
        ("JWT", "`Issuer::accept_typ_jwt_if`"),
        ("application/jwt", "`Issuer::danger_accept_typ_jwt`"),
        ("logout+jwt", "not one of access tokens"),
        ("application/DPoP+jwt", "not one of access tokens"),
        ("token-introspection+jwt", "not one of access tokens"),
        ("JOSE", "not one of access tokens"),
        ("", "not a media type"),
        ("application/", "not a media type"),
        (" at+jwt", "not a media type"),
        ("text/plain", "not a media type"),
        ("a+jwt; v=1", "not a media type"),
        ("*", "not a media type"),
        ("\u{e4}+jwt", "not a media type"),
        (&"a".repeat(128), "not a media type"),
    ] {
        let error = error(|tokens| tokens.accept_typ("good+jwt").accept_typ(typ));
        assert_eq!(error.kind(), ConfigErrorKind::TokenType, "{typ}");
        let text = error.to_string();
        assert!(text.contains(told), "{text}");
        assert!(text.contains(&format!("{typ:?}")), "{text}");
    }
}

#[tokio::test]
async fn typ_jwt_is_accepted_if_and_only_if_the_claim_says_access_token() {
    let settings = |tokens: Issuer| tokens.accept_typ_jwt_if("typ", ["Bearer", "DPoP"]);
    for typ in [Some("JWT"), Some("jwt"), Some("application/jwt"), None] {
        for (mark, accepted) in [
            (json!("Bearer"), true),
            (json!("DPoP"), true),
            (json!("ID"), false),
            (json!("Refresh"), false),
            (json!("Offline"), false),
            (json!("Logout"), false),
            (json!("bearer"), false),
            (json!("Bearer "), false),
            (json!("Bearer DPoP"), false),
            (json!(""), false),
            (json!(["Bearer"]), false),
            (json!({"Bearer": "Bearer"}), false),
            (json!(7), false),
            (json!(true), false),
            (json!(null), false),
        ] {
            let typ = typ.map(Value::from);
            let verdict = verdict(settings, typ.clone(), &[("typ", mark.clone())]).await;
            let expected = if accepted {
                Verdict::Admitted
            } else {
                WRONG_TYPE
            };
            assert_eq!(verdict, expected, "{typ:?}: {mark}");
        }
        let typ = typ.map(Value::from);
        assert_eq!(verdict(settings, typ, &[]).await, WRONG_TYPE);
    }
    // The mark does not make an access token of a JWT with another type.
    for typ in [
        json!("logout+jwt"),
        json!("id_token+jwt"),
        json!("ID"),
        json!(["JWT"]),
    ] {
        let marked = [("typ", json!("Bearer"))];
        assert_eq!(verdict(settings, Some(typ), &marked).await, WRONG_TYPE);
    }
    let typed = verdict(settings, Some(json!("at+jwt")), &[]).await;
    assert_eq!(typed, Verdict::Admitted);
}

#[tokio::test]
async fn the_last_claim_that_was_named_counts() {
    let settings = |tokens: Issuer| {
        let tokens = tokens.accept_typ_jwt_if("typ", ["Bearer"]);
        tokens.accept_typ_jwt_if("token_use", ["access"])
    };
    let jwt = || Some(json!("JWT"));
    let access = [("token_use", json!("access"))];
    assert_eq!(verdict(settings, jwt(), &access).await, Verdict::Admitted);
    let bearer = [("typ", json!("Bearer"))];
    assert_eq!(verdict(settings, jwt(), &bearer).await, WRONG_TYPE);
}

#[test]
fn a_claim_that_marks_nothing_is_an_error() {
    for (claim, values, told) in [
        (
            "",
            &["Bearer"][..],
            "give `Issuer::accept_typ_jwt_if` one that does",
        ),
        ("iss", &["a"], "does not tell access tokens from ID tokens"),
        ("aud", &["a"], "does not tell access tokens from ID tokens"),
        ("azp", &["a"], "does not tell access tokens from ID tokens"),
        (
            "nonce",
            &["a"],
            "does not tell access tokens from ID tokens",
        ),
        ("typ", &[], "at least one"),
        ("typ", &["Bearer", ""], "does not mark access tokens"),
        ("typ", &["Bearer", "ID"], "\"ID\""),
        ("typ", &["Refresh"], "\"Refresh\""),
        ("token_use", &["access", "id"], "\"id\""),
        ("purpose", &["id_token"], "\"id_token\""),
    ] {
        let error = error(|tokens| tokens.accept_typ_jwt_if(claim, values.iter().copied()));
        assert_eq!(
            error.kind(),
            ConfigErrorKind::TokenType,
            "{claim} {values:?}"
        );
        assert!(error.to_string().contains(told), "{error}");
    }
    let both = error(|tokens| {
        let tokens = tokens.danger_accept_typ_jwt();
        tokens.accept_typ_jwt_if("typ", ["Bearer"])
    });
    assert_eq!(both.kind(), ConfigErrorKind::TokenType);
    assert!(both.to_string().contains("danger_accept_typ_jwt"), "{both}");
}

#[test]
fn a_claim_that_names_no_client_is_an_error() {
    for claim in ["", "iss", "sub", "aud", "jti", "cnf", "scope", "scp", "act"] {
        let error = error(|tokens| tokens.client_id_claim(claim));
        assert_eq!(error.kind(), ConfigErrorKind::ClientIdClaim, "{claim}");
        let text = error.to_string();
        assert!(text.contains(&format!("{claim:?}")), "{text}");
        assert!(text.contains("`Issuer::client_id_claim`"), "{text}");
    }
}

#[tokio::test]
async fn the_proofs_of_a_client_are_counted_by_the_claim_that_names_it() {
    let issuer = issuer(ISSUER).audience(ORIGIN);
    let store = MemoryReplayStore::with_capacity(size(100)).capacity_per_subject(size(2));
    let tokens = issuer.tokens().client_id_claim("cid");
    let config = DpopConfig::builder(PublicOrigin::new(ORIGIN).unwrap(), tokens)
        .clock(super::clock())
        .replay_store(store.capacity_per_key(size(50)))
        .build()
        .unwrap();
    let hello = axum::Router::new().route("/orders", axum::routing::get(async || "hello"));
    let api = hello.layer(dpop_tower::DpopLayer::new(config));
    let send = async |cid: Value, client_id: &str| {
        let key = TestClient::new().clock(super::clock());
        let token = issuer.token().bound_to(&key).without_claim("sub");
        let token = token.claim("cid", cid).claim("client_id", client_id);
        Verdict::of(send(api.clone(), key.get(URL, &token.mint())).await)
    };
    assert_eq!(send(json!("a"), "x").await, Verdict::Admitted);
    assert_eq!(send(json!("a"), "y").await, Verdict::Admitted);
    assert_eq!(send(json!("a"), "z").await, unavailable("subject_full"));
    assert_eq!(send(json!("b"), "x").await, Verdict::Admitted);
    // Without the named claim, no other one takes its place.
    for _ in 0..4 {
        assert_eq!(send(json!(null), "x").await, Verdict::Admitted);
    }
}

const fn size(n: usize) -> std::num::NonZeroUsize {
    std::num::NonZeroUsize::new(n).unwrap()
}
