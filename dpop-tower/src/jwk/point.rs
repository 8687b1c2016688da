use std::fmt;

use super::EcCurve;
use crate::jose::base64url;

/// The first byte of an uncompressed point (SEC 1 section 2.3.3).
const UNCOMPRESSED: u8 = 4;

/// The two coordinates of an elliptic-curve key.
///
/// Parsing checks their length. A [`CryptoProvider`](crate::crypto::CryptoProvider) checks that the point
/// lies on the curve when it prepares the key.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EcPoint(Vec<u8>);

impl EcPoint {
    pub(super) fn parse(curve: EcCurve, x: &str, y: &str) -> Option<Self> {
        let len = curve.field_len();
        // The decoder needs room for up to two additional bytes.
        let mut bytes = Vec::with_capacity(2 * len + 3);
        bytes.push(UNCOMPRESSED);
        base64url::decode_onto(x, &mut bytes).filter(|()| bytes.len() == 1 + len)?;
        base64url::decode_onto(y, &mut bytes).filter(|()| bytes.len() == 1 + 2 * len)?;
        Some(Self(bytes))
    }

    /// Returns the uncompressed point (SEC 1 section 2.3.3), which is a byte of value 4, then x, then y.
    pub const fn as_uncompressed(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// Returns the x coordinate, big-endian, with the length of [`EcCurve::field_len`].
    pub fn x(&self) -> &[u8] {
        self.coordinates().0
    }

    /// Returns the y coordinate, big-endian, with the length of [`EcCurve::field_len`].
    pub fn y(&self) -> &[u8] {
        self.coordinates().1
    }

    fn coordinates(&self) -> (&[u8], &[u8]) {
        let both = self.0.get(1..).unwrap_or_default();
        both.split_at_checked(both.len() / 2).unwrap_or_default()
    }
}

/// Hides the coordinates, so that no key gets into a log.
impl fmt::Debug for EcPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EcPoint(..)")
    }
}
