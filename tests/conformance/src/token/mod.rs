//! What RFC 9068 section 4, RFC 7519 and RFC 8725 ask of a token, one part broken at a time.

use crate::{
    crypto::{JoseKey, base64url, from_base64url, hmac_jws, signing_input},
    support::{Api, ORIGIN, URL, Verdict, Way, Why, invalid_proof, invalid_request, invalid_token},
};
use axum::{
    Router,
    body::to_bytes,
    routing::{MethodRouter, get},
};
use dpop_tower::{
    BoundToken, DpopConfig, DpopConfigBuilder, DpopLayer, Issuer, Policy, PublicOrigin,
    crypto::{
        Algorithm, CryptoProvider, InvalidKey, InvalidSignature, Josekit, PreparedKey, VerifyingKey,
    },
    jwk::PublicJwk,
    test_util::{KeyKind, TestClient, TestIssuer, TokenBuilder},
};
use http::Method;
use serde_json::{Map, Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

cases! { token as token;
each_way [
    rfc_7519_section_4_1_4_a_token_ends_at_the_second_of_exp,
    rfc_7519_section_4_1_5_nbf_and_iat_may_be_ahead_by_the_leeway,
    no_date_of_a_token_is_too_extreme_for_arithmetic,
    every_claim_that_is_read_has_its_json_type,
    a_claim_that_is_handed_on_decides_nothing,
    scopes_may_be_an_array_or_in_another_claim,
    iss_aud_and_exp_are_required_and_other_claims_are_not,
    rfc_9068_section_4_iss_is_the_issuer_to_the_letter,
    rfc_9068_section_4_aud_names_this_api_to_the_letter,
    rfc_9068_section_4_typ_is_at_jwt,
    rfc_8725_section_3_2_none_is_no_algorithm,
    rfc_8725_section_3_1_a_public_key_is_no_hmac_secret,
    rfc_8725_section_3_1_algorithms_are_those_of_the_configuration,
    five_algorithms_are_allowed_by_default,
    rfc_9864_both_names_of_ed25519_fit_a_key_that_is_marked_with_either,
    rfc_7517_section_4_4_a_key_serves_only_the_alg_it_is_marked_with,
    a_token_of_either_kind_of_test_issuer_is_accepted,
    rfc_7515_section_4_1_11_critical_extensions_are_rejected,
    duplicate_members_are_rejected_in_every_spelling,
    header_and_payload_are_one_json_object_each,
    only_the_compact_serialization_is_a_token,
    a_token_has_at_most_16_kib,
    a_token_is_signed_with_a_key_of_the_issuer,
    the_signature_covers_header_and_payload_as_sent,
    a_kid_is_a_name_in_the_key_set_and_nothing_else,
    rfc_8725_section_3_10_keys_in_the_header_are_never_used,
    unknown_header_parameters_and_claims_are_ignored,
    a_token_that_was_accepted_before_ends_at_exp_all_the_same,
    a_token_that_was_accepted_before_begins_at_nbf_all_the_same,
    a_token_and_a_key_that_were_accepted_before_cost_less,
    a_token_that_was_accepted_before_still_needs_its_key,
    a_token_that_was_accepted_before_is_still_no_bearer_token,
    a_changed_token_gains_nothing_from_the_original_being_known,
    tokens_are_not_mixed_up_however_small_the_cache_is,
    the_reason_says_which_claim_it_is_and_nothing_of_the_token,
]
each_way_of_the_layer [
    a_handler_sees_the_scopes_of_the_token,
    a_handler_sees_what_the_token_says,
]
}

const ISSUER: &str = "https://issuer.test";

trait Present {
    /// Sends the token with a good proof for it.
    async fn present(&self, token: &str) -> Verdict;
    async fn reject(&self, what: &str, token: &str, reason: &'static str);
    async fn accept(&self, what: &str, token: &str);
}

impl Present for Api {
    async fn present(&self, token: &str) -> Verdict {
        self.get(token, &self.proof(token).sign()).await
    }

    async fn reject(&self, what: &str, token: &str, reason: &'static str) {
        assert_eq!(self.present(token).await, invalid_token(reason), "{what}");
    }

    async fn accept(&self, what: &str, token: &str) {
        assert_eq!(self.present(token).await, Verdict::Admitted, "{what}");
    }
}

fn object(json: &str) -> Map<String, Value> {
    serde_json::from_str(json).unwrap()
}

/// Keys as an issuer would publish them.
fn jwks(keys: &[Map<String, Value>]) -> String {
    json!({ "keys": keys }).to_string()
}

fn with(mut jwk: Map<String, Value>, members: &[(&str, Value)]) -> Map<String, Value> {
    for (name, value) in members {
        jwk.insert((*name).to_owned(), value.clone());
    }
    jwk
}

/// An API that trusts these keys, whatever its test issuer has.
fn api_with_keys(way: Way, keys: &[Map<String, Value>], algorithms: &[Algorithm]) -> Api {
    let jwks = jwks(keys);
    way.api_with(
        |_| {
            Issuer::new(ISSUER)
                .jwks(jwks)
                .audience(ORIGIN)
                .algorithms(algorithms.iter().copied())
        },
        |config| config,
    )
}

/// A token for the API's client, signed with a key of josekit's.
fn jose_token(api: &Api, key: &JoseKey, header: &[(&str, Value)]) -> String {
    let base = json!({"typ": "at+jwt", "alg": key.algorithm.as_str()});
    let header = with(base.as_object().unwrap().clone(), header);
    key.jws(
        &Value::Object(header).to_string(),
        &api.token().payload_json(),
    )
}

async fn rfc_7519_section_4_1_4_a_token_ends_at_the_second_of_exp(way: Way) {
    let api = way.api();
    for (offset, expected) in [
        (-1, invalid_token("token_expired")),
        (0, invalid_token("token_expired")),
        (1, Verdict::Admitted),
    ] {
        let token = api.token().claim("exp", api.now() + offset).mint();
        assert_eq!(api.present(&token).await, expected, "{offset}");
    }
    // The leeway is for the future only.
    let lenient = way.api_with(
        |tokens| tokens.danger_leeway(Duration::from_secs(600)),
        |config| config,
    );
    let token = lenient.token().claim("exp", lenient.now()).mint();
    lenient.reject("at exp", &token, "token_expired").await;
}

async fn rfc_7519_section_4_1_5_nbf_and_iat_may_be_ahead_by_the_leeway(way: Way) {
    for (api, leeway) in [
        (way.api(), 10),
        (
            way.api_with(|tokens| tokens.leeway(Duration::ZERO), |config| config),
            0,
        ),
        (
            way.api_with(
                |tokens| tokens.leeway(Duration::from_secs(60)),
                |config| config,
            ),
            60,
        ),
    ] {
        for name in ["nbf", "iat"] {
            for (offset, expected) in [
                (leeway + 1, invalid_token("token_not_yet_valid")),
                (leeway, Verdict::Admitted),
                (-1_000_000, Verdict::Admitted),
            ] {
                let token = api.token().claim(name, api.now() + offset).mint();
                assert_eq!(api.present(&token).await, expected, "{name} {offset:+}");
            }
        }
    }
}

async fn no_date_of_a_token_is_too_extreme_for_arithmetic(way: Way) {
    let api = way.api();
    let now = api.now();
    let (expired, early) = ("token_expired", "token_not_yet_valid");
    for (name, value, expected) in [
        ("exp", json!(0), invalid_token(expired)),
        ("exp", json!(-1), invalid_token(expired)),
        ("exp", json!(i64::MIN), invalid_token(expired)),
        ("exp", json!(-1e300), invalid_token(expired)),
        ("exp", json!(1e-300), invalid_token(expired)),
        // Cut to the second, towards the past.
        ("exp", json!(1_800_000_000.9), invalid_token(expired)),
        ("exp", json!(1_800_000_001.0), Verdict::Admitted),
        ("exp", json!(i64::MAX), Verdict::Admitted),
        ("exp", json!(u64::MAX), Verdict::Admitted),
        ("nbf", json!(i64::MIN), Verdict::Admitted),
        ("nbf", json!(-1e300), Verdict::Admitted),
        ("nbf", json!(i64::MAX), invalid_token(early)),
        ("nbf", json!(u64::MAX), invalid_token(early)),
        ("nbf", json!(1e300), invalid_token(early)),
        ("iat", json!(i64::MIN), Verdict::Admitted),
        ("iat", json!(u64::MAX), invalid_token(early)),
        ("iat", json!(now * 1000), invalid_token(early)),
    ] {
        let token = api.token().claim(name, value.clone()).mint();
        assert_eq!(api.present(&token).await, expected, "{name}: {value}");
    }
    assert_eq!(now, 1_800_000_000);
}

/// A claim of the wrong type is not an absent one (CVE-2026-25537).
async fn every_claim_that_is_read_has_its_json_type(way: Way) {
    let api = way.api();
    for name in ["exp", "nbf", "iat"] {
        for value in [
            json!(null),
            json!(""),
            json!("1900000000"),
            json!(true),
            json!([1_900_000_000]),
            json!({}),
        ] {
            let token = api.token().claim(name, value.clone()).mint();
            let what = format!("{name}: {value}");
            api.reject(&what, &token, "token_invalid_claim").await;
        }
    }
    for value in [
        json!(null),
        json!(7),
        json!(true),
        json!([]),
        json!([ISSUER]),
        json!({ISSUER: 1}),
    ] {
        let token = api.token().claim("iss", value.clone()).mint();
        let what = format!("iss: {value}");
        api.reject(&what, &token, "token_invalid_claim").await;
    }
    // A bound token must not become an unbound one.
    for value in [json!(null), json!([]), json!("x"), json!({"jkt": null})] {
        let token = api.token().claim("cnf", value.clone()).mint();
        let what = format!("cnf: {value}");
        api.reject(&what, &token, "token_confirmation_invalid")
            .await;
    }
    for value in [
        json!(null),
        json!(7),
        json!(true),
        json!({}),
        json!({ORIGIN: 1}),
    ] {
        let token = api.token().claim("aud", value.clone()).mint();
        let what = format!("aud: {value}");
        api.reject(&what, &token, "token_invalid_claim").await;
    }
}

/// Identity providers write numbers, arrays and nulls into claims that only the service reads.
async fn a_claim_that_is_handed_on_decides_nothing(way: Way) {
    let api = way.api_with(|tokens| tokens, |config| config);
    let config = api.config().build().unwrap();
    let hello = || Router::new().route("/orders", get(async || "hello"));
    let router = way.protect(config, hello(), hello());
    for name in ["sub", "client_id", "scope", "jti", "azp", "http://x.test/y"] {
        for value in [json!(null), json!(7), json!([]), json!(["x", 7]), json!({})] {
            let token = api.token().claim(name, value.clone()).mint();
            // Also when the verdict is at hand.
            for _ in 0..2 {
                let response = way.send(router.clone(), api.client.get(URL, &token)).await;
                assert_eq!(Verdict::of(response), Verdict::Admitted, "{name}: {value}");
            }
        }
    }
}

async fn scopes_may_be_an_array_or_in_another_claim(way: Way) {
    let missing = Verdict::Rejected {
        status: 403,
        error: "insufficient_scope",
        reason: "policy_scope_missing",
    };
    let asks = |config: DpopConfigBuilder| config.policy(Policy::strict().require_scope("a"));
    let usual = way.api_with(|tokens| tokens, asks);
    let scp = way.api_with(|tokens| tokens.scope_claim("scp"), asks);
    let roles = way.api_with(|tokens| tokens.scope_claim("https://x.test/roles"), asks);
    for (value, expected) in [
        (json!("a"), Verdict::Admitted),
        (json!("b a"), Verdict::Admitted),
        (json!(["a"]), Verdict::Admitted),
        (json!(["b", "a", 7, null]), Verdict::Admitted),
        (json!(["a b"]), missing),
        (json!([" a"]), missing),
        (json!([["a"]]), missing),
        (json!({"a": "a"}), missing),
        (json!(["b"]), missing),
        (json!("b"), missing),
        (json!([]), missing),
        (json!(null), missing),
        (json!(7), missing),
    ] {
        for (api, name) in [
            (&usual, "scope"),
            (&scp, "scp"),
            (&roles, "https://x.test/roles"),
        ] {
            let token = api.token().claim(name, value.clone()).mint();
            for _ in 0..2 {
                assert_eq!(api.present(&token).await, expected, "{name}: {value}");
            }
        }
    }
    // No other claim grants anything.
    for (api, other) in [(&usual, "scp"), (&scp, "scope"), (&scp, "roles")] {
        let token = api.token().claim(other, "a").mint();
        assert_eq!(api.present(&token).await, missing, "{other}");
    }
    let both = scp.token().scope("a").claim("scp", json!(["b"])).mint();
    assert_eq!(scp.present(&both).await, missing);
}

async fn iss_aud_and_exp_are_required_and_other_claims_are_not(way: Way) {
    let api = way.api();
    for name in ["iss", "aud", "exp"] {
        let token = api.token().without_claim(name).mint();
        api.reject(name, &token, "token_missing_claim").await;
    }
    for name in ["iat", "nbf", "jti", "client_id", "scope"] {
        let token = api.token().without_claim(name).mint();
        api.accept(name, &token).await;
    }
}

/// CVE-2024-53861: part of an issuer is another issuer.
async fn rfc_9068_section_4_iss_is_the_issuer_to_the_letter(way: Way) {
    let api = way.api();
    for iss in [
        "",
        "https://issuer.tes",
        "https://issuer.test/",
        "https://issuer.test/tenant",
        "https://issuer.test.evil.test",
        "https://issuer.test:443",
        "https://ISSUER.test",
        "HTTPS://issuer.test",
        "http://issuer.test",
        "issuer.test",
        " https://issuer.test",
        "https://issuer.test ",
        "https://issuer.test\0",
        "https://evil.test",
    ] {
        let token = api.token().claim("iss", iss).mint();
        api.reject(iss, &token, "token_issuer_mismatch").await;
    }
    api.accept("as it is", &api.token().mint()).await;
}

async fn rfc_9068_section_4_aud_names_this_api_to_the_letter(way: Way) {
    let api = way.api_with(|tokens| tokens.audience("second"), |config| config);
    let (mismatch, invalid) = (
        invalid_token("token_audience_mismatch"),
        invalid_token("token_invalid_claim"),
    );
    for (aud, expected) in [
        (json!(ORIGIN), Verdict::Admitted),
        (json!("second"), Verdict::Admitted),
        (json!([ORIGIN]), Verdict::Admitted),
        (json!(["other", ORIGIN]), Verdict::Admitted),
        (json!(["second", "other"]), Verdict::Admitted),
        (json!([ORIGIN, ORIGIN]), Verdict::Admitted),
        (json!(""), mismatch),
        (json!([]), mismatch),
        (json!([""]), mismatch),
        (json!("other"), mismatch),
        (json!(["other", "another"]), mismatch),
        (json!(format!("{ORIGIN}/")), mismatch),
        (json!(ORIGIN.to_uppercase()), mismatch),
        (json!(&ORIGIN[..ORIGIN.len() - 1]), mismatch),
        (json!(format!("{ORIGIN} second")), mismatch),
        (json!("Second"), mismatch),
        (json!([ORIGIN, 7]), invalid),
        (json!([null, ORIGIN]), invalid),
        (json!([[ORIGIN]]), invalid),
        (json!([{ORIGIN: ORIGIN}, ORIGIN]), invalid),
    ] {
        let token = api.token().claim("aud", aud.clone()).mint();
        assert_eq!(api.present(&token).await, expected, "{aud}");
    }
}

async fn rfc_9068_section_4_typ_is_at_jwt(way: Way) {
    let strict = way.api();
    let lenient = way.api_with(Issuer::danger_accept_typ_jwt, |config| config);
    for (typ, by_default, if_asked) in [
        (json!("at+jwt"), true, true),
        (json!("AT+JWT"), true, true),
        (json!("application/at+jwt"), true, true),
        (json!("Application/AT+jwt"), true, true),
        (json!("JWT"), false, true),
        (json!("jwt"), false, true),
        (json!("application/jwt"), false, true),
        (json!("dpop+jwt"), false, false),
        (json!("id+jwt"), false, false),
        (json!("logout+jwt"), false, false),
        (json!("text/at+jwt"), false, false),
        (json!("application/application/at+jwt"), false, false),
        (json!("at+jwt "), false, false),
        (json!(" at+jwt"), false, false),
        (json!("at jwt"), false, false),
        (json!("+jwt"), false, false),
        (json!(""), false, false),
        (json!(null), false, false),
        (json!(7), false, false),
        (json!(true), false, false),
        (json!(["at+jwt"]), false, false),
        (json!({"at+jwt": 1}), false, false),
    ] {
        for (api, accepted) in [(&strict, by_default), (&lenient, if_asked)] {
            let token = api.token().header("typ", typ.clone()).mint();
            if accepted {
                api.accept(&typ.to_string(), &token).await;
            } else {
                api.reject(&typ.to_string(), &token, "token_typ_invalid")
                    .await;
            }
        }
    }
    let token = strict.token().without_header("typ").mint();
    strict.reject("missing", &token, "token_typ_invalid").await;
    let token = lenient.token().without_header("typ").mint();
    lenient.accept("missing", &token).await;
    for api in [strict, lenient] {
        // A proof is no token, whoever signed it.
        let proof = api.proof("").sign();
        api.reject("a proof", &proof, "token_typ_invalid").await;
    }
}

async fn rfc_8725_section_3_2_none_is_no_algorithm(way: Way) {
    let api = way.api();
    let not_allowed = "token_alg_not_allowed";
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let token = api.token().header("alg", alg);
        api.reject(alg, &token.clone().mint(), not_allowed).await;
        let unsigned = token.empty_signature().mint();
        api.reject(alg, &unsigned, not_allowed).await;
    }
    for alg in [
        json!(null),
        json!(7),
        json!(true),
        json!(["ES256"]),
        json!({}),
    ] {
        let token = api.token().header("alg", alg.clone()).mint();
        api.reject(&alg.to_string(), &token, not_allowed).await;
    }
    let missing = api.token().without_header("alg").mint();
    api.reject("missing", &missing, not_allowed).await;
}

/// CVE-2023-48223, CVE-2026-34950: the issuer's public key is everybody's secret.
async fn rfc_8725_section_3_1_a_public_key_is_no_hmac_secret(way: Way) {
    let rsa = JoseKey::new(Algorithm::Rs256);
    let jwk = with(rsa.public(), &[("kid", json!("rsa"))]);
    let api = api_with_keys(way, std::slice::from_ref(&jwk), &Algorithm::ALL);
    let payload = api.token().payload_json();
    let secrets = [
        ("n", from_base64url(jwk["n"].as_str().unwrap())),
        ("n as text", jwk["n"].as_str().unwrap().as_bytes().to_vec()),
        (
            "the JWK",
            Value::Object(jwk.clone()).to_string().into_bytes(),
        ),
        ("the JWK Set", jwks(&[jwk]).into_bytes()),
        ("nothing", Vec::new()),
    ];
    for (what, secret) in secrets {
        for (alg, reason) in [
            ("HS256", "token_alg_not_allowed"),
            ("HS384", "token_alg_not_allowed"),
            ("HS512", "token_alg_not_allowed"),
            ("RS256", "token_signature_invalid"),
            // There is no such key.
            ("ES256", "token_key_unknown"),
        ] {
            let header = json!({"typ": "at+jwt", "alg": alg, "kid": "rsa"}).to_string();
            let token = hmac_jws(&header, &payload, &secret);
            api.reject(&format!("{alg} with {what}"), &token, reason)
                .await;
        }
    }
    let good = jose_token(&api, &rsa, &[("kid", json!("rsa"))]);
    api.accept("RS256", &good).await;
}

async fn rfc_8725_section_3_1_algorithms_are_those_of_the_configuration(way: Way) {
    for algorithm in Algorithm::ALL {
        let key = JoseKey::new(algorithm);
        let jwk = with(key.public(), &[("kid", json!("1"))]);
        let keys = std::slice::from_ref(&jwk);
        let header = [("kid", json!("1"))];

        let only = api_with_keys(way, keys, &[algorithm]);
        let token = jose_token(&only, &key, &header);
        only.accept(algorithm.as_str(), &token).await;

        // The issuer has two keys, so that the set is not empty without this one.
        let second = JoseKey::other(if algorithm == Algorithm::Rs256 {
            Algorithm::Es256
        } else {
            Algorithm::Rs256
        });
        let others: Vec<_> = Algorithm::ALL
            .into_iter()
            .filter(|other| *other != algorithm)
            .collect();
        let without = api_with_keys(way, &[jwk.clone(), second.public()], &others);
        let token = jose_token(&without, &key, &header);
        without
            .reject(algorithm.as_str(), &token, "token_alg_not_allowed")
            .await;
    }
}

async fn five_algorithms_are_allowed_by_default(way: Way) {
    let keys: Vec<_> = Algorithm::ALL.into_iter().map(JoseKey::new).collect();
    let public: Vec<_> = keys
        .iter()
        .map(|key| with(key.public(), &[("kid", json!(key.algorithm.as_str()))]))
        .collect();
    let api = way.api_with(
        |_| Issuer::new(ISSUER).jwks(jwks(&public)).audience(ORIGIN),
        |config| config,
    );
    for key in keys {
        let name = key.algorithm.as_str();
        let token = jose_token(&api, &key, &[("kid", json!(name))]);
        if ["ES256", "Ed25519", "EdDSA", "PS256", "RS256"].contains(&name) {
            api.accept(name, &token).await;
        } else {
            api.reject(name, &token, "token_alg_not_allowed").await;
        }
    }
}

async fn rfc_9864_both_names_of_ed25519_fit_a_key_that_is_marked_with_either(way: Way) {
    let key = JoseKey::new(Algorithm::Ed25519);
    for marked in [None, Some("Ed25519"), Some("EdDSA")] {
        let members: Vec<_> = marked.map(|alg| ("alg", json!(alg))).into_iter().collect();
        let api = api_with_keys(way, &[with(key.public(), &members)], &Algorithm::DEFAULT);
        for alg in ["Ed25519", "EdDSA"] {
            let token = jose_token(&api, &key, &[("alg", json!(alg))]);
            api.accept(&format!("{alg}, marked {marked:?}"), &token)
                .await;
        }
    }
}

async fn rfc_7517_section_4_4_a_key_serves_only_the_alg_it_is_marked_with(way: Way) {
    let rsa = |algorithm| JoseKey::new(algorithm);
    let jwk = with(
        rsa(Algorithm::Ps256).public(),
        &[("alg", json!("PS256")), ("kid", json!("1"))],
    );
    let api = api_with_keys(way, &[jwk], &Algorithm::ALL);
    for algorithm in [
        Algorithm::Ps256,
        Algorithm::Ps384,
        Algorithm::Rs256,
        Algorithm::Rs512,
    ] {
        let token = jose_token(&api, &rsa(algorithm), &[("kid", json!("1"))]);
        if algorithm == Algorithm::Ps256 {
            api.accept("marked", &token).await;
        } else {
            api.reject(algorithm.as_str(), &token, "token_key_unknown")
                .await;
        }
    }
}

async fn a_token_of_either_kind_of_test_issuer_is_accepted(way: Way) {
    for kind in [KeyKind::P256, KeyKind::Ed25519] {
        let issuer = TestIssuer::with_key(kind);
        let api = way.api_with(|_| issuer.tokens(), |config| config);
        let token = issuer
            .clone()
            .clock(api.clock.clone())
            .token()
            .bound_to(&api.client)
            .mint();
        api.accept(&format!("{kind:?}"), &token).await;
    }
}

/// CVE-2026-35042, CVE-2026-32597, CVE-2025-59420 and others.
async fn rfc_7515_section_4_1_11_critical_extensions_are_rejected(way: Way) {
    let api = way.api();
    for (name, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!(["b64"])),
        ("crit", json!(["http://example.com/unknown"])),
        ("crit", json!([])),
        ("crit", json!(null)),
        ("crit", json!("exp")),
        ("crit", json!(false)),
        ("b64", json!(true)),
        ("b64", json!(false)),
        ("b64", json!(null)),
    ] {
        let token = api.token().header(name, value.clone()).mint();
        let what = format!("{name}: {value}");
        api.reject(&what, &token, "token_crit_not_supported").await;
    }
}

