use std::fmt;

use super::EcCurve;
use crate::jose::base64url;

/// SEC 1 section 2.3.3: what an uncompressed point begins with.
const UNCOMPRESSED: u8 = 4;

/// Two coordinates of the length that their curve has. Whether the point lies on the curve is checked
/// when a [`CryptoProvider`](crate::crypto::CryptoProvider) prepares the key.
#[derive(Clone, PartialEq, Eq)]
pub struct EcPoint(Vec<u8>);

impl EcPoint {
    pub(super) fn parse(curve: EcCurve, x: &str, y: &str) -> Option<Self> {
        let len = curve.field_len();
        // The decoder wants room for up to two bytes more than there are.
        let mut bytes = Vec::with_capacity(2 * len + 3);
        bytes.push(UNCOMPRESSED);
        base64url::decode_onto(x, &mut bytes).filter(|()| bytes.len() == 1 + len)?;
        base64url::decode_onto(y, &mut bytes).filter(|()| bytes.len() == 1 + 2 * len)?;
        Some(Self(bytes))
    }

    /// The point, uncompressed (SEC 1 section 2.3.3): a byte of the value 4, then x, then y.
    pub const fn as_uncompressed(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// The x coordinate: big-endian, as long as the curve's field.
    pub fn x(&self) -> &[u8] {
        self.coordinates().0
    }

    /// The y coordinate: big-endian, as long as the curve's field.
    pub fn y(&self) -> &[u8] {
        self.coordinates().1
    }

    fn coordinates(&self) -> (&[u8], &[u8]) {
        let both = self.0.get(1..).unwrap_or_default();
        both.split_at_checked(both.len() / 2).unwrap_or_default()
    }
}

/// A key stays out of logs.
impl fmt::Debug for EcPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EcPoint(..)")
    }
}
