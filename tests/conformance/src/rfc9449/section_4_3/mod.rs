//! Section 4.3: the list of what to check, item by item.

use std::time::Duration;

use dpop_tower::{
    clock::{TimeSource as _, UnixTime},
    crypto::Algorithm,
    nonce::{NonceSecret, NonceSource as _, StatelessNonces},
    test_util::TestClient,
};
use http::{HeaderValue, Method, Request};
use serde_json::{Value, json};

use super::case::{Case, JoseClient, jwk_of, object};
use crate::{
    crypto::{JoseKey, base64url, der_signature, from_base64url, hmac_jws, signing_input},
    support::{Over, URL, Verdict, Way, invalid_proof, invalid_token},
};

cases! { rfc9449::section_4_3 as section_4_3;
each_way [
    a_good_request_is_admitted_once,
    item_1_there_is_exactly_one_dpop_header,
    item_2_only_the_compact_serialization_is_a_proof,
    item_3_every_required_claim_is_there,
    item_4_typ_is_dpop_jwt_to_the_letter,
    item_5_none_is_no_algorithm,
    item_5_an_hmac_is_no_signature,
    item_5_algorithms_are_those_of_the_configuration,
    item_6_the_signature_verifies_with_the_key_in_the_header,
    item_6_the_signature_covers_header_and_payload_as_sent,
    item_7_no_private_member_is_tolerated,
    item_8_htm_is_the_method_to_the_letter,
    item_9_equivalent_spellings_of_htu_are_accepted,
    item_9_the_query_of_the_request_is_not_part_of_htu,
    item_9_another_htu_is_rejected,
    item_9_a_proof_does_not_fit_a_request_for_another_spelling,
    item_9_nothing_that_the_caller_says_moves_the_expected_htu,
    item_10_the_nonce_is_one_of_the_server,
    item_11_iat_lies_within_the_window_to_the_second,
    item_11_the_default_window_is_70_s_back_and_10_s_ahead,
    item_12_ath_is_the_hash_of_this_token,
    item_12_the_token_is_bound_to_the_key_of_the_proof,
]
}

async fn a_good_request_is_admitted_once(way: Way) {
    let api = way.api();
    let token = api.token().mint();
    let proof = api.proof(&token).sign();
    assert_eq!(api.get(&token, &proof).await, Verdict::Admitted);
    assert_eq!(
        api.get(&token, &proof).await,
        invalid_proof("proof_replayed")
    );
}

async fn item_1_there_is_exactly_one_dpop_header(way: Way) {
    let case = Case::new(way);
    let request = |values: &[&str]| {
        let mut request =
            case.api
                .client
                .request_with_proof(Method::GET, URL, &case.token, "placeholder");
        request.headers_mut().remove("dpop");
        for value in values {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            request.headers_mut().append("dpop", value);
        }
        request
    };
    let (one, two) = (case.proof().sign(), case.proof().sign());
    for (what, values, reason) in [
        ("none", &[][..], "proof_missing"),
        ("two", &[&one[..], &two], "proof_multiple"),
        ("the same twice", &[&one, &one], "proof_multiple"),
        ("an empty one beside it", &[&one, ""], "proof_multiple"),
        ("two in one", &[&format!("{one}, {two}")], "proof_malformed"),
        ("empty", &[""], "proof_malformed"),
        ("not ASCII", &["\u{e4}"], "proof_malformed"),
    ] {
        assert_eq!(
            case.api.send(request(values)).await,
            invalid_proof(reason),
            "{what}"
        );
    }
    // None of those counts as a use.
    case.check("alone", &one, Verdict::Admitted).await;
    case.finish().await;
}

