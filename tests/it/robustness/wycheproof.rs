//! The test vectors of Project Wycheproof with every backend, and the outcomes documented in
//! docs/crypto-backends.md.

use std::fs;

use dpop_tower::{
    crypto::{Algorithm, InvalidSignature},
    jwk::{JwkError, PublicJwk},
};
use serde_json::{Value, json};
use wycheproof::{ecdsa, eddsa, rsa_pkcs1_verify, rsa_pss_verify};

use crate::robustness::crypto::{base64url, parse, verdicts};

/// `acceptable` means that verifiers may differ. Ours may not, so each such flag has a verdict here, the
/// stricter one, and a reason.
const REJECTED_THOUGH_ACCEPTABLE: [(&str, &str); 1] = [(
    "MissingNull",
    "RFC 8017 appendix B.1: the parameters of the hash are NULL, and not left out",
)];

/// The number of vectors with each outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    accepted: usize,
    rejected: usize,
    /// Vectors whose key is rejected before the signature is checked.
    key_rejected: usize,
}

/// A row of the table in the documentation.
#[derive(Debug)]
struct Row {
    set: String,
    algorithm: Algorithm,
    expected: Tally,
}

fn rows() -> Vec<Row> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/crypto-backends.md");
    fs::read_to_string(path)
        .unwrap()
        .lines()
        .filter_map(|line| {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            let ["", set, algorithm, accepted, rejected, key_rejected, ""] = cells[..] else {
                return None;
            };
            Some(Row {
                set: set.strip_prefix('`')?.strip_suffix('`')?.to_owned(),
                algorithm: Algorithm::from_name(algorithm.trim_matches('`'))?,
                expected: Tally {
                    accepted: accepted.parse().unwrap(),
                    rejected: rejected.parse().unwrap(),
                    key_rejected: key_rejected.parse().unwrap(),
                },
            })
        })
        .collect()
}

fn json_data(set: &str) -> &'static str {
    let found = set
        .parse()
        .map(|set: ecdsa::TestName| set.json_data())
        .or_else(|_| set.parse().map(|set: eddsa::TestName| set.json_data()))
        .or_else(|_| {
            set.parse()
                .map(|set: rsa_pkcs1_verify::TestName| set.json_data())
        })
        .or_else(|_| {
            set.parse()
                .map(|set: rsa_pss_verify::TestName| set.json_data())
        });
    found.unwrap_or_else(|_| panic!("no set of vectors is called {set}"))
}

fn groups(json: &str) -> Vec<Value> {
    let mut set: Value = serde_json::from_str(json).unwrap();
    let Value::Array(groups) = set["testGroups"].take() else {
        panic!("a set without groups");
    };
    groups
}

fn tests(group: &Value) -> &Vec<Value> {
    group["tests"].as_array().unwrap()
}

fn hex(text: &Value) -> Vec<u8> {
    let text = text.as_str().unwrap();
    assert!(text.len().is_multiple_of(2), "{text}");
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// Returns the hash of the algorithm, and its length.
fn hash(algorithm: Algorithm) -> (&'static str, usize) {
    match algorithm {
        Algorithm::Es256 | Algorithm::Ps256 | Algorithm::Rs256 => ("SHA-256", 32),
        Algorithm::Es384 | Algorithm::Ps384 | Algorithm::Rs384 => ("SHA-384", 48),
        _ => ("SHA-512", 64),
    }
}

/// RFC 7518 section 3.5: MGF1 uses the same hash, and the salt (not checked here) has its length.
fn fits_but_for_the_salt(group: &Value, algorithm: Algorithm) -> bool {
    let (hash, _) = hash(algorithm);
    algorithm.as_str().starts_with("PS")
        && group["sha"] == hash
        && group["mgf"] == "MGF1"
        && group["mgfSha"] == hash
}

/// Whether the group's signatures have the form of `algorithm` in JOSE, so that a valid one must be
/// accepted.
fn fits(group: &Value, algorithm: Algorithm) -> bool {
    let (hash, len) = hash(algorithm);
    match group["type"].as_str().unwrap() {
        "EcdsaP1363Verify" => {
            let curve = match algorithm {
                Algorithm::Es256 => "secp256r1",
                Algorithm::Es384 => "secp384r1",
                Algorithm::Es512 => "secp521r1",
                _ => return false,
            };
            group["publicKey"]["curve"] == curve && group["sha"] == hash
        }
        "EddsaVerify" => {
            group["publicKey"]["curve"] == "edwards25519"
                && matches!(algorithm, Algorithm::Ed25519 | Algorithm::EdDsa)
        }
        "RsassaPkcs1Verify" => algorithm.as_str().starts_with("RS") && group["sha"] == hash,
        "RsassaPssVerify" | "RsassaPssWithParametersVerify" => {
            fits_but_for_the_salt(group, algorithm) && group["sLen"] == len
        }
        // DER.
        "EcdsaVerify" | "EcdsaBitcoinVerify" => false,
        other => panic!("a new kind of group: {other}"),
    }
}

/// Returns the group's key from its parameters. Asserts that its JWK, if there is one, is the same key.
fn key(group: &Value) -> Result<PublicJwk, JwkError> {
    let key = &group["publicKey"];
    let trimmed = |value: &Value| {
        let bytes = hex(value);
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        base64url(&bytes[zeros..])
    };
    let made = if let Some(exponent) = key.get("publicExponent") {
        json!({"kty": "RSA", "n": trimmed(&key["modulus"]), "e": trimmed(exponent)})
    } else if let Some(point) = key.get("uncompressed") {
        let point = hex(point);
        assert_eq!(point[0], 4, "uncompressed");
        let (x, y) = point[1..].split_at(point.len() / 2);
        let curve = match key["curve"].as_str().unwrap() {
            "secp256r1" => "P-256",
            "secp384r1" => "P-384",
            "secp521r1" => "P-521",
            other => other,
        };
        json!({"kty": "EC", "crv": curve, "x": base64url(x), "y": base64url(y)})
    } else {
        json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(hex(&key["pk"]))})
    };
    let made = PublicJwk::from_json(&made.to_string());
    for jwk in ["publicKeyJwk", "keyJwk"] {
        if let Some(jwk) = group.get(jwk).and_then(Value::as_object) {
            assert_eq!(
                made,
                PublicJwk::from_json(&Value::Object(jwk.clone()).to_string())
            );
            assert!(made.is_err() || made.as_ref() == Ok(&parse(jwk)));
        }
    }
    made
}

