use dpop_tower::test_util::TestIssuer;
use josekit::jwe::{
    A128KW, Dir, ECDH_ES, ECDH_ES_A192KW, PBES2_HS256_A128KW, RSA_OAEP, RSA_OAEP_256, RSA_OAEP_384,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Api, FAILED, Pair, encrypting, serialize};
use crate::support::{Verdict, Why, invalid_token, send};

/// Each is a token that a library which takes everything would decrypt with the API's key, where there is one.
#[tokio::test]
#[expect(deprecated, reason = "RSA1_5 has to be rejected")]
async fn algorithms_that_are_not_on_the_list_are_rejected() {
    let (rsa, ec) = (Pair::rsa("rsa"), Pair::p256("ec"));
    let (issuer, tokens) = encrypting(&super::keys([&rsa, &ec]));
    let api = Api::new(tokens);
    let jwt = api.token(&issuer);
    let (rsa_header, ec_header) = (rsa.header(), ec.header());
    let key = rsa.public();
    let with = |header: &Value, name: &str, value: &str| {
        let mut header = header.clone();
        header[name] = value.into();
        header
    };
    for (what, token) in [
        (
            "RSA1_5",
            serialize(
                &rsa_header,
                &jwt,
                &*josekit::jwe::RSA1_5.encrypter_from_jwk(&key).unwrap(),
            ),
        ),
        (
            "RSA-OAEP",
            serialize(
                &rsa_header,
                &jwt,
                &*RSA_OAEP.encrypter_from_jwk(&key).unwrap(),
            ),
        ),
        (
            "RSA-OAEP-384",
            serialize(
                &rsa_header,
                &jwt,
                &*RSA_OAEP_384.encrypter_from_jwk(&key).unwrap(),
            ),
        ),
        (
            "ECDH-ES+A192KW",
            serialize(
                &ec_header,
                &jwt,
                &*ECDH_ES_A192KW.encrypter_from_jwk(&ec.public()).unwrap(),
            ),
        ),
        (
            "dir",
            serialize(
                &rsa_header,
                &jwt,
                &*Dir.encrypter_from_bytes([7; 32]).unwrap(),
            ),
        ),
        (
            "A128KW",
            serialize(
                &rsa_header,
                &jwt,
                &*A128KW.encrypter_from_bytes([7; 16]).unwrap(),
            ),
        ),
        (
            "PBES2",
            serialize(
                &rsa_header,
                &jwt,
                &*PBES2_HS256_A128KW
                    .encrypter_from_bytes(b"password")
                    .unwrap(),
            ),
        ),
        (
            "A192GCM",
            rsa.encrypt_with(&with(&rsa_header, "enc", "A192GCM"), &jwt),
        ),
        (
            "CBC",
            rsa.encrypt_with(&with(&rsa_header, "enc", "A128CBC-HS256"), &jwt),
        ),
        (
            "CBC",
            ec.encrypt_with(&with(&ec_header, "enc", "A256CBC-HS512"), &jwt),
        ),
        (
            "zip",
            rsa.encrypt_with(&with(&rsa_header, "zip", "DEF"), &jwt),
        ),
        (
            "cty",
            rsa.encrypt_with(&with(&rsa_header, "cty", "text/plain"), &jwt),
        ),
        ("the other key", rsa.encrypt_with(&ec_header, &jwt)),
        ("the other key", ec.encrypt_with(&rsa_header, &jwt)),
    ] {
        assert_eq!(api.present(&token).await, FAILED, "{what}");
    }
    assert_eq!(api.present(&rsa.encrypt(&jwt)).await, Verdict::Admitted);
    assert_eq!(api.present(&ec.encrypt(&jwt)).await, Verdict::Admitted);
}

