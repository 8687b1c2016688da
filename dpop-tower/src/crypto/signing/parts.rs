//! Private keys as text.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::{Algorithm, SigningKeyError, is_supported};
use crate::{
    jose::{
        base64url,
        json::{Object, Value},
    },
    jwk::{EcCurve, JwkError, KeyParameters, PublicJwk},
};

const MAX_LEN: usize = 16 * 1024;

/// The private members of the supported keys (RFC 7518 section 6, RFC 8037 section 2).
const PRIVATE_MEMBERS: [&str; 6] = ["d", "p", "q", "dp", "dq", "qi"];

/// The parts of a private key. `d` is the seed of an Ed25519 key.
pub(super) struct Parts {
    pub(super) public: PublicJwk,
    pub(super) d: Secret,
    pub(super) rsa: Option<RsaParts>,
}

/// The members of an RSA key that speed up signing.
pub(super) struct RsaParts {
    pub(super) p: Secret,
    pub(super) q: Secret,
    pub(super) dp: Secret,
    pub(super) dq: Secret,
    pub(super) qi: Secret,
}

type Secret = Zeroizing<Vec<u8>>;

/// Reads a private JWK, its `kid` and its `alg`.
pub(super) fn of_jwk(
    text: &str,
) -> Result<(Parts, Option<String>, Option<Algorithm>), SigningKeyError> {
    if text.len() > MAX_LEN {
        return Err(SigningKeyError::Jwk(JwkError::TooLong));
    }
    let jwk = Object::parse(text.as_bytes()).ok_or(SigningKeyError::Jwk(JwkError::Malformed))?;
    let public = jwk.map(|name, value| (!PRIVATE_MEMBERS.contains(&name)).then(|| value.clone()));
    let public = PublicJwk::from_object(&public).map_err(SigningKeyError::Jwk)?;
    let text = |name| jwk.get(name).and_then(Value::as_str);
    let secret = |name| {
        let bytes = text(name).and_then(base64url::decode).map(Secret::new);
        bytes
            .filter(|bytes| !bytes.is_empty())
            .ok_or(SigningKeyError::NoPrivateHalf)
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
        KeyParameters::Ec {
            curve: EcCurve::P256,
            ..
        }
        | KeyParameters::Ed25519 { .. }
            if d.len() == 32 =>
        {
            None
        }
        KeyParameters::Ec {
            curve: EcCurve::P256,
            ..
        }
        | KeyParameters::Ed25519 { .. } => return Err(SigningKeyError::NoPrivateHalf),
        KeyParameters::Ec { .. } => return Err(SigningKeyError::Unsupported),
    };
    if text("use").is_some_and(|use_| use_ != "sig") {
        return Err(SigningKeyError::NotForSignatures);
    }
    let algorithm = match jwk.get("alg") {
        None => None,
        Some(name) => Some(
            name.as_str()
                .and_then(Algorithm::from_name)
                .filter(|algorithm| is_supported(&public, *algorithm))
                .ok_or(SigningKeyError::Algorithm)?,
        ),
    };
    let kid = text("kid").map(str::to_owned);
    Ok((Parts { public, d, rsa }, kid, algorithm))
}

/// Returns the content of the first PEM block that has the label of a PKCS#8 key.
pub(super) fn pem_to_der(pem: &str) -> Result<Secret, SigningKeyError> {
    const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
    const END: &str = "-----END PRIVATE KEY-----";
    if pem.len() > MAX_LEN {
        return Err(SigningKeyError::NotPem);
    }
    if pem.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
        return Err(SigningKeyError::Encrypted);
    }
    let base64 = pem
        .split_once(BEGIN)
        .and_then(|(_, rest)| rest.split_once(END))
        .map(|(base64, _)| base64.split_ascii_whitespace());
    let base64: Zeroizing<String> = base64
        .ok_or(SigningKeyError::NotPem)?
        .collect::<String>()
        .into();
    let der = STANDARD.decode(base64.as_bytes());
    der.map(Secret::new).map_err(|_| SigningKeyError::NotPem)
}
