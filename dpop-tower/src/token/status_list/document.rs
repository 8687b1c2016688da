//! Status list tokens: JWTs that contain the statuses of many tokens.

use std::time::Duration;

use super::bits::Statuses;
use crate::{
    clock::UnixTime,
    crypto::Algorithm,
    jose::{
        compact::CompactJws,
        header::{self, HeaderError},
        json::{Members as _, Object, Value, date},
    },
    keys::KeySet,
};

/// The rules that a status list token has to satisfy.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    /// The URI by which a token refers to the list.
    pub(super) uri: &'a str,
    pub(super) algorithms: &'a [Algorithm],
    pub(super) leeway: Duration,
    pub(super) now: UnixTime,
}

/// A status list token with valid claims whose signature has not been verified.
pub(super) struct Unverified {
    algorithm: Algorithm,
    kid: Option<String>,
    signing_input: String,
    signature: Vec<u8>,
    bits: u64,
    lst: String,
    pub(super) expires_at: Option<UnixTime>,
    /// How long the issuer says that the list is current.
    pub(super) ttl: Option<Duration>,
}

const NOT_A_JWT: &str = "it is not a compact JWS";

impl Unverified {
    /// Checks header and claims (Token Status List section 5.1).
    pub(super) fn parse(text: &[u8], expected: &Expected<'_>) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(text).map_err(|_| NOT_A_JWT)?;
        let jws = CompactJws::decode(text.trim_ascii_end()).ok_or(NOT_A_JWT)?;
        let header = jws.header().ok_or(NOT_A_JWT)?;
        let algorithm = header::check(&header, is_status_list, expected.algorithms).map_err(
            |error| match error {
                HeaderError::Typ => "its typ is not statuslist+jwt",
                HeaderError::Crit => "it has a critical extension",
                HeaderError::Alg => "its alg is not allowed",
            },
        )?;
        let kid = match header.get("kid") {
            None => None,
            Some(kid) => Some(kid.as_str().ok_or("its kid is not a string")?.to_owned()),
        };
        let claims = jws.payload().ok_or(NOT_A_JWT)?;
        let expires_at = expected.check_claims(&claims)?;
        let ttl = match claims.number("ttl") {
            None => None,
            Some(ttl) => {
                let secs = ttl.and_then(serde_json::Number::as_u64);
                let secs = secs.filter(|secs| *secs > 0);
                Some(Duration::from_secs(
                    secs.ok_or("its ttl is not a positive number")?,
                ))
            }
        };
        let list = claims.get("status_list").and_then(Value::as_object);
        let list = list.ok_or("it has no status_list")?;
        let bits = (list.number("bits").flatten()).and_then(serde_json::Number::as_u64);
        let lst = list.get("lst").and_then(Value::as_str);
        Ok(Self {
            algorithm,
            kid,
            signing_input: jws.signing_input().to_owned(),
            signature: jws.signature().to_owned(),
            bits: bits.ok_or("its status_list has no bits")?,
            lst: lst.ok_or("its status_list has no lst")?.to_owned(),
            expires_at,
            ttl,
        })
    }

    pub(super) fn is_signed_with(&self, keys: &KeySet) -> bool {
        keys.candidates(self.kid.as_deref(), self.algorithm)
            .any(|(_, key)| {
                key.verify(self.signing_input.as_bytes(), &self.signature)
                    .is_ok()
            })
    }

    /// Decompresses the list. The signature has to be verified before.
    pub(super) fn statuses(&self, max_size: usize) -> Result<Statuses, &'static str> {
        Statuses::inflate(self.bits, &self.lst, max_size)
    }
}

impl Expected<'_> {
    /// Returns when the list expires, if it does.
    fn check_claims(&self, claims: &Object<'_>) -> Result<Option<UnixTime>, &'static str> {
        // The list of another URI has the statuses of other tokens.
        if claims.get("sub").and_then(Value::as_str) != Some(self.uri) {
            return Err("its sub is not the URI of the list");
        }
        // The claim is optional, but it must not be wrong.
        if (claims.get("iss")).is_some_and(|iss| iss.as_str() != Some(self.issuer)) {
            return Err("its iss is not the configured issuer");
        }
        let issued_at = date(claims, "iat").ok().flatten().ok_or("it has no iat")?;
        if issued_at > self.now.saturating_add(self.leeway) {
            return Err("its iat is in the future");
        }
        let expires_at = date(claims, "exp").map_err(|_| "its exp is not a date")?;
        if expires_at.is_some_and(|exp| exp <= self.now) {
            return Err("it has expired");
        }
        Ok(expires_at)
    }
}

/// The `typ` is a media type, in which `application/` can be omitted and case is ignored (RFC 7515 section
/// 4.1.9).
fn is_status_list(typ: Option<&Value<'_>>) -> bool {
    typ.and_then(Value::as_str).is_some_and(|typ| {
        let subtype = match typ.split_once('/') {
            Some((application, subtype)) if application.eq_ignore_ascii_case("application") => {
                subtype
            }
            _ => typ,
        };
        subtype.eq_ignore_ascii_case("statuslist+jwt")
    })
}
