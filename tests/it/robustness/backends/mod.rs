//! The backends against each other, where implementations are known to differ.

use std::sync::LazyLock;

use curve25519_dalek::{
    EdwardsPoint, Scalar,
    constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION},
    edwards::CompressedEdwardsY,
    traits::Identity as _,
};
use dpop_tower::{
    DpopConfig, Issuer, PublicOrigin,
    crypto::{Algorithm, AwsLcRs, InvalidKey, InvalidSignature},
    jwk::{JwkError, PublicJwk},
    test_util::{TestClient, TestIssuer},
};
use josekit::jwk::alg::rsa::RsaKeyPair;
use openssl::{
    bn::{BigNum, BigNumContext},
    ec::{EcGroup, EcPoint, PointConversionForm},
    hash::{MessageDigest, hash},
    nid::Nid,
    rsa::RsaPrivateKeyBuilder,
};
use proptest::{
    prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest},
    sample::Index,
};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha512};
use tokio::{io::AsyncReadExt as _, net::TcpListener};

use crate::robustness::crypto::{JoseKey, Verdict, base64url, from_base64url, parse, verdicts};
use crate::support::{self, ORIGIN, URL, router, send, unavailable};

const MESSAGE: &[u8] = b"what is signed";

const ACCEPTED: Verdict = Ok(Ok(()));
const REJECTED: Verdict = Ok(Err(InvalidSignature));
const KEY_REJECTED: Verdict = Err(InvalidKey);

#[track_caller]
fn assert_all(
    key: &PublicJwk,
    algorithm: Algorithm,
    signature: &[u8],
    expected: Verdict,
    what: &str,
) {
    for (name, verdict) in verdicts(key, algorithm, MESSAGE, signature) {
        assert_eq!(verdict, expected, "{name}: {algorithm}: {what}");
    }
}

// Ed25519.

fn ed25519(x: [u8; 32]) -> Result<PublicJwk, JwkError> {
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(x)});
    PublicJwk::from_json(&jwk.to_string())
}

/// RFC 8032 section 5.1.7 step 2.
fn challenge(r: &[u8; 32], key: &[u8; 32], message: &[u8]) -> Scalar {
    let hash = Sha512::new()
        .chain_update(r)
        .chain_update(key)
        .chain_update(message);
    Scalar::from_bytes_mod_order_wide(&hash.finalize().into())
}

/// Any that is not zero and no multiple of the cofactor.
fn secret(number: u64) -> Scalar {
    Scalar::from(0x1234_5678_9abc_def1_u64) + Scalar::from(number)
}

/// What whoever knows `secret` can make: S for this encoding of R, which stands for `nonce` times the
/// base point and perhaps a point of small order.
fn signature(r: [u8; 32], nonce: Scalar, secret: Scalar, key: &[u8; 32]) -> [u8; 64] {
    let s = nonce + challenge(&r, key, MESSAGE) * secret;
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&r);
    signature[32..].copy_from_slice(s.as_bytes());
    signature
}

#[test]
fn ed25519_is_verified_without_the_cofactor() {
    let (mut accepted, mut rejected) = (0, 0);
    for torsion in EIGHT_TORSION {
        for number in 0..16 {
            let (nonce, secret) = (secret(1_000 + number), secret(number));
            let r = ED25519_BASEPOINT_POINT * nonce;

            // R is off by a point of small order: with the cofactor, that would not show.
            let key = (ED25519_BASEPOINT_POINT * secret).compress().0;
            let off = (r + torsion).compress().0;
            let expected = if torsion == EdwardsPoint::identity() {
                ACCEPTED
            } else {
                REJECTED
            };
            let signed = signature(off, nonce, secret, &key);
            assert_all(
                &ed25519(key).unwrap(),
                Algorithm::Ed25519,
                &signed,
                expected,
                "R off by a point of small order",
            );

            // The key is, so it shows unless the challenge happens to cancel it.
            let key = (ED25519_BASEPOINT_POINT * secret + torsion).compress().0;
            let r = r.compress().0;
            let cancelled = torsion * challenge(&r, &key, MESSAGE) == EdwardsPoint::identity();
            let expected = if cancelled { ACCEPTED } else { REJECTED };
            assert_all(
                &ed25519(key).unwrap(),
                Algorithm::Ed25519,
                &signature(r, nonce, secret, &key),
                expected,
                "key off by a point of small order",
            );
            *(if cancelled {
                &mut accepted
            } else {
                &mut rejected
            }) += 1;
        }
    }
    // Both happened for another reason than the identity among the eight.
    assert!(accepted > 16 && rejected > 16, "{accepted}, {rejected}");
}

