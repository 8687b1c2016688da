//! The claims of a token, and its `typ`.

use std::time::Duration;

use axum::{Router, routing::get};
use dpop_tower::{DpopConfigBuilder, Issuer, Policy};
use serde_json::json;

use super::{ISSUER, Present as _};
use crate::support::{ORIGIN, URL, Verdict, Way, invalid_token};

pub(super) async fn rfc_7519_section_4_1_4_a_token_ends_at_the_second_of_exp(way: Way) {
    let api = way.api();
    for (offset, expected) in [
        (-1, invalid_token("token_expired")),
        (0, invalid_token("token_expired")),
        (1, Verdict::Admitted),
    ] {
        let token = api.token().claim("exp", api.now() + offset).mint();
        assert_eq!(api.present(&token).await, expected, "{offset}");
    }
    // The leeway applies only to times in the future.
    let lenient = way.api_with(
        |tokens| tokens.danger_leeway(Duration::from_secs(600)),
        |config| config,
    );
    let token = lenient.token().claim("exp", lenient.now()).mint();
    lenient.reject("at exp", &token, "token_expired").await;
}

pub(super) async fn rfc_7519_section_4_1_5_nbf_and_iat_may_be_ahead_by_the_leeway(way: Way) {
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

pub(super) async fn no_date_of_a_token_is_too_extreme_for_arithmetic(way: Way) {
    let api = way.api();
    let now = api.now();
    let (expired, early) = ("token_expired", "token_not_yet_valid");
    for (name, value, expected) in [
        ("exp", json!(0), invalid_token(expired)),
        ("exp", json!(-1), invalid_token(expired)),
        ("exp", json!(i64::MIN), invalid_token(expired)),
        ("exp", json!(-1e300), invalid_token(expired)),
        ("exp", json!(1e-300), invalid_token(expired)),
        // Rounded down to the second.
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

/// A claim of the wrong type does not count as absent (CVE-2026-25537).
pub(super) async fn every_claim_that_is_read_has_its_json_type(way: Way) {
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
pub(super) async fn a_claim_that_is_handed_on_decides_nothing(way: Way) {
    let api = way.api_with(|tokens| tokens, |config| config);
    let config = api.config().build().unwrap();
    let hello = || Router::new().route("/orders", get(async || "hello"));
    let router = way.protect(config, hello(), hello());
    for name in ["sub", "client_id", "scope", "jti", "azp", "http://x.test/y"] {
        for value in [json!(null), json!(7), json!([]), json!(["x", 7]), json!({})] {
            let token = api.token().claim(name, value.clone()).mint();
            // The same holds for a cached verdict.
            for _ in 0..2 {
                let response = way.send(router.clone(), api.client.get(URL, &token)).await;
                assert_eq!(Verdict::of(response), Verdict::Admitted, "{name}: {value}");
            }
        }
    }
}

pub(super) async fn scopes_may_be_an_array_or_in_another_claim(way: Way) {
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

pub(super) async fn iss_aud_and_exp_are_required_and_other_claims_are_not(way: Way) {
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

/// CVE-2024-53861: part of an issuer's name is another issuer.
pub(super) async fn rfc_9068_section_4_iss_is_the_issuer_to_the_letter(way: Way) {
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

pub(super) async fn rfc_9068_section_4_aud_names_this_api_to_the_letter(way: Way) {
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

pub(super) async fn rfc_9068_section_4_typ_is_at_jwt(way: Way) {
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
        // A proof is not a token, no matter who signed it.
        let proof = api.proof("").sign();
        api.reject("a proof", &proof, "token_typ_invalid").await;
    }
}
