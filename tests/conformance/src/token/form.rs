//! The form of a token: JSON, base64url and length.

use dpop_tower::test_util::{TestClient, TokenBuilder};
use serde_json::{Value, json};

use super::{Present as _, object};
use crate::support::{Way, invalid_request};

/// CVE-2026-35042, CVE-2026-32597, CVE-2025-59420 and others.
pub(super) async fn rfc_7515_section_4_1_11_critical_extensions_are_rejected(way: Way) {
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

pub(super) async fn duplicate_members_are_rejected_in_every_spelling(way: Way) {
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

pub(super) async fn header_and_payload_are_one_json_object_each(way: Way) {
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

pub(super) async fn only_the_compact_serialization_is_a_token(way: Way) {
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

pub(super) async fn a_token_has_at_most_16_kib(way: Way) {
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

pub(super) async fn unknown_header_parameters_and_claims_are_ignored(way: Way) {
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
