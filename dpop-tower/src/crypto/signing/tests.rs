//! Keys that OpenSSL makes, as each backend reads them.

#![cfg(all(feature = "aws-lc-rs", feature = "josekit"))]

use ::openssl::{
    bn::{BigNum, BigNumContext},
    ec::{EcGroup, EcKey},
    nid::Nid,
    pkey::{PKey, Private},
    rsa::Rsa,
    symm::Cipher,
};
use serde_json::{Value, json};

use super::*;
use crate::{
    crypto::{AwsLcRs, CryptoProvider, Josekit},
    jose::base64url,
    jwk::{JwkError, Thumbprint},
};

const INPUT: &[u8] = b"header.payload";

fn number(number: &::openssl::bn::BigNumRef) -> Value {
    base64url::encode(&number.to_vec()).into()
}

/// A key, and the same as a JWK.
fn p256() -> (PKey<Private>, Value) {
    ec(Nid::X9_62_PRIME256V1, "P-256", 32)
}

fn p384() -> (PKey<Private>, Value) {
    ec(Nid::SECP384R1, "P-384", 48)
}

fn ec(curve: Nid, name: &str, len: i32) -> (PKey<Private>, Value) {
    let group = EcGroup::from_curve_name(curve).unwrap();
    let key = EcKey::generate(&group).unwrap();
    let (mut x, mut y) = (BigNum::new().unwrap(), BigNum::new().unwrap());
    let mut context = BigNumContext::new().unwrap();
    key.public_key()
        .affine_coordinates(&group, &mut x, &mut y, &mut context)
        .unwrap();
    let padded =
        |number: &::openssl::bn::BigNumRef| base64url::encode(&number.to_vec_padded(len).unwrap());
    let (x, y, d) = (padded(&x), padded(&y), padded(key.private_key()));
    let jwk = json!({ "kty": "EC", "crv": name, "x": x, "y": y, "d": d });
    (PKey::from_ec_key(key).unwrap(), jwk)
}

fn ed25519() -> (PKey<Private>, Value) {
    let key = PKey::generate_ed25519().unwrap();
    let x = base64url::encode(&key.raw_public_key().unwrap());
    let d = base64url::encode(&key.raw_private_key().unwrap());
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "d": d });
    (key, jwk)
}

fn rsa() -> (PKey<Private>, Value) {
    let key = Rsa::generate(2048).unwrap();
    let jwk = json!({
        "kty": "RSA",
        "n": number(key.n()),
        "e": number(key.e()),
        "d": number(key.d()),
        "p": number(key.p().unwrap()),
        "q": number(key.q().unwrap()),
        "dp": number(key.dmp1().unwrap()),
        "dq": number(key.dmq1().unwrap()),
        "qi": number(key.iqmp().unwrap()),
    });
    (PKey::from_rsa(key).unwrap(), jwk)
}

fn pem(key: &PKey<Private>) -> String {
    String::from_utf8(key.private_key_to_pem_pkcs8().unwrap()).unwrap()
}

/// Has each backend read the key and sign with it, and each verify the signature.
fn check(key: &PKey<Private>, jwk: &Value, algorithms: &[Algorithm]) {
    let text = jwk.to_string();
    let (parts, ..) = parts::of_jwk(&text).unwrap();
    let der = pem_to_der(&pem(key)).unwrap();
    let from_openssl = openssl::from_pkcs8(&der).unwrap();
    let from_aws_lc = aws_lc_rs::from_pkcs8(&der).unwrap();
    for (public, _) in [&from_openssl, &from_aws_lc] {
        assert!(PublicJwk::from_json(public).unwrap() == parts.public);
    }
    for key in [
        openssl::from_parts(&parts).unwrap(),
        aws_lc_rs::from_parts(&parts).unwrap(),
        from_openssl.1,
        from_aws_lc.1,
    ] {
        for algorithm in algorithms {
            let signature = key.sign(*algorithm, INPUT).unwrap();
            for crypto in [
                &aws_lc_rs::verifier() as &dyn CryptoProvider,
                &openssl::verifier(),
            ] {
                let verifier = crypto.prepare(&parts.public, *algorithm).unwrap();
                assert!(verifier.verify(INPUT, &signature).is_ok(), "{algorithm}");
                assert!(verifier.verify(b"other", &signature).is_err());
            }
        }
    }
    for read in [
        SigningKey::from_jwk(&text).unwrap(),
        SigningKey::from_pkcs8_pem(&pem(key)).unwrap(),
    ] {
        assert_eq!(read.algorithm(), algorithms[0]);
        assert!(*read.public_jwk() == parts.public);
        for algorithm in Algorithm::ALL {
            let fits = algorithms.contains(&algorithm);
            let result = read.clone().with_algorithm(algorithm);
            assert_eq!(result.is_ok(), fits, "{algorithm}");
            let marked = marked(jwk, "alg", algorithm.as_str());
            assert_eq!(SigningKey::from_jwk(&marked).is_ok(), fits, "{algorithm}");
        }
    }
}

