//! Keys as issuers publish them: which are usable, which are skipped, and which one a token refers to.

use dpop_tower::{Issuer, crypto::Algorithm};
use serde_json::{Map, Value, json};

use super::{
    ISSUER, LONGEST_PAUSE, OUT_OF_REACH, UNKNOWN, WRONG_SIGNATURE,
    server::{Page, Remote},
};
use crate::{
    rejection::logging::Log,
    robustness::crypto::{JoseKey, base64url, from_base64url, rsa},
    support::{Api, ORIGIN, Verdict},
};

pub(super) fn with(mut jwk: Map<String, Value>, members: &[(&str, Value)]) -> Value {
    for (name, value) in members {
        jwk.insert((*name).to_owned(), value.clone());
    }
    Value::Object(jwk)
}

/// Spellings of `key` that nothing may be verified with, and other such keys, with the `kid` `1`.
pub(super) fn unusable_keys(key: &JoseKey) -> Vec<(&'static str, Value)> {
    let kid = ("kid", json!("1"));
    let ec = |members: &[(&str, Value)]| {
        let mut all = vec![kid.clone()];
        all.extend_from_slice(members);
        with(key.public(), &all)
    };
    let flipped = {
        let mut y = from_base64url(key.public()["y"].as_str().unwrap());
        y[31] ^= 1;
        base64url(y)
    };
    let weak = JoseKey::from_private(Algorithm::Rs256, rsa(1024));
    vec![
        ("private", with(key.private(), std::slice::from_ref(&kid))),
        ("use is enc", ec(&[("use", json!("enc"))])),
        ("use is no text", ec(&[("use", json!(["sig"]))])),
        (
            "key_ops for encryption",
            ec(&[("key_ops", json!(["encrypt", "deriveKey"]))]),
        ),
        ("key_ops is another", ec(&[("key_ops", json!("encrypt"))])),
        ("key_ops is no list", ec(&[("key_ops", json!(7))])),
        ("unknown alg", ec(&[("alg", json!("ES257"))])),
        ("alg is for encryption", ec(&[("alg", json!("ECDH-ES"))])),
        ("alg of another key", ec(&[("alg", json!("RS256"))])),
        ("alg is no text", ec(&[("alg", json!(7))])),
        ("kid is a list", ec(&[("kid", json!(["1"]))])),
        ("off the curve", ec(&[("y", json!(flipped))])),
        ("another coordinate", ec(&[("x", json!("AQAB"))])),
        (
            "long coordinate",
            ec(&[("x", json!(base64url([0x17; 33])))]),
        ),
        ("no coordinate", ec(&[("x", json!(null))])),
        ("coordinate is no text", ec(&[("x", json!(7))])),
        ("coordinate is no base64", ec(&[("x", json!("a b"))])),
        ("unknown curve", ec(&[("crv", json!("P-256K"))])),
        ("unknown kty", ec(&[("kty", json!("AKP"))])),
        ("kty is no text", ec(&[("kty", json!(7))])),
        ("weak", with(weak.public(), std::slice::from_ref(&kid))),
        (
            "symmetric",
            json!({"kty": "oct", "k": "AQAB", "kid": "1", "alg": "HS256"}),
        ),
        ("empty", json!({})),
        ("null", json!(null)),
        ("a text", json!("1")),
        ("a list", json!([])),
    ]
}

/// An API with these keys in place.
pub(super) fn api_with_keys(keys: &[Value]) -> Api {
    let set = json!({"keys": keys, "other": 1}).to_string();
    Api::with(
        |_| Issuer::new(ISSUER).jwks(set).audience(ORIGIN),
        |config| config,
    )
}

/// A token of the configured issuer for the API's client.
pub(super) fn jose_token(api: &Api, key: &JoseKey, kid: Option<&str>) -> String {
    let mut header = json!({"typ": "at+jwt", "alg": key.algorithm.as_str()});
    if let Some(kid) = kid {
        header["kid"] = kid.into();
    }
    key.jws(&header.to_string(), &api.token().payload_json())
}

pub(super) async fn present(api: &Api, token: &str) -> Verdict {
    api.get(token, &api.proof(token).sign()).await
}