async fn item_2_only_the_compact_serialization_is_a_proof(way: Way) {
    let client = JoseClient::new(way.api(), JoseKey::new(Algorithm::Es256));
    let malformed = "proof_malformed";
    let proof = client.sign();
    let [header, payload, signature] = proof.split('.').collect::<Vec<_>>()[..] else {
        panic!("three parts");
    };
    let flattened = json!({"protected": header, "payload": payload, "signature": signature});
    let general = json!({
        "payload": payload,
        "signatures": [{"protected": header, "signature": signature}],
    });
    for (what, text) in [
        ("one part", header.to_owned()),
        ("two parts", format!("{header}.{payload}")),
        ("four parts", format!("{proof}.{signature}")),
        (
            "five parts, as a JWE",
            format!("{proof}.{signature}.{signature}"),
        ),
        ("a dot before", format!(".{proof}")),
        ("a dot behind", format!("{proof}.")),
        ("no header", format!(".{payload}.{signature}")),
        ("no payload", format!("{header}..{signature}")),
        ("dots only", "..".to_owned()),
        ("flattened JSON", flattened.to_string()),
        ("general JSON", general.to_string()),
        ("a scheme before", format!("DPoP {proof}")),
        ("quotes", format!("\"{proof}\"")),
        ("a tab", format!("{header}\t.{payload}.{signature}")),
        ("a space", format!("{header}. {payload}.{signature}")),
        ("padded signature", format!("{proof}==")),
        ("a comma", format!("{proof},")),
        ("a percent-encoding", proof.replacen('.', "%2E", 1)),
    ] {
        client.case.reject(what, &text, malformed).await;
    }
    // A socket takes spaces around a value off (RFC 9110 section 5.5), so there it would be a good one.
    if matches!(way.over, Over::Process) {
        for (what, text) in [
            ("a space before", format!(" {proof}")),
            ("a space behind", format!("{proof} ")),
        ] {
            client.case.reject(what, &text, malformed).await;
        }
    }
    client
        .case
        .check("as it is", &proof, Verdict::Admitted)
        .await;
}

async fn item_3_every_required_claim_is_there(way: Way) {
    let case = Case::new(way);
    for name in ["jti", "htm", "htu", "iat", "ath"] {
        let proof = case.proof().without_claim(name).sign();
        case.reject(name, &proof, "proof_missing_claim").await;
    }
    case.finish().await;
}

async fn item_4_typ_is_dpop_jwt_to_the_letter(way: Way) {
    let case = Case::new(way);
    for typ in [
        "DPOP+JWT",
        "dpop+JWT",
        "DPoP+jwt",
        "application/dpop+jwt",
        "dpop",
        "dpop jwt",
        "JWT",
        "jwt",
        "at+jwt",
        " dpop+jwt",
        "dpop+jwt ",
        "dpop+jwt\0",
        "dpop+jws",
    ] {
        let proof = case.proof().header("typ", typ).sign();
        case.reject(typ, &proof, "proof_typ_invalid").await;
    }
    // An access token is no proof, whoever signed it.
    case.reject("the token", &case.token, "proof_typ_invalid")
        .await;
    case.finish().await;
}

async fn item_5_none_is_no_algorithm(way: Way) {
    let case = Case::new(way);
    for alg in ["none", "None", "NONE", "nOnE", " none"] {
        let proof = case.proof().header("alg", alg);
        for text in [
            proof.clone().sign(),
            proof.clone().empty_signature().sign(),
            proof.without_header("jwk").empty_signature().sign(),
        ] {
            case.reject(alg, &text, "proof_alg_not_allowed").await;
        }
    }
    case.finish().await;
}

async fn item_5_an_hmac_is_no_signature(way: Way) {
    let case = Case::new(way);
    let proof = case.proof();
    let jwk = jwk_of(&proof);
    let coordinate = |name: &str| from_base64url(jwk[name].as_str().unwrap());
    let point = [&[4][..], &coordinate("x"), &coordinate("y")].concat();
    let payload = proof.payload_json();
    let secrets = [
        ("x", coordinate("x")),
        ("the point", point),
        (
            "the JWK",
            Value::Object(jwk.clone()).to_string().into_bytes(),
        ),
        ("x as text", jwk["x"].as_str().unwrap().as_bytes().to_vec()),
        ("nothing", Vec::new()),
    ];
    for (what, secret) in secrets {
        for (alg, reason) in [
            ("HS256", "proof_alg_not_allowed"),
            ("HS384", "proof_alg_not_allowed"),
            ("HS512", "proof_alg_not_allowed"),
            ("hs256", "proof_alg_not_allowed"),
            // The header says one thing, the signature is another.
            ("ES256", "proof_signature_invalid"),
        ] {
            let header = proof.clone().header("alg", alg).header_json();
            let text = hmac_jws(&header, &payload, &secret);
            case.reject(&format!("{alg} with {what}"), &text, reason)
                .await;
        }
        let oct = json!({"kty": "oct", "k": base64url(&secret)});
        for (alg, symmetric) in [("HS256", false), ("ES256", true), ("EdDSA", true)] {
            let header = proof
                .clone()
                .header("alg", alg)
                .header("jwk", oct.clone())
                .header_json();
            let text = hmac_jws(&header, &payload, &secret);
            if symmetric {
                case.reject_key(alg, &text, "the key is symmetric").await;
            } else {
                case.reject(alg, &text, "proof_alg_not_allowed").await;
            }
        }
    }
    case.finish().await;
}

