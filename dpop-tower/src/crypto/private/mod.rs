//! Private keys as text, for signatures and for decryption. No error contains a part of a key.

#[cfg(feature = "josekit")]
pub(super) mod openssl;

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use crate::{
    jose::{
        base64url,
        json::{Object, Value},
    },
    jwk::{JwkError, KeyParameters, PublicJwk},
};

/// The maximum length of the text of one key.
pub(super) const MAX_LEN: usize = 16 * 1024;

/// The private members of the supported keys (RFC 7518 section 6, RFC 8037 section 2).
const PRIVATE_MEMBERS: [&str; 6] = ["d", "p", "q", "dp", "dq", "qi"];

/// The parts of a private key. `d` is the seed of an Ed25519 key.
pub(super) struct Parts {
    pub(super) public: PublicJwk,
    pub(super) d: Secret,
    pub(super) rsa: Option<RsaParts>,
}

/// The members of an RSA key that speed up its private operation.
pub(super) struct RsaParts {
    pub(super) p: Secret,
    pub(super) q: Secret,
    pub(super) dp: Secret,
    pub(super) dq: Secret,
    pub(super) qi: Secret,
}

pub(super) type Secret = Zeroizing<Vec<u8>>;

/// The reason why the text of a private key cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PrivateKeyError {
    /// The PEM is of an encrypted key.
    Encrypted,
    Jwk(JwkError),
    /// A private member is missing, or is not base64url.
    NoPrivateHalf,
    NotPem,
}

impl fmt::Display for PrivateKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Encrypted => "it is encrypted: give it in plain PKCS#8, and protect the file",
            Self::Jwk(error) => return error.fmt(f),
            Self::NoPrivateHalf => {
                "a private member is missing or invalid; of an RSA key, all of d, p, q, dp, dq and qi are needed"
            }
            Self::NotPem => {
                "it is not a PEM block with the label PRIVATE KEY: `openssl pkcs8 -topk8 -nocrypt` makes one"
            }
        })
    }
}

impl Parts {
    /// Reads the parts of a private JWK (RFC 7517).
    pub(super) fn of_jwk(jwk: &Object<'_>) -> Result<Self, PrivateKeyError> {
        let public =
            jwk.map(|name, value| (!PRIVATE_MEMBERS.contains(&name)).then(|| value.clone()));
        let public = PublicJwk::from_object(&public).map_err(PrivateKeyError::Jwk)?;
        let secret = |name| {
            let text = jwk.get(name).and_then(Value::as_str);
            let bytes = text.and_then(base64url::decode).map(Secret::new);
            bytes
                .filter(|bytes| !bytes.is_empty())
                .ok_or(PrivateKeyError::NoPrivateHalf)
        };
        let d = secret("d")?;
        let rsa = match public.parameters() {
            KeyParameters::Rsa { .. } => Some(RsaParts {
                p: secret("p")?,
                q: secret("q")?,
                dp: secret("dp")?,
                dq: secret("dq")?,
                qi: secret("qi")?,
            }),
            KeyParameters::Ec { curve, .. } if d.len() == curve.field_len() => None,
            KeyParameters::Ed25519 { .. } if d.len() == 32 => None,
            KeyParameters::Ec { .. } | KeyParameters::Ed25519 { .. } => {
                return Err(PrivateKeyError::NoPrivateHalf);
            }
        };
        Ok(Self { public, d, rsa })
    }
}

#[cfg(feature = "client")]
impl Parts {
    /// Writes the private JWK, with these further members.
    pub(super) fn to_jwk(&self, further: &[(&str, &str)]) -> Zeroizing<String> {
        let public = self.public.required_members();
        // Enough for the private half, so that the text does not move while it grows.
        let mut jwk = Zeroizing::new(String::with_capacity(MAX_LEN));
        jwk.push_str(public.trim_end_matches('}'));
        let mut member = |name: &str, value: &[u8]| {
            jwk.push_str(",\"");
            jwk.push_str(name);
            jwk.push_str("\":\"");
            base64url::encode_onto(value, &mut jwk);
            jwk.push('"');
        };
        member("d", &self.d);
        if let Some(rsa) = &self.rsa {
            member("p", &rsa.p);
            member("q", &rsa.q);
            member("dp", &rsa.dp);
            member("dq", &rsa.dq);
            member("qi", &rsa.qi);
        }
        for (name, value) in further {
            // Text that comes from a file may need escaping.
            let (name, value) = (
                serde_json::Value::from(*name),
                serde_json::Value::from(*value),
            );
            jwk.push_str(&format!(",{name}:{value}"));
        }
        jwk.push('}');
        jwk
    }
}

/// Writes a private key as PEM with the label of PKCS#8 (RFC 7468 section 10).
#[cfg(feature = "client")]
pub(super) fn der_to_pem(der: &[u8]) -> Zeroizing<String> {
    const LINE: usize = 64;
    let base64 = Zeroizing::new(STANDARD.encode(der));
    let mut pem = Zeroizing::new(String::with_capacity(MAX_LEN));
    pem.push_str("-----BEGIN PRIVATE KEY-----\n");
    let mut rest = base64.as_str();
    while let Some((line, after)) = rest.split_at_checked(LINE) {
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    if !rest.is_empty() {
        pem.push_str(rest);
        pem.push('\n');
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    pem
}

/// Returns the content of the first PEM block that has the label of a PKCS#8 key.
pub(super) fn pem_to_der(pem: &str) -> Result<Secret, PrivateKeyError> {
    const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
    const END: &str = "-----END PRIVATE KEY-----";
    if pem.len() > MAX_LEN {
        return Err(PrivateKeyError::NotPem);
    }
    if pem.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
        return Err(PrivateKeyError::Encrypted);
    }
    let base64 = pem
        .split_once(BEGIN)
        .and_then(|(_, rest)| rest.split_once(END))
        .map(|(base64, _)| base64.split_ascii_whitespace());
    let base64: Zeroizing<String> = base64
        .ok_or(PrivateKeyError::NotPem)?
        .collect::<String>()
        .into();
    let der = STANDARD.decode(base64.as_bytes());
    der.map(Secret::new).map_err(|_| PrivateKeyError::NotPem)
}