#[tokio::test]
async fn what_a_key_says_in_favour_of_signatures_does_no_harm() {
    let key = JoseKey::new(Algorithm::Es256);
    for members in [
        vec![("use", json!("sig"))],
        vec![("key_ops", json!(["verify"]))],
        vec![("key_ops", json!(["encrypt", "verify"]))],
        // What the issuer does with the other half.
        vec![("key_ops", json!(["sign"]))],
        vec![("key_ops", json!("verify"))],
        vec![("key_ops", json!([]))],
        vec![("alg", json!("ES256"))],
        vec![
            ("x5c", json!(["MIIB"])),
            ("x5t", json!("x")),
            ("ext", json!(true)),
        ],
        vec![("http://example.com/x", json!(null))],
    ] {
        let api = api_with_keys(&[with(key.public(), &members)]);
        let token = jose_token(&api, &key, None);
        assert_eq!(
            present(&api, &token).await,
            Verdict::Admitted,
            "{members:?}"
        );
    }
}

#[tokio::test]
async fn several_keys_may_share_a_kid() {
    let keys = [
        JoseKey::new(Algorithm::Es256),
        JoseKey::new(Algorithm::Es256),
        JoseKey::new(Algorithm::Ed25519),
    ];
    let set: Vec<_> = keys
        .iter()
        .map(|key| with(key.public(), &[("kid", json!("1"))]))
        .collect();
    let api = api_with_keys(&set);
    for key in &keys {
        let token = jose_token(&api, key, Some("1"));
        assert_eq!(present(&api, &token).await, Verdict::Admitted);
    }
    let stranger = jose_token(&api, &JoseKey::new(Algorithm::Es256), Some("1"));
    assert_eq!(present(&api, &stranger).await, WRONG_SIGNATURE);
}

#[tokio::test]
async fn a_token_without_kid_is_tried_against_the_first_four_keys_of_its_algorithm() {
    let keys: Vec<_> = (0..5).map(|_| JoseKey::new(Algorithm::Es256)).collect();
    let ed25519 = JoseKey::new(Algorithm::Ed25519);
    // Keys for other algorithms do not count.
    let mut set = vec![with(ed25519.public(), &[])];
    for (i, key) in keys.iter().enumerate() {
        set.push(with(key.public(), &[("kid", json!(i.to_string()))]));
    }
    let api = api_with_keys(&set);
    for (i, key) in keys.iter().enumerate() {
        let named = jose_token(&api, key, Some(&i.to_string()));
        assert_eq!(present(&api, &named).await, Verdict::Admitted, "{i}, named");
        let expected = if i < 4 {
            Verdict::Admitted
        } else {
            WRONG_SIGNATURE
        };
        let token = jose_token(&api, key, None);
        assert_eq!(present(&api, &token).await, expected, "{i}");
    }
    let token = jose_token(&api, &ed25519, None);
    assert_eq!(present(&api, &token).await, Verdict::Admitted);
}

/// RFC 7517 section 4.5 has `kid` optional in a key, and RFC 7515 section 4.1.4 in a token.
#[tokio::test]
async fn a_key_without_kid_may_have_any_that_no_other_key_has() {
    let es256 = || JoseKey::new(Algorithm::Es256);
    let (named, bare, other) = (es256(), es256(), es256());
    for nothing in [None, Some(json!(null)), Some(json!(""))] {
        let bare_jwk = match &nothing {
            None => Value::Object(bare.public()),
            Some(kid) => with(bare.public(), &[("kid", kid.clone())]),
        };
        let named_jwk = with(named.public(), &[("kid", json!("1"))]);
        let api = api_with_keys(&[bare_jwk, named_jwk]);
        for (key, kid, expected) in [
            (&bare, None, Verdict::Admitted),
            (&bare, Some("2"), Verdict::Admitted),
            (&bare, Some(""), Verdict::Admitted),
            // That name is another key's.
            (&bare, Some("1"), WRONG_SIGNATURE),
            (&named, Some("1"), Verdict::Admitted),
            (&named, None, Verdict::Admitted),
            (&named, Some("2"), WRONG_SIGNATURE),
            (&other, Some("2"), WRONG_SIGNATURE),
            (&other, None, WRONG_SIGNATURE),
        ] {
            let token = jose_token(&api, key, kid);
            assert_eq!(present(&api, &token).await, expected, "{nothing:?} {kid:?}");
        }
    }
    let api = api_with_keys(&[with(named.public(), &[("kid", json!("1"))])]);
    for kid in ["2", "", "1 "] {
        let token = jose_token(&api, &named, Some(kid));
        assert_eq!(present(&api, &token).await, UNKNOWN, "{kid:?}");
    }
}

