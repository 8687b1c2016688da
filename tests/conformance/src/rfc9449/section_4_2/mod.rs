//! Section 4.2: the syntax of a proof, one part broken at a time.

use dpop_tower::{
    clock::UnixTime,
    crypto::Algorithm,
    proof::{Ath, Htu, ProofContext, ProofVerifier},
    test_util::{KeyKind, TestClient},
};
use http::Method;
use josekit::jwk::{
    Jwk,
    alg::{ecx::EcxCurve, ed::EdCurve},
};
use serde_json::{Map, Value, json};

use super::case::{Case, JoseClient, jwk_of, object};
use crate::{
    crypto::{FITTING, JoseKey, base64url, from_base64url, rsa, signing_input},
    support::{URL, Verdict, Way, invalid_proof},
};

cases! { rfc9449::section_4_2 as section_4_2;
each_way [
    rfc_7515_section_2_base64url_has_one_spelling,
    header_and_payload_are_one_json_object_each,
    every_header_parameter_is_required_and_has_its_json_type,
    every_claim_is_required_and_has_its_json_type,
    empty_and_overlong_claims_are_rejected,
    duplicate_members_are_rejected_in_every_spelling,
    rfc_7515_section_4_1_1_algorithm_names_have_a_case,
    an_alg_that_does_not_fit_the_key_is_rejected,
    ed25519_clients_may_use_either_name,
    every_parameter_of_the_key_is_required_and_has_its_json_type,
    further_members_of_the_key_are_ignored,
    other_kinds_of_keys_are_rejected,
    a_point_off_its_curve_is_rejected,
    an_ed25519_key_of_small_order_is_rejected,
    rsa_keys_have_2048_to_4096_bits,
    an_rsa_exponent_is_odd_and_not_tiny,
    the_examples_of_the_rfc_are_good_proofs,
    rfc_7515_section_4_1_11_critical_extensions_are_rejected,
    unknown_header_parameters_and_claims_are_ignored,
    a_key_elsewhere_in_the_header_is_not_the_key,
    without_configured_nonces_a_nonce_is_ignored_unless_it_is_no_text,
    no_iat_is_too_extreme_for_arithmetic,
    rfc_7519_section_2_iat_may_have_a_fraction,
    exp_and_nbf_of_a_proof_are_obeyed,
    a_jti_has_1_to_256_bytes,
    a_proof_has_at_most_16_kib,
]
}

/// The signature is over the odd spelling, so nothing but the spelling is wrong.
async fn rfc_7515_section_2_base64url_has_one_spelling(way: Way) {
    let client = JoseClient::new(way.api(), JoseKey::new(Algorithm::Es256));
    let sign = |input: &str| client.key.sign(input.as_bytes());
    let whole = |input: &str| format!("{input}.{}", base64url(sign(input)));
    let respelled = |text: &str| {
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let last = text.chars().last().unwrap();
        let next = &alphabet[alphabet.find(last).unwrap() + 1..][..1];
        format!("{}{next}", &text[..text.len() - 1])
    };
    // One byte more than a multiple of three leaves four bits of the last character unused.
    let fill = |mut json: String| {
        while json.len() % 3 != 1 {
            json.push(' ');
        }
        json
    };
    let header = fill(Value::Object(client.header()).to_string());
    let payload = fill(client.payload());
    let (header, payload) = (base64url(header), base64url(payload));
    let input = format!("{header}.{payload}");
    client
        .case
        .check("canonical", &whole(&input), Verdict::Admitted)
        .await;
    let signature = base64url(sign(&input));
    for (what, text) in [
        ("padded header", whole(&format!("{header}==.{payload}"))),
        ("padded payload", whole(&format!("{input}=="))),
        ("padded signature", format!("{input}.{signature}==")),
        (
            "loose header",
            whole(&format!("{}.{payload}", respelled(&header))),
        ),
        (
            "loose payload",
            whole(&format!("{header}.{}", respelled(&payload))),
        ),
        (
            "loose signature",
            format!("{input}.{}", respelled(&signature)),
        ),
    ] {
        client.case.reject(what, &text, "proof_malformed").await;
    }
    let signature = (0..100)
        .map(|_| base64url(sign(&input)))
        .find(|signature| signature.contains(['-', '_']))
        .unwrap();
    let standard = signature.replace('-', "+").replace('_', "/");
    client
        .case
        .reject(
            "the standard alphabet",
            &format!("{input}.{standard}"),
            "proof_malformed",
        )
        .await;
}

