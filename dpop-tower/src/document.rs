//! What an issuer signs besides access tokens: introspection answers, status lists and security events.
//!
//! All of them are JWTs in the compact serialization whose `typ` says what they are, so that none can be used
//! in place of another, and none as an access token (RFC 8725 section 3.11).

use serde_json::{Map, Value as Json};

use crate::{
    clock::UnixTime,
    crypto::Algorithm,
    jose::{
        compact::CompactJws,
        header::{self, HeaderError},
        json::{Value, date},
        media_type,
    },
    keys::{KeySet, KeySource},
};

/// A document whose signature has not been verified.
pub(crate) struct Document {
    algorithm: Algorithm,
    kid: Option<String>,
    signing_input: String,
    signature: Vec<u8>,
    pub(crate) claims: Map<String, Json>,
}

/// The reason why a signature is not verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotVerified {
    /// No key of the issuer verifies it.
    WrongKey,
    /// It may be signed with a key that cannot be fetched at the moment.
    KeysUnavailable,
}

#[cfg(any(feature = "introspection", feature = "status-list"))]
pub(crate) const NO_KEY: &str = "no key of the issuer verifies it";

impl Document {
    /// Decodes a document of this type, which is a media type without `application/`.
    ///
    /// The caller limits the length. The text of the error is for the log.
    pub(crate) fn parse(
        text: &[u8],
        typ: &str,
        algorithms: &[Algorithm],
    ) -> Result<Self, &'static str> {
        const NOT_A_JWT: &str = "it is not a compact JWS";
        let text = std::str::from_utf8(text).map_err(|_| NOT_A_JWT)?;
        let jws = CompactJws::decode(text.trim_ascii_end()).ok_or(NOT_A_JWT)?;
        let header = jws.header().ok_or(NOT_A_JWT)?;
        let is_of_type = |found: Option<&Value<'_>>| {
            (found.and_then(Value::as_str)).is_some_and(|found| media_type::are_equal(found, typ))
        };
        let algorithm =
            header::check(&header, is_of_type, algorithms).map_err(|error| match error {
                HeaderError::Typ => "its typ is not that of such a document",
                HeaderError::Crit => "it has a critical extension",
                HeaderError::Alg => "its alg is not allowed",
            })?;
        let kid = match header.get("kid") {
            None => None,
            Some(kid) => Some(kid.as_str().ok_or("its kid is not a string")?.to_owned()),
        };
        Ok(Self {
            algorithm,
            kid,
            signing_input: jws.signing_input().to_owned(),
            signature: jws.signature().to_owned(),
            claims: jws.payload().ok_or(NOT_A_JWT)?.into_json(),
        })
    }

    /// Checks that `iss` is exactly this issuer.
    pub(crate) fn check_issuer(&self, issuer: &str) -> Result<(), &'static str> {
        match self.claims.get("iss").and_then(Json::as_str) {
            Some(iss) if iss == issuer => Ok(()),
            _ => Err("its iss is not the configured issuer"),
        }
    }

    /// Returns whether `aud`, a string or an array, names one of these audiences.
    #[cfg(any(feature = "introspection", feature = "ssf"))]
    pub(crate) fn is_for<A: AsRef<str>>(&self, audiences: &[A]) -> bool {
        let is_ours = |aud: &Json| {
            (aud.as_str()).is_some_and(|aud| audiences.iter().any(|ours| ours.as_ref() == aud))
        };
        match self.claims.get("aud") {
            Some(Json::Array(values)) => values.iter().any(is_ours),
            Some(aud) => is_ours(aud),
            None => false,
        }
    }

    /// Returns `iat`, which is required and not later than `latest`.
    pub(crate) fn issued_at(&self, latest: UnixTime) -> Result<UnixTime, &'static str> {
        let issued_at = date(&self.claims, "iat").ok().flatten();
        let issued_at = issued_at.ok_or("it has no iat")?;
        if issued_at > latest {
            return Err("its iat is in the future");
        }
        Ok(issued_at)
    }

    /// Returns `exp`, if there is one. It has to be in the future.
    #[cfg(any(feature = "introspection", feature = "status-list"))]
    pub(crate) fn expires_at(&self, now: UnixTime) -> Result<Option<UnixTime>, &'static str> {
        match date(&self.claims, "exp") {
            Ok(Some(exp)) if exp <= now => Err("it has expired"),
            Ok(exp) => Ok(exp),
            Err(_) => Err("its exp is not a date"),
        }
    }

    /// Verifies the signature. Waits for at most one attempt to fetch keys.
    pub(crate) async fn verify(&self, keys: &dyn KeySource) -> Result<(), NotVerified> {
        let mut seen = None;
        if let Some(at_hand) = keys.at_hand() {
            if at_hand.is_due {
                keys.refresh();
            }
            if self.is_signed_with(&at_hand.keys) {
                return Ok(());
            }
            seen = Some(at_hand.keys);
        }
        let has_named_key = (seen.as_ref()).is_some_and(|keys| self.names_a_key_of(keys));
        match keys.load(seen).await {
            Ok(keys) if self.is_signed_with(&keys) => Ok(()),
            Ok(_) => Err(NotVerified::WrongKey),
            Err(error) if error.no_others_exist || has_named_key => Err(NotVerified::WrongKey),
            Err(_) => Err(NotVerified::KeysUnavailable),
        }
    }

    fn is_signed_with(&self, keys: &KeySet) -> bool {
        let mut candidates = keys.candidates(self.kid.as_deref(), self.algorithm);
        candidates.any(|(_, key)| {
            key.verify(self.signing_input.as_bytes(), &self.signature)
                .is_ok()
        })
    }

    fn names_a_key_of(&self, keys: &KeySet) -> bool {
        self.kid.is_some()
            && (keys.candidates(self.kid.as_deref(), self.algorithm))
                .next()
                .is_some()
    }
}
