//! Private keys in OpenSSL, which erases a key when it frees it.

use ::openssl::{
    bn::{BigNum, BigNumContext},
    ec::{EcGroup, EcKey, EcPoint},
    error::ErrorStack,
    nid::Nid,
    pkey::{Id, PKey, Private},
    rsa::RsaPrivateKeyBuilder,
};

#[cfg(feature = "client")]
use super::Secret;
use super::{Parts, RsaParts};
#[cfg(feature = "client")]
use crate::jwk::PublicJwk;
use crate::{
    jose::base64url,
    jwk::{EcCurve, KeyParameters},
};
#[cfg(feature = "client")]
use ::openssl::bn::BigNumRef;

/// Makes a key of its parts. Returns `None` if its halves do not belong together.
pub(in crate::crypto) fn from_parts(parts: &Parts) -> Option<PKey<Private>> {
    let key = match (parts.public.parameters(), &parts.rsa) {
        (KeyParameters::Ec { curve, point }, _) => ec(*curve, point.as_uncompressed(), &parts.d),
        (KeyParameters::Ed25519 { .. }, _) => {
            PKey::private_key_from_raw_bytes(&parts.d, Id::ED25519)
        }
        (KeyParameters::Rsa { n, e }, Some(private)) => rsa(n, e, &parts.d, private),
        (KeyParameters::Rsa { .. }, None) => return None,
    };
    key.ok().filter(is_consistent)
}

/// Returns the parts of a key that has this public half.
#[cfg(feature = "client")]
pub(in crate::crypto) fn to_parts(key: &PKey<Private>, public: &PublicJwk) -> Option<Parts> {
    let (d, rsa) = match public.parameters() {
        KeyParameters::Ec { curve, .. } => {
            let len = i32::try_from(curve.field_len()).ok()?;
            let key = key.ec_key().ok()?;
            (key.private_key().to_vec_padded(len).ok()?, None)
        }
        KeyParameters::Ed25519 { .. } => (key.raw_private_key().ok()?, None),
        KeyParameters::Rsa { .. } => {
            let key = key.rsa().ok()?;
            let secret = |number: &BigNumRef| Secret::new(number.to_vec());
            let rsa = RsaParts {
                p: secret(key.p()?),
                q: secret(key.q()?),
                dp: secret(key.dmp1()?),
                dq: secret(key.dmq1()?),
                qi: secret(key.iqmp()?),
            };
            (key.d().to_vec(), Some(rsa))
        }
    };
    Some(Parts {
        public: public.clone(),
        d: Secret::new(d),
        rsa,
    })
}

/// Returns whether the halves of a key belong together. An Ed25519 key has only one half here.
pub(in crate::crypto) fn is_consistent(key: &PKey<Private>) -> bool {
    match key.id() {
        Id::RSA => key.rsa().and_then(|key| key.check_key()).unwrap_or(false),
        Id::EC => key.ec_key().and_then(|key| key.check_key()).is_ok(),
        _ => true,
    }
}

/// Returns the public half as a JWK, if the key is of a supported kind.
pub(in crate::crypto) fn public_jwk(key: &PKey<Private>) -> Option<String> {
    match key.id() {
        Id::ED25519 => {
            let x = base64url::encode(&key.raw_public_key().ok()?);
            Some(format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#))
        }
        Id::EC => ec_jwk(key),
        Id::RSA => {
            let rsa = key.rsa().ok()?;
            let (n, e) = (rsa.n().to_vec(), rsa.e().to_vec());
            let (n, e) = (base64url::encode(&n), base64url::encode(&e));
            Some(format!(r#"{{"kty":"RSA","n":"{n}","e":"{e}"}}"#))
        }
        _ => None,
    }
}

pub(in crate::crypto) const fn nid(curve: EcCurve) -> Nid {
    match curve {
        EcCurve::P256 => Nid::X9_62_PRIME256V1,
        EcCurve::P384 => Nid::SECP384R1,
        EcCurve::P521 => Nid::SECP521R1,
    }
}

fn ec(curve: EcCurve, public: &[u8], d: &[u8]) -> Result<PKey<Private>, ErrorStack> {
    let group = EcGroup::from_curve_name(nid(curve))?;
    let public = EcPoint::from_bytes(&group, public, &mut *BigNumContext::new()?)?;
    let mut secret = BigNum::from_slice(d)?;
    let key = EcKey::from_private_components(&group, &secret, &public);
    secret.clear();
    PKey::from_ec_key(key?)
}

fn rsa(n: &[u8], e: &[u8], d: &[u8], private: &RsaParts) -> Result<PKey<Private>, ErrorStack> {
    let number = |bytes: &[u8]| BigNum::from_slice(bytes);
    let key = RsaPrivateKeyBuilder::new(number(n)?, number(e)?, number(d)?)?
        .set_factors(number(&private.p)?, number(&private.q)?)?
        .set_crt_params(
            number(&private.dp)?,
            number(&private.dq)?,
            number(&private.qi)?,
        )?;
    PKey::from_rsa(key.build())
}

fn ec_jwk(key: &PKey<Private>) -> Option<String> {
    let key = key.ec_key().ok()?;
    let curves = [EcCurve::P256, EcCurve::P384, EcCurve::P521];
    let curve = (curves.into_iter()).find(|curve| key.group().curve_name() == Some(nid(*curve)))?;
    let (mut x, mut y) = (BigNum::new().ok()?, BigNum::new().ok()?);
    let mut context = BigNumContext::new().ok()?;
    key.public_key()
        .affine_coordinates(key.group(), &mut x, &mut y, &mut context)
        .ok()?;
    let len = i32::try_from(curve.field_len()).ok()?;
    let text = |number: &BigNum| Some(base64url::encode(&number.to_vec_padded(len).ok()?));
    let (x, y, curve) = (text(&x)?, text(&y)?, curve.as_str());
    Some(format!(
        r#"{{"kty":"EC","crv":"{curve}","x":"{x}","y":"{y}"}}"#
    ))
}
