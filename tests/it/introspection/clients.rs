//! How this API authenticates with a key, and how it finds the endpoint.

use std::{collections::BTreeSet, time::Duration};

use dpop_tower::{
    crypto::Algorithm,
    token::{ClientSecret, ClientSigningKey, Introspection},
};
use http::header;
use josekit::{
    jwk::Jwk,
    jws::{ES256, EdDSA, JwsVerifier, PS256, RS256},
    jwt,
};
use openssl::{
    pkey::{Id, PKey},
    rsa::Rsa,
};
use serde_json::{Value, json};

use super::{OUT_OF_REACH, Opaque, by_secret, fresh, server::Idp};
use crate::{
    rejection::logging::Log,
    support::{ORIGIN, Verdict},
};

async fn with_key(key: ClientSigningKey) -> Opaque {
    Opaque::with(|tokens| tokens.private_key_jwt("orders-api", key)).await
}

/// What is asserted, if another library verifies it.
fn asserted(assertion: &str, verifier: &dyn JwsVerifier) -> (Value, Value) {
    let (payload, header) = jwt::decode_with_verifier(assertion, verifier).unwrap();
    (json!(payload.claims_set()), json!(header.claims_set()))
}

/// base64url, by OpenSSL.
fn encoded(bytes: &[u8]) -> String {
    let text = openssl::base64::encode_block(bytes);
    let text = text.trim_end_matches('=').replace('+', "-");
    text.replace('/', "_")
}

async fn assertions(api: &Opaque, count: usize) -> Vec<String> {
    for _ in 0..count {
        assert_eq!(api.present(&fresh()).await, Verdict::Admitted);
    }
    api.idp.each(|seen| {
        assert!(!seen.head.headers.contains_key(header::AUTHORIZATION));
        let kind = seen.value("client_assertion_type").unwrap();
        assert_eq!(
            kind,
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        );
        seen.value("client_assertion").unwrap()
    })
}

#[tokio::test]
async fn rfc_7523_section_3_an_assertion_names_this_client_the_issuer_and_a_short_time() {
    let jwk = Jwk::generate_ec_key(josekit::jwk::alg::ec::EcCurve::P256).unwrap();
    let mut private = jwk.clone();
    private.set_key_id("orders-1");
    let key = ClientSigningKey::from_jwk(&private.to_string()).unwrap();
    let api = with_key(key).await;
    let verifier = ES256.verifier_from_jwk(&jwk).unwrap();
    let mut names = BTreeSet::new();
    for assertion in assertions(&api, 20).await {
        let (claims, header) = asserted(&assertion, &verifier);
        assert_eq!(
            header,
            json!({ "alg": "ES256", "kid": "orders-1", "typ": "JWT" })
        );
        let jti = claims["jti"].as_str().unwrap().to_owned();
        assert!(jti.len() >= 22, "128 bits: {jti}");
        let expected = json!({
            "iss": "orders-api",
            "sub": "orders-api",
            "aud": super::ISSUER,
            "iat": api.now(),
            "exp": api.now() + 60,
            "jti": jti,
        });
        assert_eq!(claims, expected);
        assert!(names.insert(jti), "each is used once");
    }
}

#[tokio::test]
async fn assertions_are_signed_with_every_kind_of_key() {
    let ed25519 = PKey::generate_ed25519().unwrap();
    let rsa = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    for (key, algorithm) in [
        (&ed25519, None),
        (&rsa, None),
        (&rsa, Some(Algorithm::Rs256)),
    ] {
        let pem = key.private_key_to_pem_pkcs8().unwrap();
        let read = ClientSigningKey::from_pkcs8_pem(&String::from_utf8(pem).unwrap()).unwrap();
        let read = match algorithm {
            None => read.with_kid("1"),
            Some(algorithm) => read.with_algorithm(algorithm).unwrap(),
        };
        let api = with_key(read).await;
        let rsa = || {
            // josekit takes a PEM for PS256 only if that names PSS.
            let (rsa, mut jwk) = (key.rsa().unwrap(), Jwk::new("RSA"));
            for (name, number) in [("n", rsa.n()), ("e", rsa.e())] {
                let text = encoded(&number.to_vec());
                jwk.set_parameter(name, Some(text.into())).unwrap();
            }
            jwk
        };
        let (verifier, alg, kid): (Box<dyn JwsVerifier>, _, _) = match (key.id(), algorithm) {
            (Id::ED25519, _) => {
                let pem = key.public_key_to_pem().unwrap();
                let verifier = EdDSA.verifier_from_pem(pem).unwrap();
                (Box::new(verifier), "EdDSA", Some("1"))
            }
            (_, None) => {
                let verifier = PS256.verifier_from_jwk(&rsa()).unwrap();
                (Box::new(verifier), "PS256", Some("1"))
            }
            (_, Some(_)) => {
                let verifier = RS256.verifier_from_jwk(&rsa()).unwrap();
                (Box::new(verifier), "RS256", None)
            }
        };
        for assertion in assertions(&api, 1).await {
            let (claims, header) = asserted(&assertion, &*verifier);
            assert_eq!(header["alg"], alg);
            assert_eq!(header.get("kid").and_then(Value::as_str), kid);
            assert_eq!(claims["sub"], "orders-api");
        }
    }
}

