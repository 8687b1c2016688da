//! Converts keys as issuers publish them to the form that [`PublicJwk`](super::PublicJwk) accepts.
//!
//! The operator chooses the issuer, so the deviations of real issuers are accepted where they are
//! harmless. The conversion does not change the key, and every check of `PublicJwk` follows. The `jwk` of
//! a proof is never converted, because anyone can write it.

use std::borrow::Cow;

use super::EcCurve;
use crate::jose::{
    base64url,
    json::{Object, Value},
};

/// Returns the key in its canonical form, so that its thumbprint does not depend on its encoding (RFC 7638
/// section 3.3).
///
/// - A member that is `null`, an empty string or an empty array is removed.
/// - A `kid` that is a number becomes a string, because the `kid` of a token is always a string.
/// - `n`, `e`, `x` and `y` become canonical base64url: no padding, one alphabet, no trailing bits.
/// - Unsigned integers get the right length. `n` and `e` lose leading zeros, and the coordinates of a curve
///   are padded with zeros.
///
/// A member that cannot be converted stays unchanged, and `PublicJwk` rejects it.
pub(crate) fn canonical<'a>(published: &Object<'a>) -> Object<'a> {
    let text = |name| published.get(name).and_then(Value::as_str);
    let curve = text("crv").and_then(EcCurve::from_name);
    let kty = text("kty");
    published.map(|name, value| {
        if says_nothing(value) {
            return None;
        }
        let bytes = || value.as_str().and_then(base64url::decode_any_spelling);
        let canonical = match (name, kty) {
            ("n" | "e", Some("RSA")) => bytes().map(|bytes| without_zeros(&bytes).to_vec()),
            ("x" | "y", Some("EC")) => curve
                .zip(bytes())
                .and_then(|(curve, bytes)| of_length(curve.field_len(), &bytes)),
            ("x", Some("OKP")) => bytes(),
            _ => None,
        };
        Some(match (canonical, name, value) {
            (Some(bytes), ..) => Value::String(Cow::Owned(base64url::encode(&bytes))),
            (None, "kid", Value::Number(kid)) => Value::String(Cow::Owned(kid.to_string())),
            _ => value.clone(),
        })
    })
}