#[tokio::test]
async fn of_many_keys_without_kid_a_token_is_tried_against_four() {
    let keys: Vec<_> = (0..5).map(|_| JoseKey::new(Algorithm::Es256)).collect();
    let set: Vec<_> = keys.iter().map(|key| Value::Object(key.public())).collect();
    let api = api_with_keys(&set);
    for (i, key) in keys.iter().enumerate() {
        let expected = if i < 4 {
            Verdict::Admitted
        } else {
            WRONG_SIGNATURE
        };
        for kid in [None, Some("x")] {
            let token = jose_token(&api, key, kid);
            assert_eq!(present(&api, &token).await, expected, "{i} {kid:?}");
        }
    }
}

/// Spellings of the key that were seen at issuers, with the `kid` `1`.
fn spellings(key: &JoseKey) -> Vec<(&'static str, Value)> {
    let public = key.public();
    let text = |name: &str| public[name].as_str().unwrap().to_owned();
    let zeros = |name: &str, count: usize| {
        json!(base64url(
            [vec![0; count], from_base64url(&text(name))].concat()
        ))
    };
    let numbers: Vec<&str> = ["n", "e", "x", "y"]
        .into_iter()
        .filter(|name| public.contains_key(*name))
        .collect();
    let each = |change: &dyn Fn(&str) -> Value| -> Vec<(&str, Value)> {
        numbers.iter().map(|name| (*name, change(name))).collect()
    };
    let private = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
    let mut all = vec![
        ("plain", vec![]),
        (
            "private members are null",
            private.map(|name| (name, json!(null))).to_vec(),
        ),
        ("oth is an empty list", vec![("oth", json!([]))]),
        ("d is an empty text", vec![("d", json!(""))]),
        (
            "all that is optional is null",
            [
                "use", "alg", "key_ops", "x5c", "x5t", "x5u", "x5t#S256", "other",
            ]
            .map(|name| (name, json!(null)))
            .to_vec(),
        ),
        (
            "use and alg are empty",
            vec![("use", json!("")), ("alg", json!(""))],
        ),
        (
            "lists are empty",
            vec![("key_ops", json!([])), ("x5c", json!([]))],
        ),
        ("kid is a number", vec![("kid", json!(1))]),
        (
            "unknown members",
            vec![("nbf", json!(1)), ("other", json!({"a": [null]}))],
        ),
        ("padding", each(&|name| json!(format!("{}=", text(name))))),
        (
            "more padding",
            each(&|name| json!(format!("{}==", text(name)))),
        ),
        (
            "the alphabet of base64",
            each(&|name| json!(text(name).replace('-', "+").replace('_', "/"))),
        ),
    ];
    if key.algorithm != Algorithm::Ed25519 {
        all.push(("a zero in front", each(&|name| zeros(name, 1))));
        all.push(("zeros in front", each(&|name| zeros(name, 7))));
    }
    all.into_iter()
        .map(|(what, mut members)| {
            if !members.iter().any(|(name, _)| *name == "kid") {
                members.push(("kid", json!("1")));
            }
            (what, with(public.clone(), &members))
        })
        .collect()
}

#[tokio::test]
async fn keys_are_taken_as_issuers_publish_them() {
    for algorithm in [Algorithm::Es256, Algorithm::Ed25519, Algorithm::Rs256] {
        let key = JoseKey::new(algorithm);
        for (what, jwk) in spellings(&key) {
            let api = api_with_keys(&[jwk]);
            let token = jose_token(&api, &key, Some("1"));
            let verdict = present(&api, &token).await;
            assert_eq!(verdict, Verdict::Admitted, "{algorithm}: {what}");
            let stranger = jose_token(&api, &JoseKey::other(algorithm), Some("1"));
            let verdict = present(&api, &stranger).await;
            assert_eq!(verdict, WRONG_SIGNATURE, "{algorithm}: {what}");
        }
    }
}