/// Returns the reason for which the group's key is rejected, whatever the signature.
fn rejected_key(group: &Value) -> Option<JwkError> {
    let key = &group["publicKey"];
    if let Some(exponent) = key.get("publicExponent") {
        let small = hex(exponent)
            .iter()
            .fold(0, |e, byte| e << 8 | u64::from(*byte))
            < 65_537;
        let large = group["keySize"].as_u64().unwrap() > 4096;
        return (small || large).then_some(JwkError::WeakKey);
    }
    match key["curve"].as_str().unwrap() {
        "secp256r1" | "secp384r1" | "secp521r1" | "edwards25519" => None,
        _ => Some(JwkError::UnsupportedCurve),
    }
}

fn is_accepted(group: &Value, test: &Value, algorithm: Algorithm) -> bool {
    match test["result"].as_str().unwrap() {
        "valid" => fits(group, algorithm),
        // Not the purpose of the group, but the signature is valid if the salt has the right length.
        "invalid" => {
            fits_but_for_the_salt(group, algorithm)
                && test["comment"] == format!("s_len changed to {}", hash(algorithm).1)
        }
        "acceptable" => {
            for flag in test["flags"].as_array().unwrap() {
                assert!(
                    REJECTED_THOUGH_ACCEPTABLE
                        .iter()
                        .any(|(known, _)| flag == known),
                    "there is no verdict on {flag}"
                );
            }
            false
        }
        other => panic!("a new kind of result: {other}"),
    }
}

/// Runs every vector of the set with every backend.
fn run(set: &str, algorithm: Algorithm) -> Tally {
    let mut tally = Tally::default();
    for group in groups(json_data(set)) {
        let key = key(&group);
        assert_eq!(key.as_ref().err(), rejected_key(&group).as_ref(), "{set}");
        for test in tests(&group) {
            let Ok(key) = &key else {
                tally.key_rejected += 1;
                continue;
            };
            let accepted = is_accepted(&group, test, algorithm);
            let (message, signature) = (hex(&test["msg"]), hex(&test["sig"]));
            for (name, verdict) in verdicts(key, algorithm, &message, &signature) {
                let expected = if accepted {
                    Ok(Ok(()))
                } else {
                    Ok(Err(InvalidSignature))
                };
                assert_eq!(verdict, expected, "{name}: {set}, {algorithm}: {test}");
            }
            if accepted {
                tally.accepted += 1;
            } else {
                tally.rejected += 1;
            }
        }
    }
    tally
}

fn run_rows(prefix: &str, expected_rows: usize) {
    let rows: Vec<_> = rows()
        .into_iter()
        .filter(|row| row.set.starts_with(prefix))
        .collect();
    assert_eq!(rows.len(), expected_rows, "rows of {prefix}");
    for Row {
        set,
        algorithm,
        expected,
    } in rows
    {
        assert_eq!(run(&set, algorithm), expected, "{set} with {algorithm}");
    }
}

#[test]
fn ecdsa_vectors_have_the_outcomes_of_the_page() {
    run_rows("ecdsa_", 9);
}

#[test]
fn eddsa_vectors_have_the_outcomes_of_the_page() {
    run_rows("ed25519", 2);
}

#[test]
fn rsa_pkcs1_vectors_have_the_outcomes_of_the_page() {
    run_rows("rsa_signature_", 12);
}

#[test]
fn rsa_pss_vectors_have_the_outcomes_of_the_page() {
    run_rows("rsa_pss_", 19);
}

#[test]
fn no_vectors_for_our_algorithms_are_left_out_of_the_page() {
    let rows = rows();
    let listed: Vec<_> = rows
        .iter()
        .map(|row| (json_data(&row.set), row.algorithm))
        .collect();
    let ecdsa = ecdsa::TestName::all()
        .into_iter()
        .map(|set| set.json_data());
    let eddsa = eddsa::TestName::all()
        .into_iter()
        .map(|set| set.json_data());
    let pkcs1 = rsa_pkcs1_verify::TestName::all()
        .into_iter()
        .map(|set| set.json_data());
    let pss = rsa_pss_verify::TestName::all()
        .into_iter()
        .map(|set| set.json_data());
    for json in ecdsa.chain(eddsa).chain(pkcs1).chain(pss) {
        for group in groups(json) {
            for algorithm in Algorithm::ALL {
                assert!(
                    !fits(&group, algorithm) || listed.contains(&(json, algorithm)),
                    "{} are vectors for {algorithm}",
                    &json[..200]
                );
            }
        }
    }
}
