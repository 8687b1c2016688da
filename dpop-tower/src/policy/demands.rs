//! What a policy asks for beyond a good token and proof.

use std::{fmt, sync::Arc, time::Duration};

use serde_json::Value;

use super::PolicyErrorKind;
use crate::{
    clock::UnixTime,
    crypto::Algorithm,
    jose::json::numeric_date,
    proof::{NonceStatus, ProofError, ProofErrorKind},
    token::ClaimSet,
};

#[derive(Clone, Debug, Default)]
pub(crate) struct Demands {
    /// Of each list, one.
    pub(super) scopes: Vec<Vec<String>>,
    pub(super) nonce: bool,
    pub(super) max_age: Option<Duration>,
    pub(super) algorithms: Option<Vec<Algorithm>>,
    pub(super) acr: Option<Vec<String>>,
    pub(super) max_auth_age: Option<Duration>,
    pub(super) claims: Vec<Claim>,
    /// The only one that asks for less.
    pub(super) streams_outlive_tokens: bool,
}

#[derive(Clone)]
pub(super) struct Claim {
    name: String,
    predicate: Arc<dyn Fn(&Value) -> bool + Send + Sync>,
}

/// What is left to know of a proof once it is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProofFacts {
    pub(crate) algorithm: Algorithm,
    pub(crate) issued_at: UnixTime,
    /// What the server thinks of its nonce; `None` if it has none.
    pub(crate) nonce: Option<NonceStatus>,
}

impl Demands {
    pub(crate) const fn nonce(&self) -> bool {
        self.nonce
    }

    /// Those of `configured` that are allowed here.
    pub(crate) fn allowed_algorithms(&self, configured: &[Algorithm]) -> Vec<Algorithm> {
        let mut allowed = configured.to_vec();
        allowed.retain(|algorithm| self.allows(*algorithm));
        allowed
    }

    fn allows(&self, algorithm: Algorithm) -> bool {
        self.algorithms
            .as_ref()
            .is_none_or(|allowed| allowed.contains(&algorithm))
    }

    /// What is asked of a proof that is good by the configuration, but for its nonce.
    pub(crate) fn check_proof(
        &self,
        algorithm: Algorithm,
        issued_at: UnixTime,
        now: UnixTime,
        leeway: Duration,
    ) -> Result<(), ProofError> {
        if !self.allows(algorithm) {
            return Err(ProofErrorKind::AlgNotAllowed.into());
        }
        match self.max_age {
            Some(max_age) if issued_at.saturating_add(max_age).saturating_add(leeway) < now => {
                Err(ProofError::too_old(issued_at, now))
            }
            _ => Ok(()),
        }
    }

    /// The same for one that another layer has let in.
    pub(crate) fn check_facts(
        &self,
        facts: ProofFacts,
        needs_nonce: bool,
        now: UnixTime,
        leeway: Duration,
    ) -> Result<(), ProofError> {
        self.check_proof(facts.algorithm, facts.issued_at, now, leeway)?;
        match facts.nonce {
            _ if !needs_nonce => Ok(()),
            None => Err(ProofErrorKind::NonceMissing.into()),
            Some(NonceStatus::Unknown) => Err(ProofErrorKind::NonceUnknown.into()),
            Some(NonceStatus::Current | NonceStatus::Retiring) => Ok(()),
        }
    }

    /// What is asked of a token that is good by the configuration.
    pub(crate) fn check_token(
        &self,
        claims: &ClaimSet,
        now: UnixTime,
    ) -> Result<(), PolicyErrorKind> {
        let has_one = |wanted: &Vec<String>| {
            let mut granted = claims.scopes();
            granted.any(|scope| wanted.iter().any(|wanted| wanted == scope))
        };
        if !self.scopes.iter().all(has_one) {
            return Err(PolicyErrorKind::ScopeMissing);
        }
        let is_met = |claim: &Claim| {
            claims
                .get(&claim.name)
                .is_some_and(|v| (claim.predicate)(v))
        };
        if !self.claims.iter().all(is_met) {
            return Err(PolicyErrorKind::ClaimInsufficient);
        }
        if let Some(values) = &self.acr {
            let acr = claims.get("acr").and_then(Value::as_str);
            if !acr.is_some_and(|acr| values.iter().any(|value| value == acr)) {
                return Err(PolicyErrorKind::AcrInsufficient);
            }
        }
        if let Some(max_age) = self.max_auth_age {
            let auth_time = match claims.get("auth_time") {
                Some(Value::Number(number)) => numeric_date(number),
                _ => None,
            };
            if auth_time.is_none_or(|time| time.saturating_add(max_age) < now) {
                return Err(PolicyErrorKind::AuthTooOld);
            }
        }
        Ok(())
    }

    /// The scopes that a client has to ask for, separated by spaces (RFC 6750 section 3).
    pub(crate) fn scope(&self) -> Option<String> {
        let scopes: Vec<&str> = (self.scopes.iter())
            .filter_map(|scopes| scopes.first().map(String::as_str))
            .filter(|scope| is_nqchars(scope))
            .collect();
        (!scopes.is_empty()).then(|| scopes.join(" "))
    }

    /// The ways of authentication that a client has to ask for (RFC 9470 section 3).
    pub(crate) fn acr_values(&self) -> Option<String> {
        let values: Vec<&str> = (self.acr.iter().flatten())
            .map(String::as_str)
            .filter(|value| is_nqchars(value))
            .collect();
        (!values.is_empty()).then(|| values.join(" "))
    }

    pub(crate) const fn max_auth_age(&self) -> Option<Duration> {
        self.max_auth_age
    }

    /// What can never be met, in the words of a start-up error.
    pub(crate) fn contradiction(&self) -> Option<&'static str> {
        let no_scope = |scopes: &Vec<String>| !scopes.iter().any(|scope| is_nqchars(scope));
        if self.scopes.iter().any(no_scope) {
            Some("it asks for a scope that no token can have")
        } else if self.algorithms.as_ref().is_some_and(Vec::is_empty) {
            Some("it allows no algorithm")
        } else if self.acr.as_ref().is_some_and(Vec::is_empty) {
            Some("it allows no way of authentication")
        } else {
            None
        }
    }
}

/// `1*NQCHAR` (RFC 6749 appendix A): what scopes and nonces are made of. It needs no escapes in a quoted
/// string.
pub(crate) fn is_nqchars(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|octet| matches!(octet, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

impl Claim {
    pub(super) fn new(
        name: String,
        predicate: impl Fn(&Value) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            predicate: Arc::new(predicate),
        }
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
