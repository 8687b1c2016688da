//! The way of a request, from its headers to a verdict.
//!
//! The functions of this file are in the order of the checks; those of the claims of a proof are in `candidate`.
//! Cheap checks come first. The signature of a proof is verified once, and the signature of a token when the token
//! is first seen. The revocation list is asked when nothing else is wrong. The entry in the replay store is the only
//! write and the last step, so a rejected request leaves no trace.

pub(crate) mod admitted;
mod candidate;
mod certificate;
mod head;
mod report;
mod rule;
mod rules;
mod shape;
mod standalone;
mod store;
mod token_request;
mod trace;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

pub use self::{
    admitted::Admitted,
    head::RequestHead,
    report::Report,
    standalone::Verifier,
    token_request::{TokenBinding, TokenRequest},
};
use self::{
    admitted::Token,
    candidate::{Candidate, check_proof, nonce_key},
    certificate::{check_certificate, client_certificate},
    rules::Rules,
    store::{ask_store, check_freshness},
    trace::Trace,
};
pub(crate) use self::{admitted::write_nonce, rule::Rule, shape::RequestShape};
use crate::{
    certificate::CertificateThumbprint,
    clock::UnixTime,
    config::{ProofDigest, Settings},
    credentials::{Credentials, Scheme},
    future::{self, MaybeReady},
    jwk::Thumbprint,
    policy::{Mode, Policy, PolicyErrorKind, ProofFacts},
    proof::{Ath, UnverifiedProof, VerifiedProof},
    rejection::{Cause, Rejection},
    replay::{Fence, ReplayCheck},
    revocation::{RevocationError, RevocationQuery, RevocationStatus},
    target::PresentedCertificate,
    telemetry::Outcome,
    token::{
        BearerToken, BoundToken, CertificateBoundToken, Confirmation, PresentedToken, TokenError,
        TokenErrorKind, VerifiedToken,
    },
};

/// The result of a verification.
///
/// ```
/// use dpop_tower::Verdict;
///
/// fn subject(verdict: &Verdict) -> Result<Option<&str>, &'static str> {
///     match verdict {
///         Verdict::Admitted(admitted) => {
///             Ok(admitted.bound_token().and_then(|token| token.claims().subject()))
///         }
///         Verdict::Rejected(rejection) => Err(rejection.reason()),
///     }
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a request that is rejected must not pass"]
pub enum Verdict {
    /// The request may pass.
    ///
    /// It need not have a token if the policy is [`Policy::off`] or [`Policy::report_only`].
    Admitted(Admitted),
    /// The request must not pass. Send the rejection to the client.
    Rejected(Rejection),
}

/// The future of [`Verifier::verify`], which resolves to a [`Verdict`].
///
/// It waits only for the issuer's keys or its verdict on an opaque token, if they are not cached, and for a
/// revocation list or a replay store that is not in memory.
///
/// # Cancel safety
///
/// The future can be dropped at any time. If it is dropped while the replay store is asked, the proof may
/// count as used, and the client has to make a new one.
///
/// # Panics
///
/// Like most futures, it panics if it is polled again after it has completed.
#[must_use = "futures do nothing unless polled"]
pub struct Verification {
    /// The rule that applies to the request.
    pub(crate) rule: Arc<Rule>,
    pub(crate) shape: RequestShape,
    /// The mode of the outer layers, and whether they end streams.
    outer: (Mode, bool),
    step: Step,
    trace: Trace,
}

enum Step {
    /// The request was decided without waiting.
    Decided(Option<Result<Admitted, Cause>>),
    Bearer(
        PresentedCertificate,
        MaybeReady<Result<VerifiedToken, TokenError>>,
    ),
    Token(
        Option<(Candidate, PresentedCertificate)>,
        MaybeReady<Result<VerifiedToken, TokenError>>,
    ),
    Revocation(
        Option<Proved>,
        MaybeReady<Result<RevocationStatus, RevocationError>>,
    ),
    /// With the fence if the store is asked.
    Replay(Option<Token>, Option<Fence>, ReplayCheck),
}

