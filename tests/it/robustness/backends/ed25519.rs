//! Ed25519: the cofactor, the encoding of points, and the order of the group.

use curve25519_dalek::{
    EdwardsPoint, Scalar,
    constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION},
    edwards::CompressedEdwardsY,
    traits::Identity as _,
};
use dpop_tower::crypto::Algorithm;
use sha2::{Digest as _, Sha512};

use super::{ACCEPTED, MESSAGE, REJECTED, assert_all, ed25519};

/// RFC 8032 section 5.1.7 step 2.
fn challenge(r: &[u8; 32], key: &[u8; 32], message: &[u8]) -> Scalar {
    let hash = Sha512::new()
        .chain_update(r)
        .chain_update(key)
        .chain_update(message);
    Scalar::from_bytes_mod_order_wide(&hash.finalize().into())
}

/// Returns a secret that is not zero and not a multiple of the cofactor.
fn secret(number: u64) -> Scalar {
    Scalar::from(0x1234_5678_9abc_def1_u64) + Scalar::from(number)
}

/// Computes the S that anyone who knows `secret` can compute, for this encoding of R, which is `nonce`
/// times the base point, perhaps plus a point of small order.
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

            // R is off by a point of small order, which verification with the cofactor would not notice.
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

            // The key is off as well, which is noticed unless the challenge happens to cancel it.
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
    // Both outcomes occurred, for reasons other than the identity among the eight points.
    assert!(accepted > 16 && rejected > 16, "{accepted}, {rejected}");
}

#[test]
fn an_ed25519_signature_has_the_one_encoding_of_its_r() {
    let secret = secret(0);
    let key = (ED25519_BASEPOINT_POINT * secret).compress().0;
    let jwk = ed25519(key).unwrap();
    // Only the holder of the key can make these. The point itself is valid.
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
        // Not the encoding of a point at all, or that of another one.
        let mut changed = good;
        changed[at] ^= 0x10;
        assert_all(&jwk, Algorithm::Ed25519, &changed, REJECTED, "another R");
    }
}

#[test]
fn rfc_8032_section_5_1_7_s_is_below_the_order_whatever_is_added() {
    // The order, little-endian, and how often it fits into 256 bits in addition to S.
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

/// Neither backend decodes the point before verification, so the key can be prepared.
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