#[test]
fn an_ed25519_signature_has_the_one_encoding_of_its_r() {
    let secret = secret(0);
    let key = (ED25519_BASEPOINT_POINT * secret).compress().0;
    let jwk = ed25519(key).unwrap();
    // Only the key's holder can make these; the point itself is as good as any other.
    let identity = EdwardsPoint::identity().compress().0;
    let good = signature(identity, Scalar::ZERO, secret, &key);
    assert_all(
        &jwk,
        Algorithm::Ed25519,
        &good,
        ACCEPTED,
        "R is the identity",
    );

    let mut above_the_prime = [0xff; 32];
    (above_the_prime[0], above_the_prime[31]) = (0xee, 0x7f);
    let mut negative_zero = identity;
    negative_zero[31] |= 0x80;
    let mut both = above_the_prime;
    both[31] |= 0x80;
    for r in [above_the_prime, negative_zero, both] {
        let signed = signature(r, Scalar::ZERO, secret, &key);
        assert_all(
            &jwk,
            Algorithm::Ed25519,
            &signed,
            REJECTED,
            "R is another identity",
        );
    }
    for at in 0..32 {
        // No encoding of a point at all, or of another.
        let mut changed = good;
        changed[at] ^= 0x10;
        assert_all(&jwk, Algorithm::Ed25519, &changed, REJECTED, "another R");
    }
}

#[test]
fn rfc_8032_section_5_1_7_s_is_below_the_order_whatever_is_added() {
    // The order, little-endian, and how often it fits into 256 bits above an S.
    let order = {
        let mut order = (-Scalar::ONE).to_bytes();
        order[0] += 1;
        order
    };
    let (secret, nonce) = (secret(1), secret(2));
    let key = (ED25519_BASEPOINT_POINT * secret).compress().0;
    let jwk = ed25519(key).unwrap();
    let mut signed = signature(
        (ED25519_BASEPOINT_POINT * nonce).compress().0,
        nonce,
        secret,
        &key,
    );
    assert_all(&jwk, Algorithm::Ed25519, &signed, ACCEPTED, "S");
    for times in 1..=14 {
        let mut carry = 0;
        for (byte, order) in signed[32..].iter_mut().zip(order) {
            let sum = u16::from(*byte) + u16::from(order) + carry;
            *byte = sum.to_le_bytes()[0];
            carry = sum >> 8;
        }
        assert_eq!(carry, 0);
        let what = format!("S and {times} times the order");
        assert_all(&jwk, Algorithm::Ed25519, &signed, REJECTED, &what);
    }
}

/// Neither backend decodes the point before it verifies, so the key can be prepared.
#[test]
fn an_ed25519_key_that_is_no_point_verifies_nothing() {
    let mut tried = 0;
    for number in 2..100 {
        let mut x = [0; 32];
        x[0] = number;
        if CompressedEdwardsY(x).decompress().is_some() {
            continue;
        }
        tried += 1;
        let key = ed25519(x).unwrap();
        let nonce = secret(u64::from(number));
        let r = (ED25519_BASEPOINT_POINT * nonce).compress().0;
        for (what, signed) in [
            ("S = r", signature(r, nonce, Scalar::ZERO, &x)),
            ("zero", [0; 64]),
            (
                "R is the identity",
                signature(
                    EdwardsPoint::identity().compress().0,
                    Scalar::ZERO,
                    Scalar::ZERO,
                    &x,
                ),
            ),
        ] {
            assert_all(&key, Algorithm::Ed25519, &signed, REJECTED, what);
        }
    }
    assert!(tried > 30, "{tried}");
}

// ECDSA.

const CURVES: [(Algorithm, &str, Nid); 3] = [
    (Algorithm::Es256, "P-256", Nid::X9_62_PRIME256V1),
    (Algorithm::Es384, "P-384", Nid::SECP384R1),
    (Algorithm::Es512, "P-521", Nid::SECP521R1),
];

