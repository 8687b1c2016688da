//! Requirements of a policy beyond a valid token and proof.

use std::{fmt, sync::Arc, time::Duration};

use serde_json::Value;

use super::PolicyErrorKind;
use crate::{
    clock::UnixTime,
    crypto::Algorithm,
    proof::{NonceStatus, ProofError, ProofErrorKind},
    token::ClaimSet,
};

#[derive(Clone, Debug, Default)]
pub(crate) struct Requirements {
    /// The token needs one of these issuers.
    pub(super) issuers: Option<Vec<String>>,
    /// The token needs one scope of each list.
    pub(super) scopes: Vec<Vec<String>>,
    pub(crate) nonce: bool,
    pub(super) max_age: Option<Duration>,
    pub(super) algorithms: Option<Vec<Algorithm>>,
    pub(super) acr: Option<Vec<String>>,
    pub(crate) max_auth_age: Option<Duration>,
    pub(super) claims: Vec<Claim>,
    /// The token has to be bound to the client's certificate.
    pub(crate) certificate_bound: bool,
    /// Also admits a token that is bound to the client's certificate alone.
    pub(crate) accepts_certificate_bound: bool,
    /// The only field that weakens a policy.
    pub(super) streams_outlive_tokens: bool,
    /// A setting, not a requirement.
    pub(crate) offers_nonce: bool,
}

#[derive(Clone)]
pub(super) struct Claim {
    pub(super) name: String,
    pub(super) predicate: Arc<dyn Fn(&Value) -> bool + Send + Sync>,
}

/// The properties of a verified proof that policies of inner layers check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProofFacts {
    pub(crate) algorithm: Algorithm,
    pub(crate) issued_at: UnixTime,
    /// The status of its nonce; `None` if it has none.
    pub(crate) nonce: Option<NonceStatus>,
}

impl Requirements {
    /// Returns those of `configured` that are allowed here.
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

    /// Returns whether a proof has to be more than a valid one.
    pub(crate) const fn limits_proofs(&self) -> bool {
        self.nonce || self.max_age.is_some() || self.algorithms.is_some()
    }

    pub(crate) const fn max_proof_age(&self) -> Option<Duration> {
        self.max_age
    }

    /// Checks a proof that the configuration accepts, except for its nonce.
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

    /// Checks a proof that an outer layer has admitted.
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

    /// Checks whether a token is bound to the client's certificate, if it has to be.
    pub(crate) const fn check_binding(&self, has_certificate: bool) -> Result<(), PolicyErrorKind> {
        if self.certificate_bound && !has_certificate {
            return Err(PolicyErrorKind::CertificateBindingMissing);
        }
        Ok(())
    }

