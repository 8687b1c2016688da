//! Signed answers (RFC 9701).

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value as Json};

use super::error::Failure;
use crate::{
    clock::UnixTime,
    crypto::Algorithm,
    jose::{
        compact::CompactJws,
        header::{self, HeaderError},
        json::{Object, Value, date},
    },
    keys::{KeySet, KeySource},
};

/// The maximum age of an answer. An older one may be a copy from before the issuer revoked the token.
const MAX_AGE: Duration = Duration::from_secs(5 * 60);

/// The rules for signed answers, and the keys that answers are signed with.
#[derive(Debug)]
pub(super) struct SignedAnswers {
    pub(super) issuer: String,
    pub(super) client_id: String,
    pub(super) leeway: Duration,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) keys: Arc<dyn KeySource>,
}

/// An answer with valid claims whose signature has not been verified.
#[derive(Debug)]
struct Unverified {
    algorithm: Algorithm,
    kid: Option<String>,
    signing_input: String,
    signature: Vec<u8>,
    introspection: Map<String, Json>,
}

impl SignedAnswers {
    /// Verifies an answer and returns its claim `token_introspection`. Nothing outside it describes the token.
    pub(super) async fn open(
        &self,
        body: &[u8],
        now: UnixTime,
    ) -> Result<Map<String, Json>, Failure> {
        let answer = self.parse(body, now).map_err(Failure::SignedAnswer)?;
        let mut seen = None;
        if let Some(at_hand) = self.keys.at_hand() {
            if at_hand.is_due {
                self.keys.refresh();
            }
            if answer.is_signed_with(&at_hand.keys) {
                return Ok(answer.introspection);
            }
            if !self.keys.may_have_others(&at_hand.keys) {
                return Err(Failure::SignedAnswer("no key of the issuer verifies it"));
            }
            seen = Some(at_hand.keys);
        }
        let has_seen = seen.is_some();
        match self.keys.load(seen).await {
            Ok(keys) if answer.is_signed_with(&keys) => Ok(answer.introspection),
            Err(_) if !has_seen => Err(Failure::Keys),
            Ok(_) | Err(_) => Err(Failure::SignedAnswer("no key of the issuer verifies it")),
        }
    }

    fn parse(&self, body: &[u8], now: UnixTime) -> Result<Unverified, &'static str> {
        const NOT_A_JWT: &str = "it is not a compact JWS";
        let text = std::str::from_utf8(body).map_err(|_| NOT_A_JWT)?;
        let jws = CompactJws::decode(text).ok_or(NOT_A_JWT)?;
        let header = jws.header().ok_or(NOT_A_JWT)?;
        let algorithm = header::check(&header, is_introspection, &self.algorithms).map_err(
            |error| match error {
                HeaderError::Typ => "its typ is not token-introspection+jwt",
                HeaderError::Crit => "it has a critical extension",
                HeaderError::Alg => "its alg is not allowed",
            },
        )?;
        let kid = match header.get("kid") {
            None => None,
            Some(kid) => Some(kid.as_str().ok_or("its kid is not a string")?.to_owned()),
        };
        let claims = jws.payload().ok_or(NOT_A_JWT)?;
        self.check_claims(&claims, now)?;
        let introspection = claims.get("token_introspection").and_then(Value::as_object);
        let introspection = introspection.ok_or("it has no token_introspection")?;
        Ok(Unverified {
            algorithm,
            kid,
            signing_input: jws.signing_input().to_owned(),
            signature: jws.signature().to_owned(),
            introspection: introspection.clone().into_json(),
        })
    }

    /// Checks the claims of RFC 9701 section 5. An `exp` is not among them, but is obeyed.
    fn check_claims(&self, claims: &Object<'_>, now: UnixTime) -> Result<(), &'static str> {
        if claims.get("iss").and_then(Value::as_str) != Some(&*self.issuer) {
            return Err("its iss is not the configured issuer");
        }
        let is_this_api = |aud: &Value<'_>| aud.as_str() == Some(&*self.client_id);
        let is_for_this_api = match claims.get("aud") {
            Some(Value::Array(values)) => values.iter().any(is_this_api),
            Some(aud) => is_this_api(aud),
            None => false,
        };
        if !is_for_this_api {
            return Err("its aud is not the client_id of this API");
        }
        let issued_at = date(claims, "iat").ok().flatten().ok_or("it has no iat")?;
        if issued_at > now.saturating_add(self.leeway) {
            return Err("its iat is in the future");
        }
        if issued_at < now.saturating_sub(MAX_AGE.saturating_add(self.leeway)) {
            return Err("it is too old");
        }
        match date(claims, "exp") {
            Ok(exp) if exp.is_none_or(|exp| exp > now) => Ok(()),
            Ok(_) | Err(_) => Err("it has expired"),
        }
    }
}

/// The `typ` is a media type, in which `application/` can be omitted and case is ignored (RFC 7515 section
/// 4.1.9).
fn is_introspection(typ: Option<&Value<'_>>) -> bool {
    typ.and_then(Value::as_str).is_some_and(|typ| {
        let subtype = match typ.split_once('/') {
            Some((application, subtype)) if application.eq_ignore_ascii_case("application") => {
                subtype
            }
            _ => typ,
        };
        subtype.eq_ignore_ascii_case("token-introspection+jwt")
    })
}

impl Unverified {
    fn is_signed_with(&self, keys: &KeySet) -> bool {
        keys.candidates(self.kid.as_deref(), self.algorithm)
            .any(|(_, key)| {
                key.verify(self.signing_input.as_bytes(), &self.signature)
                    .is_ok()
            })
    }
}
