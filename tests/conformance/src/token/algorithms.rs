//! The algorithm of a token, and the keys for it.

use dpop_tower::{
    Issuer,
    crypto::Algorithm,
    test_util::{KeyKind, TestIssuer},
};
use serde_json::{Value, json};

use super::{ISSUER, Present as _, api_with_keys, jose_token, jwks, with};
use crate::{
    crypto::{JoseKey, from_base64url, hmac_jws},
    support::{ORIGIN, Way},
};

pub(super) async fn rfc_8725_section_3_2_none_is_no_algorithm(way: Way) {
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

/// CVE-2023-48223, CVE-2026-34950: everyone knows the issuer's public key.
pub(super) async fn rfc_8725_section_3_1_a_public_key_is_no_hmac_secret(way: Way) {
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

pub(super) async fn rfc_8725_section_3_1_algorithms_are_those_of_the_configuration(way: Way) {
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

pub(super) async fn five_algorithms_are_allowed_by_default(way: Way) {
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

pub(super) async fn rfc_9864_both_names_of_ed25519_fit_a_key_that_is_marked_with_either(way: Way) {
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

pub(super) async fn rfc_7517_section_4_4_a_key_serves_only_the_alg_it_is_marked_with(way: Way) {
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

pub(super) async fn a_token_of_either_kind_of_test_issuer_is_accepted(way: Way) {
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
