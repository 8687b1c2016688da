//! Mistakes in the settings, which are errors at start-up.

use std::time::Duration;

use dpop_tower::{
    ConfigError, ConfigErrorKind, DpopConfig, PublicOrigin,
    token::{ClientSecret, ClientSigningKey, Introspection},
};

use super::ISSUER;
use crate::support::ORIGIN;

fn good() -> Introspection {
    Introspection::new(ISSUER)
        .endpoint("https://issuer.test/introspect")
        .client_secret_basic("orders-api", secret())
        .audience(ORIGIN)
}

fn secret() -> ClientSecret {
    ClientSecret::new("hush").unwrap()
}

fn build(tokens: Introspection) -> Result<DpopConfig, ConfigError> {
    DpopConfig::builder(PublicOrigin::new(ORIGIN).unwrap(), tokens).build()
}

#[test]
fn settings_that_cannot_work_are_rejected() {
    assert!(build(good()).is_ok());
    assert!(build(good().signed_responses()).is_ok());
    assert!(build(good().cache_for(Duration::ZERO)).is_ok());
    let secs = Duration::from_secs;
    use ConfigErrorKind::{AccessTokens, Algorithms, ClientAuthentication, Issuer, Window};
    let no_audience = Introspection::new(ISSUER)
        .endpoint("https://issuer.test/introspect")
        .client_secret_basic("orders-api", secret());
    let no_client = Introspection::discover(ISSUER).audience(ORIGIN);
    let no_place = Introspection::new(ISSUER)
        .client_secret_basic("orders-api", secret())
        .audience(ORIGIN);
    for (tokens, kind, part) in [
        (no_audience, AccessTokens, "no audience"),
        (no_client, ClientAuthentication, "`client_secret_basic`"),
        (no_place, AccessTokens, "`endpoint`"),
        (good().audience(""), AccessTokens, "audience is empty"),
        (
            good().client_secret_basic("", secret()),
            ClientAuthentication,
            "client id",
        ),
        (
            good().endpoint("http://issuer.test/introspect"),
            AccessTokens,
            "https",
        ),
        (
            good().endpoint("http://127.0.0.1/introspect"),
            AccessTokens,
            "danger_allow_plain_http",
        ),
        (good().endpoint("nowhere"), AccessTokens, "not a URL"),
        (good().cache_for(secs(601)), Window, "cache_for"),
        (
            good().cache_rejections_for(secs(61)),
            Window,
            "cache_rejections_for",
        ),
        (good().timeout(secs(31)), Window, "timeout"),
        (good().timeout(secs(0)), Window, "zero"),
        (good().max_calls(0), Window, "zero"),
        (good().max_calls(usize::MAX), Window, "too large"),
        (good().leeway(secs(61)), Window, "leeway"),
        (good().danger_leeway(secs(3_601)), Window, "leeway"),
        (
            good().signed_responses().algorithms([]),
            Algorithms,
            "no algorithm",
        ),
        (
            good().jwks_url("https://issuer.test/jwks"),
            AccessTokens,
            "`signed_responses`",
        ),
        (
            good()
                .signed_responses()
                .jwks_url("http://issuer.test/jwks"),
            AccessTokens,
            "https",
        ),
        (
            Introspection::new("").endpoint("https://issuer.test/x"),
            AccessTokens,
            "issuer is empty",
        ),
        (
            Introspection::discover("https://issuer.test/.well-known/openid-configuration"),
            Issuer,
            "metadata",
        ),
        (
            Introspection::discover("http://issuer.test")
                .client_secret_basic("orders-api", secret())
                .audience(ORIGIN),
            AccessTokens,
            "https",
        ),
    ] {
        let shown = format!("{tokens:?}");
        let error = build(tokens).unwrap_err();
        assert_eq!(error.kind(), kind, "{shown}: {error}");
        assert!(
            error.to_string().contains(part),
            "{part:?} is not in {error}"
        );
    }
}

#[test]
fn secrets_that_cannot_be_meant_are_rejected() {
    for wrong in ["", "hush\n", "\thush", "hu\0sh"] {
        let error = ClientSecret::new(wrong).unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::ClientAuthentication);
        assert!(!error.to_string().contains("hu"), "{error}");
    }
    for wrong in ["", "{}", r#"{"kty":"oct","k":"AAAA"}"#] {
        let error = ClientSigningKey::from_jwk(wrong).unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::ClientAuthentication);
    }
    assert!(ClientSigningKey::from_pkcs8_pem("-----BEGIN PRIVATE KEY-----").is_err());
}

#[test]
fn settings_are_shown_without_the_secret() {
    let config =
        build(good().client_secret_basic("orders-api", ClientSecret::new("f8kX2mPq").unwrap()));
    let shown = format!("{:?}", config.unwrap());
    assert!(shown.contains("orders-api"), "{shown}");
    assert!(!shown.contains("f8kX2mPq"), "{shown}");
}