#[cfg(feature = "client")]
#[test]
fn an_exported_key_is_read_again_by_each_backend() {
    for algorithm in ALGORITHMS {
        for der in [
            openssl::generate(algorithm).unwrap(),
            aws_lc_rs::generate(algorithm).unwrap(),
        ] {
            for (public, key) in [
                openssl::from_pkcs8(&der).unwrap(),
                aws_lc_rs::from_pkcs8(&der).unwrap(),
            ] {
                let public = PublicJwk::from_json(&public).unwrap();
                let jwk = key.to_parts(&public).unwrap().to_jwk(&[("kid", "a\"b")]);
                let (parts, kid, _) = parts::of_jwk(&jwk).unwrap();
                assert_eq!(kid.as_deref(), Some("a\"b"));
                assert!(parts.public == public);
                let pem = der_to_pem(&key.to_pkcs8().unwrap());
                assert!(pem.lines().all(|line| line.len() <= 64), "{algorithm}");
                let der = pem_to_der(&pem).unwrap();
                assert!(openssl::from_pkcs8(&der).is_some(), "{algorithm}");
                assert!(aws_lc_rs::from_pkcs8(&der).is_some(), "{algorithm}");
                for key in [
                    openssl::from_parts(&parts).unwrap(),
                    aws_lc_rs::from_parts(&parts).unwrap(),
                ] {
                    let signature = key.sign(algorithm, INPUT).unwrap();
                    let verifier = Josekit.prepare(&public, algorithm).unwrap();
                    assert!(verifier.verify(INPUT, &signature).is_ok(), "{algorithm}");
                }
            }
        }
    }
}

fn marked(jwk: &Value, name: &str, value: impl Into<Value>) -> String {
    let mut marked = jwk.clone();
    marked[name] = value.into();
    marked.to_string()
}

fn rejected(jwk: &str) -> SigningKeyError {
    SigningKey::from_jwk(jwk).unwrap_err()
}

#[test]
fn every_backend_signs_with_every_kind_of_key_and_the_other_verifies() {
    let (key, jwk) = p256();
    check(&key, &jwk, &[Algorithm::Es256]);
    let (key, jwk) = p384();
    check(&key, &jwk, &[Algorithm::Es384]);
    let (key, jwk) = ed25519();
    check(&key, &jwk, &[Algorithm::EdDsa, Algorithm::Ed25519]);
    let (key, jwk) = rsa();
    check(&key, &jwk, &[Algorithm::Ps256, Algorithm::Rs256]);
}

/// R or S begins with a zero in one of 128 signatures.
#[test]
fn an_ecdsa_signature_has_its_full_length() {
    let (_, jwk) = p256();
    let key = SigningKey::from_jwk(&jwk.to_string()).unwrap();
    let verifier = AwsLcRs.prepare(key.public_jwk(), Algorithm::Es256).unwrap();
    for i in 0..600_u32 {
        let signature = key.sign(&i.to_be_bytes()).unwrap();
        assert_eq!(signature.len(), 64);
        assert!(verifier.verify(&i.to_be_bytes(), &signature).is_ok());
    }
}

