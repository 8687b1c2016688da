use std::{fmt, sync::Arc};

use ::josekit::{
    JoseError,
    jwk::Jwk,
    jws::{ES256, ES384, ES512, EdDSA, JwsVerifier, PS256, PS384, PS512, RS256, RS384, RS512},
};

use super::{Algorithm, CryptoProvider, InvalidKey, InvalidSignature, PreparedKey, VerifyingKey};
use crate::{
    jose::base64url,
    jwk::{KeyParameters, PublicJwk},
};

/// The `josekit` backend: OpenSSL.
///
/// It supports every [`Algorithm`]. OpenSSL checks when a key is parsed that a point lies on its
/// NIST curve; an Ed25519 key that is no point can be prepared and verifies nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Josekit;

impl CryptoProvider for Josekit {
    fn supports(&self, _algorithm: Algorithm) -> bool {
        true
    }

    fn prepare(&self, key: &PublicJwk, algorithm: Algorithm) -> Result<PreparedKey, InvalidKey> {
        if !key.fits(algorithm) {
            return Err(InvalidKey);
        }
        let verifier = verifier(&jwk(key)?, algorithm).map_err(|_| InvalidKey)?;
        Ok(Arc::new(Key {
            verifier,
            signature_len: key.signature_len(),
        }))
    }
}

/// Only the required members are handed on: josekit would also obey `use`, `key_ops` and `alg`,
/// which in a proof the caller writes.
fn jwk(key: &PublicJwk) -> Result<Jwk, InvalidKey> {
    let (kty, members): (_, Vec<(&str, String)>) = match key.parameters() {
        KeyParameters::Ec { curve, x, y } => (
            "EC",
            vec![
                ("crv", curve.as_str().to_owned()),
                ("x", base64url::encode(x)),
                ("y", base64url::encode(y)),
            ],
        ),
        KeyParameters::Ed25519 { x } => (
            "OKP",
            vec![("crv", "Ed25519".to_owned()), ("x", base64url::encode(x))],
        ),
        KeyParameters::Rsa { n, e } => (
            "RSA",
            vec![("n", base64url::encode(n)), ("e", base64url::encode(e))],
        ),
    };
    let mut jwk = Jwk::new(kty);
    for (name, value) in members {
        jwk.set_parameter(name, Some(value.into()))
            .map_err(|_| InvalidKey)?;
    }
    Ok(jwk)
}

fn verifier(jwk: &Jwk, algorithm: Algorithm) -> Result<Box<dyn JwsVerifier>, JoseError> {
    Ok(match algorithm {
        Algorithm::Ed25519 | Algorithm::EdDsa => Box::new(EdDSA.verifier_from_jwk(jwk)?),
        Algorithm::Es256 => Box::new(ES256.verifier_from_jwk(jwk)?),
        Algorithm::Es384 => Box::new(ES384.verifier_from_jwk(jwk)?),
        Algorithm::Es512 => Box::new(ES512.verifier_from_jwk(jwk)?),
        Algorithm::Ps256 => Box::new(PS256.verifier_from_jwk(jwk)?),
        Algorithm::Ps384 => Box::new(PS384.verifier_from_jwk(jwk)?),
        Algorithm::Ps512 => Box::new(PS512.verifier_from_jwk(jwk)?),
        Algorithm::Rs256 => Box::new(RS256.verifier_from_jwk(jwk)?),
        Algorithm::Rs384 => Box::new(RS384.verifier_from_jwk(jwk)?),
        Algorithm::Rs512 => Box::new(RS512.verifier_from_jwk(jwk)?),
    })
}

struct Key {
    verifier: Box<dyn JwsVerifier>,
    signature_len: usize,
}

impl VerifyingKey for Key {
    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        // RFC 8017 section 8.2.2 step 1 and RFC 7518 section 3.4 fix the length; OpenSSL would take
        // some RSA signatures that lack their leading zeros.
        if signature.len() != self.signature_len {
            return Err(InvalidSignature);
        }
        self.verifier
            .verify(message, signature)
            .map_err(|_| InvalidSignature)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("josekit::Key")
            .field("algorithm", &self.verifier.algorithm().name())
            .finish_non_exhaustive()
    }
}
