use std::{slice, sync::Arc, time::Duration};

use serde_json::{Map, Value as Json};

use super::typ::Types;
use crate::{
    clock::UnixTime,
    crypto::Algorithm,
    jose::{
        compact::CompactJws,
        header::{self, HeaderError},
        json::{Object, Value, date},
    },
    keys::KeySet,
    token::{TokenError, TokenErrorKind, VerifiedToken},
};

/// How many configured values the text of an error lists.
const MAX_SHOWN: usize = 5;

/// The checks of a token, apart from its signature.
#[derive(Debug)]
pub(super) struct Checks {
    pub(super) issuer: String,
    pub(super) audiences: Vec<String>,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) leeway: Duration,
    pub(super) types: Types,
    /// `None` for `scope`.
    pub(super) scope_claim: Option<Arc<str>>,
    /// `None` for `client_id`.
    pub(super) client_id_claim: Option<Arc<str>>,
}

/// A token that has been decoded. Nothing else is known about it.
pub(super) struct DecodedToken<'t> {
    jws: CompactJws<'t>,
    claims: Map<String, Json>,
}

impl<'t> DecodedToken<'t> {
    /// Decodes a compact JWS whose payload is a JSON object.
    pub(super) fn decode(token: &'t str) -> Result<Self, TokenError> {
        let jws = CompactJws::decode(token).ok_or(TokenErrorKind::Malformed)?;
        let claims = jws.payload().ok_or(TokenErrorKind::Malformed)?.into_json();
        Ok(Self { jws, claims })
    }

    /// Returns the issuer that the token names. Anyone can write it, so it only selects the issuer by
    /// which everything is verified, `iss` included.
    pub(super) fn unverified_issuer(&self) -> Result<&str, TokenError> {
        issuer_of(&self.claims)
    }

