//! Tokens and their keys.

use dpop_tower::{Issuer, crypto::Algorithm, test_util::TestClient};
use http::Request;
use josekit::jwk::{Jwk, alg::rsa::RsaKeyPair};
use serde_json::{Value, json};

use crate::{
    challenge::Challenge,
    crypto::{JoseKey, base64url, hmac_jws},
    rfc9449::case::{Case, JoseClient},
    support::{ORIGIN, URL, Verdict, Way, Why, invalid_token},
};

/// A thumbprint is compared as 32 bytes, which have only one spelling.
pub(super) async fn jkt_has_one_spelling(way: Way) {
    let api = way.api();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    // A thumbprint that differs between the two alphabets.
    let (client, jkt) = (0..1000)
        .map(|_| TestClient::new().clock(api.clock.clone()))
        .map(|client| (client.thumbprint().to_string(), client))
        .find_map(|(jkt, client)| jkt.contains(['-', '_']).then_some((client, jkt)))
        .unwrap();
    let standard = jkt.replace('-', "+").replace('_', "/");
    let last = alphabet.find(&jkt[42..]).unwrap();
    let loose = format!("{}{}", &jkt[..42], &alphabet[last + 1..][..1]);
    let bytes = crate::crypto::from_base64url(&jkt);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let urn = format!("urn:ietf:params:oauth:jwk-thumbprint:sha-256:{jkt}");
    let present = async |jkt: &str| {
        let token = api.issuer.token().subject("bob");
        let token = token.claim("cnf", json!({ "jkt": jkt })).mint();
        let proof = client.proof("GET", URL).access_token(&token).sign();
        api.get(&token, &proof).await
    };
    let invalid = invalid_token("token_confirmation_invalid");
    for (what, spelling) in [
        ("padded", format!("{jkt}=")),
        ("the standard alphabet", standard.clone()),
        ("the standard alphabet, padded", format!("{standard}=")),
        ("a loose end", loose),
        ("a space before", format!(" {jkt}")),
        ("a space behind", format!("{jkt} ")),
        ("a new line", format!("{jkt}\n")),
        ("a byte of zero", format!("{jkt}\0")),
        ("hex", hex.clone()),
        ("hex in upper case", hex.to_uppercase()),
        ("base64url of hex", base64url(hex)),
        ("a URN", urn),
        ("less", jkt[..42].to_owned()),
        ("twice", format!("{jkt}{jkt}")),
    ] {
        assert_eq!(present(&spelling).await, invalid, "{what}");
    }
    // In another case, it is the thumbprint of another key, if of any.
    for other in [jkt.to_lowercase(), jkt.to_uppercase()] {
        let verdict = present(&other).await;
        let mismatch = invalid_token("token_binding_mismatch");
        assert!([invalid, mismatch].contains(&verdict), "{verdict:?}");
    }
    assert_eq!(present(&jkt).await, Verdict::Admitted);
}

