use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use dpop_tower::{
    ConfigErrorKind, DpopConfig, Issuer, Policy, PublicOrigin, RequestHead, Verifier,
    crypto::{
        Algorithm, CryptoProvider, InvalidKey, InvalidSignature, Josekit, PreparedKey, VerifyingKey,
    },
    jwk::PublicJwk,
    token::DecryptionKeys,
};
use http::{Request, header::AUTHORIZATION};
use josekit::{
    Value,
    jwe::{ECDH_ES, ECDH_ES_A128KW, ECDH_ES_A256KW},
    jwk::alg::ec::EcCurve,
};
use serde_json::json;

use super::{Api, Pair, clock, encrypting, issuer, serialize};
use crate::support::{ORIGIN, URL, Verdict, invalid_proof, invalid_token};

/// Made once with npm `jose` 6.1 (`SignJWT`, `CompactEncrypt` with keys of `generateKeyPair`) and with `jwcrypto`
/// 1.6.1 of Python (`JWE.add_recipient`). The private keys exist for this test only.
const VECTORS: &str = include_str!("vectors.json");

/// The issuer's key, of RFC 8037 appendix A.2.
const ISSUER_KEYS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"sig","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

#[tokio::test]
async fn tokens_that_other_libraries_have_encrypted_are_decrypted() {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let keys = json!({ "keys": vectors["keys"] }).to_string();
    let tokens = Issuer::new("https://a.test")
        .jwks(ISSUER_KEYS)
        .audience("https://api.test")
        .decryption_keys(DecryptionKeys::from_jwk_set(&keys).unwrap())
        .require_encrypted_tokens();
    let config = DpopConfig::builder(PublicOrigin::new(ORIGIN).unwrap(), tokens).clock(clock());
    let verifier = Verifier::new(config.build().unwrap());
    // The tokens are not bound to a key.
    let verdict = async |token: &str| {
        let request = Request::get(URL).header(AUTHORIZATION, format!("Bearer {token}"));
        let request = request.body(()).unwrap();
        let head = RequestHead::new(request.method(), request.uri(), request.headers());
        verifier.verify(head, &Policy::optional()).await
    };
    let tokens = vectors["tokens"].as_array().unwrap();
    assert_eq!(tokens.len(), 18);
    for vector in tokens {
        let (by, alg, enc) = (&vector["by"], &vector["alg"], &vector["enc"]);
        match verdict(vector["token"].as_str().unwrap()).await {
            dpop_tower::Verdict::Admitted(admitted) => {
                let claims = admitted.bearer_token().unwrap().claims();
                assert_eq!(claims.subject(), Some("alice"), "{by}: {alg}, {enc}");
            }
            dpop_tower::Verdict::Rejected(rejection) => panic!("{by}: {alg}, {enc}: {rejection}"),
        }
    }
    match verdict(vectors["jwt"].as_str().unwrap()).await {
        dpop_tower::Verdict::Admitted(_) => panic!("it is not encrypted"),
        dpop_tower::Verdict::Rejected(why) => assert_eq!(why.reason(), "token_encryption_needed"),
    }
}

#[tokio::test]
async fn a_bound_token_of_each_algorithm_is_admitted_with_its_proof() {
    for (pair, algorithms) in [
        (Pair::rsa("1"), vec![None]),
        (
            Pair::ec("2", EcCurve::P256),
            vec![Some(ECDH_ES), Some(ECDH_ES_A128KW), Some(ECDH_ES_A256KW)],
        ),
        (Pair::ec("3", EcCurve::P384), vec![Some(ECDH_ES)]),
        (Pair::ec("4", EcCurve::P521), vec![Some(ECDH_ES)]),
    ] {
        let (issuer, tokens) = encrypting(&pair.keys());
        let api = Api::new(tokens);
        for algorithm in algorithms {
            for enc in ["A128GCM", "A256GCM"] {
                let mut header = pair.header();
                header["enc"] = enc.into();
                let jwt = api.token(&issuer);
                let jwe = match algorithm {
                    None => pair.encrypt_with(&header, &jwt),
                    Some(algorithm) => {
                        let encrypter = algorithm.encrypter_from_jwk(&pair.public()).unwrap();
                        serialize(&header, &jwt, &*encrypter)
                    }
                };
                assert_eq!(api.present(&jwe).await, Verdict::Admitted, "{header}");
            }
        }
    }
}

#[tokio::test]
async fn ath_is_the_hash_of_the_token_as_it_was_presented() {
    let pair = Pair::p256("1");
    let (issuer, tokens) = encrypting(&pair.keys());
    let api = Api::new(tokens);
    let jwt = api.token(&issuer);
    let mut request = api.request(&jwt);
    let jwe = format!("DPoP {}", pair.encrypt(&jwt));
    let presented = request
        .headers_mut()
        .insert(AUTHORIZATION, jwe.parse().unwrap());
    assert!(presented.is_some());
    let response = crate::support::send(api.router.clone(), request).await;
    assert_eq!(Verdict::of(response), invalid_proof("proof_ath_mismatch"));
}