#[tokio::test]
async fn what_the_header_must_have_and_must_not_have() {
    let pair = Pair::p256("1");
    let (issuer, tokens) = encrypting(&pair.keys());
    let api = Api::new(tokens);
    let jwt = api.token(&issuer);
    for header in [
        json!({ "enc": "A256GCM", "cty": "JWT" }),
        json!({ "enc": "A256GCM", "cty": "JWT", "kid": "" }),
        json!({ "enc": "A256GCM", "cty": "JWT", "kid": "2" }),
        json!({ "enc": "A256GCM", "cty": "JWT", "kid": "1 " }),
        json!({ "enc": "A256GCM", "kid": "1" }),
        json!({ "enc": "A256GCM", "cty": "JWT", "kid": "1", "crit": ["exp"], "exp": 1 }),
    ] {
        let token = pair.encrypt_with(&header, &jwt);
        assert_eq!(api.present(&token).await, FAILED, "{header}");
    }
    let header = json!({ "enc": "A256GCM", "cty": "JWT", "kid": "1", "typ": "at+jwt", "x": {} });
    let token = pair.encrypt_with(&header, &jwt);
    assert_eq!(api.present(&token).await, Verdict::Admitted);
    // RFC 7519 section 5.3
    for (name, value, verdict) in [
        ("iss", json!("https://a.test"), Verdict::Admitted),
        ("iss", json!("https://b.test"), FAILED),
        ("sub", json!("alice"), Verdict::Admitted),
        ("sub", json!("bob"), FAILED),
        ("aud", json!("https://api.test"), Verdict::Admitted),
        ("aud", json!(["https://api.test"]), FAILED),
    ] {
        let mut header = pair.header();
        header[name] = value.clone();
        let token = pair.encrypt_with(&header, &jwt);
        assert_eq!(api.present(&token).await, verdict, "{name}: {value}");
    }
}

/// What the client is told, and what is logged, does not say whether the key or the ciphertext is wrong.
#[tokio::test]
async fn a_wrong_key_and_a_changed_ciphertext_look_the_same() {
    for (ours, other) in [
        (Pair::rsa("1"), Pair::rsa("1")),
        (Pair::p256("1"), Pair::p256("1")),
    ] {
        let (issuer, tokens) = encrypting(&ours.keys());
        let api = Api::new(tokens);
        let jwt = api.token(&issuer);
        let good = ours.encrypt(&jwt);
        let parts: Vec<&str> = good.split('.').collect();
        let replaced = |index: usize, new: &str| {
            let mut parts = parts.clone();
            parts[index] = new;
            parts.join(".")
        };
        let flipped = |index: usize| {
            let first = if parts[index].starts_with('A') {
                "B"
            } else {
                "A"
            };
            replaced(index, &format!("{first}{}", &parts[index][1..]))
        };
        let mut answers = Vec::new();
        let mut tokens = vec![
            other.encrypt(&jwt),
            flipped(2),
            flipped(3),
            flipped(4),
            replaced(2, ""),
            replaced(2, "AAAAAAAAAAAAAAAAAAAA"),
            replaced(3, ""),
            replaced(4, ""),
            replaced(4, &parts[4][..16]),
            replaced(1, "AAAA"),
        ];
        if parts[1].is_empty() {
            tokens.push(replaced(1, &"A".repeat(342)));
        } else {
            tokens.push(flipped(1));
            tokens.push(replaced(1, ""));
        }
        for token in tokens {
            let response = send(api.router.clone(), api.request(&token)).await;
            let why = Why::of(&response).expect("the token is not good");
            let challenge = response.headers()["www-authenticate"]
                .to_str()
                .unwrap()
                .to_owned();
            answers.push((response.status(), challenge, why.reason, why.detail));
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "{answers:?}");
        assert_eq!(answers[0].2, "token_decryption_failed");
        assert_eq!(api.present(&good).await, Verdict::Admitted);
    }
}

#[tokio::test]
async fn what_is_inside_is_verified_as_if_it_were_not_encrypted() {
    let pair = Pair::p256("1");
    let (issuer, tokens) = encrypting(&pair.keys());
    let api = Api::new(tokens);
    let token = || issuer.token().bound_to(&api.client);
    let jwt = api.token(&issuer);
    let payload = jwt.split('.').nth(1).unwrap();
    // {"typ":"at+jwt","alg":"none"}
    let unsigned = format!("eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJub25lIn0.{payload}.");
    let malformed = "token_malformed";
    for (what, text, reason) in [
        ("alg none", unsigned, "token_alg_not_allowed"),
        (
            "claims",
            r#"{"iss":"https://a.test"}"#.to_owned(),
            malformed,
        ),
        ("a JWE", pair.encrypt(&jwt), malformed),
        ("nothing", String::new(), malformed),
        ("a JWT and more", format!("{jwt} "), malformed),
        (
            "typ",
            token().header("typ", "JWT").mint(),
            "token_typ_invalid",
        ),
        (
            "aud",
            token().claim("aud", "urn:b").mint(),
            "token_audience_mismatch",
        ),
        (
            "iss",
            token().claim("iss", "urn:b").mint(),
            "token_issuer_mismatch",
        ),
        ("exp", token().claim("exp", 1).mint(), "token_expired"),
        (
            "signature",
            token().signed_by(&TestIssuer::new()).mint(),
            "token_signature_invalid",
        ),
        ("binding", issuer.token().mint(), "token_not_bound"),
        (
            "crit",
            token().header("crit", json!(["x"])).mint(),
            "token_crit_not_supported",
        ),
    ] {
        let verdict = api.present(&pair.encrypt(&text)).await;
        assert_eq!(verdict, invalid_token(reason), "{what}");
    }
    let bytes = pair.encrypt_with(&pair.header(), b"\xff\xfe.a.b");
    assert_eq!(api.present(&bytes).await, FAILED);
}

