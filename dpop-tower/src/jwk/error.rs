use std::fmt;

/// The reason why a JWK was rejected.
///
/// It contains nothing of the key, so you can log it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JwkError {
    /// A parameter is missing, has another JSON type or a wrong length, or is not canonical base64url.
    InvalidMember,
    /// The text is not a JSON object with a `kty`, or has duplicate members.
    Malformed,
    /// The key has a private member (RFC 9449 section 4.3 item 7).
    Private,
    /// The key is symmetric (`oct`).
    Symmetric,
    /// The text is longer than 16 KiB.
    TooLong,
    /// The curve is not supported.
    UnsupportedCurve,
    /// The `kty` is not supported.
    UnsupportedKeyType,
    /// An RSA key has fewer than 2048 or more than 4096 bits or a bad exponent, or an Ed25519 key is of
    /// small order.
    WeakKey,
}

impl fmt::Display for JwkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidMember => "a parameter of the key is missing or invalid",
            Self::Malformed => "not a JSON Web Key",
            Self::Private => "the key has a private member",
            Self::Symmetric => "the key is symmetric",
            Self::TooLong => "the key is too long",
            Self::UnsupportedCurve => "the key's curve is not supported",
            Self::UnsupportedKeyType => "the key's type is not supported",
            Self::WeakKey => "the key is too weak or too large",
        })
    }
}

impl std::error::Error for JwkError {}