fn discovered(idp: &Idp) -> Introspection {
    Introspection::discover(idp.url(""))
        .client_secret_basic("orders-api", ClientSecret::new("hush").unwrap())
        .audience(ORIGIN)
        .danger_allow_plain_http()
}

/// An API that finds the endpoint through metadata.
async fn by_metadata() -> Opaque {
    let idp = Idp::start().await;
    let tokens = discovered(&idp);
    let api = Opaque::of(idp, tokens);
    api.idp.answer_json(&super::without(&api.active(), "iss"));
    api
}

const FIRST: &str = "/.well-known/oauth-authorization-server";
const SECOND: &str = "/.well-known/openid-configuration";

fn metadata(api: &Opaque) -> Value {
    json!({ "issuer": api.idp.url(""), "introspection_endpoint": api.idp.url("/introspect") })
}

#[tokio::test]
async fn the_endpoint_is_found_through_either_document_of_metadata_and_once() {
    for (place, fetched) in [(FIRST, vec![FIRST]), (SECOND, vec![FIRST, SECOND])] {
        let api = by_metadata().await;
        api.idp.put(place, metadata(&api).to_string());
        let mut requests: Vec<_> = (0..10).map(|_| api.present_often(1, &fresh())).collect();
        for request in &mut requests {
            let verdict = request.join_next().await.unwrap();
            assert_eq!(verdict.unwrap(), Verdict::Admitted);
        }
        assert_eq!(api.idp.calls(), 10);
        assert_eq!(api.idp.fetched(), fetched);
        // In an hour it is looked up again, and nobody waits for that.
        api.clock.advance(Duration::from_secs(3_600));
        api.idp.put(place, "{}");
        for _ in 0..2 {
            let answer = super::without(&api.active(), "iss");
            assert_eq!(api.judge(&answer).await, Verdict::Admitted);
        }
    }
}

#[tokio::test]
async fn metadata_that_does_not_help_is_503_and_the_log_says_why() {
    let log = Log::listen();
    for (document, why) in [
        (json!({}), "it names no issuer"),
        (
            json!({ "issuer": "https://other.test" }),
            "it is of the issuer",
        ),
        (
            json!({ "introspection_endpoint": null }),
            "it has no introspection_endpoint",
        ),
        (
            json!({ "introspection_endpoint": "file:///x" }),
            "cannot be used",
        ),
        (
            json!({ "introspection_endpoint": "http://idp.test/x" }),
            "cannot be used",
        ),
    ] {
        let api = by_metadata().await;
        let mut page = json!({ "issuer": api.idp.url("") });
        page.as_object_mut()
            .unwrap()
            .extend(document.as_object().unwrap().clone());
        if document == json!({}) {
            page = document;
        }
        api.idp.put(FIRST, page.to_string());
        log.take();
        for _ in 0..3 {
            assert_eq!(api.present(&fresh()).await, OUT_OF_REACH, "{page}");
        }
        let lines = log.take();
        let looked_up = |line: &&String| line.contains("could not be looked up");
        let lines: Vec<_> = lines.iter().filter(looked_up).collect();
        assert_eq!(lines.len(), 1, "{lines:#?}");
        assert!(lines[0].contains(why), "{why}: {}", lines[0]);
        assert_eq!(api.idp.calls(), 0);
        // That is no failure of the endpoint, and there is another chance in five seconds.
        api.clock.advance(Duration::from_secs(5));
        api.idp.put(FIRST, metadata(&api).to_string());
        assert_eq!(api.present(&fresh()).await, Verdict::Admitted);
    }
}

/// The credentials that a test configures are the last ones.
#[tokio::test]
async fn a_secret_replaces_a_key() {
    let jwk = Jwk::generate_ec_key(josekit::jwk::alg::ec::EcCurve::P256).unwrap();
    let key = ClientSigningKey::from_jwk(&jwk.to_string()).unwrap();
    let idp = Idp::start().await;
    let tokens = by_secret(&idp)
        .private_key_jwt("other", key)
        .client_secret_basic("orders-api", ClientSecret::new("hush").unwrap());
    let api = Opaque::of(idp, tokens);
    api.idp.answer_json(&api.active());
    assert_eq!(api.present(&fresh()).await, Verdict::Admitted);
    let has_assertion = api
        .idp
        .each(|seen| seen.value("client_assertion").is_some());
    assert_eq!(has_assertion, [false]);
}