#[test]
fn halves_that_do_not_belong_together_are_rejected_by_each_backend() {
    for (one, other) in [
        (p256().1, p256().1),
        (ed25519().1, ed25519().1),
        (rsa().1, rsa().1),
    ] {
        let mixed = marked(&one, "d", other["d"].clone());
        assert_eq!(rejected(&mixed), SigningKeyError::Inconsistent);
        let (parts, ..) = parts::of_jwk(&mixed).unwrap();
        if let Some(key) = aws_lc_rs::from_parts(&parts) {
            let result = SigningKey::checked(parts.public, None, None, key);
            assert_eq!(result.unwrap_err(), SigningKeyError::Inconsistent);
        }
    }
}

#[test]
fn what_is_no_usable_private_key_is_told_apart() {
    let (ec, jwk) = p256();
    for name in ["d", "x", "kty"] {
        let mut without = jwk.clone();
        without.as_object_mut().unwrap().remove(name);
        assert!(
            SigningKey::from_jwk(&without.to_string()).is_err(),
            "{name}"
        );
    }
    let short = marked(&jwk, "d", base64url::encode(&[1; 31]));
    assert_eq!(rejected(&short), PrivateKeyError::NoPrivateHalf.into());
    let public = marked(&jwk, "d", Value::Null);
    assert_eq!(rejected(&public), PrivateKeyError::NoPrivateHalf.into());
    let encryption = marked(&jwk, "use", "enc");
    assert_eq!(rejected(&encryption), SigningKeyError::NotForSignatures);
    let hmac = r#"{"kty":"oct","k":"AAAA"}"#;
    assert_eq!(
        rejected(hmac),
        PrivateKeyError::Jwk(JwkError::Symmetric).into()
    );
    assert_eq!(
        rejected("{"),
        PrivateKeyError::Jwk(JwkError::Malformed).into()
    );
    let (_, rsa) = rsa();
    for name in ["p", "q", "dp", "dq", "qi"] {
        let mut without = rsa.clone();
        without.as_object_mut().unwrap().remove(name);
        assert_eq!(
            rejected(&without.to_string()),
            PrivateKeyError::NoPrivateHalf.into()
        );
    }

    let pem_error = |pem: &str| SigningKey::from_pkcs8_pem(pem).unwrap_err();
    let encrypted = ec.private_key_to_pem_pkcs8_passphrase(Cipher::aes_128_cbc(), b"x");
    let encrypted = String::from_utf8(encrypted.unwrap()).unwrap();
    assert_eq!(pem_error(&encrypted), PrivateKeyError::Encrypted.into());
    let sec1 = ec.ec_key().unwrap().private_key_to_pem().unwrap();
    let sec1 = String::from_utf8(sec1).unwrap();
    assert_eq!(pem_error(&sec1), PrivateKeyError::NotPem.into());
    assert_eq!(pem_error("orders"), PrivateKeyError::NotPem.into());
    let halved = pem(&ec).replacen("MIGH", "MIGI", 1);
    assert_eq!(pem_error(&halved), SigningKeyError::NotPkcs8);
    let p521 = EcGroup::from_curve_name(Nid::SECP521R1).unwrap();
    let p521 = PKey::from_ec_key(EcKey::generate(&p521).unwrap()).unwrap();
    assert_eq!(pem_error(&pem(&p521)), SigningKeyError::Unsupported);
    let small = PKey::from_rsa(Rsa::generate(1024).unwrap()).unwrap();
    assert_eq!(
        pem_error(&pem(&small)),
        PrivateKeyError::Jwk(JwkError::WeakKey).into()
    );
}

#[test]
fn a_key_shows_its_name_and_hides_itself() {
    let (_, jwk) = ed25519();
    let key = SigningKey::from_jwk(&marked(&jwk, "kid", "orders-1")).unwrap();
    assert_eq!(key.kid(), Some("orders-1"));
    let shown = format!("{key:?}");
    assert!(shown.contains("orders-1"), "{shown}");
    assert!(!shown.contains(jwk["d"].as_str().unwrap()), "{shown}");
    let renamed = key.clone().with_kid("2".to_owned());
    assert_eq!(renamed.kid(), Some("2"));
    let thumbprint = |key: &SigningKey| Thumbprint::of(key.public_jwk(), &Josekit);
    assert_eq!(thumbprint(&key), thumbprint(&renamed));
}