#[tokio::test]
async fn tokens_that_are_only_signed_are_admitted_unless_encryption_is_required() {
    let pair = Pair::p256("1");
    let (issuer, tokens) = encrypting(&pair.keys());
    let api = Api::new(tokens);
    let jwt = api.token(&issuer);
    assert_eq!(api.present(&jwt).await, Verdict::Admitted);
    assert_eq!(api.present(&pair.encrypt(&jwt)).await, Verdict::Admitted);

    // RFC 9068 section 4
    let tokens = issuer.tokens().decryption_keys(pair.keys());
    let api = Api::new(tokens.require_encrypted_tokens());
    let jwt = api.token(&issuer);
    let jwe = pair.encrypt(&jwt);
    for _ in 0..2 {
        assert_eq!(api.present(&jwe).await, Verdict::Admitted);
        let needed = invalid_token("token_encryption_needed");
        assert_eq!(api.present(&jwt).await, needed);
    }
}

#[tokio::test]
async fn a_token_is_decrypted_and_verified_once() {
    let pair = Pair::p256("1");
    let (issuer, tokens) = encrypting(&pair.keys());
    let counted = Counted::default();
    let api = Api::with(tokens, |config| config.crypto(counted.clone()));
    let jwe = pair.encrypt(&api.token(&issuer));
    let mut counts = Vec::new();
    for _ in 0..3 {
        let before = counted.0.load(Ordering::SeqCst);
        assert_eq!(api.present(&jwe).await, Verdict::Admitted);
        counts.push(counted.0.load(Ordering::SeqCst) - before);
    }
    // The signatures of the token and the proof, and then of the proof. What a key decrypts is verified.
    assert_eq!(counts, [2, 1, 1]);
}

#[test]
fn settings_that_cannot_work_are_errors() {
    let pair = Pair::p256("1");
    let origin = || PublicOrigin::new(ORIGIN).unwrap();
    let (issuer, _) = encrypting(&pair.keys());
    let tokens = issuer.tokens().require_encrypted_tokens();
    let error = DpopConfig::builder(origin(), tokens).build().unwrap_err();
    assert_eq!(error.kind(), ConfigErrorKind::Decryption);
    assert!(error.to_string().contains("`decryption_keys`"), "{error}");

    let error = DecryptionKeys::from_jwk_set(r#"{"keys":[{"kty":"EC"}]}"#).unwrap_err();
    assert_eq!(error.kind(), ConfigErrorKind::Decryption);
    assert!(error.to_string().contains("position 1"), "{error}");
    let error = DecryptionKeys::from_pkcs8_pem("a", "").unwrap_err();
    assert!(error.to_string().contains(r#"key "a" cannot"#), "{error}");

    let keys = super::keys([&pair, &Pair::rsa("2")]);
    assert_eq!(format!("{keys:?}"), r#"DecryptionKeys(["1", "2"])"#);
    assert!(pair.keys().and(&keys).is_err());
}

/// Counts the signatures that are verified.
#[derive(Clone, Debug, Default)]
struct Counted(Arc<AtomicUsize>);

#[derive(Debug)]
struct CountedKey(PreparedKey, Counted);

impl CryptoProvider for Counted {
    fn supports(&self, algorithm: Algorithm) -> bool {
        Josekit.supports(algorithm)
    }

    fn prepare(&self, key: &PublicJwk, algorithm: Algorithm) -> Result<PreparedKey, InvalidKey> {
        let key = Josekit.prepare(key, algorithm)?;
        Ok(Arc::new(CountedKey(key, self.clone())))
    }

    fn sha256(&self, parts: &[&[u8]]) -> [u8; 32] {
        Josekit.sha256(parts)
    }

    fn hmac_sha256(&self, key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
        Josekit.hmac_sha256(key, parts)
    }
}

impl VerifyingKey for CountedKey {
    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        self.1.0.fetch_add(1, Ordering::SeqCst);
        self.0.verify(message, signature)
    }
}

#[test]
fn the_text_of_a_configuration_says_whether_tokens_have_to_be_encrypted() {
    let (_, tokens) = encrypting(&Pair::p256("one").keys());
    let text = |tokens| {
        let origin = PublicOrigin::new(ORIGIN).unwrap();
        (DpopConfig::builder(origin, tokens).build().unwrap()).to_string()
    };
    let required = text(tokens.require_encrypted_tokens());
    assert!(
        required.contains("\n  encrypted tokens    required\n"),
        "{required}"
    );
    let (_, tokens) = encrypting(&Pair::p256("one").keys());
    let accepted = text(tokens);
    assert!(
        accepted.contains("\n  encrypted tokens    accepted\n"),
        "{accepted}"
    );
    let neither = text(issuer("https://a.test").tokens());
    assert!(!neither.contains("encrypted"), "{neither}");
}
