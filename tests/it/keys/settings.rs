//! Settings of tokens, keys and proofs, and the errors for invalid ones.

use std::{path::PathBuf, time::Duration};

use dpop_tower::{
    ConfigError, ConfigErrorKind, DpopConfig, DpopConfigBuilder, Issuer, PublicOrigin,
    crypto::Algorithm,
    nonce::{NonceSecret, StatelessNonces},
    test_util::TestIssuer,
};
use serde_json::{Value, json};

use super::{
    ISSUER, UNKNOWN,
    published::{api_with_keys, jose_token, present, unusable_keys, with},
};
use crate::{
    robustness::crypto::JoseKey,
    support::{Api, ORIGIN, Verdict},
};

#[tokio::test]
async fn keys_given_in_place_or_in_a_file_are_used() {
    let issuer = TestIssuer::new();
    let path = temporary_file("good", &issuer.jwks());
    for tokens in [
        Issuer::new(ISSUER).jwks(issuer.jwks()),
        Issuer::new(ISSUER).jwks_file(&path),
    ] {
        let api = Api::with(|_| tokens.audience(ORIGIN), |config| config);
        let token = issuer
            .clone()
            .clock(api.clock.clone())
            .token()
            .bound_to(&api.client)
            .mint();
        let proof = api.proof(&token).sign();
        assert_eq!(api.get(&token, &proof).await, Verdict::Admitted);
        let other = api.token().mint();
        let proof = api.proof(&other).sign();
        assert_eq!(api.get(&other, &proof).await, UNKNOWN);
    }
    std::fs::remove_file(path).unwrap();
}

fn temporary_file(name: &str, text: &str) -> PathBuf {
    let file = format!("dpop-tower-{}-{name}.json", std::process::id());
    let path = std::env::temp_dir().join(file);
    std::fs::write(&path, text).unwrap();
    path
}

fn config_error(
    tokens: Issuer,
    config: impl FnOnce(DpopConfigBuilder) -> DpopConfigBuilder,
) -> ConfigError {
    let origin = PublicOrigin::new(ORIGIN).unwrap();
    config(DpopConfig::builder(origin, tokens))
        .build()
        .unwrap_err()
}