/// CVE-2023-48223, CVE-2026-34950: a check that distinguishes PEM from a secret by its first characters.
pub(super) async fn a_public_key_in_pem_is_no_hmac_secret(way: Way) {
    let key = JoseKey::new(Algorithm::Rs256);
    let pair = RsaKeyPair::from_jwk(&Jwk::from_map(key.private()).unwrap()).unwrap();
    let pem = pair.to_pem_public_key();
    let traditional = pair.to_traditional_pem_public_key();
    let trimmed = |pem: &[u8]| pem.trim_ascii().to_vec();
    let secrets = [
        ("PEM", pem.clone()),
        ("PEM, trimmed", trimmed(&pem)),
        ("PEM after a new line", [b"\n", &pem[..]].concat()),
        ("PEM after spaces", [b"  ", &pem[..]].concat()),
        ("PEM twice", [&pem[..], &pem].concat()),
        ("the older PEM", traditional.clone()),
        ("the older PEM, trimmed", trimmed(&traditional)),
        (
            "the older PEM after a new line",
            [b"\n", &traditional[..]].concat(),
        ),
        ("DER", pair.to_der_public_key()),
    ];
    let client = JoseClient::new(way.api(), key.clone());
    let jwks = json!({"keys": [key.public()]}).to_string();
    let trusting = way.api_with(
        |_| {
            Issuer::new("https://issuer.test")
                .jwks(jwks)
                .audience(ORIGIN)
                .algorithms(Algorithm::ALL)
        },
        |config| config.algorithms(Algorithm::ALL),
    );
    for (what, secret) in secrets {
        for (alg, allowed) in [("HS256", false), ("RS256", true)] {
            let what = format!("{alg} with {what}");
            // The issuer's key, for a token.
            let header = json!({"typ": "at+jwt", "alg": alg}).to_string();
            let token = hmac_jws(&header, &trusting.token().payload_json(), &secret);
            let proof = trusting.proof(&token).sign();
            let reason = if allowed {
                "token_signature_invalid"
            } else {
                "token_alg_not_allowed"
            };
            let verdict = trusting.get(&token, &proof).await;
            assert_eq!(verdict, invalid_token(reason), "{what}");
            // The client's own key, for a proof.
            let mut header = client.header();
            header.insert("alg".to_owned(), alg.into());
            let header = Value::Object(header).to_string();
            let proof = hmac_jws(&header, &client.payload(), &secret);
            let reason = if allowed {
                "proof_signature_invalid"
            } else {
                "proof_alg_not_allowed"
            };
            client.case.reject(&what, &proof, reason).await;
        }
    }
    let verdict = client.case.send(&client.sign()).await;
    assert_eq!(verdict, Verdict::Admitted, "with the key itself");
}

/// CVE-2023-52428, CVE-2023-51775 and others: the parameters of an encrypted token are not even read.
pub(super) async fn nothing_is_decrypted(way: Way) {
    let case = Case::new(way);
    let part = base64url([7; 64]);
    for header in [
        json!({"alg": "PBES2-HS256+A128KW", "enc": "A128GCM", "p2c": i32::MAX, "p2s": part}),
        json!({"alg": "dir", "enc": "A256GCM", "zip": "DEF"}),
        json!({"alg": "RSA1_5", "enc": "A128CBC-HS256"}),
        json!({"alg": "ECDH-ES", "enc": "A128GCM", "epk": {"kty": "EC"}}),
        // The headers of a signature.
        json!({"typ": "at+jwt", "alg": "ES256"}),
        json!({"typ": "dpop+jwt", "alg": "ES256"}),
    ] {
        let parts = [&base64url(header.to_string()), &part, &part, &part, &part];
        let jwe = parts.map(String::as_str).join(".");
        let verdict = case.api.get(&jwe, &case.api.proof(&jwe).sign()).await;
        assert_eq!(verdict, invalid_token("token_malformed"), "{header}");
        case.reject(&header.to_string(), &jwe, "proof_malformed")
            .await;
    }
    case.finish().await;
}

/// Kong: a lifetime of zero or less never ended.
pub(super) async fn a_token_that_has_ended_is_never_kept(way: Way) {
    let api = way.api();
    let now = api.now();
    for exp in [json!(0), json!(-1), json!(-0.5), json!(now), json!(now - 1)] {
        let token = api.token().claim("exp", exp.clone()).mint();
        for _ in 0..3 {
            let verdict = api.get(&token, &api.proof(&token).sign()).await;
            assert_eq!(verdict, invalid_token("token_expired"), "{exp}");
        }
    }
    let endless = api.token().without_claim("exp").mint();
    for _ in 0..3 {
        let verdict = api.get(&endless, &api.proof(&endless).sign()).await;
        assert_eq!(verdict, invalid_token("token_missing_claim"));
    }
}

/// Some clients write `Ed25519` (RFC 9864), others `EdDSA`, and look for their own name.
pub(super) async fn by_default_both_names_of_ed25519_are_advertised(way: Way) {
    let api = way.api();
    let mut request = Request::new(());
    *request.uri_mut() = "/orders".parse().unwrap();
    let response = api.response(request).await;
    assert!(Why::of(&response).is_some());
    let challenges = Challenge::all(response.headers());
    assert_eq!(
        challenges[0].get("algs"),
        Some("ES256 Ed25519 EdDSA PS256 RS256")
    );
}
