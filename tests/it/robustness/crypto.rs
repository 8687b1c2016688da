//! Every backend, through the trait that it implements.

pub(crate) use dpop_conformance::crypto::{
    BACKENDS, JoseKey, Verdict, base64url, from_base64url, parse, rsa, verdicts,
};
use dpop_conformance::crypto::{FITTING, der_signature};
use dpop_tower::{
    crypto::{Algorithm, CryptoProvider, InvalidKey, InvalidSignature, PreparedKey},
    jwk::{JwkError, PublicJwk, Thumbprint},
};
use serde_json::{Value, json};

fn prepared(backend: &dyn CryptoProvider, key: &JoseKey) -> PreparedKey {
    backend.prepare(&key.public_jwk(), key.algorithm).unwrap()
}

#[test]
fn the_examples_of_rfc_7515_and_rfc_8037_verify() {
    let payload = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt\
                   cGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let table = [
        (
            "RFC 7515 appendix A.2",
            Algorithm::Rs256,
            json!({"kty": "RSA", "e": "AQAB",
                "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJ\
                      PMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0\
                      LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uD\
                      Zlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2\
                      PAcDTW9gb54h4FRWyuXpoQ"}),
            format!("eyJhbGciOiJSUzI1NiJ9.{payload}"),
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W\
             2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkS\
             jtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnv\
             Wh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        ),
        (
            "RFC 7515 appendix A.3",
            Algorithm::Es256,
            json!({"kty": "EC", "crv": "P-256",
                "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}),
            format!("eyJhbGciOiJFUzI1NiJ9.{payload}"),
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
        (
            "RFC 7515 appendix A.4",
            Algorithm::Es512,
            json!({"kty": "EC", "crv": "P-521",
                "x": "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
                "y": "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"}),
            "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA".to_owned(),
            "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7Xdt\
             AG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn",
        ),
        (
            "RFC 8037 appendix A.4",
            Algorithm::EdDsa,
            json!({"kty": "OKP", "crv": "Ed25519",
                "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}),
            "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc".to_owned(),
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        ),
    ];
    for (clause, algorithm, jwk, message, signature) in table {
        let key = parse(jwk.as_object().unwrap());
        let signature = from_base64url(signature);
        for (name, backend) in BACKENDS {
            let key = backend.prepare(&key, algorithm).unwrap();
            assert_eq!(
                key.verify(message.as_bytes(), &signature),
                Ok(()),
                "{name}: {clause}"
            );
            assert_eq!(
                key.verify(&message.as_bytes()[1..], &signature),
                Err(InvalidSignature),
                "{name}: {clause}"
            );
        }
    }
}

#[test]
fn every_algorithm_verifies_its_own_signatures_and_no_changed_ones() {
    let message = b"what is signed";
    for (name, backend) in BACKENDS {
        for algorithm in Algorithm::ALL {
            assert!(backend.supports(algorithm), "{name}: {algorithm}");
            let key = JoseKey::new(algorithm);
            let (good, verifier) = (key.sign(message), prepared(backend, &key));
            assert_eq!(
                verifier.verify(message, &good),
                Ok(()),
                "{name}: {algorithm}"
            );
            assert_eq!(
                good.len(),
                key.public_jwk().signature_len(),
                "{name}: {algorithm}"
            );

            for at in [0, good.len() / 2 - 1, good.len() / 2, good.len() - 1] {
                for bit in [0x01, 0x80] {
                    let mut changed = good.clone();
                    changed[at] ^= bit;
                    assert_eq!(
                        verifier.verify(message, &changed),
                        Err(InvalidSignature),
                        "{name}: {algorithm}: byte {at}, bit {bit}"
                    );
                }
            }
            for at in 0..message.len() {
                let mut changed = *message;
                changed[at] ^= 0x01;
                assert_eq!(
                    verifier.verify(&changed, &good),
                    Err(InvalidSignature),
                    "{name}: {algorithm}: byte {at} of the message"
                );
            }
            let other = JoseKey::other(algorithm);
            assert_eq!(
                prepared(backend, &other).verify(message, &good),
                Err(InvalidSignature),
                "{name}: {algorithm}: another key"
            );
        }
    }
}

#[test]
fn a_key_with_a_flipped_bit_verifies_nothing() {
    let message = b"what is signed";
    for algorithm in Algorithm::ALL {
        let key = JoseKey::new(algorithm);
        let good = key.sign(message);
        for name in ["x", "y", "n"] {
            let Some(text) = key
                .public()
                .get(name)
                .and_then(Value::as_str)
                .map(str::to_owned)
            else {
                continue;
            };
            let bytes = from_base64url(&text);
            for at in [1, bytes.len() / 2, bytes.len() - 1] {
                let mut changed = bytes.clone();
                changed[at] ^= 0x02;
                let mut jwk = key.public();
                jwk.insert(name.to_owned(), base64url(&changed).into());
                // A changed point is off its curve. A changed modulus is a different modulus.
                for (backend, verdict) in verdicts(&parse(&jwk), algorithm, message, &good) {
                    assert!(
                        matches!(verdict, Err(InvalidKey) | Ok(Err(InvalidSignature))),
                        "{backend}: {algorithm}: {name}, byte {at}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_signature_has_one_length_per_key() {
    let message = b"what is signed";
    for (name, backend) in BACKENDS {
        for algorithm in Algorithm::ALL {
            let key = JoseKey::new(algorithm);
            let (good, verifier) = (key.sign(message), prepared(backend, &key));
            let wrong = [
                Vec::new(),
                good[..1].to_vec(),
                good[..good.len() - 1].to_vec(),
                good[1..].to_vec(),
                [&good[..], &[0]].concat(),
                [&[0], &good[..]].concat(),
                [&good[..], &good[..]].concat(),
                vec![0; 100_000],
            ];
            for signature in wrong {
                assert_eq!(
                    verifier.verify(message, &signature),
                    Err(InvalidSignature),
                    "{name}: {algorithm}: {} bytes",
                    signature.len()
                );
            }
        }
    }
}

#[test]
fn rfc_8017_section_8_2_2_an_rsa_signature_keeps_its_leading_zeros() {
    let key = JoseKey::new(Algorithm::Rs256);
    // One signature in 256 begins with a zero.
    let (message, signature) = (0_u32..5_000)
        .map(u32::to_be_bytes)
        .map(|message| (message, key.sign(&message)))
        .find(|(_, signature)| signature[0] == 0)
        .unwrap();
    for (name, backend) in BACKENDS {
        let verifier = prepared(backend, &key);
        assert_eq!(verifier.verify(&message, &signature), Ok(()), "{name}");
        assert_eq!(
            verifier.verify(&message, &signature[1..]),
            Err(InvalidSignature),
            "{name}"
        );
    }
}

#[test]
fn a_key_is_prepared_for_the_algorithms_it_fits_and_for_no_other() {
    for (kind, names) in FITTING {
        let jwk = JoseKey::new(kind).public_jwk();
        for algorithm in Algorithm::ALL {
            for (name, backend) in BACKENDS {
                assert_eq!(
                    backend.prepare(&jwk, algorithm).map(|_| ()),
                    if names.contains(&algorithm.as_str()) {
                        Ok(())
                    } else {
                        Err(InvalidKey)
                    },
                    "{name}: a key for {kind} with {algorithm}"
                );
            }
        }
    }
}

#[test]
fn a_prepared_key_verifies_its_one_algorithm() {
    let message = b"what is signed";
    let rsa: Vec<_> = Algorithm::ALL
        .into_iter()
        .filter(|algorithm| algorithm.as_str().contains('S') && !algorithm.as_str().contains('E'))
        .collect();
    assert_eq!(rsa.len(), 6);
    for signed in &rsa {
        let signature = JoseKey::new(*signed).sign(message);
        for verified in &rsa {
            for (name, backend) in BACKENDS {
                assert_eq!(
                    prepared(backend, &JoseKey::new(*verified)).verify(message, &signature),
                    if signed == verified {
                        Ok(())
                    } else {
                        Err(InvalidSignature)
                    },
                    "{name}: {signed} as {verified}"
                );
            }
        }
    }
}

#[test]
fn both_names_of_ed25519_verify_the_same_signatures() {
    let key = JoseKey::new(Algorithm::Ed25519);
    let signature = key.sign(b"m");
    for algorithm in [Algorithm::Ed25519, Algorithm::EdDsa] {
        for (name, backend) in BACKENDS {
            let verifier = backend.prepare(&key.public_jwk(), algorithm).unwrap();
            assert_eq!(
                verifier.verify(b"m", &signature),
                Ok(()),
                "{name}: {algorithm}"
            );
        }
    }
}

#[test]
fn points_off_their_curve_are_rejected() {
    for (algorithm, curve, len) in [
        (Algorithm::Es256, "P-256", 32),
        (Algorithm::Es384, "P-384", 48),
        (Algorithm::Es512, "P-521", 66),
    ] {
        let good = JoseKey::new(algorithm).public();
        let (x, y) = (good["x"].clone(), good["y"].clone());
        let zero = Value::from(base64url(vec![0; len]));
        let one = {
            let mut one = vec![0; len];
            one[len - 1] = 1;
            Value::from(base64url(one))
        };
        // Larger than every prime, so a lenient parser would reduce it.
        let max = Value::from(base64url(vec![0xff; len]));
        for (what, x, y) in [
            ("swapped", y.clone(), x.clone()),
            ("y is x", x.clone(), x.clone()),
            ("origin", zero.clone(), zero.clone()),
            ("(1, 1)", one.clone(), one.clone()),
            ("x is zero", zero, y.clone()),
            ("x is too large", max.clone(), y),
            ("y is too large", x, max),
        ] {
            let jwk = json!({"kty": "EC", "crv": curve, "x": x, "y": y});
            for (name, backend) in BACKENDS {
                assert_eq!(
                    backend
                        .prepare(&parse(jwk.as_object().unwrap()), algorithm)
                        .map(|_| ()),
                    Err(InvalidKey),
                    "{name}: {curve}: {what}"
                );
            }
        }
    }
}

#[test]
fn a_point_of_another_curve_is_not_a_point_of_this_one() {
    // secp256k1's generator has coordinates of P-256's length.
    let jwk = json!({
        "kty": "EC",
        "crv": "P-256",
        "x": "eb5mfvncu6xVoGKVzocLBwKb_NstzijZWfKBWxb4F5g",
        "y": "SDradyajxGVdpPv8DhEIqP0XtEimhVQZnEfQj_sQ1Lg",
    });
    let key = parse(jwk.as_object().unwrap());
    for (name, backend) in BACKENDS {
        assert_eq!(
            backend.prepare(&key, Algorithm::Es256).map(|_| ()),
            Err(InvalidKey),
            "{name}"
        );
    }
}

#[test]
fn an_ecdsa_signature_is_r_and_s_in_range_and_not_der() {
    let message = b"what is signed";
    for (name, backend) in BACKENDS {
        for algorithm in [Algorithm::Es256, Algorithm::Es384, Algorithm::Es512] {
            let key = JoseKey::new(algorithm);
            let (good, verifier) = (key.sign(message), prepared(backend, &key));
            let (r, s) = good.split_at(good.len() / 2);
            let (zero, max) = (vec![0; r.len()], vec![0xff; r.len()]);
            for (what, r, s) in [
                ("all zero (CVE-2022-21449)", &zero[..], &zero[..]),
                ("r is zero", &zero, s),
                ("s is zero", r, &zero),
                ("r is too large", &max, s),
                ("s is too large", r, &max),
                ("swapped", s, r),
            ] {
                assert_eq!(
                    verifier.verify(message, &[r, s].concat()),
                    Err(InvalidSignature),
                    "{name}: {algorithm}: {what}"
                );
            }
            assert_eq!(
                verifier.verify(message, &der_signature(&good)),
                Err(InvalidSignature),
                "{name}: {algorithm}: DER"
            );
        }
    }
}

#[test]
fn rfc_8032_section_5_1_7_an_ed25519_signature_has_one_s() {
    // The group's order, little-endian.
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let key = JoseKey::new(Algorithm::Ed25519);
    let good = key.sign(b"m");
    let mut signature = good.clone();
    let mut carry = 0;
    for (byte, order) in signature[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = u8::try_from(sum & 0xff).unwrap();
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    for (name, backend) in BACKENDS {
        let verifier = prepared(backend, &key);
        assert_eq!(verifier.verify(b"m", &good), Ok(()), "{name}");
        assert_eq!(
            verifier.verify(b"m", &signature),
            Err(InvalidSignature),
            "{name}"
        );
    }
}

#[test]
fn one_prepared_key_serves_many_threads() {
    for (name, backend) in BACKENDS {
        for algorithm in [Algorithm::Es256, Algorithm::Ed25519, Algorithm::Ps256] {
            let key = JoseKey::new(algorithm);
            let verifier = prepared(backend, &key);
            let (good, bad) = (key.sign(b"good"), key.sign(b"bad"));
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        for _ in 0..50 {
                            assert_eq!(verifier.verify(b"good", &good), Ok(()), "{name}");
                            assert_eq!(
                                verifier.verify(b"good", &bad),
                                Err(InvalidSignature),
                                "{name}"
                            );
                        }
                    });
                }
            });
        }
    }
}

/// Pseudorandom numbers that are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 32).unwrap() % end
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }
}

#[test]
fn arbitrary_bytes_are_a_key_or_an_error_and_never_a_panic() {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for _ in 0..20_000 {
        let len = numbers.below(200);
        let bytes: Vec<u8> = (0..len).map(|_| numbers.byte()).collect();
        let text = String::from_utf8_lossy(&bytes);
        assert_eq!(PublicJwk::from_json(&text), Err(JwkError::Malformed));
    }
}

#[test]
fn a_damaged_key_is_rejected_or_a_public_key_that_can_be_prepared_or_rejected() {
    let mut numbers = Numbers(0x2545_f491_4f6c_dd1d);
    let keys: Vec<_> = [
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::Es512,
        Algorithm::Ed25519,
        Algorithm::Rs256,
    ]
    .map(JoseKey::new)
    .into();
    let (mut rejected, mut usable, mut unusable) = (0, 0, 0);
    for round in 0..5_000 {
        let key = &keys[round % keys.len()];
        let mut text = Value::Object(key.public()).to_string().into_bytes();
        for _ in 0..=numbers.below(3) {
            let at = numbers.below(text.len());
            match numbers.below(4) {
                0 => text[at] = numbers.byte(),
                1 if text.len() > 1 => drop(text.remove(at)),
                2 => text.insert(at, b"\"{}[],:0=\\A"[numbers.below(11)]),
                _ => text.truncate(at + 1),
            }
        }
        let Ok(jwk) = PublicJwk::from_json(&String::from_utf8_lossy(&text)) else {
            rejected += 1;
            continue;
        };
        let [josekit, aws_lc] = BACKENDS.map(|(_, backend)| Thumbprint::of(&jwk, backend));
        assert_eq!(josekit, aws_lc);
        assert_eq!(josekit.to_string().len(), 43);
        let [first, second] =
            BACKENDS.map(|(_, backend)| backend.prepare(&jwk, key.algorithm).map(|_| ()));
        assert_eq!(first, second, "{jwk:?}");
        match first {
            Ok(()) => usable += 1,
            Err(InvalidKey) => unusable += 1,
        }
    }
    // Each branch was taken at least once, so none of them panics.
    assert!(rejected > 0 && usable > 0 && unusable > 0);
}

#[test]
fn every_private_jwk_is_rejected() {
    for algorithm in Algorithm::ALL {
        let private = Value::Object(JoseKey::new(algorithm).private()).to_string();
        assert_eq!(
            PublicJwk::from_json(&private),
            Err(JwkError::Private),
            "{algorithm}"
        );
    }
}