impl Verification {
    /// Starts the verification: the mode is off, an outer layer has decided, or the request is checked.
    fn start(rule: Arc<Rule>, request: RequestHead<'_>) -> Self {
        let outer = request.outer;
        let mut verification = Self {
            shape: RequestShape::of(request.method, request.headers)
                .inside(outer)
                .with_nonce_key(nonce_key(&rule.config, request.headers))
                .of_resource(rule.config.called_resource(request.target())),
            outer: outer.map_or((Mode::Off, false), Admitted::so_far),
            step: Step::Decided(None),
            trace: Trace::start(rule.policy.mode()),
            rule,
        };
        let span = &verification.trace.span;
        let step = span.in_scope(|| verification.first_step(request));
        verification.step = step.unwrap_or_else(|cause| Step::Decided(Some(Err(cause))));
        verification
    }

    fn first_step(&self, request: RequestHead<'_>) -> Result<Step, Cause> {
        let Rule { config, policy, .. } = &*self.rule;
        if policy.mode() == Mode::Off {
            Ok(Step::Decided(Some(Ok(self.admitted(Token::None)))))
        } else if let Some(kind) = self.rule.rejects {
            Err(kind.into())
        } else if let Some(outer) = request.outer.filter(|outer| outer.is_verified_by(config)) {
            let agreed = || Step::Decided(Some(Ok(outer.agreed(&self.rule))));
            outer.satisfies(policy).map(|()| agreed())
        } else {
            begin(config, policy, request, self.shape.nonce_key)
        }
    }

    /// Returns whether it is already known that the request is rejected.
    pub(crate) fn is_rejected(&self) -> bool {
        matches!(self.step, Step::Decided(Some(Err(_)))) && !self.rule.only_reports()
    }

    /// Makes as many steps as possible.
    fn poll_steps(&mut self, cx: &mut Context<'_>) -> Poll<Result<Admitted, Cause>> {
        let trace = &self.trace;
        let _entered = trace.span.enter();
        let Rule { config, policy, .. } = &*self.rule;
        let token = loop {
            match &mut self.step {
                Step::Decided(decision) => return Poll::Ready(finished(decision)),
                Step::Bearer(certificate, token) => {
                    let token = ready!(Pin::new(token).poll(cx)).map_err(Cause::Token)?;
                    trace.token(config, &token);
                    // The request may have waited for keys since the token was checked.
                    let now = config.clock.now();
                    let proved = accept_bearer(config, policy, certificate, token, now)?;
                    self.step = check_revocation(config, proved, now)?;
                }
                Step::Token(proof, token) => {
                    let token = ready!(Pin::new(token).poll(cx)).map_err(Cause::Token)?;
                    trace.token(config, &token);
                    // The request may have waited for keys since its token and its proof were checked.
                    let now = config.clock.now();
                    let proof = finished(proof);
                    let proved = prove_possession(config, policy, proof, token, now, trace)?;
                    self.step = check_revocation(config, proved, now)?;
                }
                Step::Revocation(proved, status) => {
                    match ready!(Pin::new(status).poll(cx)).map_err(TokenError::from) {
                        Ok(RevocationStatus::Active) => {}
                        Ok(RevocationStatus::Revoked) => {
                            return Poll::Ready(Err(TokenErrorKind::Revoked.into()));
                        }
                        Err(error) => return Poll::Ready(Err(Cause::Token(error))),
                    }
                    // The request may have waited for the list.
                    self.step = record_use(config, finished(proved), config.clock.now())?;
                }
                Step::Replay(token, fence, check) => {
                    let freshness = ready!(Pin::new(check).poll(cx));
                    check_freshness(config, *fence, freshness)?;
                    break finished(token);
                }
            }
        };
        trace.admitted();
        Poll::Ready(Ok(self.admitted(token)))
    }

    fn admitted(&self, with: Token) -> Admitted {
        let rule = Arc::clone(&self.rule);
        Admitted::new(with, rule, self.shape, self.outer)
    }
}

