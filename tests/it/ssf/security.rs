//! Who may revoke tokens, and what is not a SET.

use std::num::NonZeroUsize;

use dpop_tower::{
    DpopConfig, PublicOrigin,
    crypto::Algorithm,
    ssf::Transmitter,
    test_util::{KeyKind, TestIssuer},
};
use http::header::AUTHORIZATION;
use serde_json::json;

use super::{AUDIENCE, Answer, CREDENTIAL_CHANGE, ISSUER, Rig, rejected, set_of, user};
use crate::support::{Api, ORIGIN, URL, Verdict, invalid_token, router, send};

const SECRET: &str = "Bearer 7Fjfp0ZBr1KtDRbnfVdmIw";

/// RFC 8417 sections 4.5 and 4.6, RFC 8725 section 3.11: the same key signs both.
#[tokio::test]
async fn rfc_8417_section_4_6_an_access_token_is_no_set() {
    let rig = Rig::new().await;
    let events = json!({ CREDENTIAL_CHANGE: {} });
    let with_everything = || {
        (rig.token().claim("aud", json!([ORIGIN, AUDIENCE])))
            .claim("events", events.clone())
            .claim("sub_id", user("alice"))
    };
    assert!(rig.is_admitted(with_everything()).await);
    assert_eq!(
        rig.deliver(with_everything()).await,
        rejected("invalid_request")
    );
    for typ in ["at+jwt", "JWT", "logout+jwt", "dpop+jwt", "secevent", ""] {
        let answer = rig.deliver(rig.set().header("typ", typ)).await;
        assert_eq!(answer, rejected("invalid_request"), "{typ}");
    }
    let untyped = rig.set().without_header("typ");
    assert_eq!(rig.deliver(untyped).await, rejected("invalid_request"));
    // SSF 1.0 sections 4.1.2 and 4.1.7: claims of access tokens and ID tokens are not in a SET.
    for (name, value) in [("exp", json!(1_900_000_000)), ("sub", json!("alice"))] {
        let answer = rig.deliver(rig.set().claim(name, value)).await;
        assert_eq!(answer, rejected("invalid_request"), "{name}");
    }
    assert_eq!(rig.taken(), 0);
    let typed = rig.set().header("typ", "application/SecEvent+jwt");
    assert_eq!(rig.deliver(typed).await, Answer::Accepted);
}

#[tokio::test]
async fn rfc_8417_section_4_5_a_set_is_no_access_token() {
    let api = Api::new();
    let set = |aud: &str| {
        (set_of(&api.issuer).bound_to(&api.client))
            .claim("aud", aud)
            .claim("sub", "alice")
            .claim("exp", 1_900_000_000)
            .claim("token_use", "access")
            .claim("events", json!({ CREDENTIAL_CHANGE: {} }))
    };
    let tokens = || api.issuer.tokens().audience(AUDIENCE);
    for tokens in [
        tokens(),
        tokens().danger_accept_typ_jwt(),
        tokens().accept_typ_jwt_if("token_use", ["access"]),
        tokens().accept_typ("example+jwt"),
    ] {
        let origin = PublicOrigin::new(ORIGIN).unwrap();
        let config = DpopConfig::builder(origin, tokens).clock(api.clock.clone());
        let router = router(config.build().unwrap());
        for (token, expected) in [
            (set(ORIGIN), invalid_token("token_typ_invalid")),
            (set(AUDIENCE), invalid_token("token_typ_invalid")),
            (set(ORIGIN).header("typ", "at+jwt"), Verdict::Admitted),
        ] {
            let request = api.client.get(URL, &token.mint());
            let verdict = Verdict::of(send(router.clone(), request).await);
            assert_eq!(verdict, expected);
        }
    }
}