#[test]
fn mistakes_in_the_settings_of_tokens_are_named() {
    let jwks = || TestIssuer::new().jwks();
    let kind = ConfigErrorKind::AccessTokens;
    for (tokens, text) in [
        (
            Issuer::new(ISSUER).jwks(jwks()),
            "no audience: name this API with `Issuer::audience`",
        ),
        (
            Issuer::new(ISSUER).jwks_url("https://issuer.test/jwks"),
            "no audience: name this API with `Issuer::audience`",
        ),
        (
            Issuer::new(ISSUER).jwks(jwks()).audience(""),
            "an audience is empty",
        ),
        (
            Issuer::new(ISSUER)
                .jwks(jwks())
                .audience(ORIGIN)
                .audience(""),
            "an audience is empty",
        ),
        (
            Issuer::new(ISSUER).audience(ORIGIN),
            "it is not said where the issuer's keys are: give `jwks_url`, `jwks_file` or `jwks` after \
             `Issuer::new`, or begin with `Issuer::discover`",
        ),
        (
            Issuer::new("").jwks(jwks()).audience(ORIGIN),
            "the issuer is empty",
        ),
        (Issuer::discover("").audience(ORIGIN), "the issuer is empty"),
        (
            Issuer::discover("http://issuer.test").audience(ORIGIN),
            "the issuer must be an https URL; for tests, see `Issuer::danger_allow_plain_http`",
        ),
        (
            Issuer::discover("ftp://issuer.test")
                .audience(ORIGIN)
                .danger_allow_plain_http(),
            "the issuer must be an https URL; for tests, see `Issuer::danger_allow_plain_http`",
        ),
        (
            Issuer::discover("issuer.test").audience(ORIGIN),
            "the issuer is not a URL",
        ),
        (
            Issuer::discover("https://issuer.test?tenant=1").audience(ORIGIN),
            "the issuer must not have a query or fragment",
        ),
        (
            Issuer::discover("https://user:secret@issuer.test").audience(ORIGIN),
            "the issuer must not contain credentials",
        ),
        (
            Issuer::new(ISSUER)
                .jwks_url("http://issuer.test/jwks")
                .audience(ORIGIN),
            "the URL of the JWK Set must be an https URL; for tests, see \
             `Issuer::danger_allow_plain_http`",
        ),
        (
            Issuer::new(ISSUER).jwks_url("/jwks").audience(ORIGIN),
            "the URL of the JWK Set is not a URL",
        ),
        (
            Issuer::new(ISSUER)
                .jwks_url("https://user:secret@issuer.test/jwks")
                .audience(ORIGIN),
            "the URL of the JWK Set must not contain credentials",
        ),
    ] {
        let error = config_error(tokens, |config| config);
        assert_eq!((error.kind(), &error.to_string()[..]), (kind, text));
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
}

#[test]
fn what_would_have_every_token_rejected_is_told_at_start() {
    let (issuer, url) = (ConfigErrorKind::Issuer, ConfigErrorKind::AccessTokens);
    let jwks = || TestIssuer::new().jwks();
    let metadata = "https://issuer.test/.well-known/openid-configuration";
    for (tokens, kind, parts) in [
        (
            Issuer::discover(metadata),
            issuer,
            [metadata, "\"https://issuer.test\""],
        ),
        (
            Issuer::new(metadata).jwks(jwks()),
            issuer,
            [metadata, "`iss`"],
        ),
        (
            Issuer::new("https://issuer.test/jwks.json").jwks_url("https://issuer.test/jwks"),
            issuer,
            ["https://issuer.test/jwks.json", "JWK Set"],
        ),
        (
            Issuer::new("https://issuer.test/jwks").jwks_url("https://issuer.test"),
            url,
            ["https://issuer.test/jwks", "swapped"],
        ),
        (
            Issuer::new(ISSUER).jwks_url(metadata),
            url,
            [metadata, "`discover`"],
        ),
    ] {
        let error = config_error(tokens.audience(ORIGIN), |config| config);
        assert_eq!(error.kind(), kind);
        for part in parts {
            assert!(error.to_string().contains(part), "{error}");
        }
    }
    for claim in ["", "aud", "sub", "exp", "cnf"] {
        let tokens = TestIssuer::new().tokens().scope_claim(claim);
        let error = config_error(tokens, |config| config);
        assert_eq!(error.kind(), ConfigErrorKind::ScopeClaim);
        assert!(error.to_string().contains(&format!("{claim:?}")), "{error}");
    }
    for claim in [
        "scope",
        "scp",
        "permissions",
        "roles",
        "https://x.test/roles",
    ] {
        let tokens = TestIssuer::new().tokens().scope_claim(claim);
        let origin = PublicOrigin::new(ORIGIN).unwrap();
        DpopConfig::builder(origin, tokens).build().unwrap();
    }
}

#[test]
fn keys_in_place_have_to_be_usable_at_once() {
    let es384 = Value::Object(JoseKey::new(Algorithm::Es384).public());
    let es256 = JoseKey::new(Algorithm::Es256);
    let unusable: Vec<_> = unusable_keys(&es256)
        .into_iter()
        .map(|(_, key)| json!({"keys": [key]}).to_string())
        .collect();
    let not_a_set =
        "the issuer's JWK Set cannot be used: it is not a JSON object with an array `keys`";
    let empty = "the issuer's JWK Set cannot be used: none of its keys can be used";
    let too_many = "the issuer's JWK Set cannot be used: it has more than 100 keys";
    let twice = format!(r#"{{"keys":[],"keys":[{es384}]}}"#);
    let mut table = vec![
        (String::new(), not_a_set),
        ("{".to_owned(), not_a_set),
        ("null".to_owned(), not_a_set),
        ("[]".to_owned(), not_a_set),
        ("{}".to_owned(), not_a_set),
        (json!({"keys": {}}).to_string(), not_a_set),
        (json!({"keys": "x"}).to_string(), not_a_set),
        (json!({"Keys": [es256.public()]}).to_string(), not_a_set),
        (Value::Object(es256.public()).to_string(), not_a_set),
        (twice, not_a_set),
        (json!({"keys": []}).to_string(), empty),
        // Not an algorithm that is allowed by default.
        (json!({"keys": [es384]}).to_string(), empty),
        (
            json!({"keys": vec![Value::Object(es256.public()); 101]}).to_string(),
            too_many,
        ),
    ];
    table.extend(unusable.into_iter().map(|set| (set, empty)));
    for (set, text) in table {
        let tokens = Issuer::new(ISSUER).jwks(set.as_str()).audience(ORIGIN);
        let error = config_error(tokens, |config| config);
        assert_eq!(
            (error.kind(), &error.to_string()[..]),
            (ConfigErrorKind::Keys, text),
            "{set}"
        );
        // From a file it is the same.
        let path = temporary_file("unusable", &set);
        let tokens = Issuer::new(ISSUER).jwks_file(&path).audience(ORIGIN);
        let error = config_error(tokens, |config| config);
        assert_eq!(error.to_string(), text, "{set}");
        std::fs::remove_file(path).unwrap();
    }
}

#[tokio::test]
async fn a_set_may_have_a_hundred_keys() {
    let key = JoseKey::new(Algorithm::Es256);
    let set: Vec<_> = (0..100)
        .map(|i| with(key.public(), &[("kid", json!(i.to_string()))]))
        .collect();
    let api = api_with_keys(&set);
    let token = jose_token(&api, &key, Some("99"));
    assert_eq!(present(&api, &token).await, Verdict::Admitted);
}

#[test]
fn a_key_file_that_cannot_be_read_is_named() {
    let missing = std::env::temp_dir().join("dpop-tower-there-is-no-such-file.json");
    for path in [missing, std::env::temp_dir()] {
        let tokens = Issuer::new(ISSUER).jwks_file(&path).audience(ORIGIN);
        let error = config_error(tokens, |config| config);
        assert_eq!(error.kind(), ConfigErrorKind::Keys);
        assert_eq!(
            error.to_string(),
            format!(
                "the issuer's JWK Set cannot be read from {}",
                path.display()
            )
        );
        let source = std::error::Error::source(&error).unwrap();
        assert!(source.is::<std::io::Error>(), "{source:?}");
    }
}

#[test]
fn mistakes_in_the_settings_of_proofs_are_named() {
    let tokens = || TestIssuer::new().tokens();
    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }
    let error = |of: fn(DpopConfigBuilder) -> DpopConfigBuilder| {
        let error = config_error(tokens(), of);
        assert_eq!(error.kind(), ConfigErrorKind::Window);
        error.to_string()
    };
    for (told, parts) in [
        (
            error(|config| config.max_age(Duration::ZERO)),
            ["maximum age of a proof is zero", "`max_age`"],
        ),
        (
            error(|config| config.max_age(secs(601))),
            ["maximum age of a proof is 601s", "`danger_max_age`"],
        ),
        (
            error(|config| config.danger_max_age(secs(86_401))),
            ["maximum age of a proof is 86401s", "a day"],
        ),
        (
            error(|config| config.max_age(Duration::from_millis(59_999))),
            ["maximum age of a proof is 59.999s", "fraction"],
        ),
        (
            error(|config| config.leeway(secs(61))),
            ["leeway of proofs is 61s", "`danger_leeway`"],
        ),
        (
            error(|config| config.danger_leeway(secs(3_601))),
            ["leeway of proofs is 3601s", "an hour"],
        ),
        (
            error(|config| config.leeway(Duration::from_millis(1))),
            ["leeway of proofs is 1ms", "fraction"],
        ),
        // The last call counts.
        (
            error(|config| config.danger_max_age(secs(700)).max_age(secs(700))),
            ["maximum age of a proof is 700s", "`danger_max_age`"],
        ),
    ] {
        for part in parts {
            assert!(told.contains(part), "{told:?} does not contain {part:?}");
        }
    }
    for (leeway, part) in [
        (tokens().leeway(secs(61)), "`danger_leeway`"),
        (tokens().danger_leeway(secs(3_601)), "an hour"),
        (tokens().leeway(Duration::from_millis(500)), "fraction"),
    ] {
        let error = config_error(leeway, |config| config);
        assert_eq!(error.kind(), ConfigErrorKind::Window);
        let told = error.to_string();
        assert!(
            told.contains("leeway of access tokens") && told.contains(part),
            "{told}"
        );
    }
    for period in [Duration::ZERO, Duration::from_millis(1500), secs(86_401)] {
        let nonces = StatelessNonces::new(NonceSecret::new([1; 32]).unwrap()).period(period);
        for error in [
            config_error(tokens(), |config| {
                config.nonce_source(nonces.clone()).require_nonces()
            }),
            config_error(tokens(), |config| config.nonce_source(nonces.clone())),
        ] {
            assert_eq!(error.kind(), ConfigErrorKind::Nonces);
            assert!(
                error.to_string().contains(&format!("{period:?}")),
                "{error}"
            );
        }
    }
    let none = "no algorithm is allowed";
    let error = config_error(tokens(), |config| config.algorithms([]));
    assert_eq!(
        (error.kind(), &error.to_string()[..]),
        (ConfigErrorKind::Algorithms, none)
    );
    let error = config_error(tokens().algorithms([]), |config| config);
    assert_eq!(
        (error.kind(), &error.to_string()[..]),
        (ConfigErrorKind::Algorithms, none)
    );
}

#[test]
fn the_widest_settings_that_are_allowed_are_allowed() {
    let origin = PublicOrigin::new(ORIGIN).unwrap();
    let builder = |tokens| DpopConfig::builder(origin.clone(), tokens);
    let tokens = || TestIssuer::new().tokens();
    let secs = Duration::from_secs;
    for (max_age, leeway) in [(1, 0), (600, 60)] {
        builder(tokens().leeway(secs(leeway)))
            .max_age(secs(max_age))
            .leeway(secs(leeway))
            .build()
            .unwrap();
    }
    for (max_age, leeway) in [(1, 0), (601, 61), (86_400, 3_600)] {
        builder(tokens().danger_leeway(secs(leeway)))
            .danger_max_age(secs(max_age))
            .danger_leeway(secs(leeway))
            .build()
            .unwrap();
    }
    for period in [1, 86_400] {
        let nonces = StatelessNonces::new(NonceSecret::new([1; 32]).unwrap());
        builder(tokens())
            .nonce_source(nonces.period(secs(period)))
            .require_nonces()
            .build()
            .unwrap();
    }
}