async fn duplicate_members_are_rejected_in_every_spelling(way: Way) {
    let api = way.api();
    let token = api.token();
    let doubled =
        |json: &str, name: &str, value: &Value| format!("{{{name}:{value},{}", &json[1..]);
    let spellings = |name: &str| {
        let (first, rest) = name.split_at(1);
        let escape = format!("\\u{:04x}", u32::from(first.as_bytes()[0]));
        [format!("\"{name}\""), format!("\"{escape}{rest}\"")]
    };
    type Raw = fn(TokenBuilder, String) -> TokenBuilder;
    let parts: [(String, Raw); 2] = [
        (token.header_json(), TokenBuilder::raw_header),
        (token.payload_json(), TokenBuilder::raw_payload),
    ];
    for (json, raw) in parts {
        for (name, value) in object(&json) {
            for spelling in spellings(&name) {
                for value in [&value, &json!("other")] {
                    let token = raw(token.clone(), doubled(&json, &spelling, value)).mint();
                    api.reject(&spelling, &token, "token_malformed").await;
                }
            }
        }
    }
    let payload = token.payload_json();
    let jkt = api.client.thumbprint();
    let thief = TestClient::new().thumbprint();
    let twice = payload.replacen("\"cnf\":{", &format!("\"cnf\":{{\"jkt\":\"{thief}\","), 1);
    assert!(twice.contains(&thief.to_string()) && twice.contains(&jkt.to_string()));
    let token = token.raw_payload(twice).mint();
    api.reject("two jkt", &token, "token_malformed").await;
}