/// A valid signature with small numbers in it, so that multiples of the order and the prime can be
/// added: one is chosen first, and the key that it is valid for is computed from it.
struct Small {
    curve: &'static str,
    algorithm: Algorithm,
    len: i32,
    prime: BigNum,
    order: BigNum,
    key: [BigNum; 2],
    r: BigNum,
    s: BigNum,
    /// A point with a small first coordinate.
    point: [BigNum; 2],
}

impl Small {
    fn new((algorithm, curve, nid): (Algorithm, &'static str, Nid)) -> Self {
        let mut context = BigNumContext::new().unwrap();
        let group = EcGroup::from_curve_name(nid).unwrap();
        let [mut prime, mut order, mut a, mut b] = [(); 4].map(|()| BigNum::new().unwrap());
        group
            .components_gfp(&mut prime, &mut a, &mut b, &mut context)
            .unwrap();
        group.order(&mut order, &mut context).unwrap();
        let len = prime.num_bytes();

        let (x, point) = (1..)
            .find_map(|x| {
                let x = BigNum::from_u32(x).unwrap();
                let compressed = [&[2], &x.to_vec_padded(len).unwrap()[..]].concat();
                let point = EcPoint::from_bytes(&group, &compressed, &mut context).ok()?;
                Some((x, point))
            })
            .unwrap();

        // SEC 1 section 4.1.6: Q = (sR - eG) / r.
        let digest = match algorithm {
            Algorithm::Es256 => MessageDigest::sha256(),
            Algorithm::Es384 => MessageDigest::sha384(),
            _ => MessageDigest::sha512(),
        };
        let e = BigNum::from_slice(&hash(digest, MESSAGE).unwrap()).unwrap();
        let s = BigNum::from_u32(2).unwrap();
        let [mut inverse, mut of_g, mut of_r] = [(); 3].map(|()| BigNum::new().unwrap());
        inverse.mod_inverse(&x, &order, &mut context).unwrap();
        of_r.mod_mul(&s, &inverse, &order, &mut context).unwrap();
        let mut minus_e = BigNum::new().unwrap();
        minus_e.mod_sub(&order, &e, &order, &mut context).unwrap();
        of_g.mod_mul(&minus_e, &inverse, &order, &mut context)
            .unwrap();
        let mut key = EcPoint::new(&group).unwrap();
        key.mul_full(&group, &of_g, &point, &of_r, &mut context)
            .unwrap();

        let mut affine = |point: &EcPoint| {
            let form = PointConversionForm::UNCOMPRESSED;
            let bytes = point.to_bytes(&group, form, &mut context).unwrap();
            let (x, y) = bytes[1..].split_at(bytes.len() / 2);
            [x, y].map(|bytes| BigNum::from_slice(bytes).unwrap())
        };
        Self {
            key: affine(&key),
            point: affine(&point),
            curve,
            algorithm,
            len,
            prime,
            order,
            r: x,
            s,
        }
    }

    fn jwk(&self, [x, y]: [&BigNum; 2]) -> PublicJwk {
        let text = |number: &BigNum| base64url(number.to_vec_padded(self.len).unwrap());
        let jwk = json!({"kty": "EC", "crv": self.curve, "x": text(x), "y": text(y)});
        parse(jwk.as_object().unwrap())
    }

    fn assert(&self, r: &BigNum, s: &BigNum, expected: Verdict, what: &str) {
        let signature = [r, s].map(|number| number.to_vec_padded(self.len).unwrap());
        let key = self.jwk([&self.key[0], &self.key[1]]);
        assert_all(&key, self.algorithm, &signature.concat(), expected, what);
    }
}

#[test]
fn r_and_s_are_below_the_order_whatever_is_added() {
    for curve in CURVES {
        let case = Small::new(curve);
        let (order, r, s) = (&case.order, &case.r, &case.s);
        let zero = BigNum::new().unwrap();
        case.assert(r, s, ACCEPTED, "as they are");
        case.assert(&(r + order), s, REJECTED, "r and the order");
        case.assert(r, &(s + order), REJECTED, "s and the order");
        case.assert(&(r + order), &(s + order), REJECTED, "both and the order");
        case.assert(&zero, s, REJECTED, "r is zero");
        case.assert(r, &zero, REJECTED, "s is zero");
        case.assert(order, s, REJECTED, "r is the order");
        case.assert(r, order, REJECTED, "s is the order");
        case.assert(&(order - r), s, REJECTED, "r is negated");
    }
}

/// JOSE asks for no particular one of the two. A proof is single-use by its `jti`, not its signature.
#[test]
fn a_negated_s_is_as_good() {
    for curve in CURVES {
        let case = Small::new(curve);
        case.assert(&case.r, &(&case.order - &case.s), ACCEPTED, "s is negated");
    }
}

#[test]
fn coordinates_are_below_the_prime_whatever_is_added() {
    for curve in CURVES {
        let case = Small::new(curve);
        let [x, y] = &case.point;
        let signature = vec![1; usize::try_from(2 * case.len).unwrap()];
        let assert = |x: &BigNum, y: &BigNum, expected, what| {
            assert_all(
                &case.jwk([x, y]),
                case.algorithm,
                &signature,
                expected,
                what,
            );
        };
        assert(x, y, REJECTED, "a point, but no signature");
        assert(
            x,
            &(&case.prime - y),
            REJECTED,
            "its negative, but no signature",
        );
        assert(&(x + &case.prime), y, KEY_REJECTED, "x and the prime");
        assert(&case.prime, y, KEY_REJECTED, "x is the prime");
        assert(x, &case.prime, KEY_REJECTED, "y is the prime");
        if (y + &case.prime).num_bytes() <= case.len {
            assert(x, &(y + &case.prime), KEY_REJECTED, "y and the prime");
        } else {
            assert_ne!(case.curve, "P-521");
        }
    }
}

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

/// With one bit more than whole bytes, the first byte of what PSS encodes is left out (RFC 8017
/// section 8.1.2 step 2c).
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
        // A modulus of 2048 bits is at least half of what fits into 256 bytes. PSS has a salt, so
        // one of these signatures is small enough; PKCS #1 needs other messages.
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

// TLS.

/// The types of the extensions of a `ClientHello` (RFC 8446 section 4.1.2), from its record's body.
fn extensions(handshake: &[u8]) -> Vec<u16> {
    fn split<'a>(bytes: &mut &'a [u8], len: usize) -> &'a [u8] {
        let (first, rest) = bytes.split_at(len);
        *bytes = rest;
        first
    }
    fn number(bytes: &[u8]) -> usize {
        bytes
            .iter()
            .fold(0, |number, byte| number << 8 | usize::from(*byte))
    }
    let mut rest = handshake;
    assert_eq!(split(&mut rest, 4)[0], 1, "a ClientHello");
    split(&mut rest, 2 + 32);
    for len_of_len in [1, 2, 1] {
        let len = number(split(&mut rest, len_of_len));
        split(&mut rest, len);
    }
    split(&mut rest, 2);
    let mut types = Vec::new();
    while !rest.is_empty() {
        types.push(u16::try_from(number(split(&mut rest, 2))).unwrap());
        let len = number(split(&mut rest, 2));
        split(&mut rest, len);
    }
    types
}

