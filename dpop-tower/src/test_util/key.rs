use std::fmt;

use ed25519_dalek::Signer as _;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::jws::object;
use crate::{
    crypto::Algorithm,
    jose::base64url,
    jwk::{PublicJwk, Thumbprint},
};

/// The kind of key of a [`TestClient`](super::TestClient) or a [`TestIssuer`](super::TestIssuer).
///
/// ```
/// use dpop_tower::test_util::{KeyKind, TestClient};
///
/// for kind in [KeyKind::P256, KeyKind::Ed25519] {
///     let proof = TestClient::with_key(kind).proof("GET", "https://api.example.com/orders");
///     println!("{}", proof.header_json());
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum KeyKind {
    /// P-256, for `ES256`.
    #[default]
    P256,
    /// Ed25519, for `Ed25519` and `EdDSA`.
    Ed25519,
}

/// A key pair that does not use a crypto backend of this crate, so that tests compare two
/// implementations.
#[derive(Clone)]
pub(super) enum SigningKey {
    P256(Box<p256::ecdsa::SigningKey>),
    Ed25519(Box<ed25519_dalek::SigningKey>),
}

impl SigningKey {
    #[expect(clippy::expect_used, reason = "a test without randomness cannot go on")]
    pub(super) fn generate(kind: KeyKind) -> Self {
        loop {
            let seed = random::<32>().expect("the operating system has randomness");
            match kind {
                KeyKind::Ed25519 => {
                    return Self::Ed25519(Box::new(ed25519_dalek::SigningKey::from_bytes(&seed)));
                }
                // A random number is too large for the curve's order once in 2^32.
                KeyKind::P256 => {
                    if let Ok(key) = p256::ecdsa::SigningKey::from_slice(&seed) {
                        return Self::P256(Box::new(key));
                    }
                }
            }
        }
    }

    pub(super) const fn algorithm(&self) -> Algorithm {
        match self {
            Self::P256(_) => Algorithm::Es256,
            Self::Ed25519(_) => Algorithm::Ed25519,
        }
    }

    pub(super) fn public_jwk(&self) -> Map<String, Value> {
        let jwk = match self {
            Self::P256(key) => {
                // An uncompressed point: 4, x, y.
                let point = key.verifying_key().to_sec1_point(false);
                let coordinate = |bytes: Option<_>| bytes.map(base64url::encode);
                json!({
                    "kty": "EC",
                    "crv": "P-256",
                    "x": coordinate(point.x().map(AsRef::<[u8]>::as_ref)),
                    "y": coordinate(point.y().map(AsRef::<[u8]>::as_ref)),
                })
            }
            Self::Ed25519(key) => json!({
                "kty": "OKP",
                "crv": "Ed25519",
                "x": base64url::encode(key.verifying_key().as_bytes()),
            }),
        };
        object(jwk)
    }

    #[expect(
        clippy::expect_used,
        reason = "a generated key is valid, or the test should end"
    )]
    pub(super) fn thumbprint(&self) -> Thumbprint {
        let jwk = Value::Object(self.public_jwk()).to_string();
        let jwk = PublicJwk::from_json(&jwk).expect("a generated key is valid");
        Thumbprint::from_bytes(Sha256::digest(jwk.required_members()).into())
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(message);
                signature.to_bytes().to_vec()
            }
            Self::Ed25519(key) => key.sign(message).to_bytes().to_vec(),
        }
    }
}

/// Omits the private key, also in the logs of tests.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.algorithm())
    }
}

pub(super) fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes)
}
