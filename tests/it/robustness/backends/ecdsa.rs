//! ECDSA: numbers beyond the order and the prime.

use dpop_tower::{crypto::Algorithm, jwk::PublicJwk};
use openssl::{
    bn::{BigNum, BigNumContext},
    ec::{EcGroup, EcPoint, PointConversionForm},
    hash::{MessageDigest, hash},
    nid::Nid,
};
use serde_json::json;

use super::{ACCEPTED, KEY_REJECTED, MESSAGE, REJECTED, assert_all};
use crate::robustness::crypto::{Verdict, base64url, parse};

// ECDSA.

const CURVES: [(Algorithm, &str, Nid); 3] = [
    (Algorithm::Es256, "P-256", Nid::X9_62_PRIME256V1),
    (Algorithm::Es384, "P-384", Nid::SECP384R1),
    (Algorithm::Es512, "P-521", Nid::SECP521R1),
];

/// A valid signature with small numbers, so that multiples of the order and the prime can be added. A
/// signature is chosen first, and the key for which it is valid is computed from it.
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

/// JOSE does not require either of the two. A proof is single-use by its `jti`, not by its signature.
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
