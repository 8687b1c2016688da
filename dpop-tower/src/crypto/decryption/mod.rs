//! Private keys with which this process decrypts access tokens (RFC 7516).
//!
//! josekit decrypts, which is OpenSSL, whatever backend the configuration has. It gets nothing of a token
//! that was not checked here.

mod header;
mod josekit;
mod ring;
#[cfg(test)]
mod tests;

pub(crate) use self::{
    header::Header,
    ring::{KeyId, KeyRing, KeyRingError},
};
use crate::jwk::{EcCurve, KeyParameters, PublicJwk};

/// How the content encryption key is found (RFC 7518 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeyManagement {
    RsaOaep256,
    EcdhEs,
    EcdhEsA128Kw,
    EcdhEsA256Kw,
}

impl KeyManagement {
    const ALL: [Self; 4] = [
        Self::RsaOaep256,
        Self::EcdhEs,
        Self::EcdhEsA128Kw,
        Self::EcdhEsA256Kw,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::RsaOaep256 => "RSA-OAEP-256",
            Self::EcdhEs => "ECDH-ES",
            Self::EcdhEsA128Kw => "ECDH-ES+A128KW",
            Self::EcdhEsA256Kw => "ECDH-ES+A256KW",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }

    /// Returns whether there is an ephemeral key.
    const fn is_agreement(self) -> bool {
        !matches!(self, Self::RsaOaep256)
    }

    const fn fits(self, key: &PublicJwk) -> bool {
        match key.parameters() {
            KeyParameters::Rsa { .. } => !self.is_agreement(),
            KeyParameters::Ec { .. } => self.is_agreement(),
            KeyParameters::Ed25519 { .. } => false,
        }
    }
}

/// How the content is encrypted (RFC 7518 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ContentEncryption {
    A128Gcm,
    A256Gcm,
}

impl ContentEncryption {
    const fn as_str(self) -> &'static str {
        match self {
            Self::A128Gcm => "A128GCM",
            Self::A256Gcm => "A256GCM",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        let all = [Self::A128Gcm, Self::A256Gcm];
        all.into_iter().find(|known| known.as_str() == name)
    }

    const fn key_len(self) -> usize {
        match self {
            Self::A128Gcm => 16,
            Self::A256Gcm => 32,
        }
    }
}

/// Returns the curve of a key, or `None` for an RSA key.
const fn curve_of(key: &PublicJwk) -> Option<EcCurve> {
    match key.parameters() {
        KeyParameters::Ec { curve, .. } => Some(*curve),
        KeyParameters::Rsa { .. } | KeyParameters::Ed25519 { .. } => None,
    }
}