    /// Checks a token that the configuration accepts.
    pub(crate) fn check_token(
        &self,
        claims: &ClaimSet,
        now: UnixTime,
    ) -> Result<(), PolicyErrorKind> {
        if let Some(issuers) = &self.issuers
            && !(claims.issuer()).is_some_and(|iss| issuers.iter().any(|issuer| issuer == iss))
        {
            return Err(PolicyErrorKind::IssuerNotAccepted);
        }
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
            let acr = claims.acr();
            if !acr.is_some_and(|acr| values.iter().any(|value| value == acr)) {
                return Err(PolicyErrorKind::AcrInsufficient);
            }
        }
        if let Some(max_age) = self.max_auth_age {
            let auth_time = claims.auth_time();
            if auth_time.is_none_or(|time| time.saturating_add(max_age) < now) {
                return Err(PolicyErrorKind::AuthTooOld);
            }
        }
        Ok(())
    }

    /// Returns whether a token of at least one of these issuers can be accepted.
    pub(crate) fn accepts_any_issuer(&self, configured: &[String]) -> bool {
        let accepted = |issuer| configured.contains(issuer);
        (self.issuers.as_ref()).is_none_or(|issuers| issuers.iter().any(accepted))
    }

    /// Returns the scopes that a client has to request, separated by spaces (RFC 6750 section 3).
    pub(crate) fn scope(&self) -> Option<String> {
        let scopes: Vec<&str> = (self.scopes.iter())
            .filter_map(|scopes| scopes.first().map(String::as_str))
            .filter(|scope| is_nqchars(scope))
            .collect();
        (!scopes.is_empty()).then(|| scopes.join(" "))
    }

    /// Returns all scopes that can be required, also those of which one is enough.
    pub(crate) fn named_scopes(&self) -> impl Iterator<Item = &str> {
        let scopes = self.scopes.iter().flatten().map(String::as_str);
        scopes.filter(|scope| is_nqchars(scope))
    }

    /// Returns the `acr` values that a client has to request (RFC 9470 section 3).
    pub(crate) fn acr_values(&self) -> Option<String> {
        let values: Vec<&str> = (self.acr.iter().flatten())
            .map(String::as_str)
            .filter(|value| is_nqchars(value))
            .collect();
        (!values.is_empty()).then(|| values.join(" "))
    }

    /// Combines the requirements of both.
    pub(super) fn and(mut self, other: &Self) -> Self {
        let new_scopes = other
            .scopes
            .iter()
            .filter(|scopes| !self.scopes.contains(scopes));
        let new_scopes: Vec<_> = new_scopes.cloned().collect();
        self.scopes.extend(new_scopes);
        self.issuers = common(self.issuers, other.issuers.as_ref());
        self.nonce |= other.nonce;
        self.max_age = shorter(self.max_age, other.max_age);
        self.algorithms = common(self.algorithms, other.algorithms.as_ref());
        self.acr = common(self.acr, other.acr.as_ref());
        self.max_auth_age = shorter(self.max_auth_age, other.max_auth_age);
        for claim in &other.claims {
            // Policies that were made of the same one have the same requirement.
            if !self.claims.iter().any(|own| own.is(claim)) {
                self.claims.push(claim.clone());
            }
        }
        self.certificate_bound |= other.certificate_bound;
        self.accepts_certificate_bound &= other.accepts_certificate_bound;
        self.streams_outlive_tokens &= other.streams_outlive_tokens;
        self.offers_nonce |= other.offers_nonce;
        self
    }

    /// Rejects requirements that can never be met. The error is part of a start-up message.
    pub(super) fn check(&self) -> Result<(), String> {
        for scopes in &self.scopes {
            if scopes.is_empty() {
                return Err("it asks for one of no scopes".to_owned());
            }
            if let Some(wrong) = scopes.iter().find(|scope| !is_nqchars(scope)) {
                return Err(format!(
                    "no token can have the scope {wrong:?} (RFC 6749 section 3.3); a scope is not \
                     empty and has no spaces, so give several one by one"
                ));
            }
        }
        if let Some(issuers) = &self.issuers {
            if issuers.is_empty() {
                return Err("it accepts no issuer, or required others before".to_owned());
            }
            if issuers.iter().any(String::is_empty) {
                return Err("it requires an issuer without a name".to_owned());
            }
        }
        if let Some(values) = &self.acr {
            if values.is_empty() {
                return Err("it accepts no `acr`, or asked for others before".to_owned());
            }
            if let Some(wrong) = values.iter().find(|value| !is_nqchars(value)) {
                return Err(format!(
                    "{wrong:?} is no `acr` that a client can ask for (RFC 9470 section 3); it is \
                     not empty and has no spaces, so give several one by one"
                ));
            }
        }
        if self.algorithms.as_ref().is_some_and(Vec::is_empty) {
            return Err("it allows no algorithm, or asked for others before".to_owned());
        }
        if self.claims.iter().any(|claim| claim.name.is_empty()) {
            return Err("it asks for a claim without a name".to_owned());
        }
        let durations = [
            ("max_proof_age", self.max_age),
            ("max_auth_age", self.max_auth_age),
        ];
        for (name, duration) in durations {
            let is_wrong = |age: &Duration| age.as_secs() == 0 || age.subsec_nanos() > 0;
            if let Some(duration) = duration.filter(is_wrong) {
                return Err(format!(
                    "its {name} is {duration:?}; give whole seconds, at least one"
                ));
            }
        }
        Ok(())
    }

    /// Returns the name of the first requirement, if there is any.
    pub(super) fn first(&self) -> Option<&'static str> {
        [
            ("an issuer", self.issuers.is_some()),
            ("a scope", !self.scopes.is_empty()),
            ("a claim", !self.claims.is_empty()),
            ("an `acr`", self.acr.is_some()),
            ("a `max_auth_age`", self.max_auth_age.is_some()),
            ("a client certificate", self.certificate_bound),
            ("a nonce", self.nonce),
            ("a `max_age`", self.max_age.is_some()),
            ("algorithms", self.algorithms.is_some()),
        ]
        .into_iter()
        .find_map(|(name, is_asked)| is_asked.then_some(name))
    }
}

pub(super) fn shorter(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    one.into_iter().chain(other).min()
}

/// Returns the elements of both lists, or of the only one.
pub(super) fn common<T: Clone + PartialEq>(
    one: Option<Vec<T>>,
    other: Option<&Vec<T>>,
) -> Option<Vec<T>> {
    match (one, other) {
        (Some(mut one), Some(other)) => {
            one.retain(|value| other.contains(value));
            Some(one)
        }
        (one, other) => one.or_else(|| other.cloned()),
    }
}

/// Writes each requirement with a comma before it.
impl fmt::Display for Requirements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(issuers) = &self.issuers {
            write!(f, ", issuer {}", issuers.join(" or "))?;
        }
        for scopes in &self.scopes {
            let of = if scopes.len() > 1 {
                "any scope of"
            } else {
                "scope"
            };
            write!(f, ", {of} {}", scopes.join(" "))?;
        }
        for claim in &self.claims {
            write!(f, ", claim {}", claim.name)?;
        }
        if let Some(values) = &self.acr {
            write!(f, ", acr {}", values.join(" "))?;
        }
        if let Some(age) = self.max_auth_age {
            write!(f, ", authenticated within {age:?}")?;
        }
        if self.nonce {
            f.write_str(", nonce")?;
        }
        if let Some(age) = self.max_age {
            write!(f, ", proof within {age:?}")?;
        }
        if let Some(algorithms) = &self.algorithms {
            f.write_str(", algorithms")?;
            for algorithm in algorithms {
                write!(f, " {algorithm}")?;
            }
        }
        if self.certificate_bound {
            f.write_str(", bound to a certificate")?;
        }
        if self.accepts_certificate_bound {
            f.write_str(", accepts a certificate alone")?;
        }
        if self.streams_outlive_tokens {
            f.write_str(", streams outlive tokens")?;
        }
        if self.offers_nonce {
            f.write_str(", offers a nonce")?;
        }
        Ok(())
    }
}

impl Claim {
    fn is(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.predicate, &other.predicate)
    }
}

/// `1*NQCHAR` (RFC 6749 appendix A): what scopes and nonces are made of. It needs no escapes in a quoted
/// string.
pub(crate) fn is_nqchars(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
