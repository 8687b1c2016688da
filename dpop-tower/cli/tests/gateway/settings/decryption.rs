//! The keys for encrypted tokens.

use std::fs;

use josekit::jwk::alg::ec::{EcCurve, EcKeyPair};
use tempfile::TempDir;

use super::{TABLES, parse, rejected};

#[test]
fn keys_that_cannot_be_used_are_told_with_their_line_and_field() {
    for (lines, line, field, told) in [
        (
            "jwe_keys_file = 'nothing'",
            0,
            "jwe_keys_file",
            "cannot be read",
        ),
        // A path relative to the folder of the file.
        (
            "\njwe_keys_file = 'short'",
            1,
            "jwe_keys_file",
            "not a JWK Set",
        ),
        // Public keys, which are for signatures.
        (
            "jwe_keys_file = 'jwks.json'",
            0,
            "jwe_keys_file",
            "at position 1",
        ),
        ("jwe_keys_file = 7", 0, "jwe_keys_file", "string"),
        (
            "require_encrypted_tokens = true",
            0,
            "require_encrypted_tokens",
            "set `jwe_keys_file`",
        ),
        (
            "require_encrypted_tokens = 1",
            0,
            "require_encrypted_tokens",
            "boolean",
        ),
    ] {
        rejected(
            "",
            lines,
            TABLES + line,
            &format!("issuer[0].{field}"),
            told,
        );
    }
    parse("", "require_encrypted_tokens = false").unwrap();
}

#[test]
fn two_issuers_with_one_kid_are_told_with_the_second_file() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str| {
        let mut jwk = EcKeyPair::generate(EcCurve::P256)
            .unwrap()
            .to_jwk_key_pair();
        jwk.set_key_id("k1");
        let path = folder.path().join(name);
        fs::write(&path, format!(r#"{{"keys":[{jwk}]}}"#)).unwrap();
        path.display().to_string()
    };
    let (a, b) = (file("a.json"), file("b.json"));
    let tables = |second: &str| {
        format!(
            "jwe_keys_file = '{a}'\n[[issuer]]\nurl = 'https://b.test'\naudiences = ['b']\njwe_keys_file = '{second}'"
        )
    };
    let told = "key \"k1\" has the same `kid`";
    rejected("", &tables(&b), TABLES + 4, "issuer[1].jwe_keys_file", told);
    parse("", &tables(&a)).unwrap();
}