async fn item_5_algorithms_are_those_of_the_configuration(way: Way) {
    let default = [
        Algorithm::Es256,
        Algorithm::Ed25519,
        Algorithm::EdDsa,
        Algorithm::Ps256,
        Algorithm::Rs256,
    ];
    for algorithm in Algorithm::ALL {
        let client = JoseClient::new(way.api(), JoseKey::new(algorithm));
        let expected = if default.contains(&algorithm) {
            Verdict::Admitted
        } else {
            invalid_proof("proof_alg_not_allowed")
        };
        client
            .case
            .check(algorithm.as_str(), &client.sign(), expected)
            .await;

        let only = way.api_with(|tokens| tokens, |config| config.algorithms([algorithm]));
        let client = JoseClient::new(only, JoseKey::new(algorithm));
        client
            .case
            .check(algorithm.as_str(), &client.sign(), Verdict::Admitted)
            .await;
        let others = Algorithm::ALL.into_iter().filter(|alg| *alg != algorithm);
        let others = way.api_with(|tokens| tokens, |config| config.algorithms(others));
        let client = JoseClient::new(others, JoseKey::new(algorithm));
        client
            .case
            .reject(algorithm.as_str(), &client.sign(), "proof_alg_not_allowed")
            .await;
    }
}

async fn item_6_the_signature_verifies_with_the_key_in_the_header(way: Way) {
    let case = Case::new(way);
    let invalid = "proof_signature_invalid";
    let other = TestClient::new();
    let good = case.proof().sign();
    let (input, signature) = good.rsplit_once('.').unwrap();
    let bytes = from_base64url(signature);
    let with = |bytes: &[u8]| format!("{input}.{}", base64url(bytes));
    let stolen = case.proof().sign();
    let (_, of_another) = stolen.rsplit_once('.').unwrap();
    for (what, proof) in [
        ("corrupt", case.proof().corrupt_signature().sign()),
        ("by another key", case.proof().signed_by(&other).sign()),
        ("empty", case.proof().empty_signature().sign()),
        ("of another proof", format!("{input}.{of_another}")),
        ("truncated", with(&bytes[..63])),
        ("r only", with(&bytes[..32])),
        ("longer", with(&[&bytes[..], &[0]].concat())),
        ("all zero", with(&[0; 64])),
        ("all one", with(&[0xff; 64])),
        ("DER", with(&der_signature(&bytes))),
        ("as hex", with(format!("{bytes:02x?}").as_bytes())),
    ] {
        case.reject(what, &proof, invalid).await;
    }
    case.check("as it is", &good, Verdict::Admitted).await;
    // The key is known by now; nothing is let through on that account.
    let proof = case.proof().corrupt_signature().sign();
    case.reject("corrupt, known key", &proof, invalid).await;
}

async fn item_6_the_signature_covers_header_and_payload_as_sent(way: Way) {
    let case = Case::new(way);
    let draft = case.proof();
    let good = draft.clone().sign();
    let (_, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = (draft.header_json(), draft.payload_json());
    for (what, header, payload) in [
        ("white space", format!("{header} "), payload.clone()),
        ("white space", header.clone(), format!(" {payload}")),
        (
            "a claim",
            header.clone(),
            draft.clone().claim("z", 1).payload_json(),
        ),
        (
            "the jti",
            header,
            draft.clone().claim("jti", "z").payload_json(),
        ),
    ] {
        let proof = format!("{}.{signature}", signing_input(&header, &payload));
        case.reject(what, &proof, "proof_signature_invalid").await;
    }
    case.check("as it is", &good, Verdict::Admitted).await;
}

async fn item_7_no_private_member_is_tolerated(way: Way) {
    let case = Case::new(way);
    for name in ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"] {
        for value in [
            json!("AQAB"),
            json!(""),
            json!(null),
            json!(7),
            json!([]),
            json!(false),
        ] {
            let mut jwk = jwk_of(&case.proof());
            jwk.insert(name.to_owned(), value.clone());
            let proof = case.proof().header("jwk", jwk).sign();
            let what = format!("{name}: {value}");
            case.reject_key(&what, &proof, "the key has a private member")
                .await;
        }
    }
    case.finish().await;
    for algorithm in [Algorithm::Es256, Algorithm::Ed25519, Algorithm::Rs256] {
        let client = JoseClient::new(way.api(), JoseKey::new(algorithm));
        let mut header = client.header();
        header.insert("jwk".to_owned(), client.key.private().into());
        let proof = client
            .key
            .jws(&Value::Object(header).to_string(), &client.payload());
        client
            .case
            .reject_key(algorithm.as_str(), &proof, "the key has a private member")
            .await;
        client
            .case
            .check(algorithm.as_str(), &client.sign(), Verdict::Admitted)
            .await;
    }
}