#[tokio::test]
async fn without_keys_an_encrypted_token_is_malformed() {
    let pair = Pair::p256("1");
    let issuer = super::issuer("https://a.test");
    let api = Api::new(issuer.tokens());
    let token = pair.encrypt(&api.token(&issuer));
    let response = send(api.router.clone(), api.request(&token)).await;
    let why = Why::of(&response).unwrap();
    assert_eq!(why.reason, "token_malformed");
    assert!(
        why.detail.contains("no issuer has decryption keys"),
        "{}",
        why.detail
    );
}

#[tokio::test]
async fn sizes_are_limited_before_anything_is_decrypted() {
    let pair = Pair::p256("1");
    let (issuer, tokens) = encrypting(&pair.keys());
    let api = Api::new(tokens);
    let padded = |in_header: usize, in_claims: usize| {
        let token = issuer.token().bound_to(&api.client);
        let jwt = token.claim("pad", "x".repeat(in_claims)).mint();
        let mut header = pair.header();
        header["pad"] = "x".repeat(in_header).into();
        pair.encrypt_with(&header, &jwt)
    };
    assert_eq!(api.present(&padded(2500, 0)).await, Verdict::Admitted);
    let malformed = invalid_token("token_malformed");
    assert_eq!(api.present(&padded(3100, 0)).await, malformed);
    let long = padded(0, 7000);
    assert!(long.len() < 16 * 1024);
    assert_eq!(api.present(&long).await, Verdict::Admitted);
    let too_long = padded(0, 9000);
    assert!(too_long.len() > 16 * 1024);
    assert_eq!(
        api.present(&too_long).await,
        invalid_token("token_too_long")
    );
}

#[tokio::test]
async fn no_other_serialization_is_accepted() {
    let pair = Pair::p256("1");
    let (issuer, tokens) = encrypting(&pair.keys());
    let api = Api::new(tokens);
    let good = pair.encrypt(&api.token(&issuer));
    let malformed = invalid_token("token_malformed");
    let parts: Vec<&str> = good.split('.').collect();
    for wrong in [
        parts[..4].join("."),
        format!("{good}."),
        format!("{good}.AAAA"),
        format!(".{good}"),
        format!("{}.{}", "AAAA", parts[1..].join(".")),
    ] {
        assert_eq!(api.present(&wrong).await, malformed, "{wrong}");
    }
}

/// Whatever is changed, removed or added.
#[test]
fn no_edit_of_a_token_is_admitted() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (rsa, ec) = (Pair::rsa("rsa"), Pair::p256("ec"));
    let (issuer, tokens) = encrypting(&super::keys([&rsa, &ec]));
    let api = Api::new(tokens);
    let jwt = api.token(&issuer);
    let tokens = [
        ec.encrypt(&jwt),
        serialize(
            &ec.header(),
            &jwt,
            &*ECDH_ES.encrypter_from_jwk(&ec.public()).unwrap(),
        ),
        serialize(
            &rsa.header(),
            &jwt,
            &*RSA_OAEP_256.encrypter_from_jwk(&rsa.public()).unwrap(),
        ),
    ];
    let edit = (
        0..tokens.len(),
        any::<prop::sample::Index>(),
        0..3_u8,
        "[A-Za-z0-9_.-]",
    );
    proptest!(ProptestConfig::with_cases(400), |((which, at, kind, new) in edit)| {
        let mut token = tokens[which].clone();
        let at = at.index(token.len());
        match kind {
            0 => token.replace_range(at..=at, &new),
            1 => token.replace_range(at..=at, ""),
            _ => token.insert_str(at, &new),
        }
        if token != tokens[which] {
            let verdict = runtime.block_on(api.present(&token));
            prop_assert!(verdict != Verdict::Admitted, "{token}");
        }
    });
    for token in tokens {
        assert_eq!(runtime.block_on(api.present(&token)), Verdict::Admitted);
    }
}
