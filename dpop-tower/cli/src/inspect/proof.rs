//! The checks of a proof, one by one.
//!
//! The library stops at the first check that fails. An inspection goes on: it changes the request so that the
//! check passes, and asks the library again. So every outcome is the library's.

use std::time::Duration;

use dpop_tower::{
    ConfigError,
    clock::UnixTime,
    crypto::{Algorithm, CryptoProvider as _},
    jwk::{PublicJwk, Thumbprint},
    proof::{
        Ath, Htu, NonceStatus, ProofContext, ProofError, ProofErrorKind, ProofVerifier,
        UnverifiedProof,
    },
};
use http::Method;

use super::{
    crypto::BACKEND,
    dates::Clock,
    jws::Jws,
    reasons,
    report::{Check, Outcome},
    rules::Rule,
};

/// A proof and what it should be for. What is not given is not checked.
#[derive(Clone, Copy)]
pub(super) struct ProofQuestion<'a> {
    pub(super) proof: &'a str,
    pub(super) jws: Option<&'a Jws>,
    pub(super) method: Option<&'a Method>,
    pub(super) htu: Option<&'a Htu>,
    pub(super) token: Option<&'a str>,
    pub(super) nonce: Option<&'a str>,
    pub(super) clock: Clock,
    pub(super) max_age: Duration,
}

/// The outcomes, and what later checks use.
pub(super) struct ProofAnswer {
    pub(super) checks: Vec<Check>,
    pub(super) signature: Check,
    pub(super) thumbprint: Option<Thumbprint>,
}

/// The checks that the question was changed to satisfy.
#[derive(Default)]
struct Waived {
    method: bool,
    htu: bool,
    time: bool,
    nonce: bool,
    token: bool,
    algorithm: bool,
}

