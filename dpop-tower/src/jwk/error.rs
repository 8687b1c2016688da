use crate::error::errors;

errors! {
    /// The reason why a JWK was rejected.
    ///
    /// It contains nothing of the key, so you can log it.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub enum JwkError {
        /// A parameter is missing, has another JSON type or a wrong length, or is not canonical base64url.
        InvalidMember = "a parameter of the key is missing or invalid",
        /// The text is not a JSON object with a `kty`, or has duplicate members.
        Malformed = "not a JSON Web Key",
        /// The key has a private member (RFC 9449 section 4.3 item 7).
        Private = "the key has a private member",
        /// The key is symmetric (`oct`).
        Symmetric = "the key is symmetric",
        /// The text is longer than 16 KiB.
        TooLong = "the key is too long",
        /// The curve is not supported.
        UnsupportedCurve = "the key's curve is not supported",
        /// The `kty` is not supported.
        UnsupportedKeyType = "the key's type is not supported",
        /// An RSA key has fewer than 2048 or more than 4096 bits or a bad exponent, or an Ed25519 key is of
        /// small order.
        WeakKey = "the key is too weak or too large",
    }
}