async fn header_and_payload_are_one_json_object_each(way: Way) {
    let case = Case::new(way);
    let proof = case.proof();
    let (header, payload) = (proof.header_json(), proof.payload_json());
    let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    let wide: Map<String, Value> = (0..300).map(|i| (i.to_string(), json!(0))).collect();
    for (what, text) in [
        ("empty", String::new()),
        ("null", "null".to_owned()),
        ("a string", "\"x\"".to_owned()),
        ("a number", "1".to_owned()),
        ("a list", "[]".to_owned()),
        ("not JSON", "{".to_owned()),
        ("single quotes", "{'typ': 'dpop+jwt'}".to_owned()),
    ] {
        for broken in [
            proof.clone().raw_header(text.clone()),
            proof.clone().raw_payload(text.clone()),
        ] {
            case.reject(what, &broken.sign(), "proof_malformed").await;
        }
    }
    let with = |json: &str, more: &str| format!("{},{more}}}", &json[..json.len() - 1]);
    type Change<'a> = &'a dyn Fn(&str) -> String;
    let changes: [(&str, Change<'_>); 9] = [
        ("in a list", &|json| format!("[{json}]")),
        ("twice", &|json| format!("{json}{json}")),
        ("something behind", &|json| format!("{json}x")),
        ("a byte order mark", &|json| format!("\u{feff}{json}")),
        ("a comment", &|json| format!("{json}/**/")),
        ("a trailing comma", &|json| with(json, "")),
        ("nested deeply", &|json| {
            with(json, &format!("\"z\":{deep}"))
        }),
        ("too many members", &|json| {
            with(json, &format!("\"z\":{}", Value::Object(wide.clone())))
        }),
        ("a number out of range", &|json| with(json, "\"z\":1e999")),
    ];
    for (what, change) in changes {
        for broken in [
            proof.clone().raw_header(change(&header)),
            proof.clone().raw_payload(change(&payload)),
        ] {
            case.reject(what, &broken.sign(), "proof_malformed").await;
        }
    }
    // White space is JSON.
    let spaced = proof
        .raw_header(format!(" {header}\n"))
        .raw_payload(format!("\t{payload} "));
    case.check("white space", &spaced.sign(), Verdict::Admitted)
        .await;
    case.finish().await;
}

async fn every_header_parameter_is_required_and_has_its_json_type(way: Way) {
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

async fn every_claim_is_required_and_has_its_json_type(way: Way) {
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

async fn empty_and_overlong_claims_are_rejected(way: Way) {
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

/// RFC 7515 section 4, RFC 7519 section 4: two parsers may see two different proofs.
async fn duplicate_members_are_rejected_in_every_spelling(way: Way) {
    let case = Case::new(way);
    let proof = case.proof();
    let doubled =
        |json: &str, name: &str, value: &Value| format!("{{{name}:{value},{}", &json[1..]);
    let escaped = |name: &str| {
        let (first, rest) = name.split_at(1);
        format!("\"\\u{:04x}{rest}\"", u32::from(first.as_bytes()[0]))
    };
    let (header, payload) = (proof.header_json(), proof.payload_json());
    for (name, value) in object(&header) {
        for spelling in [format!("\"{name}\""), escaped(&name)] {
            // The same value twice, or a first one that a lenient parser would drop.
            for value in [&value, &json!("other")] {
                let text = doubled(&header, &spelling, value);
                let proof = proof.clone().raw_header(text).sign();
                case.reject(&spelling, &proof, "proof_malformed").await;
            }
        }
    }
    for (name, value) in object(&payload) {
        for spelling in [format!("\"{name}\""), escaped(&name)] {
            for value in [&value, &json!("other")] {
                let text = doubled(&payload, &spelling, value);
                let proof = proof.clone().raw_payload(text).sign();
                case.reject(&spelling, &proof, "proof_malformed").await;
            }
        }
    }
    let jwk = jwk_of(&proof);
    let jwk_text = Value::Object(jwk.clone()).to_string();
    for (name, value) in jwk {
        for spelling in [format!("\"{name}\""), escaped(&name)] {
            let text = header.replace(&jwk_text, &doubled(&jwk_text, &spelling, &value));
            assert_ne!(text, header);
            let proof = proof.clone().raw_header(text).sign();
            case.reject(&format!("jwk: {spelling}"), &proof, "proof_malformed")
                .await;
        }
    }
    // An escape alone is just another spelling.
    let once = header.replacen("\"typ\"", &escaped("typ"), 1);
    assert_ne!(once, header);
    let proof = proof.raw_header(once).sign();
    case.check("escaped once", &proof, Verdict::Admitted).await;
    case.finish().await;
}

async fn rfc_7515_section_4_1_1_algorithm_names_have_a_case(way: Way) {
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

async fn an_alg_that_does_not_fit_the_key_is_rejected(way: Way) {
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
                // The key could, but the signature is another algorithm's.
                invalid_proof("proof_signature_invalid")
            };
            client
                .case
                .check(&format!("{kind} as {algorithm}"), &proof, expected)
                .await;
        }
    }
}

async fn ed25519_clients_may_use_either_name(way: Way) {
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

async fn every_parameter_of_the_key_is_required_and_has_its_json_type(way: Way) {
    for algorithm in [Algorithm::Es256, Algorithm::Ed25519, Algorithm::Rs256] {
        let client = JoseClient::new(way.api(), JoseKey::new(algorithm));
        for (name, good) in client.key.public() {
            let mut wrongs = vec![None];
            wrongs.extend(
                [
                    json!(null),
                    json!(7),
                    json!(true),
                    json!(""),
                    json!("x"),
                    json!([good]),
                    json!({ "value": good }),
                    json!(format!("{}=", good.as_str().unwrap())),
                    json!(format!(" {}", good.as_str().unwrap())),
                    json!(good.as_str().unwrap()[1..]),
                ]
                .map(Some),
            );
            for wrong in wrongs {
                let mut header = client.header();
                let jwk = header["jwk"].as_object_mut().unwrap();
                match wrong.clone() {
                    None => jwk.remove(&name),
                    Some(wrong) => jwk.insert(name.clone(), wrong),
                };
                let proof = client
                    .key
                    .jws(&Value::Object(header).to_string(), &client.payload());
                let what = format!("{algorithm}, {name}: {wrong:?}");
                client.case.reject(&what, &proof, "proof_key_invalid").await;
            }
        }
    }
}

async fn further_members_of_the_key_are_ignored(way: Way) {
    let case = Case::new(way);
    for (name, value) in [
        ("kid", json!("1")),
        ("kid", json!(7)),
        ("alg", json!("ES256")),
        // josekit would not use these; the client is free to write them.
        ("alg", json!("RS256")),
        ("use", json!("sig")),
        ("use", json!("enc")),
        ("key_ops", json!(["verify"])),
        ("key_ops", json!([])),
        ("ext", json!(true)),
        ("x5c", json!(["MII"])),
        ("n", json!("AQAB")),
    ] {
        let mut jwk = jwk_of(&case.proof());
        jwk.insert(name.to_owned(), value.clone());
        let proof = case.proof().header("jwk", jwk).sign();
        case.check(&format!("{name}: {value}"), &proof, Verdict::Admitted)
            .await;
    }
}

async fn other_kinds_of_keys_are_rejected(way: Way) {
    let case = Case::new(way);
    let public = |jwk: Jwk| jwk.to_public_key().unwrap().as_ref().clone();
    let secp256k1 = json!({
        "kty": "EC",
        "crv": "secp256k1",
        "x": "eb5mfvncu6xVoGKVzocLBwKb_NstzijZWfKBWxb4F5g",
        "y": "SDradyajxGVdpPv8DhEIqP0XtEimhVQZnEfQj_sQ1Lg",
    });
    let mut lower = jwk_of(&case.proof());
    lower.insert("kty".to_owned(), "ec".into());
    let mut curve = jwk_of(&case.proof());
    curve.insert("crv".to_owned(), "p-256".into());
    let kty = "the key's type is not supported";
    let crv = "the key's curve is not supported";
    for (what, jwk, detail) in [
        (
            "Ed448",
            public(Jwk::generate_ed_key(EdCurve::Ed448).unwrap()),
            crv,
        ),
        (
            "X25519",
            public(Jwk::generate_ecx_key(EcxCurve::X25519).unwrap()),
            crv,
        ),
        ("secp256k1", secp256k1.as_object().unwrap().clone(), crv),
        ("a curve in lower case", curve, crv),
        ("a type in lower case", lower, kty),
        (
            "AKP",
            object(r#"{"kty":"AKP","alg":"ML-DSA-44","pub":"AA"}"#),
            kty,
        ),
    ] {
        let proof = case.proof().header("jwk", jwk).sign();
        case.reject_key(what, &proof, detail).await;
    }
    case.finish().await;
}

async fn a_point_off_its_curve_is_rejected(way: Way) {
    let api = way.api();
    let good = jwk_of(&api.proof(""));
    let coordinate = |name: &str| from_base64url(good[name].as_str().unwrap());
    let (x, y) = (coordinate("x"), coordinate("y"));
    let flipped = |mut bytes: Vec<u8>| {
        bytes[31] ^= 1;
        bytes
    };
    for (what, x, y) in [
        ("another y", x.clone(), flipped(y.clone())),
        ("another x", flipped(x.clone()), y.clone()),
        ("x for y", y.clone(), x.clone()),
        // The identity has no coordinates; some write it as two zeros.
        ("the identity", vec![0; 32], vec![0; 32]),
        ("beyond the field", vec![0xff; 32], y),
    ] {
        let mut jwk = good.clone();
        jwk.insert("x".to_owned(), base64url(x).into());
        jwk.insert("y".to_owned(), base64url(y).into());
        // It is the key that the token is bound to, so only the crypto backend can see it.
        let thumbprint = *crate::crypto::parse(&jwk).thumbprint();
        let token = api.issuer.token().bound_to_thumbprint(&thumbprint).mint();
        let proof = api.proof(&token).header("jwk", jwk).sign();
        let verdict = api.get(&token, &proof).await;
        assert_eq!(verdict, invalid_proof("proof_key_invalid"), "{what}");
    }
}

async fn an_ed25519_key_of_small_order_is_rejected(way: Way) {
    let case = Case::new(way);
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut other_sign = identity;
    other_sign[31] = 0x80;
    for (what, x) in [
        ("identity", identity),
        ("order 4", [0; 32]),
        ("the other encoding", other_sign),
    ] {
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(x)});
        for alg in ["EdDSA", "Ed25519"] {
            let draft = case.proof().header("alg", alg).header("jwk", jwk.clone());
            let input = signing_input(&draft.header_json(), &draft.payload_json());
            // With the identity as key and as R, and zero as S, it fits every message.
            let proof = format!("{input}.{}", base64url([identity, [0; 32]].concat()));
            case.reject_key(what, &proof, "the key is too weak or too large")
                .await;
        }
    }
    case.finish().await;
}

async fn rsa_keys_have_2048_to_4096_bits(way: Way) {
    let weak = "the key is too weak or too large";
    let largest = JoseKey::from_private(Algorithm::Ps256, rsa(4096));
    let client = JoseClient::new(way.api(), largest);
    client
        .case
        .check("4096 bits", &client.sign(), Verdict::Admitted)
        .await;
    let too_large = JoseKey::from_private(Algorithm::Ps256, rsa(4104));
    let mut header = client.header();
    header.insert("jwk".to_owned(), too_large.public().into());
    let proof = too_large.jws(
        &Value::Object(header.clone()).to_string(),
        &client.payload(),
    );
    client.case.reject_key("4104 bits", &proof, weak).await;

    // josekit signs with nothing so small; that it is rejected before is what counts.
    for bits in [512, 1024, 2040] {
        header.insert(
            "jwk".to_owned(),
            JoseKey::from_private(Algorithm::Ps256, rsa(bits))
                .public()
                .into(),
        );
        let input = signing_input(
            &Value::Object(header.clone()).to_string(),
            &client.payload(),
        );
        let signature = vec![1; usize::try_from(bits / 8).unwrap()];
        let proof = format!("{input}.{}", base64url(signature));
        client
            .case
            .reject_key(&format!("{bits} bits"), &proof, weak)
            .await;
    }
}

async fn an_rsa_exponent_is_odd_and_not_tiny(way: Way) {
    let client = JoseClient::new(way.api(), JoseKey::new(Algorithm::Rs256));
    let mut header = client.header();
    for (what, e) in [
        ("one", &[1][..]),
        ("three", &[3]),
        ("17", &[17]),
        ("even", &[1, 0, 0]),
        ("below 65537", &[0xff, 0xff]),
        ("more than 32 bits", &[1, 0, 0, 0, 1]),
        ("as long as the modulus", &[0xff; 256]),
    ] {
        header["jwk"]["e"] = base64url(e).into();
        let proof = client.key.jws(
            &Value::Object(header.clone()).to_string(),
            &client.payload(),
        );
        let weak = "the key is too weak or too large";
        client.case.reject_key(what, &proof, weak).await;
    }
    client
        .case
        .check("65537", &client.sign(), Verdict::Admitted)
        .await;
}

async fn the_examples_of_the_rfc_are_good_proofs(way: Way) {
    let at_token_endpoint = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6Ik\
        VDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCR\
        nMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JE\
        QSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIj\
        oiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwia\
        WF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg\
        4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg";
    let at_resource = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6Ik\
        VDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCR\
        nMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JE\
        QSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIj\
        oiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0Z\
        WRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNF\
        c05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71E\
        OptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA";
    let token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
    let crypto = way.backend.verifier();
    let policy = ProofVerifier::default();

    let htu = Htu::parse("https://server.example.com/token").unwrap();
    let now = UnixTime::from_secs(1_562_262_616);
    let context = ProofContext::new(&Method::POST, &htu, now);
    let proof = policy.verify(at_token_endpoint, &context, crypto).unwrap();
    assert_eq!(proof.jti(), "-BwC3ESc6acc2lTc");

    let htu = Htu::parse("https://resource.example.org/protectedresource").unwrap();
    let now = UnixTime::from_secs(1_562_262_618);
    let context = ProofContext::new(&Method::GET, &htu, now).access_token(Ath::of(token));
    let proof = policy.verify(at_resource, &context, crypto).unwrap();
    assert_eq!(proof.jti(), "e1j3V_bKic8-LAEB");
    // Section 6.1 has the thumbprint.
    let thumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
    assert_eq!(proof.thumbprint().to_string(), thumbprint);
}

async fn rfc_7515_section_4_1_11_critical_extensions_are_rejected(way: Way) {
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

async fn unknown_header_parameters_and_claims_are_ignored(way: Way) {
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

async fn a_key_elsewhere_in_the_header_is_not_the_key(way: Way) {
    let case = Case::new(way);
    let other = TestClient::new().clock(case.api.clock.clone());
    let proof = other
        .proof("GET", URL)
        .access_token(&case.token)
        .header("kid", case.api.client.thumbprint().to_string())
        .header("jku", "https://evil.test/jwks")
        .header("x5c", json!(["MII"]));
    // It is the other client's proof, however much it says about this one.
    assert_eq!(
        case.send(&proof.sign()).await,
        crate::support::invalid_token("token_binding_mismatch")
    );
    case.finish().await;
}

async fn without_configured_nonces_a_nonce_is_ignored_unless_it_is_no_text(way: Way) {
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

async fn no_iat_is_too_extreme_for_arithmetic(way: Way) {
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
        // Milliseconds, the usual slip.
        ("1800000000000", future),
    ] {
        let text = format!("{{\"iat\":{iat},{}", &payload[1..]);
        let proof = case.proof().raw_payload(text).sign();
        case.reject(iat, &proof, reason).await;
    }
    case.finish().await;
}

async fn rfc_7519_section_2_iat_may_have_a_fraction(way: Way) {
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

async fn exp_and_nbf_of_a_proof_are_obeyed(way: Way) {
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

async fn a_jti_has_1_to_256_bytes(way: Way) {
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

async fn a_proof_has_at_most_16_kib(way: Way) {
    let case = Case::new(way);
    let of_len = |len: usize| {
        // base64url has no text of 4n + 1 characters, so two parts are needed to get every length.
        for i in 0..4 {
            let draft = case.proof().header("z", "z".repeat(i));
            let with = |j: usize| draft.clone().claim("z", "z".repeat(j)).sign();
            let about = (len - with(0).len()) * 3 / 4;
            if let Some(proof) = (about - 4..about + 4).map(with).find(|p| p.len() == len) {
                return proof;
            }
        }
        panic!("no proof of {len} characters");
    };
    case.check("8 KiB", &of_len(8 * 1024), Verdict::Admitted)
        .await;
    case.check("16 KiB", &of_len(16 * 1024), Verdict::Admitted)
        .await;
    case.reject("more", &of_len(16 * 1024 + 1), "proof_too_long")
        .await;
    case.reject("junk", &"a".repeat(100_000), "proof_too_long")
        .await;
}
