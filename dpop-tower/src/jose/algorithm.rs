//! The signature algorithms of proofs and access tokens.

use std::fmt;

/// An asymmetric JWS algorithm (RFC 7518 section 3.1, RFC 8037, RFC 9864).
///
/// There is no variant for `none` or for an HMAC, because RFC 9449 section 4.2 forbids both in a proof. A
/// configuration therefore cannot allow them by mistake.
///
/// ```
/// use dpop_tower::crypto::Algorithm;
///
/// assert_eq!(Algorithm::from_name("ES256"), Some(Algorithm::Es256));
/// assert_eq!(Algorithm::EdDsa.to_string(), "EdDSA");
/// assert_eq!(Algorithm::from_name("none"), None);
/// assert_eq!(Algorithm::from_name("HS256"), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// Ed25519 under its fully specified name, `Ed25519` (RFC 9864).
    Ed25519,
    /// Ed25519 under its older, polymorphic name, `EdDSA` (RFC 8037). Ed448 is not accepted.
    EdDsa,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// ECDSA on P-521 with SHA-512.
    Es512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
}

impl Algorithm {
    /// All supported algorithms, in no order of preference.
    pub const ALL: [Self; 11] = [
        Self::Ed25519,
        Self::EdDsa,
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
    ];

    /// The algorithms that are allowed by default, in order of preference: `ES256`, `Ed25519`, `EdDSA`,
    /// `PS256`, `RS256`.
    ///
    /// `ES384` and `ES512` are not among them. Their signatures cost several times as much to verify, and
    /// anyone can send proofs that use them.
    pub const DEFAULT: [Self; 5] = [
        Self::Es256,
        Self::Ed25519,
        Self::EdDsa,
        Self::Ps256,
        Self::Rs256,
    ];

    /// Returns the name in the `alg` header parameter.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ed25519 => "Ed25519",
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
        }
    }

    /// Returns the algorithm with this `alg` value, or `None` if it is not supported.
    ///
    /// Names are case-sensitive (RFC 7515 section 4.1.1).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|alg| alg.as_str() == name)
    }

    /// Returns whether a key with this `alg` may be used. Ed25519 has two names since RFC 9864.
    pub(crate) fn is_named(self, name: &str) -> bool {
        match self {
            Self::Ed25519 | Self::EdDsa => name == "Ed25519" || name == "EdDSA",
            _ => self.as_str() == name,
        }
    }

    pub(crate) const fn is_rsa(self) -> bool {
        matches!(
            self,
            Self::Ps256 | Self::Ps384 | Self::Ps512 | Self::Rs256 | Self::Rs384 | Self::Rs512
        )
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_algorithm_in_their_case_only() {
        for alg in Algorithm::ALL {
            assert_eq!(Algorithm::from_name(alg.as_str()), Some(alg));
            assert_eq!(Algorithm::from_name(&alg.as_str().to_lowercase()), None);
        }
        for wrong in [
            "", "none", "HS256", "HS384", "HS512", "Ed448", "ES256K", " ES256",
        ] {
            assert_eq!(Algorithm::from_name(wrong), None, "{wrong:?}");
        }
    }
}