/// About one key of 256 has a coordinate that begins with a zero, which some issuers leave out.
#[tokio::test]
async fn a_coordinate_may_lack_its_leading_zeros() {
    let (key, x) = loop {
        let key = JoseKey::new(Algorithm::Es256);
        let x = from_base64url(key.public()["x"].as_str().unwrap());
        if x[0] == 0 {
            break (key, x);
        }
    };
    let short = base64url(&x[1..]);
    let api = api_with_keys(&[with(key.public(), &[("x", json!(short))])]);
    let token = jose_token(&api, &key, Some("1"));
    assert_eq!(present(&api, &token).await, Verdict::Admitted);
}

#[tokio::test]
async fn a_key_is_the_same_in_every_spelling_until_it_is_withdrawn() {
    let remote = Remote::at_url().await;
    let key = JoseKey::new(Algorithm::Rs256);
    let token = jose_token(&remote.api, &key, Some("1"));
    let other = with(
        JoseKey::other(Algorithm::Rs256).public(),
        &[("kid", json!("2"))],
    );
    let publish = |keys: &[&Value]| {
        let set = json!({ "keys": keys }).to_string();
        remote.server.put("/jwks", Page::Json(set));
    };
    let (_, unknown) = remote.another_key();
    let spellings = spellings(&key);
    let mut hits = 0;
    for what in ["plain", "more padding", "zeros in front"] {
        let (_, jwk) = spellings.iter().find(|(name, _)| *name == what).unwrap();
        publish(&[jwk, &other]);
        hits += 1;
        remote.expect(what, &unknown, UNKNOWN, hits).await;
        remote.expect(what, &token, Verdict::Admitted, hits).await;
        remote.api.advance(30);
    }
    publish(&[&other]);
    remote.expect("gone", &unknown, UNKNOWN, hits + 1).await;
    remote.expect("gone", &token, UNKNOWN, hits + 1).await;
}

fn warnings(log: &Log) -> Vec<String> {
    let lines = log.take().into_iter();
    lines.filter(|line| line.contains(" WARN ")).collect()
}

