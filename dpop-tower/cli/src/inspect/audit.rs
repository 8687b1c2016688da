//! A proof and a token together.

use dpop_tower::{
    jwk::Thumbprint,
    proof::Htu,
    token::{Confirmation, TokenErrorKind},
};
use http::Method;
use serde_json::{Map, Value};

use super::{
    Options, Unreadable,
    dates::Clock,
    jws::Jws,
    proof::{ProofQuestion, not_reached},
    report::{Check, Decoded, Outcome},
    rules::Rule,
    token::TokenQuestion,
};

/// What is known of a request, or of a proof or a token alone.
pub(super) struct Audit<'a> {
    pub(super) proof: Option<&'a str>,
    pub(super) token: Option<&'a str>,
    pub(super) method: Option<&'a Method>,
    pub(super) htu: Option<&'a Htu>,
    pub(super) options: &'a Options,
    pub(super) clock: Clock,
}

/// The outcomes.
pub(super) struct Audited {
    /// In the order of the rules.
    pub(super) checks: Vec<Check>,
    pub(super) decoded: Vec<Decoded>,
    pub(super) thumbprint: Option<Thumbprint>,
    /// What is unique among proofs, if the proof can be read.
    pub(super) key: Option<(Thumbprint, String)>,
    pub(super) token_verdict: Option<Result<Map<String, Value>, TokenErrorKind>>,
}

impl Audit<'_> {
    pub(super) fn run(&self) -> Result<Audited, Unreadable> {
        let options = self.options;
        let proof_jws = self.proof.and_then(Jws::read);
        let proof = match self.proof {
            Some(proof) => Some(self.ask(proof, proof_jws.as_ref())?),
            None => None,
        };
        let token = match self.token {
            Some(token) => {
                let clock = self.clock;
                Some(
                    TokenQuestion {
                        token,
                        options,
                        clock,
                    }
                    .answer()?,
                )
            }
            None => None,
        };
        let mut checks = Vec::new();
        let thumbprint = proof.as_ref().and_then(|proof| proof.thumbprint);
        let confirmation = token.as_ref().and_then(|token| token.confirmation);
        if let (Some(_), Some(token)) = (&proof, &token) {
            checks.push(match (thumbprint, confirmation) {
                _ if token.verdict.is_none() => {
                    Check::skipped(Rule::Binding, "only its issuer knows the key of the token")
                }
                (Some(key), Some(confirmation)) => binding(key, confirmation),
                _ => not_reached(Rule::Binding),
            });
        } else if token.is_some() {
            checks.push(match self.method {
                Some(_) => not_reached(Rule::Binding),
                None => Check::skipped(Rule::Binding, "inspect a whole request to compare them"),
            });
        }
        let jti = proof_jws.as_ref().and_then(|jws| jws.text("jti"));
        let key = thumbprint.zip(jti.map(str::to_owned));
        let mut decoded = Vec::new();
        if let Some(proof) = proof {
            checks.extend(proof.checks);
            checks.push(proof.signature);
            decoded.extend(proof_jws.map(|jws| jws.shown_proof(options.all_claims)));
        }
        let mut token_verdict = None;
        if let Some(token) = token {
            checks.extend(token.checks);
            checks.push(token.bound);
            token_verdict = token.verdict;
            let jws = self.token.and_then(Jws::read);
            decoded.extend(jws.map(|jws| jws.shown_token(options.all_claims)));
        }
        checks.sort_by_key(|check| check.rule);
        Ok(Audited {
            checks,
            decoded,
            thumbprint,
            key,
            token_verdict,
        })
    }

    fn ask(&self, proof: &str, jws: Option<&Jws>) -> Result<super::proof::ProofAnswer, Unreadable> {
        let question = ProofQuestion {
            proof,
            jws,
            method: self.method,
            htu: self.htu,
            token: self.token,
            nonce: self.options.nonce.as_deref(),
            clock: self.clock,
            max_age: self.options.max_age,
        };
        question
            .answer()
            .map_err(|error| Unreadable::new(error.to_string()))
    }
}

fn binding(key: Thumbprint, confirmation: Confirmation) -> Check {
    match confirmation {
        Confirmation::Key(bound) | Confirmation::KeyAndCertificate(bound, _) if bound == key => {
            Check::passed(Rule::Binding)
        }
        Confirmation::Key(bound) | Confirmation::KeyAndCertificate(bound, _) => Check::failed(
            Rule::Binding,
            TokenErrorKind::BindingMismatch.as_str(),
            format!("cnf.jkt is {bound}, and the thumbprint of jwk is {key}"),
        ),
        _ => not_reached(Rule::Binding),
    }
}

/// Returns the reason of the first check that failed.
pub(super) fn first_failed(checks: &[Check]) -> Option<&'static str> {
    let failed = checks
        .iter()
        .filter(|check| check.outcome == Outcome::Failed);
    failed.min_by_key(|check| check.rule)?.reason
}
