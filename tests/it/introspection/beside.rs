//! Opaque tokens beside JWTs and beside other issuers.

use std::fmt;

use dpop_tower::{
    ConfigErrorKind, DpopConfig, Issuer, PublicOrigin,
    clock::{ManualClock, UnixTime},
    future::MaybeReady,
    test_util::TestIssuer,
    token::{ClientSecret, DynamicIssuers, Introspection, IssuerSource, TokenError},
};

use super::{ISSUER, Idp, Opaque, by_secret, fresh};
use crate::{
    robustness::crypto::base64url,
    support::{ORIGIN, Verdict, invalid_token, unavailable},
};

/// An issuer of JWTs with this name. The clock is the one of [`Opaque`].
fn jwts(name: &str) -> TestIssuer {
    let clock = ManualClock::new(UnixTime::from_secs(1_800_000_000));
    TestIssuer::new().issuer(name).clock(clock)
}

async fn beside(tokens: impl FnOnce(Issuer) -> Vec<Issuer>) -> Opaque {
    let idp = Idp::start().await;
    let issuer = Issuer::new(ISSUER).opaque_tokens(by_secret(&idp));
    let opaque = Opaque::of(idp.clone(), tokens(issuer));
    idp.answer_json(&opaque.active());
    opaque
}

#[tokio::test]
async fn an_issuer_can_have_jwts_and_opaque_tokens() {
    let issuer = jwts(ISSUER);
    let opaque = beside(|with| vec![with.jwks(issuer.jwks()).audience(ORIGIN)]).await;
    let jwt = issuer.token().bound_to(&opaque.client).mint();
    assert_eq!(opaque.present(&jwt).await, Verdict::Admitted);
    assert_eq!(opaque.idp.calls(), 0);
    assert_eq!(opaque.present(&fresh()).await, Verdict::Admitted);
    assert_eq!(opaque.idp.calls(), 1);
}

#[tokio::test]
async fn one_of_several_issuers_can_have_opaque_tokens_only() {
    let other = jwts("https://other.test");
    let opaque = beside(|with| vec![other.tokens(), with]).await;
    let jwt = other.token().bound_to(&opaque.client).mint();
    assert_eq!(opaque.present(&jwt).await, Verdict::Admitted);
    assert_eq!(opaque.present(&fresh()).await, Verdict::Admitted);
    assert_eq!(opaque.idp.calls(), 1);
    // It has no keys, so no JWT in its name is accepted, and none is sent to it.
    let forged = other.clone().issuer(ISSUER).token();
    let forged = forged.bound_to(&opaque.client).mint();
    let verdict = invalid_token("token_audience_mismatch");
    assert_eq!(opaque.present(&forged).await, verdict);
    assert_eq!(opaque.idp.calls(), 1);
}

/// A token of one issuer must not be shown to another one, which could use it.
#[tokio::test]
async fn what_may_be_a_jwt_is_never_sent_to_the_issuer_of_opaque_tokens() {
    let other = jwts("https://other.test");
    let opaque = beside(|with| vec![other.tokens(), with]).await;
    let jwt = other.token().bound_to(&opaque.client).mint();
    let parts: Vec<&str> = jwt.split('.').collect();
    for token in [
        jwts("https://third.test").token().mint(),
        format!("{}.{}", parts[0], parts[1]),
        format!("{jwt}."),
        format!("{jwt}.{}.{}", parts[0], parts[1]),
        format!("{}..{}", parts[0], parts[2]),
        format!("{}.", parts[0]),
        format!("{}.{}.{}", base64url(" {"), parts[1], parts[2]),
        format!("{}.{}.{}", base64url("\r\n\t {}"), parts[1], parts[2]),
    ] {
        let verdict = opaque.present(&token).await;
        assert_ne!(verdict, Verdict::Admitted);
    }
    assert_eq!(opaque.idp.calls(), 0);
    // Dots alone make no JWT.
    for token in ["v4.local.payload", "ya29.opaque", "a.b.c"] {
        assert_eq!(opaque.present(token).await, Verdict::Admitted, "{token}");
    }
    assert_eq!(opaque.idp.calls(), 3);
}

fn error(tokens: Vec<Issuer>) -> (ConfigErrorKind, String) {
    let origin = PublicOrigin::new(ORIGIN).unwrap();
    let error = DpopConfig::builder(origin, tokens).build().unwrap_err();
    (error.kind(), error.to_string())
}

#[tokio::test]
async fn opaque_tokens_belong_to_one_issuer_which_is_the_one_that_is_asked() {
    let idp = Idp::start().await;
    let issuer = |name: &str| Issuer::new(name).opaque_tokens(by_secret(&idp));
    let (kind, text) = error(vec![issuer("https://other.test")]);
    assert_eq!(kind, ConfigErrorKind::AccessTokens);
    assert!(text.contains("one of another issuer"), "{text}");

    // Another issuer's opaque tokens would be sent to the first one.
    let by_other = Introspection::new("https://other.test")
        .endpoint(idp.url("/introspect"))
        .client_secret_basic("orders-api", ClientSecret::new("hush").unwrap())
        .audience(ORIGIN)
        .danger_allow_plain_http();
    let other = Issuer::new("https://other.test").opaque_tokens(by_other);
    let (kind, text) = error(vec![issuer(ISSUER), other]);
    assert_eq!(kind, ConfigErrorKind::AccessTokens);
    assert!(
        text.contains("several issuers have opaque tokens"),
        "{text}"
    );
}

/// The endpoint of an issuer that is looked up would see the opaque tokens of all others.
#[tokio::test]
async fn an_issuer_that_is_looked_up_has_no_opaque_tokens() {
    struct Tenants(Idp, TestIssuer);

    impl fmt::Debug for Tenants {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Tenants")
        }
    }

    impl IssuerSource for Tenants {
        fn issuer(&self, _iss: &str) -> MaybeReady<Result<Option<Issuer>, TokenError>> {
            let issuer = self.1.tokens().opaque_tokens(by_secret(&self.0));
            MaybeReady::ready(Ok(Some(issuer)))
        }
    }

    let idp = Idp::start().await;
    let issuer = jwts(ISSUER);
    let tenants = DynamicIssuers::new(Tenants(idp.clone(), issuer.clone()));
    let opaque = Opaque::of(idp, tenants);
    let jwt = issuer.token().bound_to(&opaque.client).mint();
    let verdict = unavailable("token_verifier_unavailable");
    assert_eq!(opaque.present(&jwt).await, verdict);
    let malformed = invalid_token("token_malformed");
    assert_eq!(opaque.present(&fresh()).await, malformed);
    assert_eq!(opaque.idp.calls(), 0);
}
