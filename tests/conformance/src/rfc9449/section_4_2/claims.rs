//! The claims of a proof.

use serde_json::json;

use crate::{
    rfc9449::case::{Case, object},
    support::{URL, Verdict, Way, invalid_proof},
};

pub(super) async fn every_claim_is_required_and_has_its_json_type(way: Way) {
    let case = Case::new(way);
    let claims = object(&case.proof().payload_json());
    assert_eq!(claims.len(), 5);
    for (name, good) in claims {
        let missing = case.proof().without_claim(&name).sign();
        case.reject(&format!("no {name}"), &missing, "proof_missing_claim")
            .await;
        let mut wrongs = vec![
            json!(null),
            json!(true),
            json!(false),
            json!([]),
            json!([good]),
            json!({}),
            json!({ "value": good }),
        ];
        if name == "iat" {
            wrongs.extend([json!(""), json!("x"), json!(good.to_string())]);
        } else {
            wrongs.extend([json!(0), json!(7), json!(1.5)]);
        }
        for wrong in wrongs {
            let proof = case.proof().claim(&name, wrong.clone()).sign();
            case.reject(&format!("{name}: {wrong}"), &proof, "proof_invalid_claim")
                .await;
        }
    }
    case.finish().await;
}

pub(super) async fn empty_and_overlong_claims_are_rejected(way: Way) {
    let case = Case::new(way);
    let long = "a".repeat(10_000);
    for (name, value, reason) in [
        ("jti", String::new(), "proof_invalid_claim"),
        ("jti", long.clone(), "proof_invalid_claim"),
        ("htm", String::new(), "proof_htm_mismatch"),
        ("htm", long.clone(), "proof_htm_mismatch"),
        ("htu", String::new(), "proof_htu_invalid"),
        ("htu", format!("{URL}/{long}"), "proof_htu_mismatch"),
        ("ath", String::new(), "proof_ath_mismatch"),
        ("ath", long, "proof_ath_mismatch"),
    ] {
        let what = format!("{name}: {} characters", value.len());
        let proof = case.proof().claim(name, value).sign();
        case.reject(&what, &proof, reason).await;
    }
    case.finish().await;
}

pub(super) async fn without_configured_nonces_a_nonce_is_ignored_unless_it_is_no_text(way: Way) {
    let case = Case::new(way);
    for nonce in ["", "any", "eyJ7S_zG.eyJH0-Z.HX4w-7v"] {
        let proof = case.proof().nonce(nonce).sign();
        case.check(nonce, &proof, Verdict::Admitted).await;
    }
    for nonce in [json!(null), json!(7), json!([]), json!({}), json!(true)] {
        let proof = case.proof().claim("nonce", nonce.clone()).sign();
        case.reject(&nonce.to_string(), &proof, "proof_invalid_claim")
            .await;
    }
}

pub(super) async fn no_iat_is_too_extreme_for_arithmetic(way: Way) {
    let case = Case::new(way);
    let (old, future) = ("proof_too_old", "proof_from_future");
    let payload = case.proof().without_claim("iat").payload_json();
    for (iat, reason) in [
        ("-9223372036854775808", old),
        ("-9223372036854775809", old),
        ("-9223372036854775000", old),
        ("-1", old),
        ("0", old),
        ("-0", old),
        ("1e-300", old),
        ("-1e300", old),
        ("-1.7976931348623157e308", old),
        ("9223372036854775807", future),
        ("9223372036854775808", future),
        ("9223372036854775737", future),
        ("18446744073709551615", future),
        ("18446744073709551616", future),
        ("1e300", future),
        ("1.7976931348623157e308", future),
        ("1e999", "proof_malformed"),
        ("-1e999", "proof_malformed"),
        ("NaN", "proof_malformed"),
        ("Infinity", "proof_malformed"),
        ("0x6b49d200", "proof_malformed"),
        ("01800000000", "proof_malformed"),
        ("+1800000000", "proof_malformed"),
        // Milliseconds, a common error.
        ("1800000000000", future),
    ] {
        let text = format!("{{\"iat\":{iat},{}", &payload[1..]);
        let proof = case.proof().raw_payload(text).sign();
        case.reject(iat, &proof, reason).await;
    }
    case.finish().await;
}

