//! The header of a proof.

use dpop_tower::{
    crypto::Algorithm,
    test_util::{KeyKind, TestClient},
};
use serde_json::{Value, json};

use crate::{
    crypto::{FITTING, JoseKey},
    rfc9449::case::{Case, JoseClient, jwk_of},
    support::{URL, Verdict, Way, invalid_proof},
};

pub(super) async fn every_header_parameter_is_required_and_has_its_json_type(way: Way) {
    let case = Case::new(way);
    let jwk = Value::Object(jwk_of(&case.proof()));
    let table = [
        ("typ", json!("dpop+jwt"), "proof_typ_invalid"),
        ("alg", json!("ES256"), "proof_alg_not_allowed"),
        ("jwk", jwk.clone(), "proof_key_invalid"),
    ];
    for (name, good, reason) in table {
        let missing = case.proof().without_header(name).sign();
        case.reject(&format!("no {name}"), &missing, reason).await;
        for wrong in [
            json!(null),
            json!(7),
            json!(1.5),
            json!(true),
            json!(false),
            json!(""),
            json!("x"),
            json!("a".repeat(8_000)),
            json!([]),
            json!([good]),
            json!({}),
            json!({ name: good }),
            json!(good.to_string()),
        ] {
            let proof = case.proof().header(name, wrong.clone()).sign();
            case.reject(&format!("{name}: {wrong}"), &proof, reason)
                .await;
        }
    }
    case.finish().await;
}

pub(super) async fn rfc_7515_section_4_1_1_algorithm_names_have_a_case(way: Way) {
    let case = Case::new(way);
    for alg in [
        "es256",
        "Es256",
        "ES256 ",
        "ES-256",
        "ES256K",
        "ECDSA",
        "SHA256withECDSA",
    ] {
        let proof = case.proof().header("alg", alg).sign();
        case.reject(alg, &proof, "proof_alg_not_allowed").await;
    }
    let client = TestClient::with_key(KeyKind::Ed25519).clock(case.api.clock.clone());
    for alg in [
        "eddsa",
        "EDDSA",
        "ed25519",
        "ED25519",
        "Ed448",
        "EdDSA25519",
    ] {
        let proof = client
            .proof("GET", URL)
            .access_token(&case.token)
            .header("alg", alg)
            .sign();
        case.reject(alg, &proof, "proof_alg_not_allowed").await;
    }
    case.finish().await;
}

pub(super) async fn an_alg_that_does_not_fit_the_key_is_rejected(way: Way) {
    let api = || way.api_with(|tokens| tokens, |config| config.algorithms(Algorithm::ALL));
    for (kind, fitting) in FITTING {
        let client = JoseClient::new(api(), JoseKey::new(kind));
        for algorithm in Algorithm::ALL {
            let mut header = client.header();
            header.insert("alg".to_owned(), algorithm.as_str().into());
            let proof = client
                .key
                .jws(&Value::Object(header).to_string(), &client.payload());
            let ed25519 = kind == Algorithm::Ed25519;
            let expected = if !fitting.contains(&algorithm.as_str()) {
                invalid_proof("proof_key_mismatch")
            } else if algorithm == kind || ed25519 {
                Verdict::Admitted
            } else {
                // The key would fit, but the signature is another algorithm's.
                invalid_proof("proof_signature_invalid")
            };
            client
                .case
                .check(&format!("{kind} as {algorithm}"), &proof, expected)
                .await;
        }
    }
}

pub(super) async fn ed25519_clients_may_use_either_name(way: Way) {
    let case = Case::new(way);
    let client = TestClient::with_key(KeyKind::Ed25519).clock(case.api.clock.clone());
    let token = case.api.issuer.token().bound_to(&client).mint();
    for alg in ["Ed25519", "EdDSA"] {
        let proof = client
            .proof("GET", URL)
            .access_token(&token)
            .header("alg", alg)
            .sign();
        assert_eq!(
            case.api.get(&token, &proof).await,
            Verdict::Admitted,
            "{alg}"
        );
    }
}

pub(super) async fn rfc_7515_section_4_1_11_critical_extensions_are_rejected(way: Way) {
    let case = Case::new(way);
    for (name, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!(["b64"])),
        ("crit", json!(["alg"])),
        ("crit", json!([])),
        ("crit", json!(null)),
        ("crit", json!("exp")),
        ("crit", json!({})),
        ("b64", json!(true)),
        ("b64", json!(false)),
        ("b64", json!(null)),
    ] {
        let proof = case.proof().header(name, value.clone()).sign();
        let what = format!("{name}: {value}");
        case.reject(&what, &proof, "proof_crit_not_supported").await;
    }
    let both = case
        .proof()
        .header("crit", json!(["b64"]))
        .header("b64", false);
    case.reject("both", &both.sign(), "proof_crit_not_supported")
        .await;
    case.finish().await;
}

pub(super) async fn unknown_header_parameters_and_claims_are_ignored(way: Way) {
    let case = Case::new(way);
    for name in [
        "kid",
        "jku",
        "x5u",
        "x5t",
        "cty",
        "zip",
        "iss",
        "http://example.com/x",
    ] {
        for value in [json!("x"), json!(null), json!(["x", {"y": 1}])] {
            let proof = case.proof().header(name, value.clone()).sign();
            case.check(&format!("{name}: {value}"), &proof, Verdict::Admitted)
                .await;
        }
    }
    for name in [
        "iss",
        "sub",
        "aud",
        "cnf",
        "bdh",
        "typ",
        "http://example.com/x",
    ] {
        for value in [json!("x"), json!(null), json!(["x", {"y": 1}])] {
            let proof = case.proof().claim(name, value.clone()).sign();
            case.check(&format!("{name}: {value}"), &proof, Verdict::Admitted)
                .await;
        }
    }
}

pub(super) async fn a_key_elsewhere_in_the_header_is_not_the_key(way: Way) {
    let case = Case::new(way);
    let other = TestClient::new().clock(case.api.clock.clone());
    let proof = other
        .proof("GET", URL)
        .access_token(&case.token)
        .header("kid", case.api.client.thumbprint().to_string())
        .header("jku", "https://evil.test/jwks")
        .header("x5c", json!(["MII"]));
    // It is the other client's proof, whatever it claims about this one.
    assert_eq!(
        case.send(&proof.sign()).await,
        crate::support::invalid_token("token_binding_mismatch")
    );
    case.finish().await;
}
