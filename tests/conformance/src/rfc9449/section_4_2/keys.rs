//! The key in the header of a proof.

use dpop_tower::{
    crypto::{Algorithm, AwsLcRs},
    jwk::Thumbprint,
};
use josekit::jwk::{
    Jwk,
    alg::{ecx::EcxCurve, ed::EdCurve},
};
use serde_json::{Value, json};

use crate::{
    crypto::{JoseKey, base64url, from_base64url, rsa, signing_input},
    rfc9449::case::{Case, JoseClient, jwk_of, object},
    support::{Verdict, Way, invalid_proof},
};

pub(super) async fn every_parameter_of_the_key_is_required_and_has_its_json_type(way: Way) {
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

pub(super) async fn further_members_of_the_key_are_ignored(way: Way) {
    let case = Case::new(way);
    for (name, value) in [
        ("kid", json!("1")),
        ("kid", json!(7)),
        ("alg", json!("ES256")),
        // josekit would not use these, but a client may write them.
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

pub(super) async fn other_kinds_of_keys_are_rejected(way: Way) {
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

pub(super) async fn a_point_off_its_curve_is_rejected(way: Way) {
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
        // The identity has no coordinates. Some implementations write it as two zeros.
        ("the identity", vec![0; 32], vec![0; 32]),
        ("beyond the field", vec![0xff; 32], y),
    ] {
        let mut jwk = good.clone();
        jwk.insert("x".to_owned(), base64url(x).into());
        jwk.insert("y".to_owned(), base64url(y).into());
        // The token is bound to this key, so only the crypto backend can reject it.
        let thumbprint = Thumbprint::of(&crate::crypto::parse(&jwk), &AwsLcRs);
        let token = api.issuer.token().bound_to_thumbprint(&thumbprint).mint();
        let proof = api.proof(&token).header("jwk", jwk).sign();
        let verdict = api.get(&token, &proof).await;
        assert_eq!(verdict, invalid_proof("proof_key_invalid"), "{what}");
    }
}

pub(super) async fn an_ed25519_key_of_small_order_is_rejected(way: Way) {
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
            // With the identity as key and as R, and zero as S, the signature is valid for every
            // message.
            let proof = format!("{input}.{}", base64url([identity, [0; 32]].concat()));
            case.reject_key(what, &proof, "the key is too weak or too large")
                .await;
        }
    }
    case.finish().await;
}

pub(super) async fn rsa_keys_have_2048_to_4096_bits(way: Way) {
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

    // josekit cannot sign with such a small key. The key must be rejected before the signature.
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

pub(super) async fn an_rsa_exponent_is_odd_and_not_tiny(way: Way) {
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