pub(super) async fn rfc_7519_section_2_iat_may_have_a_fraction(way: Way) {
    let case = Case::new(way);
    let payload = case.proof().without_claim("iat").payload_json();
    let now = case.api.now();
    for (iat, expected) in [
        (format!("{now}.0"), Verdict::Admitted),
        (format!("{now}.999"), Verdict::Admitted),
        ("1.8e9".to_owned(), Verdict::Admitted),
        (format!("{}.5", now + 10), Verdict::Admitted),
        (format!("{}.5", now - 70), Verdict::Admitted),
        (format!("{}.5", now - 71), invalid_proof("proof_too_old")),
        (
            format!("{}.0", now + 11),
            invalid_proof("proof_from_future"),
        ),
    ] {
        // Equal proofs would be replays of each other.
        let payload = payload.replacen("\"jti\":\"", &format!("\"jti\":\"{iat}"), 1);
        let text = format!("{{\"iat\":{iat},{}", &payload[1..]);
        let proof = case.proof().raw_payload(text).sign();
        case.check(&iat, &proof, expected).await;
    }
}

pub(super) async fn exp_and_nbf_of_a_proof_are_obeyed(way: Way) {
    let case = Case::new(way);
    let now = case.api.now();
    let (expired, early) = ("proof_expired", "proof_not_yet_valid");
    for (name, value, expected) in [
        ("exp", json!(now + 60), Verdict::Admitted),
        ("exp", json!(now), Verdict::Admitted),
        ("exp", json!(now - 9), Verdict::Admitted),
        ("exp", json!(now - 10), invalid_proof(expired)),
        ("exp", json!(0), invalid_proof(expired)),
        ("exp", json!(i64::MIN), invalid_proof(expired)),
        ("exp", json!(-1e300), invalid_proof(expired)),
        ("exp", json!(u64::MAX), Verdict::Admitted),
        ("nbf", json!(now), Verdict::Admitted),
        ("nbf", json!(now + 10), Verdict::Admitted),
        ("nbf", json!(now + 11), invalid_proof(early)),
        ("nbf", json!(u64::MAX), invalid_proof(early)),
        ("nbf", json!(1e300), invalid_proof(early)),
        ("nbf", json!(i64::MIN), Verdict::Admitted),
    ] {
        let proof = case.proof().claim(name, value.clone()).sign();
        case.check(&format!("{name}: {value}"), &proof, expected)
            .await;
    }
    for name in ["exp", "nbf"] {
        for value in [
            json!(null),
            json!("1"),
            json!(true),
            json!([now]),
            json!({}),
        ] {
            let proof = case.proof().claim(name, value.clone()).sign();
            let what = format!("{name}: {value}");
            case.reject(&what, &proof, "proof_invalid_claim").await;
        }
    }
}

pub(super) async fn a_jti_has_1_to_256_bytes(way: Way) {
    let case = Case::new(way);
    for (jti, expected) in [
        ("a".to_owned(), Verdict::Admitted),
        (" ".to_owned(), Verdict::Admitted),
        ("\0".to_owned(), Verdict::Admitted),
        ("a".repeat(256), Verdict::Admitted),
        ("\u{e9}".repeat(128), Verdict::Admitted),
        ("a".repeat(257), invalid_proof("proof_invalid_claim")),
        ("\u{e9}".repeat(129), invalid_proof("proof_invalid_claim")),
    ] {
        let proof = case.proof().claim("jti", jti.as_str()).sign();
        case.check(&jti, &proof, expected).await;
    }
}
