use std::{fmt, str::FromStr};

use crate::jose::base64url;

/// The SHA-256 thumbprint of a public key (RFC 7638), to which `cnf.jkt` binds a token.
///
/// It identifies a key and does not reveal it, so you can log it. Its text form is 43 characters of
/// base64url. [`Thumbprint::of`] computes it from a [`PublicJwk`](super::PublicJwk).
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
    /// Makes a thumbprint from the bytes of a SHA-256 hash, such as those in a database.
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

/// The error of parsing a [`Thumbprint`].
///
/// The text is not 43 characters of canonical, unpadded base64url, which has one text for each hash:
///
/// ```
/// use dpop_tower::jwk::Thumbprint;
///
/// let text = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
/// assert!(text.parse::<Thumbprint>().is_ok());
/// assert!(format!("{text}=").parse::<Thumbprint>().is_err());
/// assert!(text.replace('I', "J").parse::<Thumbprint>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidThumbprint(());

impl fmt::Display for InvalidThumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the base64url of a SHA-256 thumbprint")
    }
}

impl std::error::Error for InvalidThumbprint {}
