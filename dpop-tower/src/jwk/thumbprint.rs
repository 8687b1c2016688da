use std::{fmt, str::FromStr};

use crate::jose::base64url;

/// The SHA-256 thumbprint of a public key (RFC 7638), to which `cnf.jkt` binds a token.
///
/// It identifies a key and reveals nothing about it, so it may be logged. Its text form is 43 characters
/// of base64url.
///
/// ```
/// use dpop_tower::jwk::Thumbprint;
///
/// let text = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
/// let thumbprint: Thumbprint = text.parse()?;
/// assert_eq!(thumbprint.to_string(), text);
/// # Ok::<(), dpop_tower::jwk::InvalidThumbprint>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Thumbprint([u8; 32]);

impl Thumbprint {
    /// Returns the thumbprint with these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes of the SHA-256 hash.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&base64url::encode(&self.0))
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Thumbprint({self})")
    }
}

impl FromStr for Thumbprint {
    type Err = InvalidThumbprint;

    fn from_str(text: &str) -> Result<Self, InvalidThumbprint> {
        base64url::decode_array(text)
            .map(Self)
            .ok_or(InvalidThumbprint(()))
    }
}

/// A text that is not the canonical base64url of a SHA-256 hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidThumbprint(());

impl fmt::Display for InvalidThumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the base64url of a SHA-256 thumbprint")
    }
}

impl std::error::Error for InvalidThumbprint {}