/// reqwest has both TLS libraries here. OpenSSL offers `encrypt_then_mac` (RFC 7366), rustls never
/// does.
#[tokio::test]
async fn with_both_backends_keys_are_fetched_with_openssl() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let issuer = TestIssuer::new().issuer(&url);
    let client = TestClient::new();
    let token = issuer.token().bound_to(&client).mint();

    let hello = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut header = [0; 5];
        connection.read_exact(&mut header).await.unwrap();
        let [22, 3, _, high, low] = header else {
            panic!("no handshake: {header:?}");
        };
        let mut handshake = vec![0; usize::from(u16::from_be_bytes([high, low]))];
        connection.read_exact(&mut handshake).await.unwrap();
        handshake
    });
    let origin = PublicOrigin::new(ORIGIN).unwrap();
    let tokens = Issuer::discover(&url).audience(ORIGIN);
    let config = DpopConfig::builder(origin, tokens).crypto(AwsLcRs);
    let response = send(router(config.build().unwrap()), client.get(URL, &token)).await;
    assert_eq!(
        support::Verdict::of(response),
        unavailable("keys_unavailable")
    );
    assert!(extensions(&hello.await.unwrap()).contains(&22));
}

// Anything else.

#[derive(Clone, Debug)]
enum Edit {
    Flip(Index, u8),
    Set(Index, u8),
    Fill(Index, Index, u8),
    Add(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    SwapHalves,
    Reverse,
}

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let len = bytes.len();
        match self {
            Self::Flip(at, bit) => bytes[at.index(len)] ^= 1 << bit,
            Self::Set(at, value) => bytes[at.index(len)] = *value,
            Self::Fill(from, to, value) => {
                let (from, to) = (from.index(len), to.index(len));
                bytes[from.min(to)..=from.max(to)].fill(*value);
            }
            Self::Add(at, value) => {
                let at = at.index(len);
                bytes[at] = bytes[at].wrapping_add(*value);
            }
            Self::Insert(at, value) => bytes.insert(at.index(len), *value),
            Self::Remove(at) => drop(bytes.remove(at.index(len))),
            Self::SwapHalves => bytes.rotate_left(len / 2),
            Self::Reverse => bytes.reverse(),
        }
    }
}