impl Future for Verification {
    type Output = Verdict;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Verdict> {
        let decision = ready!(self.poll_steps(cx));
        let (rule, shape, trace) = (&self.rule, self.shape, &self.trace);
        let verdict = match decision {
            Ok(admitted) => {
                trace.end(Outcome::Admitted, "none");
                let report = rule.only_reports().then_some(Report { rejection: None });
                Verdict::Admitted(admitted.with_nonce(rule).with_report(report))
            }
            Err(cause) if rule.only_reports() => {
                let rejection = trace.span.in_scope(|| rule.report(cause, shape));
                trace.rejected(Outcome::WouldReject, &rejection);
                let report = Report {
                    rejection: Some(rejection),
                };
                Verdict::Admitted(self.admitted(Token::None).with_report(Some(report)))
            }
            Err(cause) => {
                let rejection = trace.span.in_scope(|| rule.reject(cause, shape));
                trace.rejected(Outcome::Rejected, &rejection);
                Verdict::Rejected(rejection)
            }
        };
        self.trace.close();
        Poll::Ready(verdict)
    }
}

impl fmt::Debug for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verification")
            .field("rule", &self.rule)
            .finish_non_exhaustive()
    }
}

fn finished<T>(value: &mut Option<T>) -> T {
    future::taken(value, "`Verification` polled after completion")
}

/// Makes all checks that come before the access token.
fn begin(
    config: &Settings,
    policy: &Policy,
    request: RequestHead<'_>,
    nonce_key: Option<Thumbprint>,
) -> Result<Step, Cause> {
    if policy.mode() == Mode::Deny {
        return Err(PolicyErrorKind::Denied.into());
    }
    let credentials = Credentials::from_headers(request.headers)?;
    let certificate = client_certificate(config, request)?;
    let now = config.clock.now();
    let ath = Ath::of(credentials.token, &*config.crypto);
    let token = PresentedToken::new(credentials.token, ath);
    match credentials.scheme {
        Scheme::Bearer if policy.mode() == Mode::Optional || policy.accepts_certificate_bound() => {
            let token = config.tokens.verify(token, now);
            Ok(Step::Bearer(certificate, token))
        }
        Scheme::Bearer => Err(TokenErrorKind::SchemeNotAccepted.into()),
        Scheme::Dpop => {
            let candidate = check_proof(config, policy, request, nonce_key, Some(ath), now)?;
            let token = config.tokens.verify(token, now);
            Ok(Step::Token(Some((candidate, certificate)), token))
        }
    }
}

/// A token that is good for the policy, and that the client may use.
enum Proved {
    Bound(VerifiedToken, Possession),
    /// With the client certificate that it is bound to, if it is bound to one.
    Bearer(VerifiedToken, Option<CertificateThumbprint>),
}

/// The proof that the client holds the key of a token.
struct Possession {
    proof: VerifiedProof,
    /// `None` unless the configuration allows proofs to be reused.
    digest: Option<ProofDigest>,
    fence: Fence,
}

/// Checks the binding, the signature and the policy.
fn prove_possession(
    config: &Settings,
    policy: &Policy,
    (candidate, certificate): (Candidate, PresentedCertificate),
    token: VerifiedToken,
    now: UnixTime,
    trace: &Trace,
) -> Result<Proved, Cause> {
    let Candidate {
        proof,
        digest,
        fence,
        clock_offset,
    } = candidate;
    check_still_active(&token, now)?;
    let thumbprint = *proof.thumbprint();
    let (key, bound_certificate) = match token.confirmation() {
        Confirmation::Key(key) => (key, None),
        Confirmation::KeyAndCertificate(key, certificate) => (key, Some(certificate)),
        Confirmation::Certificate(_) if policy.accepts_certificate_bound() => {
            return Err(TokenErrorKind::NotBound.into());
        }
        Confirmation::Unbound => return Err(TokenErrorKind::NotBound.into()),
        Confirmation::Certificate(_) | Confirmation::Unknown => {
            return Err(TokenErrorKind::ConfirmationNotSupported.into());
        }
    };
    // RFC 9449 section 4.3 item 12
    if key != thumbprint {
        return Err(TokenErrorKind::BindingMismatch.into());
    }
    if let Some(bound_to) = bound_certificate {
        check_certificate(bound_to, &certificate, &*config.crypto)?;
    }
    (policy.requirements()).check_binding(bound_certificate.is_some())?;
    let reusable = config.seen_proofs.as_ref().zip(digest);
    let is_known = reusable.is_some_and(|(seen, digest)| seen.get(&digest).is_some());
    let proof = if is_known {
        proof.with_known_signature()
    } else {
        verify_signature(config, proof)?
    };
    trace.proof(&proof, clock_offset);
    policy.requirements().check_token(token.claims(), now)?;
    let possession = Possession {
        proof,
        digest,
        fence,
    };
    Ok(Proved::Bound(token, possession))
}

