//! Items 5 to 7: the algorithm, the signature and the key.

use dpop_tower::{crypto::Algorithm, test_util::TestClient};
use serde_json::{Value, json};

use crate::{
    crypto::{JoseKey, base64url, der_signature, from_base64url, hmac_jws, signing_input},
    rfc9449::case::{Case, JoseClient, jwk_of},
    support::{Verdict, Way, invalid_proof},
};

pub(super) async fn item_5_none_is_no_algorithm(way: Way) {
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

pub(super) async fn item_5_an_hmac_is_no_signature(way: Way) {
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
            // The header names one algorithm, and the signature uses another.
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

pub(super) async fn item_5_algorithms_are_those_of_the_configuration(way: Way) {
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

pub(super) async fn item_6_the_signature_verifies_with_the_key_in_the_header(way: Way) {
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
    // The key is cached by now, which must not admit anything.
    let proof = case.proof().corrupt_signature().sign();
    case.reject("corrupt, known key", &proof, invalid).await;
}

pub(super) async fn item_6_a_known_key_is_known_for_one_algorithm(way: Way) {
    let mut client = JoseClient::new(way.api(), JoseKey::new(Algorithm::Rs256));
    let [one, other] = [Algorithm::Rs256, Algorithm::Ps256];
    for algorithm in [one, other, one, other] {
        client.key.algorithm = algorithm;
        let (case, proof) = (&client.case, client.sign());
        case.check(algorithm.as_str(), &proof, Verdict::Admitted)
            .await;
    }
    for (signed_with, named) in [(one, other), (other, one)] {
        client.key.algorithm = named;
        let header = Value::Object(client.header()).to_string();
        client.key.algorithm = signed_with;
        let proof = client.key.jws(&header, &client.payload());
        let what = format!("{named} in the header, signed with {signed_with}");
        client
            .case
            .reject(&what, &proof, "proof_signature_invalid")
            .await;
    }
}

pub(super) async fn item_6_the_signature_covers_header_and_payload_as_sent(way: Way) {
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

pub(super) async fn item_7_no_private_member_is_tolerated(way: Way) {
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
