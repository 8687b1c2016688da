use super::*;
use crate::crypto::pure_rust::PureRust;

const EC: &str = r#""kty":"EC","crv":"P-256","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA""#;

fn parse(members: &str) -> Result<PublicJwk, JwkError> {
    PublicJwk::from_json(&format!("{{{members}}}"))
}

fn thumbprint(key: &PublicJwk) -> Thumbprint {
    Thumbprint::of(key, &PureRust)
}

fn rsa(n: &[u8], e: &[u8]) -> Result<PublicJwk, JwkError> {
    let (n, e) = (base64url::encode(n), base64url::encode(e));
    parse(&format!(r#""kty":"RSA","n":"{n}","e":"{e}""#))
}

fn modulus(len: usize) -> Vec<u8> {
    let mut n = vec![0xff; len];
    n[len / 2] = 0x5a;
    n
}

#[test]
fn rfc_7638_section_3_1_rsa_thumbprint() {
    let key = parse(
        r#""kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29""#,
    )
    .unwrap();
    assert_eq!(
        thumbprint(&key).to_string(),
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    );
}

#[test]
fn rfc_8037_appendix_a_3_ed25519_thumbprint() {
    let key =
        parse(r#""kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#)
            .unwrap();
    assert_eq!(
        thumbprint(&key).to_string(),
        "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    );
}

#[test]
fn rfc_9449_section_6_1_example_key_has_the_thumbprint_of_its_token() {
    let key = parse(EC).unwrap();
    assert_eq!(
        thumbprint(&key).to_string(),
        "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
    );
}

#[test]
fn members_beside_the_required_ones_do_not_change_the_thumbprint() {
    let plain = parse(EC).unwrap();
    let dressed = parse(&format!(
        r#""alg":"ES256","kid":"k","use":"sig","x5c":[],{EC}"#
    ))
    .unwrap();
    assert_eq!(thumbprint(&plain), thumbprint(&dressed));
}

#[test]
fn every_private_member_is_rejected_whatever_its_value() {
    for name in ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"] {
        for value in [r#""AQAB""#, r#""""#, "null", "[]"] {
            let key = parse(&format!(r#"{EC},"{name}":{value}"#));
            assert_eq!(key, Err(JwkError::Private), "{name}: {value}");
        }
    }
}

#[test]
fn symmetric_and_unknown_kinds_are_rejected() {
    assert_eq!(parse(r#""kty":"oct","k":"AQAB""#), Err(JwkError::Symmetric));
    assert_eq!(parse(r#""kty":"oct""#), Err(JwkError::Symmetric));
    assert_eq!(parse(r#""kty":"ec""#), Err(JwkError::UnsupportedKeyType));
    assert_eq!(parse(r#""kty":7"#), Err(JwkError::Malformed));
    assert_eq!(parse(""), Err(JwkError::Malformed));
    let k1 = EC.replace("P-256", "secp256k1");
    assert_eq!(parse(&k1), Err(JwkError::UnsupportedCurve));
    assert_eq!(
        parse(r#""kty":"OKP","crv":"X25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#),
        Err(JwkError::UnsupportedCurve)
    );
}

#[test]
fn coordinates_have_the_length_of_their_curve_and_one_spelling() {
    let x = "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs";
    for other in [
        "".to_owned(),
        base64url::encode(&[1; 31]),
        base64url::encode(&[1; 33]),
        format!("{x}="),
        // The same bytes with a loose tail.
        "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFt".to_owned(),
    ] {
        assert_eq!(
            parse(&EC.replace(x, &other)),
            Err(JwkError::InvalidMember),
            "{other}"
        );
    }
    assert_eq!(
        parse(&EC.replace("P-256", "P-384")),
        Err(JwkError::InvalidMember)
    );
    assert_eq!(
        parse(&EC.replace(&format!("\"{x}\""), "5")),
        Err(JwkError::InvalidMember)
    );
}

#[test]
fn rsa_keys_outside_of_2048_to_4096_bits_are_rejected() {
    let e = [1, 0, 1];
    assert!(rsa(&modulus(256), &e).is_ok());
    assert!(rsa(&modulus(512), &e).is_ok());
    let mut short = modulus(256);
    short[0] = 0x7f;
    assert_eq!(rsa(&short, &e), Err(JwkError::WeakKey));
    assert_eq!(rsa(&modulus(128), &e), Err(JwkError::WeakKey));
    let mut long = modulus(513);
    long[0] = 1;
    assert_eq!(rsa(&long, &e), Err(JwkError::WeakKey));
    let mut even = modulus(256);
    even[255] = 0xfe;
    assert_eq!(rsa(&even, &e), Err(JwkError::WeakKey));
    let mut padded = modulus(257);
    padded[0] = 0;
    assert_eq!(rsa(&padded, &e), Err(JwkError::InvalidMember));
}

#[test]
fn tiny_even_and_huge_rsa_exponents_are_rejected() {
    for e in [
        &[1][..],
        &[3],
        &[17],
        &[0xff, 0xff],
        &[1, 0, 0],
        &[1, 0, 2],
        &[1, 0, 0, 0, 1],
    ] {
        assert_eq!(rsa(&modulus(256), e), Err(JwkError::WeakKey), "{e:?}");
    }
    for e in [&[][..], &[0, 1, 0, 1]] {
        assert_eq!(rsa(&modulus(256), e), Err(JwkError::InvalidMember), "{e:?}");
    }
    assert!(rsa(&modulus(256), &[0xff, 0xff, 0xff, 0xff]).is_ok());
}

/// The list in `has_small_order` against the arithmetic of another implementation, for both signs
/// and the encodings above the prime.
#[test]
fn ed25519_keys_of_small_order_are_rejected() {
    let mut seen = 0;
    let order_8 = [
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    ]
    .map(|hex| -> [u8; 32] {
        std::array::from_fn(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
    });
    let edge = |low: u8, rest: u8, high: u8| {
        let mut y = [rest; 32];
        (y[0], y[31]) = (low, high);
        y
    };
    let candidates = order_8
        .into_iter()
        .chain((0..=4).map(|low| edge(low, 0, 0)))
        .chain((0xe8..=0xff).map(|low| edge(low, 0xff, 0x7f)));
    for mut y in candidates {
        for sign in [0, 0x80] {
            y[31] |= sign;
            let key = parse(&format!(
                r#""kty":"OKP","crv":"Ed25519","x":"{}""#,
                base64url::encode(&y)
            ));
            // An encoding the other implementation cannot read at all is for the backend to reject.
            if let Ok(point) = ed25519_dalek::VerifyingKey::from_bytes(&y) {
                assert_eq!(key == Err(JwkError::WeakKey), point.is_weak(), "{y:02x?}");
                seen += usize::from(point.is_weak());
            }
        }
    }
    assert!(seen >= 8, "all eight points were tried: {seen}");
}

/// OpenSSL would reduce such a coordinate, AWS-LC rejects it when it verifies; so no backend gets it.
#[test]
fn rfc_8032_section_5_1_3_an_ed25519_key_has_its_y_below_the_prime() {
    let key = |x: [u8; 32]| {
        let x = base64url::encode(&x);
        parse(&format!(r#""kty":"OKP","crv":"Ed25519","x":"{x}""#)).map(|_| ())
    };
    for sign in [0, 0x80] {
        let mut x = [0xff; 32];
        x[31] = 0x7f | sign;
        // The prime ends in 0xed. Below it is -1; it is 0, and above it is 1: all of small order.
        for (low, expected) in [
            (0xeb, Ok(())),
            (0xec, Err(JwkError::WeakKey)),
            (0xed, Err(JwkError::WeakKey)),
            (0xee, Err(JwkError::WeakKey)),
            (0xef, Err(JwkError::InvalidMember)),
            (0xff, Err(JwkError::InvalidMember)),
        ] {
            x[0] = low;
            assert_eq!(key(x), expected, "{low:02x}, sign {sign:02x}");
        }
        for at in 1..32 {
            let mut below = x;
            below[at] ^= 0x01;
            assert_eq!(key(below), Ok(()), "byte {at}, sign {sign:02x}");
        }
    }
}

#[test]
fn a_text_is_rejected_by_its_length_before_anything_else() {
    let padded = |len: usize| {
        let key = format!("{{{EC}}}");
        PublicJwk::from_json(&format!("{key}{}", " ".repeat(len - key.len())))
    };
    assert!(padded(MAX_JWK_LEN).is_ok());
    assert_eq!(padded(MAX_JWK_LEN + 1), Err(JwkError::TooLong));
}

#[test]
fn debug_shows_the_kind_but_no_key() {
    let text = format!("{:?}", parse(EC).unwrap());
    assert!(text.contains("Ec(P-256)"), "{text}");
    assert!(!text.contains("l8tFrhx") && !text.contains("151"), "{text}");
}

#[test]
fn a_text_that_is_no_thumbprint_is_rejected_by_name() {
    let error = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4".parse::<Thumbprint>();
    assert!(error.unwrap_err().to_string().contains("thumbprint"));
}

/// The prime itself is 0 and so of small order, which would hide it from the test of whole keys.
#[test]
fn the_prime_is_not_below_itself() {
    let mut y = [0xff; 32];
    (y[0], y[31]) = (0xec, 0x7f);
    assert!(is_below_the_prime(&y));
    y[0] = 0xed;
    assert!(!is_below_the_prime(&y));
}
