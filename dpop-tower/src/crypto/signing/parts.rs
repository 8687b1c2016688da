//! Private keys for signatures as text.

use super::{Algorithm, SigningKeyError, is_supported};
use crate::{
    crypto::private::{MAX_LEN, Parts, PrivateKeyError},
    jose::json::{Object, Value},
    jwk::{EcCurve, JwkError, KeyParameters},
};

/// Reads a private JWK, its `kid` and its `alg`.
pub(super) fn of_jwk(
    text: &str,
) -> Result<(Parts, Option<String>, Option<Algorithm>), SigningKeyError> {
    if text.len() > MAX_LEN {
        return Err(PrivateKeyError::Jwk(JwkError::TooLong).into());
    }
    let jwk = Object::parse(text.as_bytes()).ok_or(PrivateKeyError::Jwk(JwkError::Malformed))?;
    let parts = Parts::of_jwk(&jwk)?;
    let text = |name| jwk.get(name).and_then(Value::as_str);
    if let KeyParameters::Ec { curve, .. } = parts.public.parameters()
        && *curve == EcCurve::P521
    {
        return Err(SigningKeyError::Unsupported);
    }
    if text("use").is_some_and(|use_| use_ != "sig") {
        return Err(SigningKeyError::NotForSignatures);
    }
    let algorithm = match jwk.get("alg") {
        None => None,
        Some(name) => Some(
            name.as_str()
                .and_then(Algorithm::from_name)
                .filter(|algorithm| is_supported(&parts.public, *algorithm))
                .ok_or(SigningKeyError::Algorithm)?,
        ),
    };
    let kid = text("kid").map(str::to_owned);
    Ok((parts, kid, algorithm))
}

impl From<PrivateKeyError> for SigningKeyError {
    fn from(error: PrivateKeyError) -> Self {
        Self::Unreadable(error)
    }
}