#[tokio::test]
async fn the_authorization_header_is_that_of_the_transmitter() {
    let rig = Rig::with(|it| it.authorization(SECRET), |receiver| receiver).await;
    let with = |value: &str| rig.request(rig.set().mint()).header(AUTHORIZATION, value);
    let failed = rejected("authentication_failed");
    assert_eq!(rig.deliver(rig.set()).await, failed);
    for wrong in [
        "",
        "Bearer",
        "Bearer 7Fjfp0ZBr1KtDRbnfVdmI",
        "Bearer 7Fjfp0ZBr1KtDRbnfVdmIwx",
        "bearer 7Fjfp0ZBr1KtDRbnfVdmIw",
        "7Fjfp0ZBr1KtDRbnfVdmIw",
    ] {
        assert_eq!(rig.send(with(wrong)).await, failed, "{wrong:?}");
    }
    let twice = with(SECRET).header(AUTHORIZATION, SECRET);
    assert_eq!(rig.send(twice).await, failed);
    // Of a stranger not even the body is looked at.
    let nonsense = rig.request(" ".repeat(100_000));
    assert_eq!(rig.send(nonsense).await, failed);
    assert_eq!(rig.taken(), 0);
    assert_eq!(rig.send(with(SECRET)).await, Answer::Accepted);
}

#[tokio::test]
async fn each_transmitter_has_its_own_secret_keys_and_audience() {
    let api = Api::new();
    let other = TestIssuer::new()
        .issuer("https://other.test")
        .clock(api.clock.clone());
    let transmitters = vec![
        (Transmitter::new(ISSUER).jwks(api.issuer.jwks()))
            .audience(AUDIENCE)
            .authorization("Bearer one"),
        (Transmitter::new("https://other.test").jwks(other.jwks()))
            .audience("https://api.test/others")
            .authorization("Bearer two"),
    ];
    let rig = Rig::of(api, transmitters, NonZeroUsize::MAX, |receiver| receiver).await;
    let of = |issuer: &TestIssuer| {
        let subject = json!({ "format": "opaque", "id": "alice" });
        let set = set_of(issuer).claim("sub_id", subject);
        set.claim("events", json!({ CREDENTIAL_CHANGE: {} }))
    };
    let ours = || of(&rig.api.issuer);
    let theirs = || of(&other).claim("aud", "https://api.test/others");
    for (set, secret, expected) in [
        (ours(), "Bearer two", rejected("authentication_failed")),
        (theirs(), "Bearer one", rejected("authentication_failed")),
        (
            theirs().claim("aud", AUDIENCE),
            "Bearer two",
            rejected("invalid_audience"),
        ),
        (
            ours().signed_by(&other),
            "Bearer one",
            rejected("invalid_key"),
        ),
        (
            theirs().claim("iss", ISSUER),
            "Bearer one",
            rejected("invalid_key"),
        ),
        (theirs(), "Bearer two", Answer::Accepted),
    ] {
        let request = rig.request(set.mint()).header(AUTHORIZATION, secret);
        assert_eq!(rig.send(request).await, expected);
    }
    // It is the other issuer's alice.
    assert!(rig.is_admitted(rig.token()).await);
    let request = rig
        .request(ours().mint())
        .header(AUTHORIZATION, "Bearer one");
    assert_eq!(rig.send(request).await, Answer::Accepted);
    assert!(!rig.is_admitted(rig.token()).await);
}

#[tokio::test]
async fn a_set_is_signed_with_a_key_of_the_transmitter_and_an_allowed_algorithm() {
    let rig = Rig::new().await;
    for (set, err) in [
        (rig.set().corrupt_signature(), "invalid_key"),
        (rig.set().signed_by(&TestIssuer::new()), "invalid_key"),
        (rig.set().empty_signature(), "invalid_key"),
        (rig.set().header("kid", "unknown"), "invalid_key"),
        (
            rig.set().header("alg", "none").empty_signature(),
            "invalid_request",
        ),
        (rig.set().header("alg", "HS256"), "invalid_request"),
        (rig.set().header("alg", "ES384"), "invalid_request"),
        (rig.set().header("crit", json!(["x"])), "invalid_request"),
        (rig.set().header("kid", 7), "invalid_request"),
    ] {
        assert_eq!(rig.deliver(set).await, rejected(err));
    }
    let only = |it: Transmitter| it.algorithms([Algorithm::Ed25519]);
    let api = Api::new();
    let keys = TestIssuer::with_key(KeyKind::Ed25519).clock(api.clock.clone());
    let transmitter = Transmitter::new(ISSUER)
        .jwks(keys.jwks())
        .audience(AUDIENCE);
    let rig = Rig::of(api, vec![only(transmitter)], NonZeroUsize::MAX, |it| it).await;
    assert_eq!(rig.deliver(rig.set()).await, rejected("invalid_request"));
    assert_eq!(rig.taken(), 0);
}