/// Asks the revocation list, if there is one, also about a token that was seen before.
fn check_revocation(config: &Settings, proved: Proved, now: UnixTime) -> Result<Step, Cause> {
    let Some(list) = &config.revocations else {
        return record_use(config, proved, now);
    };
    let status = list.status(match &proved {
        Proved::Bound(token, Possession { proof, .. }) => {
            RevocationQuery::new(token.claims(), now).bound_to(proof.thumbprint())
        }
        Proved::Bearer(token, _) => RevocationQuery::new(token.claims(), now),
    });
    Ok(Step::Revocation(Some(proved), status))
}

/// Asks the replay store, which remembers the proof.
fn record_use(config: &Settings, proved: Proved, now: UnixTime) -> Result<Step, Cause> {
    let (token, possession) = match proved {
        Proved::Bound(token, possession) => (token, possession),
        Proved::Bearer(token, bound_to) => {
            check_still_active(&token, now)?;
            let claims = token.into_claims();
            let token = match bound_to {
                Some(bound_to) => Token::Certificate(CertificateBoundToken::new(bound_to, claims)),
                None => Token::Bearer(BearerToken::new(claims)),
            };
            return Ok(Step::Replay(Some(token), None, ReplayCheck::fresh()));
        }
    };
    check_still_active(&token, now)?;
    let subject = token.claims().subject_digest(&*config.crypto);
    let check = ask_store(config, &possession, subject, now)?;
    let Possession { proof, fence, .. } = possession;
    let facts = ProofFacts {
        algorithm: proof.algorithm(),
        issued_at: proof.issued_at(),
        nonce: proof.nonce_status(),
    };
    let certificate = match token.confirmation() {
        Confirmation::KeyAndCertificate(_, certificate) => Some(certificate),
        _ => None,
    };
    let token = BoundToken::new(*proof.thumbprint(), certificate, token.into_claims());
    let token = Some(Token::Bound(token, facts));
    Ok(Step::Replay(token, Some(fence), check))
}

/// Verifies the signature and caches the parsed key. The token is valid, so strangers cannot fill the cache.
fn verify_signature(config: &Settings, proof: UnverifiedProof) -> Result<VerifiedProof, Cause> {
    if let Some(key) = proof.known_key() {
        return Ok(proof.verify_signature(&key)?);
    }
    let prepared = proof.prepare_key(&*config.crypto)?;
    let (key, known) = proof.to_known_key(&prepared);
    let proof = proof.verify_signature(&prepared)?;
    config.proof_keys.insert(key, known);
    Ok(proof)
}

fn check_still_active(token: &VerifiedToken, now: UnixTime) -> Result<(), Cause> {
    if token.claims().expires_at() <= now {
        return Err(TokenErrorKind::Expired.into());
    }
    Ok(())
}

/// Accepts a token with the `Bearer` scheme if it is not bound to a key (RFC 9449 section 7.2).
fn accept_bearer(
    config: &Settings,
    policy: &Policy,
    certificate: &PresentedCertificate,
    token: VerifiedToken,
    now: UnixTime,
) -> Result<Proved, Cause> {
    check_still_active(&token, now)?;
    let bound_to = match token.confirmation() {
        Confirmation::Unbound if policy.mode() == Mode::Optional => None,
        Confirmation::Unbound => return Err(TokenErrorKind::SchemeNotAccepted.into()),
        Confirmation::Key(_) | Confirmation::KeyAndCertificate(..) => {
            return Err(TokenErrorKind::BoundAsBearer.into());
        }
        Confirmation::Certificate(bound_to) if policy.accepts_certificate_bound() => {
            check_certificate(bound_to, certificate, &*config.crypto)?;
            Some(bound_to)
        }
        Confirmation::Certificate(_) | Confirmation::Unknown => {
            return Err(TokenErrorKind::ConfirmationNotSupported.into());
        }
    };
    let requirements = policy.requirements();
    requirements.check_binding(bound_to.is_some())?;
    requirements.check_token(token.claims(), now)?;
    Ok(Proved::Bearer(token, bound_to))
}