async fn item_8_htm_is_the_method_to_the_letter(way: Way) {
    let case = Case::new(way);
    for htm in [
        "get",
        "Get",
        "POST",
        "HEAD",
        "GET ",
        " GET",
        "GET,POST",
        "*",
        "G\u{112}T",
    ] {
        let proof = case.proof().claim("htm", htm).sign();
        case.reject(htm, &proof, "proof_htm_mismatch").await;
    }
    for (method, htm, expected) in [
        (Method::POST, "POST", Verdict::Admitted),
        (Method::POST, "GET", invalid_proof("proof_htm_mismatch")),
        (Method::POST, "post", invalid_proof("proof_htm_mismatch")),
        // axum answers HEAD with the handler of GET.
        (Method::HEAD, "HEAD", Verdict::Admitted),
        (Method::HEAD, "GET", invalid_proof("proof_htm_mismatch")),
    ] {
        let proof = case.proof().claim("htm", htm).sign();
        let request = case
            .api
            .client
            .request_with_proof(method.clone(), URL, &case.token, &proof);
        assert_eq!(case.api.send(request).await, expected, "{htm} for {method}");
    }
    case.finish().await;
}

async fn item_9_equivalent_spellings_of_htu_are_accepted(way: Way) {
    let case = Case::new(way);
    for htu in [
        "HTTPS://api.test/orders",
        "https://API.TEST/orders",
        "https://api.test:443/orders",
        "https://api.test:/orders",
        "https://api.test:0443/orders",
        "https://api.test/%6Frders",
        "https://api.test/%6frders",
        "https://api.test/./orders",
        "https://api.test/a/../orders",
        "https://api.test/../orders",
        "https://api.test/orders?",
        "https://api.test/orders?a=/b&c",
        "https://api.test/orders#fragment",
        "https://api.test/orders?a#b",
        "https://api.test/%2E/orders",
    ] {
        let proof = case.proof().claim("htu", htu).sign();
        case.check(htu, &proof, Verdict::Admitted).await;
    }
}

async fn item_9_the_query_of_the_request_is_not_part_of_htu(way: Way) {
    let case = Case::new(way);
    for htu in [
        URL,
        "https://api.test/orders?a=1",
        "https://api.test/orders?b=2",
    ] {
        let proof = case.proof().claim("htu", htu).sign();
        let request: Request<()> = case.api.client.request_with_proof(
            Method::GET,
            "https://api.test/orders?a=1",
            &case.token,
            &proof,
        );
        assert_eq!(case.api.send(request).await, Verdict::Admitted, "{htu}");
    }
}

async fn item_9_another_htu_is_rejected(way: Way) {
    let case = Case::new(way);
    let (mismatch, invalid) = ("proof_htu_mismatch", "proof_htu_invalid");
    for (htu, reason) in [
        ("http://api.test/orders", mismatch),
        ("http://api.test:443/orders", mismatch),
        ("https://api.test:80/orders", mismatch),
        ("https://api.test:8443/orders", mismatch),
        ("https://api.test./orders", mismatch),
        ("https://api.test.evil.test/orders", mismatch),
        ("https://evil.test/orders", mismatch),
        ("https://evil.test/https://api.test/orders", mismatch),
        ("https://www.api.test/orders", mismatch),
        ("https://127.0.0.1/orders", mismatch),
        ("https://api.test", mismatch),
        ("https://api.test/", mismatch),
        ("https://api.test?/orders", mismatch),
        ("https://api.test/Orders", mismatch),
        ("https://api.test/ORDERS", mismatch),
        ("https://api.test/orders/", mismatch),
        ("https://api.test//orders", mismatch),
        ("https://api.test/orders//", mismatch),
        ("https://api.test/a//../orders", mismatch),
        ("https://api.test/%2Forders", mismatch),
        ("https://api.test/orders%2F", mismatch),
        ("https://api.test/orders%3F", mismatch),
        ("https://api.test/orders%00", mismatch),
        ("https://api.test/%4Frders", mismatch),
        ("https://api.test/%256Frders", mismatch),
        ("https://api.test/orders;v=1", mismatch),
        ("https://api.test/orders/7", mismatch),
        ("https://api.test/order", mismatch),
        ("https://api.test/v1/orders", mismatch),
        ("https://user@api.test/orders", invalid),
        ("https://api.test@evil.test/orders", invalid),
        ("https://api.test:x/orders", invalid),
        ("https://api.test:70000/orders", invalid),
        ("https://api.test/%zz", invalid),
        ("https://api.test/orders ", invalid),
        (" https://api.test/orders", invalid),
        ("https:/api.test/orders", invalid),
        ("https:api.test/orders", invalid),
        ("//api.test/orders", invalid),
        ("api.test/orders", invalid),
        ("/orders", invalid),
        ("orders", invalid),
        ("*", invalid),
        ("https://", invalid),
        ("https:///orders", invalid),
        ("ftp://api.test/orders", invalid),
        ("wss://api.test/orders", invalid),
        ("https://\u{430}pi.test/orders", invalid),
        ("https://api.test\\orders", invalid),
    ] {
        let proof = case.proof().claim("htu", htu).sign();
        case.reject(htu, &proof, reason).await;
    }
    case.finish().await;
}