fn says_nothing(value: &Value<'_>) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}

/// Removes leading zeros. Java's `BigInteger` writes one in front, for the sign.
fn without_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

fn of_length(len: usize, bytes: &[u8]) -> Option<Vec<u8>> {
    let significant = without_zeros(bytes);
    let mut padded = vec![0; len.checked_sub(significant.len())?];
    padded.extend_from_slice(significant);
    Some(padded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwk::{JwkError, PublicJwk};

    const EC: &str = r#""kty":"EC","crv":"P-256","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA""#;
    const OKP: &str =
        r#""kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#;

    fn strict(members: &str) -> Result<PublicJwk, JwkError> {
        PublicJwk::from_json(&format!("{{{members}}}"))
    }

    fn published(members: &str) -> Result<PublicJwk, JwkError> {
        let text = format!("{{{members}}}");
        let object = Object::parse(text.as_bytes()).ok_or(JwkError::Malformed)?;
        PublicJwk::from_object(&canonical(&object))
    }

    fn rsa(n: &str, e: &str) -> String {
        format!(r#""kty":"RSA","n":"{n}","e":"{e}""#)
    }

    fn modulus() -> Vec<u8> {
        let mut n = vec![0xfb; 256];
        n[255] = 0xff;
        n
    }

    /// Takes one spelling for the other, and finds that strangers may not write it.
    fn assert_same(members: &str, plain: &str) {
        let (published, plain) = (published(members).unwrap(), strict(plain).unwrap());
        let (of_published, of_plain) = (published.required_members(), plain.required_members());
        assert_eq!(of_published, of_plain, "{members}");
        assert!(published == plain, "{members}");
        assert!(strict(members).is_err(), "{members}");
    }

    #[test]
    fn a_key_in_its_canonical_form_stays_as_it_is() {
        for members in [
            EC.to_owned(),
            OKP.to_owned(),
            rsa(&base64url::encode(&modulus()), "AQAB"),
            format!(r#"{EC},"kid":"1","use":"sig","x5c":["MIIB"],"other":{{"a":null}}"#),
        ] {
            assert_eq!(published(&members), strict(&members), "{members}");
        }
    }

    #[test]
    fn members_that_say_nothing_do_not_make_a_key_private() {
        for name in ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"] {
            for value in ["null", r#""""#, "[]"] {
                assert_same(&format!(r#"{EC},"{name}":{value}"#), EC);
            }
            for value in [r#""AQAB""#, "[{}]", "{}", "0", "false"] {
                let key = published(&format!(r#"{EC},"{name}":{value}"#));
                assert_eq!(key, Err(JwkError::Private), "{name}: {value}");
            }
        }
    }

    #[test]
    fn the_base64_of_numbers_may_have_any_spelling() {
        let n = base64url::encode(&modulus());
        let plain = rsa(&n, "AQAB");
        for (n, e) in [
            (format!("{n}=="), "AQAB"),
            (format!("{n}="), "AQAB"),
            (n.replace('-', "+").replace('_', "/"), "AQAB"),
            (n.clone(), "AQAB===="),
            // The same bytes with a loose tail.
            (format!("{}x", &n[..n.len() - 1]), "AQAB"),
        ] {
            assert_same(&rsa(&n, e), &plain);
        }
        assert_same(&OKP.replace("URo", "URo="), OKP);
        let padded = EC.replace("BFs", "BFs=").replace("RDA", "RDA=");
        assert_same(&padded, EC);
        for wrong in ["AQ AB", "AQ=AB", "AQAB\\n", "A", "ä"] {
            let key = published(&rsa(&n, wrong));
            assert_eq!(key, Err(JwkError::InvalidMember), "{wrong}");
        }
    }

    #[test]
    fn zeros_in_front_of_unsigned_integers_do_not_count() {
        let plain = rsa(&base64url::encode(&modulus()), "AQAB");
        for zeros in [1, 2, 256] {
            let n = [vec![0; zeros], modulus()].concat();
            let e = [vec![0; zeros], vec![1, 0, 1]].concat();
            let members = rsa(&base64url::encode(&n), &base64url::encode(&e));
            assert_same(&members, &plain);
        }
        let nothing = base64url::encode(&[0; 256]);
        assert!(published(&rsa(&nothing, "AQAB")).is_err());

        let x = [0x17; 30];
        let full = base64url::encode(&[&[0, 0], &x[..]].concat());
        let with_x = |x: &str| EC.replace("l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs", x);
        for zeros in [0, 1, 3] {
            let x = base64url::encode(&[vec![0; zeros], x.to_vec()].concat());
            assert_same(&with_x(&x), &with_x(&full));
        }
        let long = base64url::encode(&[0x17; 33]);
        assert_eq!(published(&with_x(&long)), Err(JwkError::InvalidMember));
    }

    /// It is little-endian, so zeros in front of it count (RFC 8032 section 5.1.2).
    #[test]
    fn an_ed25519_key_has_its_length() {
        let key = |x: &[u8]| {
            let x = base64url::encode(x);
            published(&format!(r#""kty":"OKP","crv":"Ed25519","x":"{x}""#))
        };
        assert_eq!(key(&[9; 31]), Err(JwkError::InvalidMember));
        let longer = [&[0], &[9; 32][..]].concat();
        assert_eq!(key(&longer), Err(JwkError::InvalidMember));
    }

    #[test]
    fn a_number_as_kid_is_its_text() {
        let kid = |value: &str| {
            let text = format!(r#"{{{EC},"kid":{value}}}"#);
            let object = Object::parse(text.as_bytes()).unwrap();
            let kid = canonical(&object);
            kid.get("kid").and_then(Value::as_str).map(str::to_owned)
        };
        assert_eq!(kid("7").as_deref(), Some("7"));
        assert_eq!(kid(r#""7""#).as_deref(), Some("7"));
        assert_eq!(kid(r#""""#), None);
        assert_eq!(kid("null"), None);
        assert_eq!(kid("true"), None);
    }
}
