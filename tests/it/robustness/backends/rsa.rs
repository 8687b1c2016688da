//! RSA: the sizes of keys, and signatures as large as the modulus.

use dpop_tower::crypto::Algorithm;
use josekit::jwk::alg::rsa::RsaKeyPair;
use openssl::{
    bn::{BigNum, BigNumContext},
    rsa::RsaPrivateKeyBuilder,
};

use super::{ACCEPTED, MESSAGE, REJECTED, assert_all};
use crate::robustness::crypto::{JoseKey, from_base64url, verdicts};

// RSA.

const RSA: [Algorithm; 6] = [
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
];

/// OpenSSL's generator rounds the number of bits.
fn rsa_pair(bits: i32, e: u32) -> RsaKeyPair {
    let mut context = BigNumContext::new().unwrap();
    let one = BigNum::from_u32(1).unwrap();
    let e = BigNum::from_u32(e).unwrap();
    let mut prime = |bits| loop {
        let mut prime = BigNum::new().unwrap();
        // The two highest bits are set, so a product has all the bits of its factors.
        prime.generate_prime(bits, false, None, None).unwrap();
        let mut divisor = BigNum::new().unwrap();
        divisor.gcd(&e, &(&prime - &one), &mut context).unwrap();
        if divisor == one {
            return prime;
        }
    };
    let (p, q) = (prime(bits / 2), prime(bits - bits / 2));
    let n = &p * &q;
    assert_eq!(n.num_bits(), bits);
    let of = |number: &BigNum, modulus: &BigNum, context: &mut BigNumContext| {
        let mut inverse = BigNum::new().unwrap();
        inverse.mod_inverse(number, modulus, context).unwrap();
        inverse
    };
    let (p_less, q_less) = (&p - &one, &q - &one);
    let d = of(&e, &(&p_less * &q_less), &mut context);
    let (dp, dq, qi) = (&d % &p_less, &d % &q_less, of(&q, &p, &mut context));
    let key = RsaPrivateKeyBuilder::new(n, e, d).unwrap();
    let key = key.set_factors(p, q).unwrap();
    let key = key.set_crt_params(dp, dq, qi).unwrap().build();
    RsaKeyPair::from_der(key.private_key_to_der().unwrap()).unwrap()
}

/// With one bit more than whole bytes, the first byte of the PSS encoding is left out (RFC 8017 section
/// 8.1.2 step 2c).
#[test]
fn an_rsa_modulus_of_any_number_of_bits_works() {
    for bits in [2048, 2049, 2050, 2056, 3071, 4095, 4096] {
        let pair = rsa_pair(bits, 65_537);
        for algorithm in RSA {
            let key = JoseKey::from_private(algorithm, pair.to_jwk_private_key());
            let good = key.sign(MESSAGE);
            assert_eq!(good.len(), usize::try_from((bits + 7) / 8).unwrap());
            let jwk = key.public_jwk();
            let what = format!("{bits} bits");
            assert_all(&jwk, algorithm, &good, ACCEPTED, &what);
            let mut changed = good;
            *changed.last_mut().unwrap() ^= 1;
            assert_all(&jwk, algorithm, &changed, REJECTED, &what);
        }
    }
}

#[test]
fn the_largest_rsa_exponent_works() {
    // The largest prime below 2^32.
    let pair = rsa_pair(2048, 4_294_967_291);
    for algorithm in RSA {
        let key = JoseKey::from_private(algorithm, pair.to_jwk_private_key());
        let good = key.sign(MESSAGE);
        assert_all(
            &key.public_jwk(),
            algorithm,
            &good,
            ACCEPTED,
            "e below 2^32",
        );
    }
}

#[test]
fn rfc_8017_section_5_2_2_an_rsa_signature_is_below_the_modulus() {
    for algorithm in RSA {
        let key = JoseKey::new(algorithm);
        let n = from_base64url(key.public()["n"].as_str().unwrap());
        let n = BigNum::from_slice(&n).unwrap();
        // A modulus of 2048 bits is at least half of the largest 256-byte number. PSS uses a salt, so
        // one of these signatures is small enough. PKCS #1 needs other messages.
        let (message, sum) = (0_u32..)
            .map(|number| [MESSAGE, &number.to_be_bytes()].concat())
            .find_map(|message| {
                let sum = &BigNum::from_slice(&key.sign(&message)).unwrap() + &n;
                (sum.num_bytes() == 256).then_some((message, sum))
            })
            .unwrap();
        let good = (&sum - &n).to_vec_padded(256).unwrap();
        for (what, signature, expected) in [
            ("as it is", good, ACCEPTED),
            ("and the modulus", sum.to_vec(), REJECTED),
            ("the modulus itself", n.to_vec(), REJECTED),
            ("zero", vec![0; 256], REJECTED),
        ] {
            for (name, verdict) in verdicts(&key.public_jwk(), algorithm, &message, &signature) {
                assert_eq!(verdict, expected, "{name}: {algorithm}: {what}");
            }
        }
    }
}