async fn item_9_a_proof_does_not_fit_a_request_for_another_spelling(way: Way) {
    let case = Case::new(way);
    for path in [
        "/Orders",
        "/orders/",
        "//orders",
        "/orders//",
        "/%2Forders",
        "/orders%2F",
        "/orders;v=1",
        "/",
    ] {
        let mut request = case.api.client.get(URL, &case.token);
        *request.uri_mut() = path.parse().unwrap();
        assert_eq!(
            case.api.send(request).await,
            invalid_proof("proof_htu_mismatch"),
            "{path}"
        );
    }
    case.finish().await;
}

/// A malicious API that got a proof made for it cannot pass it on.
async fn item_9_nothing_that_the_caller_says_moves_the_expected_htu(way: Way) {
    let case = Case::new(way);
    for (uri, headers) in [
        ("/orders", &[("host", "evil.test")][..]),
        ("/orders", &[("x-forwarded-host", "evil.test")]),
        (
            "/orders",
            &[
                ("host", "evil.test"),
                ("x-forwarded-host", "evil.test"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-port", "443"),
            ],
        ),
        ("/orders", &[("forwarded", "host=evil.test;proto=https")]),
        ("/orders", &[("x-original-host", "evil.test")]),
        ("/orders", &[("x-original-url", "https://evil.test/orders")]),
        ("/orders", &[("x-rewrite-url", "https://evil.test/orders")]),
        ("http://evil.test/orders", &[]),
        ("https://evil.test/orders", &[("host", "evil.test")]),
        ("https://evil.test:443/orders", &[("host", "api.test")]),
    ] {
        for (htu, expected) in [
            (
                "https://evil.test/orders",
                invalid_proof("proof_htu_mismatch"),
            ),
            (URL, Verdict::Admitted),
        ] {
            let proof = case.proof().claim("htu", htu).sign();
            let client = &case.api.client;
            let mut request = client.request_with_proof(Method::GET, URL, &case.token, &proof);
            *request.uri_mut() = uri.parse().unwrap();
            for (name, value) in headers {
                let value = HeaderValue::from_static(value);
                request.headers_mut().insert(*name, value);
            }
            let verdict = case.api.send(request).await;
            assert_eq!(verdict, expected, "{htu} for {uri} with {headers:?}");
        }
    }
}

async fn item_10_the_nonce_is_one_of_the_server(way: Way) {
    let secret = |byte| NonceSecret::new([byte; 32]).unwrap();
    let nonces = StatelessNonces::new(secret(1));
    let case = Case::of(way.api_with(
        |tokens| tokens,
        |config| config.nonce_source(nonces.clone()).require_nonces(),
    ));
    let now = case.api.clock.now();
    let rejected = |reason| Verdict::Rejected {
        status: 401,
        error: "use_dpop_nonce",
        reason,
    };
    let missing = case.proof().sign();
    case.check("none", &missing, rejected("proof_nonce_missing"))
        .await;
    let good = nonces.current(now);
    let of_another_server = StatelessNonces::new(secret(2)).current(now);
    let of_old = nonces.current(UnixTime::from_secs(now.as_secs() - 1_000));
    for (what, nonce) in [
        ("another server's", of_another_server),
        ("an old one", of_old),
        ("a longer one", format!("{good}A")),
        ("a shorter one", good[..good.len() - 1].to_owned()),
        ("none at all", String::new()),
    ] {
        let proof = case.proof().nonce(&nonce).sign();
        case.check(what, &proof, rejected("proof_nonce_unknown"))
            .await;
    }
    let proof = case.proof().nonce(&good).sign();
    case.check("the server's", &proof, Verdict::Admitted).await;
}

async fn item_11_iat_lies_within_the_window_to_the_second(way: Way) {
    let (old, future) = ("proof_too_old", "proof_from_future");
    for (max_age, leeway) in [(60, 10), (1, 0), (300, 0), (5, 3600)] {
        let case = Case::of(way.api_with(
            |tokens| tokens,
            |config| {
                config
                    .max_age(Duration::from_secs(max_age))
                    .danger_leeway(Duration::from_secs(leeway))
            },
        ));
        let (max_age, leeway) = (max_age.cast_signed(), leeway.cast_signed());
        for (offset, expected) in [
            (-max_age - leeway - 1, invalid_proof(old)),
            (-max_age - leeway, Verdict::Admitted),
            (0, Verdict::Admitted),
            (leeway, Verdict::Admitted),
            (leeway + 1, invalid_proof(future)),
        ] {
            let proof = case.proof().claim("iat", case.api.now() + offset).sign();
            let what = format!("{offset} s with {max_age} s and {leeway} s");
            case.check(&what, &proof, expected).await;
        }
    }
}

async fn item_11_the_default_window_is_70_s_back_and_10_s_ahead(way: Way) {
    let case = Case::new(way);
    for (offset, expected) in [
        (-71, invalid_proof("proof_too_old")),
        (-70, Verdict::Admitted),
        (10, Verdict::Admitted),
        (11, invalid_proof("proof_from_future")),
    ] {
        let proof = case.proof().claim("iat", case.api.now() + offset).sign();
        case.check(&offset.to_string(), &proof, expected).await;
    }
    // The same seen from a proof whose time passes.
    let (last, late) = (case.proof().sign(), case.proof().sign());
    case.api.advance(70);
    case.check("70 s later", &last, Verdict::Admitted).await;
    case.api.advance(1);
    case.reject("71 s later", &late, "proof_too_old").await;
}

async fn item_12_ath_is_the_hash_of_this_token(way: Way) {
    let case = Case::new(way);
    let claims = object(&case.proof().payload_json());
    let good = claims["ath"].as_str().unwrap().to_owned();
    let bytes = from_base64url(&good);
    let hash = |text: &str| object(&case.api.proof(text).payload_json())["ath"].clone();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = alphabet.find(&good[42..]).unwrap();
    for (what, ath) in [
        ("of another token", hash(&case.api.token().mint())),
        ("of nothing", hash("")),
        ("of the header", hash(&format!("DPoP {}", case.token))),
        ("of less", hash(&case.token[..case.token.len() - 1])),
        ("of the hash", hash(&good)),
        ("the token", json!(case.token)),
        ("padded", json!(format!("{good}="))),
        (
            "loose",
            json!(format!("{}{}", &good[..42], &alphabet[last + 1..][..1])),
        ),
        ("shortened", json!(good[..42])),
        ("longer", json!(format!("{good}A"))),
        ("hex", json!(hex)),
        ("base64url of hex", json!(base64url(&hex))),
        ("half", json!(base64url(&bytes[..16]))),
        ("lower case", json!(good.to_lowercase())),
        ("white space", json!(format!("{good} "))),
    ] {
        let proof = case.proof().claim("ath", ath).sign();
        case.reject(what, &proof, "proof_ath_mismatch").await;
    }
    case.finish().await;
}

async fn item_12_the_token_is_bound_to_the_key_of_the_proof(way: Way) {
    let case = Case::new(way);
    let thief = TestClient::new().clock(case.api.clock.clone());
    let mismatch = invalid_token("token_binding_mismatch");
    for _ in 0..2 {
        let proof = thief.proof("GET", URL).access_token(&case.token).sign();
        case.check("the thief's", &proof, mismatch).await;
        // Token and key are known the second time.
        let proof = case.proof().sign();
        case.check("the client's", &proof, Verdict::Admitted).await;
    }
    let unbound = case.api.issuer.token().mint();
    let proof = case.api.proof(&unbound).sign();
    assert_eq!(
        case.api.get(&unbound, &proof).await,
        invalid_token("token_not_bound")
    );
}