    /// Returns whether each of these claims is there with exactly this value.
    #[cfg(feature = "josekit")]
    pub(super) fn has_claims(&self, claims: &[(&'static str, Json)]) -> bool {
        (claims.iter()).all(|(name, value)| self.claims.get(*name) == Some(value))
    }
}

fn issuer_of(claims: &Map<String, Json>) -> Result<&str, TokenError> {
    match claims.get("iss") {
        Some(Json::String(iss)) => Ok(iss),
        Some(_) => Err(TokenError::invalid("iss")),
        None => Err(TokenError::missing("iss")),
    }
}

/// A token whose claims are valid but whose signature has not been verified.
pub(super) struct UnverifiedToken {
    algorithm: Algorithm,
    kid: Option<String>,
    signing_input: String,
    signature: Vec<u8>,
    pub(super) claims: Map<String, Json>,
}

impl Checks {
    /// Makes every check that needs no key, so that a token for another API causes no fetch of keys.
    pub(super) fn check(
        &self,
        token: DecodedToken<'_>,
        now: UnixTime,
    ) -> Result<UnverifiedToken, TokenError> {
        let DecodedToken { jws, claims } = token;
        let header = jws.header().ok_or(TokenErrorKind::Malformed)?;
        let algorithm = self.check_header(&header, &claims)?;
        let kid = match header.get("kid") {
            None => None,
            Some(kid) => Some(kid.as_str().ok_or(TokenErrorKind::Malformed)?.to_owned()),
        };
        self.check_issuer(issuer_of(&claims)?)?;
        self.check_audience(&claims)?;
        self.check_times(&claims, now)?;
        Ok(UnverifiedToken {
            algorithm,
            kid,
            signing_input: jws.signing_input().to_owned(),
            signature: jws.signature().to_owned(),
            claims,
        })
    }

    /// Makes the verified token, after its signature was verified.
    pub(super) fn verified(&self, claims: Map<String, Json>) -> Result<VerifiedToken, TokenError> {
        let mut token = VerifiedToken::new(claims)?;
        if let Some(name) = &self.scope_claim {
            token = token.with_scope_claim(Arc::clone(name));
        }
        if let Some(name) = &self.client_id_claim {
            token = token.with_client_id_claim(Arc::clone(name));
        }
        Ok(token)
    }

    fn check_header(
        &self,
        header: &Object<'_>,
        claims: &Map<String, Json>,
    ) -> Result<Algorithm, TokenError> {
        let typ_is_accepted = |typ: Option<&Value<'_>>| self.types.accept(typ, claims);
        header::check(header, typ_is_accepted, &self.algorithms).map_err(|error| match error {
            HeaderError::Typ => self.types.error(header),
            HeaderError::Crit => TokenErrorKind::CritNotSupported.into(),
            HeaderError::Alg => TokenErrorKind::AlgNotAllowed.into(),
        })
    }

    /// Checks `iss` (RFC 9068 section 4), which must be exactly the configured issuer.
    fn check_issuer(&self, iss: &str) -> Result<(), TokenError> {
        if iss == self.issuer {
            return Ok(());
        }
        Err(other_issuer(slice::from_ref(&self.issuer), iss))
    }

    /// Checks `aud` (RFC 9068 section 4), which must name one of the configured audiences exactly.
    fn check_audience(&self, claims: &Map<String, Json>) -> Result<(), TokenError> {
        let is_ours = |aud: &str| self.audiences.iter().any(|audience| audience == aud);
        let mut named: Vec<&str> = Vec::new();
        match claims.get("aud") {
            Some(Json::String(aud)) if is_ours(aud) => return Ok(()),
            Some(Json::String(aud)) => named.push(aud),
            Some(Json::Array(values)) => {
                let mut found = false;
                for value in values {
                    let aud = value.as_str().ok_or(TokenError::invalid("aud"))?;
                    found |= is_ours(aud);
                    named.push(aud);
                }
                if found {
                    return Ok(());
                }
            }
            Some(_) => return Err(TokenError::invalid("aud")),
            None => return Err(TokenError::missing("aud")),
        }
        let kind = TokenErrorKind::AudienceMismatch;
        let what = "the configured audience is";
        Err(mismatch(kind, what, &self.audiences, &named))
    }

    /// Checks the times. This is repeated whenever a cached verdict is used.
    pub(super) fn check_times(
        &self,
        claims: &Map<String, Json>,
        now: UnixTime,
    ) -> Result<(), TokenError> {
        let exp = date(claims, "exp")?.ok_or(TokenError::missing("exp"))?;
        // RFC 7519 section 4.1.4: "on or after which".
        if exp <= now {
            return Err(TokenErrorKind::Expired.into());
        }
        let latest = now.saturating_add(self.leeway);
        for name in ["nbf", "iat"] {
            if date(claims, name)?.is_some_and(|date| date > latest) {
                return Err(TokenErrorKind::NotYetValid.into());
            }
        }
        Ok(())
    }
}

/// Returns the error of a token whose issuer is none of the configured ones.
pub(super) fn other_issuer<T: AsRef<str>>(configured: &[T], iss: &str) -> TokenError {
    let what = match configured {
        [_] => "the configured issuer is",
        _ => "the configured issuers are",
    };
    mismatch(TokenErrorKind::IssuerMismatch, what, configured, &[iss])
}

/// Explains a mismatch with the configured values, and names a likely mistake.
fn mismatch(
    kind: TokenErrorKind,
    what: &str,
    configured: &[impl AsRef<str>],
    named: &[&str],
) -> TokenError {
    let shown: Vec<&str> = (configured.iter().take(MAX_SHOWN))
        .map(AsRef::as_ref)
        .collect();
    let mut text = format!("{what} {}", shown.join(" or "));
    if configured.len() > MAX_SHOWN {
        text.push_str(&format!(
            " or one of {} others",
            configured.len() - MAX_SHOWN
        ));
    }
    let is_slip = |one: &str, other: &str| one.trim_end_matches('/') == other.trim_end_matches('/');
    let has_slip = |name: &&str| configured.iter().any(|ours| is_slip(ours.as_ref(), name));
    if named.iter().any(has_slip) {
        text.push_str(", and the token's differs by a trailing slash");
    }
    TokenError::explained(kind, text)
}

impl UnverifiedToken {
    /// Returns the key of `keys` with which the signature verifies.
    pub(super) fn verify_signature<'k>(
        &self,
        keys: &'k KeySet,
    ) -> Result<&'k crate::keys::IssuerKey, TokenError> {
        let mut error = TokenErrorKind::KeyUnknown;
        for (key, prepared) in keys.candidates(self.kid.as_deref(), self.algorithm) {
            match prepared.verify(self.signing_input.as_bytes(), &self.signature) {
                Ok(()) => return Ok(key),
                Err(_) => error = TokenErrorKind::SignatureInvalid,
            }
        }
        Err(error.into())
    }

    pub(super) const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