impl ProofQuestion<'_> {
    pub(super) fn answer(&self) -> Result<ProofAnswer, ConfigError> {
        let verifier = ProofVerifier::default().danger_max_age(self.max_age)?;
        let mut waived = Waived::default();
        let mut failed: Vec<Check> = Vec::new();
        let (mut signature, mut stopped) = (None, None);
        while stopped.is_none() && signature.is_none() {
            match self.ask(&verifier, &waived) {
                Ok(proof) => signature = Some(check_signature(proof)),
                Err(error) => {
                    let Some(rule) = reasons::rule(error.kind().as_str()) else {
                        break;
                    };
                    // With the proof's time as the current time, `exp` and `nbf` say nothing.
                    let is_consequence = rule == Rule::Dates && waived.time;
                    if !is_consequence {
                        let detail = self.explain(rule, &error);
                        failed.push(Check::failed(rule, error.kind().as_str(), detail));
                    }
                    if is_consequence || !self.waive(error.kind(), &mut waived) {
                        stopped = Some(rule);
                    }
                }
            }
        }
        let mut signature = signature.unwrap_or_else(|| not_reached(Rule::Signature));
        // A point that is not on its curve is noticed last, but it is the key that is wrong.
        if signature.rule == Rule::Key {
            failed.push(signature);
            signature = not_reached(Rule::Signature);
        }
        let checks = Rule::OF_PROOFS
            .into_iter()
            .map(|rule| {
                let found = failed.iter().find(|check| check.rule == rule);
                match (found, stopped) {
                    (Some(check), _) => check.clone(),
                    (None, Some(stopped)) if rule > stopped => not_reached(rule),
                    (None, Some(stopped)) if rule == stopped => not_reached(rule),
                    (None, _) if rule == Rule::Dates && waived.time => self.dates(),
                    (None, _) => self.passed(rule),
                }
            })
            .collect();
        let jwk = self.jws.and_then(|jws| jws.header.get("jwk"));
        let key = jwk.and_then(|jwk| PublicJwk::from_json(&jwk.to_string()).ok());
        Ok(ProofAnswer {
            checks,
            signature,
            thumbprint: key.map(|key| Thumbprint::of(&key, &BACKEND)),
        })
    }

    fn ask(
        &self,
        verifier: &ProofVerifier,
        waived: &Waived,
    ) -> Result<UnverifiedProof, ProofError> {
        let of_proof = |claim: &str| self.jws.and_then(|jws| jws.text(claim));
        let own_method = of_proof("htm").and_then(|htm| Method::from_bytes(htm.as_bytes()).ok());
        let own_htu = of_proof("htu").and_then(|htu| Htu::parse(htu).ok());
        let method = match (self.method, own_method) {
            (Some(method), _) if !waived.method => method.clone(),
            (_, own) => own.unwrap_or_default(),
        };
        let htu = match (self.htu, own_htu) {
            (Some(htu), _) if !waived.htu => htu.clone(),
            (_, Some(own)) => own,
            // The library rejects the proof before it compares anything with this.
            (_, None) => Htu::parse("https://localhost/")?,
        };
        let iat = self.jws.and_then(|jws| jws.seconds("iat"));
        let now = match iat {
            Some(iat) if waived.time => UnixTime::from_secs(iat),
            _ => self.clock.now,
        };
        let context = ProofContext::new(&method, &htu, now);
        let context = match self.token {
            Some(token) if !waived.token => context.access_token(Ath::of(token, &BACKEND)),
            _ => context,
        };
        let status = |nonce: &str| match self.nonce {
            Some(expected) if expected == nonce => NonceStatus::Current,
            _ => NonceStatus::Unknown,
        };
        let context = match self.nonce {
            Some(_) if !waived.nonce => context.require_nonce(&status),
            _ => context,
        };
        if waived.algorithm {
            let every = Algorithm::ALL.into_iter();
            let verifier =
                (verifier.clone()).algorithms(every.filter(|alg| BACKEND.supports(*alg)));
            return verifier.check(self.proof, &context, &BACKEND);
        }
        verifier.check(self.proof, &context, &BACKEND)
    }

    /// Changes the question so that this check passes. Returns `false` if that is not possible.
    fn waive(&self, kind: ProofErrorKind, waived: &mut Waived) -> bool {
        let waiver = match kind {
            ProofErrorKind::HtmMismatch => &mut waived.method,
            ProofErrorKind::HtuMismatch => &mut waived.htu,
            ProofErrorKind::TooOld | ProofErrorKind::FromFuture => &mut waived.time,
            ProofErrorKind::NonceMissing | ProofErrorKind::NonceUnknown => &mut waived.nonce,
            ProofErrorKind::AthMismatch => &mut waived.token,
            ProofErrorKind::MissingClaim if self.lacks("ath") => &mut waived.token,
            ProofErrorKind::AlgNotAllowed => &mut waived.algorithm,
            _ => return false,
        };
        !std::mem::replace(waiver, true)
    }

    fn lacks(&self, claim: &str) -> bool {
        self.jws.is_some_and(|jws| !jws.claims.contains_key(claim))
    }

    /// Adds what the proof says to what the library says, which contains nothing of the proof.
    fn explain(&self, rule: Rule, error: &ProofError) -> String {
        let text = error.to_string();
        let of_proof = |claim: &str| self.jws.and_then(|jws| jws.claims.get(claim));
        let in_header = |name: &str| self.jws.and_then(|jws| jws.header.get(name));
        match rule {
            Rule::Htm => match (of_proof("htm"), self.method) {
                (Some(htm), Some(method)) => {
                    format!("{text}: htm is {htm}, and the request is {method}")
                }
                (Some(htm), None) => format!("{text}: {htm} is not a method"),
                (None, _) => text,
            },
            Rule::Htu => match (of_proof("htu"), self.htu) {
                (Some(htu), Some(url)) => {
                    format!(
                        "{text}; htu is {htu}, and the request is for \"{}\"",
                        url.as_str()
                    )
                }
                _ => text,
            },
            Rule::Iat => match self.jws.and_then(|jws| jws.seconds("iat")) {
                Some(iat) => {
                    let text = error.kind().description();
                    format!("{text}: {}", self.clock.compared(iat))
                }
                None => text,
            },
            Rule::Typ => match in_header("typ") {
                Some(typ) => format!("{text}: it is {typ}"),
                None => format!("{text}: there is none"),
            },
            Rule::Alg => match in_header("alg") {
                Some(alg) => format!("{text}: it is {alg}"),
                None => format!("{text}: there is none"),
            },
            Rule::Nonce => match (of_proof("nonce"), self.nonce) {
                (Some(nonce), Some(expected)) => {
                    format!("{text}: it is {nonce}, and \"{expected}\" is expected")
                }
                _ => text,
            },
            Rule::Ath => match (of_proof("ath"), self.token) {
                (Some(ath), Some(token)) => {
                    let expected = Ath::of(token, &BACKEND);
                    format!("{text}: it is {ath}, and the hash is \"{expected}\"")
                }
                _ => text,
            },
            _ => text,
        }
    }

    fn passed(&self, rule: Rule) -> Check {
        let has = |claim: &str| !self.lacks(claim);
        let check = Check::passed(rule);
        match rule {
            Rule::Htm if self.method.is_none() => Check::gap(rule, "give --method to compare it"),
            Rule::Htu if self.htu.is_none() => Check::gap(rule, "give --url to compare it"),
            Rule::Iat => match self.jws.and_then(|jws| jws.seconds("iat")) {
                Some(iat) => check.detail(self.clock.compared(iat)),
                None => check,
            },
            Rule::Dates if !has("exp") && !has("nbf") => check.detail("it has neither"),
            Rule::Nonce if self.nonce.is_none() && has("nonce") => Check::gap(
                rule,
                "give --nonce to compare it with the server's last DPoP-Nonce",
            ),
            Rule::Nonce if self.nonce.is_none() => Check::skipped(
                rule,
                "it has none, which is right unless the server asks for one",
            ),
            Rule::Ath if self.token.is_none() && has("ath") => {
                Check::gap(rule, "give --token-file to compare it")
            }
            Rule::Ath if self.token.is_none() => {
                Check::skipped(rule, "it has none, which is right only at a token endpoint")
            }
            _ => check,
        }
    }

    fn dates(&self) -> Check {
        if self.lacks("exp") && self.lacks("nbf") {
            return Check::passed(Rule::Dates).detail("it has neither");
        }
        not_reached(Rule::Dates)
    }
}

fn check_signature(proof: UnverifiedProof) -> Check {
    let verified = proof
        .prepare_key(&BACKEND)
        .and_then(|key| proof.verify_signature(&key));
    match verified {
        Ok(_) => Check::passed(Rule::Signature),
        Err(error) => {
            let code = error.kind().as_str();
            let rule = reasons::rule(code).unwrap_or(Rule::Signature);
            Check::failed(rule, code, error.to_string())
        }
    }
}

pub(super) fn not_reached(rule: Rule) -> Check {
    Check::new(rule, Outcome::NotChecked).detail("not reached")
}
