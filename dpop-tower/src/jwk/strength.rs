//! The checks that keep weak keys out.

use super::JwkError;

const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

pub(super) fn bits(n: &[u8]) -> usize {
    n.first().map_or(0, |first| {
        n.len() * 8 - usize::try_from(first.leading_zeros()).unwrap_or(0)
    })
}

/// Checks the size of an RSA key. RFC 7518 sections 3.3 and 3.5 require 2048 bits or more. There is an upper
/// bound because anyone can make the server verify with a large key. Exponents below 65537 (FIPS 186-5,
/// A.1.1) and even exponents are rejected.
pub(super) fn check_rsa(n: &[u8], e: &[u8]) -> Result<(), JwkError> {
    let odd = |bytes: &[u8]| bytes.last().is_some_and(|last| last & 1 == 1);
    // 65537 is the least odd number of three bytes, since there are no leading zeros.
    let sound = RSA_BITS.contains(&bits(n)) && odd(n) && (3..=4).contains(&e.len()) && odd(e);
    if sound {
        Ok(())
    } else {
        Err(JwkError::WeakKey)
    }
}

/// Returns whether the coordinate y is below the prime, 2^255 - 19 (RFC 8032 section 5.1.3 step 1). OpenSSL
/// reduces a larger one, and would then read keys with different thumbprints as the same key.
pub(super) fn is_below_the_prime(x: &[u8; 32]) -> bool {
    let [low, middle @ .., high] = x;
    *low < 0xed || *high & 0x7f != 0x7f || middle.iter().any(|byte| *byte != 0xff)
}

/// Returns whether `x` encodes one of the eight points of small order. Anyone can make a signature for such
/// a key that is valid for many messages. RFC 8032 leaves open whether verifiers accept them and libraries
/// differ, so they are rejected before a backend sees them.
pub(super) fn has_small_order(mut x: [u8; 32]) -> bool {
    // The y coordinates of these points. -1, 0 and 1 have a second encoding above the prime.
    const ORDER_8: [[u8; 32]; 2] = [
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef,
            0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88,
            0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10,
            0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77,
            0x92, 0xac, 0x03, 0x7a,
        ],
    ];
    let [low, middle @ .., high] = &mut x;
    // The top bit is the sign of the other coordinate.
    *high &= 0x7f;
    let around_zero = *low <= 1 && *high == 0 && middle.iter().all(|byte| *byte == 0);
    let around_prime =
        (0xec..=0xee).contains(low) && *high == 0x7f && middle.iter().all(|byte| *byte == 0xff);
    around_zero || around_prime || ORDER_8.contains(&x)
}