fn edit() -> impl Strategy<Value = Edit> {
    let index = any::<Index>;
    let edge = prop_oneof![
        prop::sample::select(vec![0, 1, 0x7f, 0x80, 0xff]),
        any::<u8>()
    ];
    prop_oneof![
        4 => (index(), 0..8_u8).prop_map(|(at, bit)| Edit::Flip(at, bit)),
        2 => (index(), edge.clone()).prop_map(|(at, value)| Edit::Set(at, value)),
        2 => (index(), index(), edge.clone()).prop_map(|(from, to, value)| Edit::Fill(from, to, value)),
        1 => (index(), any::<u8>()).prop_map(|(at, value)| Edit::Add(at, value)),
        1 => (index(), edge).prop_map(|(at, value)| Edit::Insert(at, value)),
        1 => index().prop_map(Edit::Remove),
        1 => prop::strategy::Just(Edit::SwapHalves),
        1 => prop::strategy::Just(Edit::Reverse),
    ]
}

/// What an edit is made to. A key has two parts at most.
#[derive(Clone, Copy, Debug)]
enum Part {
    Message,
    Signature,
    Key(usize),
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        1 => prop::strategy::Just(Part::Message),
        6 => prop::strategy::Just(Part::Signature),
        6 => (0..2_usize).prop_map(Part::Key),
    ]
}

/// A signature over [`MESSAGE`] of every algorithm.
static SIGNED: LazyLock<[Signed; 11]> = LazyLock::new(|| {
    Algorithm::ALL.map(|algorithm| {
        let key = JoseKey::new(algorithm);
        Signed {
            algorithm,
            public: key.public(),
            signature: key.sign(MESSAGE),
        }
    })
});

struct Signed {
    algorithm: Algorithm,
    public: Map<String, Value>,
    signature: Vec<u8>,
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig {
        cases: 4_000,
        // Beside the sources is no place for files that a run leaves.
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn backends_agree_on_whatever_is_edited(
        which in any::<Index>(),
        edits in prop::collection::vec((part(), edit()), 0..4),
    ) {
        let Signed { algorithm, public, signature } = which.get(&*SIGNED);
        let (mut message, mut signed) = (MESSAGE.to_vec(), signature.clone());
        let mut jwk = public.clone();
        for (part, edit) in &edits {
            match part {
                Part::Message => edit.apply(&mut message),
                Part::Signature => edit.apply(&mut signed),
                Part::Key(number) => {
                    let names: Vec<_> = ["x", "y", "n", "e"]
                        .into_iter()
                        .filter(|name| jwk.contains_key(*name))
                        .collect();
                    let name = names[number % names.len()];
                    let mut bytes = from_base64url(jwk[name].as_str().unwrap());
                    edit.apply(&mut bytes);
                    jwk.insert(name.to_owned(), base64url(bytes).into());
                }
            }
        }
        let unchanged = message == MESSAGE && &signed == signature && &jwk == public;
        if let Ok(key) = PublicJwk::from_json(&Value::Object(jwk).to_string()) {
            let [(_, first), (_, second)] = verdicts(&key, *algorithm, &message, &signed);
            prop_assert_eq!(first, second, "{}", algorithm);
            prop_assert_eq!(first == ACCEPTED, unchanged, "{}", algorithm);
        } else {
            prop_assert!(!unchanged);
        }
    }

    #[test]
    fn backends_agree_on_any_bytes_as_an_ed25519_key(
        x in any::<[u8; 32]>(),
        signature in any::<[[u8; 32]; 2]>(),
    ) {
        if let Ok(key) = ed25519(x) {
            let signature = signature.concat();
            for (name, verdict) in verdicts(&key, Algorithm::EdDsa, MESSAGE, &signature) {
                prop_assert_eq!(verdict, REJECTED, "{}", name);
            }
        }
    }
}