#[tokio::test]
async fn a_key_that_is_skipped_is_one_warning_with_its_kid_and_the_reason() {
    let log = Log::listen();
    let remote = Remote::at_url().await;
    let token = remote.token();
    let es256 = JoseKey::new(Algorithm::Es256);
    let weak = JoseKey::from_private(Algorithm::Rs256, rsa(1024));
    let es384 = JoseKey::new(Algorithm::Es384);
    let mut set: Value = serde_json::from_str(&remote.api.issuer.jwks()).unwrap();
    let kid = |kid: &str| ("kid", json!(kid));
    let keys = set["keys"].as_array_mut().unwrap();
    keys.push(with(weak.public(), &[kid("weak")]));
    keys.push(with(es256.private(), &[("kid", json!(17))]));
    keys.push(with(
        es256.public(),
        &[kid("enc\n\u{1b}[2J"), ("use", json!("enc"))],
    ));
    keys.push(with(
        es256.public(),
        &[kid(&"k".repeat(10_000)), ("use", json!(1))],
    ));
    keys.push(with(es384.public(), &[("kid", json!(null))]));
    keys.push(with(es256.public(), &[kid("y"), ("y", json!("AQAB"))]));
    keys.push(json!(null));
    let expected = [
        ("1", r#"kid="weak""#.to_owned(), "too weak"),
        ("2", r#"kid="17""#.to_owned(), "has a private member"),
        (
            "3",
            r#"kid="enc\n\u{1b}[2J""#.to_owned(),
            "not for signatures",
        ),
        (
            "4",
            format!(r#"kid="{}"... "#, "k".repeat(200)),
            "its `use` is no text",
        ),
        ("5", String::new(), "no allowed algorithm"),
        (
            "6",
            r#"kid="y""#.to_owned(),
            "crypto backend cannot use the key",
        ),
        ("7", String::new(), "not a JSON Web Key"),
    ];
    // A key with a member twice is a bad key, not a bad set.
    let set = set.to_string();
    let twice = r#"{"kty":"EC","kid":"twice","kty":"EC"}"#;
    let set = format!("\u{feff}{},{twice}]}}", set.strip_suffix("]}").unwrap());
    remote.server.put("/jwks", Page::Json(set.clone()));
    remote
        .expect("one is good", &token, Verdict::Admitted, 1)
        .await;
    let lines = warnings(&log);
    assert_eq!(lines.len(), 8, "{lines:#?}");
    for (line, (index, kid, reason)) in lines.iter().zip(expected) {
        assert!(line.contains(&format!("index={index}")), "{line}");
        assert!(line.contains(&kid) && line.contains(reason), "{line}");
        assert_eq!(line.contains("kid="), !kid.is_empty(), "{line}");
        assert!(line.contains("skipped a key of the issuer's JWK Set"));
    }

    // The same again is not told again.
    remote.api.advance(300);
    remote.expect_refresh("due", &token, 2).await;
    remote
        .expect("the same", &token, Verdict::Admitted, 2)
        .await;
    assert_eq!(warnings(&log), [""; 0]);
    // Something else is.
    remote.server.put("/jwks", Page::Json(set + " "));
    remote.api.advance(300);
    remote.expect_refresh("due", &token, 3).await;
    remote.expect("longer", &token, Verdict::Admitted, 3).await;
    assert_eq!(warnings(&log).len(), 8);
}

#[tokio::test]
async fn a_set_that_cannot_be_used_is_explained_whenever_it_is_fetched() {
    let log = Log::listen();
    let remote = Remote::at_url().await;
    let token = remote.token();
    let weak = JoseKey::from_private(Algorithm::Rs256, rsa(1024));
    let set = json!({"keys": [with(weak.public(), &[("kid", json!("weak"))])]});
    remote.server.put("/jwks", Page::Json(set.to_string()));
    remote.expect("first", &token, OUT_OF_REACH, 1).await;
    let lines = warnings(&log);
    let [key, set, rejection] = &lines[..] else {
        panic!("{lines:#?}");
    };
    assert!(
        key.contains(r#"kid="weak""#) && key.contains("too weak"),
        "{key}"
    );
    assert!(set.contains("none of the keys"), "{set}");
    assert!(rejection.contains("keys_unavailable"), "{rejection}");
    remote.expect("at once", &token, OUT_OF_REACH, 1).await;
    assert_eq!(warnings(&log).len(), 1, "the rejection");
    remote.api.advance(LONGEST_PAUSE);
    remote.expect("again", &token, OUT_OF_REACH, 2).await;
    let lines = warnings(&log);
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(lines[0].contains("none of the keys"), "{lines:#?}");
}

#[tokio::test]
async fn what_issuers_are_allowed_strangers_are_not() {
    let api = Api::new();
    let token = api.token().mint();
    for name in ["d", "oth", "x"] {
        let proof = api.proof(&token);
        let header: Value = serde_json::from_str(&proof.header_json()).unwrap();
        let mut jwk = header["jwk"].clone();
        jwk[name] = match name {
            "x" => json!(format!("{}=", jwk["x"].as_str().unwrap())),
            _ => json!(null),
        };
        let proof = api.proof(&token).header("jwk", jwk).sign();
        let verdict = api.get(&token, &proof).await;
        assert_ne!(verdict, Verdict::Admitted, "{name}");
    }
}

#[tokio::test]
async fn a_kid_names_one_key_and_not_another() {
    let keys = [
        JoseKey::new(Algorithm::Es256),
        JoseKey::new(Algorithm::Es256),
    ];
    let set: Vec<_> = keys
        .iter()
        .zip(["0", "1"])
        .map(|(key, kid)| with(key.public(), &[("kid", json!(kid))]))
        .collect();
    let api = api_with_keys(&set);
    for (i, key) in keys.iter().enumerate() {
        for (j, kid) in ["0", "1"].into_iter().enumerate() {
            let token = jose_token(&api, key, Some(kid));
            let expected = if i == j {
                Verdict::Admitted
            } else {
                WRONG_SIGNATURE
            };
            assert_eq!(present(&api, &token).await, expected, "key {i} as {kid}");
        }
    }
}
