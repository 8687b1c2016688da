//! Judges a token by the answer of the endpoint. All functions are pure functions of the answer and the time.

use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::error::Failure;
use crate::{
    clock::UnixTime,
    jose::json::{Object, date},
    token::{TokenError, TokenErrorKind, VerifiedToken},
};

/// The rules that a token has to satisfy.
#[derive(Debug)]
pub(super) struct Checks {
    pub(super) issuer: String,
    pub(super) audiences: Vec<String>,
    /// Whether an answer without `aud` is accepted.
    pub(super) aud_may_be_missing: bool,
    pub(super) leeway: Duration,
    /// How long a token is valid if the answer has no `exp`.
    pub(super) lifetime: Duration,
}

/// The verdict on a token: it can be used, or not for this reason.
pub(super) type Verdict = Result<VerifiedToken, TokenError>;

/// Parses an answer that is not signed. The strict parser rejects duplicate members.
pub(super) fn parse(body: &[u8]) -> Result<Map<String, Json>, Failure> {
    Object::parse(body)
        .map(Object::into_json)
        .ok_or(Failure::Malformed(
            "it is not a JSON object, or has a member twice",
        ))
}

impl Checks {
    /// Judges a token by the members of the answer (RFC 7662 section 2.2).
    ///
    /// A member that is `null` counts as absent, because some issuers send all members. `active` and `cnf` are
    /// exceptions, because a binding that cannot be read must not become no binding.
    pub(super) fn judge(
        &self,
        mut answer: Map<String, Json>,
        now: UnixTime,
    ) -> Result<Verdict, Failure> {
        match answer.get("active") {
            Some(Json::Bool(true)) => {}
            Some(Json::Bool(false)) => return Ok(Err(TokenErrorKind::Inactive.into())),
            _ => return Err(Failure::Malformed("`active` is not true or false")),
        }
        answer.retain(|name, value| name == "cnf" || !value.is_null());
        Ok(self.check(answer, now))
    }

    fn check(&self, mut claims: Map<String, Json>, now: UnixTime) -> Verdict {
        self.check_issuer(&claims)?;
        self.check_audience(&claims)?;
        check_binding(&claims)?;
        if date(&claims, "exp")?.is_none() {
            let exp = now.saturating_add(self.lifetime).as_secs();
            claims.insert("exp".to_owned(), exp.into());
        }
        // Handlers and the shares of the replay store use the issuer.
        claims
            .entry("iss")
            .or_insert_with(|| self.issuer.as_str().into());
        let token = VerifiedToken::new(claims)?;
        self.check_times(&token, now)?;
        Ok(token)
    }

    fn check_issuer(&self, claims: &Map<String, Json>) -> Result<(), TokenError> {
        match claims.get("iss") {
            None => Ok(()),
            Some(Json::String(iss)) if *iss == self.issuer => Ok(()),
            Some(Json::String(_)) => Err(TokenError::explained(
                TokenErrorKind::IssuerMismatch,
                format!("the configured issuer is {}", self.issuer),
            )),
            Some(_) => Err(TokenError::invalid("iss")),
        }
    }

    fn check_audience(&self, claims: &Map<String, Json>) -> Result<(), TokenError> {
        let is_ours = |aud: &str| self.audiences.iter().any(|audience| audience == aud);
        let found = match claims.get("aud") {
            None if self.aud_may_be_missing => true,
            None => {
                return Err(TokenError::explained(
                    TokenErrorKind::MissingClaim,
                    "aud, which `danger_accept_missing_audience` would not require",
                ));
            }
            Some(Json::String(aud)) => is_ours(aud),
            Some(Json::Array(values)) => {
                let mut found = false;
                for value in values {
                    found |= is_ours(value.as_str().ok_or(TokenError::invalid("aud"))?);
                }
                found
            }
            Some(_) => return Err(TokenError::invalid("aud")),
        };
        if found {
            return Ok(());
        }
        Err(TokenError::explained(
            TokenErrorKind::AudienceMismatch,
            format!("the configured audience is {}", self.audiences.join(" or ")),
        ))
    }

    /// Checks the times. This is repeated whenever a cached verdict is used.
    pub(super) fn check_times(
        &self,
        token: &VerifiedToken,
        now: UnixTime,
    ) -> Result<(), TokenError> {
        let claims = token.claims();
        // RFC 7519 section 4.1.4: "on or after which".
        if claims.expires_at() <= now {
            return Err(TokenErrorKind::Expired.into());
        }
        let latest = now.saturating_add(self.leeway);
        for name in ["nbf", "iat"] {
            if date(claims.map(), name)?.is_some_and(|date| date > latest) {
                return Err(TokenErrorKind::NotYetValid.into());
            }
        }
        Ok(())
    }
}

/// RFC 9449 section 6.2: a token of the type `DPoP` is bound, and the answer says to which key. A token of
/// another type keeps the binding that the answer has.
fn check_binding(claims: &Map<String, Json>) -> Result<(), TokenError> {
    let is_dpop = match claims.get("token_type") {
        None => false,
        // RFC 6749 section 5.1: the value is case-insensitive.
        Some(Json::String(kind)) => kind.eq_ignore_ascii_case("DPoP"),
        Some(_) => return Err(TokenError::invalid("token_type")),
    };
    if is_dpop && !claims.contains_key("cnf") {
        return Err(TokenError::missing("cnf"));
    }
    Ok(())
}