async fn header_and_payload_are_one_json_object_each(way: Way) {
    let api = way.api();
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100), "]".repeat(100));
    for text in [
        "",
        "null",
        "\"x\"",
        "1",
        "[]",
        "{",
        "{}{}",
        "\u{feff}{}",
        &deep,
    ] {
        for token in [
            api.token().raw_header(text).mint(),
            api.token().raw_payload(text).mint(),
        ] {
            api.reject(text, &token, "token_malformed").await;
        }
    }
}

async fn only_the_compact_serialization_is_a_token(way: Way) {
    let api = way.api();
    let token = api.token().mint();
    let [header, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else {
        panic!("three parts");
    };
    for (what, text) in [
        ("opaque", "2YotnFZFEjr1zCsicMWpAA".to_owned()),
        ("two parts", format!("{header}.{payload}")),
        ("four parts", format!("{token}.{signature}")),
        (
            "five parts, as a JWE",
            format!("{token}.{signature}.{signature}"),
        ),
        ("a dot before", format!(".{token}")),
        ("a dot behind", format!("{token}.")),
        ("no header", format!(".{payload}.{signature}")),
        ("no payload", format!("{header}..{signature}")),
        ("dots only", "..".to_owned()),
        ("padded", format!("{token}==")),
        ("another alphabet", format!("{header}.{payload}.++//")),
    ] {
        api.reject(what, &text, "token_malformed").await;
    }
    for (what, text) in [
        ("JSON", json!({"payload": payload}).to_string()),
        ("a space", format!("{header}. {payload}.{signature}")),
        ("quotes", format!("\"{token}\"")),
        ("two tokens", format!("{token},{token}")),
        ("a percent-encoding", token.replacen('.', "%2E", 1)),
        ("padding inside", format!("{header}=.{payload}.{signature}")),
    ] {
        assert_eq!(
            api.present(&text).await,
            invalid_request("credentials_malformed"),
            "{what}"
        );
    }
    api.accept("as it is", &token).await;
}

async fn a_token_has_at_most_16_kib(way: Way) {
    let api = way.api();
    let of_len = |len: usize| {
        // base64url has no text of 4n + 1 characters, so two parts are needed to get every length.
        for i in 0..4 {
            let draft = api.token().header("z", "z".repeat(i));
            let with = |j: usize| draft.clone().claim("z", "z".repeat(j)).mint();
            let about = (len - with(0).len()) * 3 / 4;
            if let Some(token) = (about - 4..about + 4).map(with).find(|t| t.len() == len) {
                return token;
            }
        }
        panic!("no token of {len} characters");
    };
    api.accept("8 KiB", &of_len(8 * 1024)).await;
    api.accept("16 KiB", &of_len(16 * 1024)).await;
    api.reject("more", &of_len(16 * 1024 + 1), "token_too_long")
        .await;
    api.reject("junk", &"a".repeat(100_000), "token_too_long")
        .await;
}

async fn a_token_is_signed_with_a_key_of_the_issuer(way: Way) {
    let api = way.api();
    let other = TestIssuer::new();
    let invalid = "token_signature_invalid";
    let good = api.token().mint();
    let (input, signature) = good.rsplit_once('.').unwrap();
    let bytes = from_base64url(signature);
    let (_, of_another) = {
        let another = api.token().mint();
        let (input, signature) = another.rsplit_once('.').unwrap();
        (input.to_owned(), signature.to_owned())
    };
    let with = |bytes: &[u8]| format!("{input}.{}", base64url(bytes));
    for (what, token) in [
        ("corrupt", api.token().corrupt_signature().mint()),
        ("empty", api.token().empty_signature().mint()),
        ("by another key", api.token().signed_by(&other).mint()),
        (
            "by another key, no kid",
            api.token().without_header("kid").signed_by(&other).mint(),
        ),
        ("of another token", format!("{input}.{of_another}")),
        ("truncated", with(&bytes[..63])),
        ("longer", with(&[&bytes[..], &[0]].concat())),
        ("all zero", with(&[0; 64])),
        ("DER", with(&crate::crypto::der_signature(&bytes))),
    ] {
        api.reject(what, &token, invalid).await;
    }
    let theirs = other
        .clock(api.clock.clone())
        .token()
        .bound_to(&api.client)
        .mint();
    api.reject("another kid", &theirs, "token_key_unknown")
        .await;
    api.accept("as it is", &good).await;
    api.accept("without kid", &api.token().without_header("kid").mint())
        .await;
}

async fn the_signature_covers_header_and_payload_as_sent(way: Way) {
    let api = way.api();
    let draft = api.token();
    let good = draft.clone().mint();
    let (_, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = (draft.header_json(), draft.payload_json());
    for (header, payload) in [
        (format!("{header} "), payload.clone()),
        (header.clone(), format!(" {payload}")),
        (header, draft.claim("sub", "root").payload_json()),
    ] {
        let token = format!("{}.{signature}", signing_input(&header, &payload));
        api.reject(&payload, &token, "token_signature_invalid")
            .await;
    }
    api.accept("as it is", &good).await;
}

async fn a_kid_is_a_name_in_the_key_set_and_nothing_else(way: Way) {
    let api = way.api();
    for kid in [
        json!(null),
        json!(7),
        json!(true),
        json!([]),
        json!({}),
        json!(["1"]),
    ] {
        let token = api.token().header("kid", kid.clone()).mint();
        api.reject(&kid.to_string(), &token, "token_malformed")
            .await;
    }
    for kid in [
        "",
        "*",
        "../../../../dev/null",
        "' OR '1'='1",
        "https://evil.test/jwks",
        "\0",
        "\r\nX: y",
        "\r\nFLUSHALL\r\n",
        "file:///etc/passwd",
        "| id",
        "${jndi:ldap://evil.test/a}",
        &"a".repeat(8_000),
    ] {
        let token = api.token().header("kid", kid).mint();
        api.reject(kid, &token, "token_key_unknown").await;
    }
    let upper = api.issuer.jwks().to_uppercase();
    let token = api.token().header("kid", upper).mint();
    api.reject("upper case", &token, "token_key_unknown").await;
}

/// CVE-2018-0114 and what came after it: a token does not bring its own key.
async fn rfc_8725_section_3_10_keys_in_the_header_are_never_used(way: Way) {
    let api = way.api();
    let mine = JoseKey::new(Algorithm::Es256);
    let kid = object(&api.token().header_json())["kid"].clone();
    let jwk = Value::Object(mine.public());
    let headers = [
        ("jwk", jwk.clone()),
        ("jku", json!("https://evil.test/jwks")),
        ("x5u", json!("https://evil.test/cert.pem")),
        ("x5c", json!(["MIIB"])),
        ("keys", json!([jwk])),
    ];
    for (name, value) in headers {
        for (kid, reason) in [
            (Some(kid.clone()), "token_signature_invalid"),
            (Some(json!(mine.thumbprint())), "token_key_unknown"),
            (None, "token_signature_invalid"),
        ] {
            let mut header = vec![(name, value.clone())];
            header.extend(kid.map(|kid| ("kid", kid)));
            let token = jose_token(&api, &mine, &header);
            api.reject(name, &token, reason).await;
        }
        // The issuer may write what it likes there.
        let token = api.token().header(name, value).mint();
        api.accept(name, &token).await;
    }
}

async fn unknown_header_parameters_and_claims_are_ignored(way: Way) {
    let api = way.api();
    for name in ["x5t", "cty", "zip", "iss", "nonce", "http://example.com/x"] {
        for value in [json!("x"), json!(null), json!(["x", {"y": 1}])] {
            let token = api
                .token()
                .header(name, value.clone())
                .claim("http://example.com/x", value.clone())
                .mint();
            api.accept(&format!("{name}: {value}"), &token).await;
        }
    }
}

/// liboauth2 (CWE-613): a verdict that is kept must not outlive its token.
async fn a_token_that_was_accepted_before_ends_at_exp_all_the_same(way: Way) {
    let api = way.api();
    let token = api.token().mint();
    for _ in 0..2 {
        api.accept("fresh", &token).await;
    }
    api.advance(299);
    api.accept("in its last second", &token).await;
    api.advance(1);
    for _ in 0..2 {
        api.reject("at exp", &token, "token_expired").await;
    }
    // The clock going back does not bring a verdict with it that was dropped.
    api.clock
        .set(dpop_tower::clock::UnixTime::from_secs(api.now() - 1));
    api.accept("before exp", &token).await;
}

/// `exp` is looked at once more before the proof's signature; the other times only with the verdict.
async fn a_token_that_was_accepted_before_begins_at_nbf_all_the_same(way: Way) {
    let api = way.api();
    let token = api.token().claim("nbf", api.now()).mint();
    api.accept("at nbf", &token).await;
    api.clock
        .set(dpop_tower::clock::UnixTime::from_secs(api.now() - 100));
    api.reject("before nbf", &token, "token_not_yet_valid")
        .await;
}

/// The default backend, counting what it does.
#[derive(Clone, Debug, Default)]
struct Counting {
    prepared: Arc<AtomicUsize>,
    verified: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct CountingKey(PreparedKey, Arc<AtomicUsize>);

impl CryptoProvider for Counting {
    fn supports(&self, algorithm: Algorithm) -> bool {
        Josekit.supports(algorithm)
    }

    fn prepare(&self, key: &PublicJwk, algorithm: Algorithm) -> Result<PreparedKey, InvalidKey> {
        self.prepared.fetch_add(1, Ordering::SeqCst);
        let key = Josekit.prepare(key, algorithm)?;
        Ok(Arc::new(CountingKey(key, Arc::clone(&self.verified))))
    }
}

impl VerifyingKey for CountingKey {
    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.verify(message, signature)
    }
}

async fn a_token_and_a_key_that_were_accepted_before_cost_less(way: Way) {
    let counting = Counting::default();
    let backend = counting.clone();
    let api = way.api_with(|tokens| tokens, |config| config.crypto(backend));
    let spent =
        || [&counting.prepared, &counting.verified].map(|count| count.swap(0, Ordering::SeqCst));
    assert_eq!(spent(), [1, 0], "the issuer's key");
    let token = api.token().mint();
    api.accept("first", &token).await;
    assert_eq!(spent(), [1, 2], "token and proof");
    api.accept("second", &token).await;
    assert_eq!(spent(), [0, 1], "the proof");
    api.accept("another token", &api.token().mint()).await;
    assert_eq!(spent(), [0, 2], "token and proof, with a known key");

    // Strangers get nothing kept: neither a token that is not genuine nor a key that proved nothing.
    let forged = api.token().corrupt_signature().mint();
    let stranger = TestClient::new().clock(api.clock.clone());
    let theirs = api.issuer.token().bound_to(&stranger).mint();
    for _ in 0..2 {
        api.reject("forged", &forged, "token_signature_invalid")
            .await;
        assert_eq!(spent(), [0, 1]);
        let unproved = stranger.proof("GET", URL).access_token(&theirs);
        assert_eq!(
            api.get(&theirs, &unproved.corrupt_signature().sign()).await,
            invalid_proof("proof_signature_invalid")
        );
        let [prepared, _] = spent();
        assert_eq!(prepared, 1);
    }
}

async fn a_token_that_was_accepted_before_still_needs_its_key(way: Way) {
    let api = way.api();
    let token = api.token().mint();
    api.accept("the client", &token).await;
    let thief = TestClient::new().clock(api.clock.clone());
    for _ in 0..2 {
        let proof = thief.proof("GET", URL).access_token(&token).sign();
        assert_eq!(
            api.get(&token, &proof).await,
            invalid_token("token_binding_mismatch")
        );
        // With the client's key in the header, but without the key itself.
        let proof = api.proof(&token).signed_by(&thief).sign();
        assert_eq!(
            api.get(&token, &proof).await,
            invalid_proof("proof_signature_invalid")
        );
    }
    api.accept("the client", &token).await;
}

async fn a_token_that_was_accepted_before_is_still_no_bearer_token(way: Way) {
    let api = way.api_with(|tokens| tokens, |config| config.policy(Policy::optional()));
    let token = api.token().mint();
    api.accept("the client", &token).await;
    let mut request = api.client.get(URL, &token);
    let bearer = format!("Bearer {token}").parse().unwrap();
    request.headers_mut().insert("authorization", bearer);
    assert_eq!(
        api.send(request).await,
        invalid_token("token_bound_as_bearer")
    );
}

async fn a_changed_token_gains_nothing_from_the_original_being_known(way: Way) {
    let api = way.api();
    let token = api.token().mint();
    api.accept("the original", &token).await;
    let (input, signature) = token.rsplit_once('.').unwrap();
    let (header, _) = input.split_once('.').unwrap();
    let root = base64url(api.token().subject("root").payload_json());
    for (what, changed) in [
        ("payload", format!("{header}.{root}.{signature}")),
        (
            "signature",
            format!("{input}.{}", "A".repeat(signature.len())),
        ),
    ] {
        api.reject(what, &changed, "token_signature_invalid").await;
    }
    api.reject("padding", &format!("{token}="), "token_malformed")
        .await;
}

async fn tokens_are_not_mixed_up_however_small_the_cache_is(way: Way) {
    for capacity in [0, 1, 2, 10_000] {
        let api = way.api_with(|tokens| tokens.cache_capacity(capacity), |config| config);
        let other = TestClient::new().clock(api.clock.clone());
        let tokens: Vec<_> = ["alice", "bob", "carol"]
            .into_iter()
            .map(|subject| (subject, api.token().subject(subject).mint(), &api.client))
            .chain([(
                "dave",
                api.issuer.token().subject("dave").bound_to(&other).mint(),
                &other,
            )])
            .collect();
        for _ in 0..3 {
            for (subject, token, client) in &tokens {
                let request = client.get(URL, token);
                let response = api.response(request).await;
                let body = to_bytes(response.into_body(), 100).await.unwrap();
                assert_eq!(body, subject.as_bytes(), "capacity {capacity}");
            }
        }
    }
}

/// The resource of [`Api`] with a handler of the test's own.
fn protected(api: &Api, handler: MethodRouter) -> Router {
    let config = DpopConfig::builder(PublicOrigin::new(ORIGIN).unwrap(), api.issuer.tokens())
        .clock(api.clock.clone())
        .build()
        .unwrap();
    Router::new()
        .route("/orders", handler)
        .layer(DpopLayer::new(config))
}

async fn a_handler_sees_the_scopes_of_the_token(way: Way) {
    async fn scopes(token: BoundToken) -> String {
        let scopes: Vec<_> = token.scopes().collect();
        assert!(scopes.iter().all(|scope| token.has_scope(scope)));
        for not_granted in ["", " ", "orders", "orders:rea", "ORDERS:READ", "a b"] {
            assert!(!token.has_scope(not_granted), "{not_granted:?}");
        }
        assert_eq!(token.claims().scopes().collect::<Vec<_>>(), scopes);
        scopes.join("|")
    }
    let api = way.api();
    let router = protected(&api, get(scopes));
    for (scope, expected) in [
        (None, ""),
        (Some(""), ""),
        (Some(" "), ""),
        (Some("orders:read"), "orders:read"),
        (Some("orders:read orders:write"), "orders:read|orders:write"),
        (Some("  orders:read   a  "), "orders:read|a"),
        (Some("a\tb"), "a\tb"),
        (Some("a,b"), "a,b"),
    ] {
        let token = match scope {
            None => api.token(),
            Some(scope) => api.token().scope(scope),
        };
        let request = api.client.get(URL, &token.mint());
        let response = way.send(router.clone(), request).await;
        let body = to_bytes(response.into_body(), 100).await.unwrap();
        assert_eq!(body, expected.as_bytes(), "{scope:?}");
    }
}

async fn a_handler_sees_what_the_token_says(way: Way) {
    async fn claims(token: BoundToken) -> String {
        let claims = token.claims();
        json!([
            token.issuer(),
            claims.subject(),
            claims.client_id(),
            token.expires_at().as_secs(),
            token.thumbprint().to_string(),
            claims.get("z"),
            claims.get("nothing"),
        ])
        .to_string()
    }
    let api = way.api();
    let router = protected(&api, get(claims));
    let token = api.token().claim("z", json!({"y": [1, null]})).mint();
    // The second time, from what was kept.
    for _ in 0..2 {
        let response = way.send(router.clone(), api.client.get(URL, &token)).await;
        let body = to_bytes(response.into_body(), 1000).await.unwrap();
        assert_eq!(
            serde_json::from_slice::<Value>(&body).unwrap(),
            json!([
                ISSUER,
                "alice",
                "test-client",
                api.now() + 300,
                api.client.thumbprint().to_string(),
                {"y": [1, null]},
                null,
            ])
        );
    }
}

async fn the_reason_says_which_claim_it_is_and_nothing_of_the_token(way: Way) {
    let api = way.api();
    for (token, expected) in [
        (
            api.token().claim("nbf", "secret").mint(),
            "a claim of the token is invalid: nbf",
        ),
        (
            api.token().without_claim("aud").mint(),
            "a required claim of the token is missing: aud",
        ),
        (
            api.token().claim("iss", "secret").mint(),
            "the token is of another issuer: the configured issuer is https://issuer.test",
        ),
    ] {
        let request =
            api.client
                .request_with_proof(Method::GET, URL, &token, &api.proof(&token).sign());
        let response = api.response(request).await;
        assert_eq!(Why::of(&response).unwrap().detail, expected);
    }
}
