//! The way of a request, from its headers to a verdict.
//!
//! Read top-down, this is the order of the checks. What costs little comes first; there is one
//! signature check of the proof (and one of the token, the first time it is seen); the only write,
//! into the replay store, is the very last step, so nothing that was rejected leaves a trace.

mod credentials;

use std::{
    fmt,
    future::Future as _,
    net::IpAddr,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, Method, Uri};

use self::credentials::Credentials;
pub use self::credentials::RequestErrorKind;
pub(crate) use self::credentials::{PROOF, Presented, Scheme};
use crate::{
    clock::UnixTime,
    config::{DpopConfig, ProofDigest},
    future::MaybeReady,
    policy::{Mode, Policy, PolicyErrorKind, ProofFacts},
    proof::{Ath, ProofContext, ProofError, ProofErrorKind, UnverifiedProof, VerifiedProof},
    replay::{Freshness, ReplayKey, StoreError},
    target::TargetRequest,
    token::{
        BearerToken, BoundToken, Confirmation, PresentedToken, TokenError, TokenErrorKind,
        VerifiedToken,
    },
};

/// The parts of a request that count.
#[derive(Clone, Copy)]
pub(crate) struct RequestHead<'a> {
    pub(crate) method: &'a Method,
    /// As the client sent it, not as a router left it.
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    /// Where the connection comes from, if that is known.
    pub(crate) peer: Option<IpAddr>,
}

/// Who is admitted.
pub(crate) enum Admission {
    Bound {
        token: BoundToken,
        facts: ProofFacts,
    },
    Bearer(BearerToken),
}

/// Why a request is rejected, in full detail.
#[derive(Debug)]
pub(crate) enum Cause {
    Request(RequestErrorKind),
    Proof(ProofError),
    Token(TokenError),
    Policy(PolicyErrorKind),
    Store(StoreError),
}

impl Cause {
    /// A stable code in snake case, for logs and metrics.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Request(kind) => kind.as_str(),
            Self::Proof(error) => error.kind().as_str(),
            Self::Token(error) => error.kind().as_str(),
            Self::Policy(kind) => kind.as_str(),
            Self::Store(error) => error.kind().as_str(),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(kind) => kind.fmt(f),
            Self::Proof(error) => error.fmt(f),
            Self::Token(error) => error.fmt(f),
            Self::Policy(kind) => kind.fmt(f),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl From<RequestErrorKind> for Cause {
    fn from(kind: RequestErrorKind) -> Self {
        Self::Request(kind)
    }
}

impl From<PolicyErrorKind> for Cause {
    fn from(kind: PolicyErrorKind) -> Self {
        Self::Policy(kind)
    }
}

impl From<ProofError> for Cause {
    fn from(error: ProofError) -> Self {
        Self::Proof(error)
    }
}

impl From<ProofErrorKind> for Cause {
    fn from(kind: ProofErrorKind) -> Self {
        Self::Proof(kind.into())
    }
}

impl From<TokenErrorKind> for Cause {
    fn from(kind: TokenErrorKind) -> Self {
        Self::Token(kind.into())
    }
}

/// Starts to verify a request.
pub(crate) fn verify(
    config: &DpopConfig,
    policy: &Policy,
    request: RequestHead<'_>,
) -> Verification {
    let step = begin(config, policy, request);
    Verification(step.unwrap_or_else(|rejection| Step::Rejected(Some(rejection))))
}

/// Everything before the access token is looked into.
fn begin(config: &DpopConfig, policy: &Policy, request: RequestHead<'_>) -> Result<Step, Cause> {
    if policy.mode() == Mode::Deny {
        return Err(PolicyErrorKind::Denied.into());
    }
    let credentials = Credentials::from_headers(request.headers)?;
    let now = config.clock.now();
    let ath = Ath::of(credentials.token, &*config.crypto);
    let token = PresentedToken::new(credentials.token, ath);
    match (credentials.scheme, policy.mode()) {
        (Scheme::Bearer, Mode::Optional) => Ok(Step::Bearer(config.tokens.verify(token, now))),
        (Scheme::Bearer, Mode::Strict | Mode::ReportOnly | Mode::Off | Mode::Deny) => {
            Err(TokenErrorKind::SchemeNotAccepted.into())
        }
        (Scheme::Dpop, _) => {
            let proof = check_proof(config, policy, request, ath, now)?;
            let token = config.tokens.verify(token, now);
            Ok(Step::Token(Some(proof), token))
        }
    }
}

/// A proof that is good if its signature is.
struct Candidate {
    proof: UnverifiedProof,
    /// Known where proofs may be used again.
    digest: Option<ProofDigest>,
}

/// Everything about the proof but its signature.
fn check_proof(
    config: &DpopConfig,
    policy: &Policy,
    request: RequestHead<'_>,
    ath: Ath,
    now: UnixTime,
) -> Result<Candidate, Cause> {
    let text = credentials::proof(request.headers)?;
    let target = TargetRequest::new(request.uri, request.headers, request.peer);
    let htu = config
        .target
        .expected(target)
        .map_err(|_| RequestErrorKind::TargetInvalid)?;
    let check_nonce = |nonce: &str| config.nonces.check(nonce, now, &*config.crypto);
    let context = ProofContext::new(request.method, &htu, now).access_token(ath);
    let context = if config.needs_nonce(policy) {
        context.require_nonce(&check_nonce)
    } else {
        // An inner layer may require one.
        context.observe_nonce(&check_nonce)
    };
    let life = |nonce: &str| config.nonces.life(nonce);
    let context = if config.nonce_for_iat {
        context.nonce_life(&life)
    } else {
        context
    };
    let proof = config
        .proof
        .check(text, &context, &*config.crypto)
        .map_err(|error| error.with_hint(|| config.target.hint(target)))?;
    let (_, leeway) = config.proof.window();
    policy
        .requirements()
        .check_proof(proof.algorithm(), proof.issued_at(), now, leeway)?;
    let digest = config
        .seen_proofs
        .as_ref()
        .map(|_| config.crypto.sha256(&[text.as_bytes()]));
    Ok(Candidate { proof, digest })
}

/// Binding, signature, what the policy asks of the token, and then the replay store.
fn prove_possession(
    config: &DpopConfig,
    policy: &Policy,
    Candidate { proof, digest }: Candidate,
    token: VerifiedToken,
) -> Result<Step, Cause> {
    // Token and proof were looked at when the request came; it may have waited for keys since.
    let now = config.clock.now();
    check_still_active(&token, now)?;
    let thumbprint = *proof.thumbprint();
    match token.confirmation() {
        // RFC 9449 section 4.3 item 12
        Confirmation::Key(bound_to) if bound_to == thumbprint => {}
        Confirmation::Key(_) => return Err(TokenErrorKind::BindingMismatch.into()),
        Confirmation::Unbound => return Err(TokenErrorKind::NotBound.into()),
        Confirmation::Certificate | Confirmation::Unknown => {
            return Err(TokenErrorKind::ConfirmationNotSupported.into());
        }
    }
    let reusable = config.seen_proofs.as_ref().zip(digest);
    let algorithm = proof.algorithm();
    let is_known = reusable.is_some_and(|(seen, digest)| seen.get(&digest).is_some());
    let proof = if is_known {
        proof.with_known_signature()
    } else {
        verify_signature(config, proof)?
    };
    policy.requirements().check_token(token.claims(), now)?;
    if proof.expires_at() < now {
        return Err(ProofErrorKind::TooOld.into());
    }
    let check = match reusable {
        Some((seen, digest)) => {
            if !is_known {
                seen.insert(digest, ());
            }
            MaybeReady::ready(Ok(Freshness::Fresh))
        }
        None => config.replay.check_and_insert(
            replay_key(config, &proof, &token),
            proof.issued_at(),
            now,
        ),
    };
    let admission = Admission::Bound {
        token: BoundToken::new(thumbprint, token.into_claims()),
        facts: ProofFacts {
            algorithm,
            issued_at: proof.issued_at(),
            nonce: proof.nonce_status(),
        },
    };
    Ok(Step::Replay(Some(admission), check))
}

/// The proof's identity, and whose share of the replay store it counts to.
fn replay_key(config: &DpopConfig, proof: &VerifiedProof, token: &VerifiedToken) -> ReplayKey {
    let crypto = &*config.crypto;
    let key = ReplayKey::new(*proof.thumbprint().as_bytes(), proof.jti(), crypto);
    match token.claims().subject_digest(crypto) {
        Some(digest) => key.of_subject(digest),
        None => key,
    }
}

/// The one signature check. The parsed key is kept: its token is good, so a stranger fills nothing.
fn verify_signature(config: &DpopConfig, proof: UnverifiedProof) -> Result<VerifiedProof, Cause> {
    let (thumbprint, algorithm) = (*proof.thumbprint(), proof.algorithm());
    let known_key = config.proof_keys.get(&(thumbprint, algorithm));
    let is_new = known_key.is_none();
    let key = match known_key {
        Some(key) => key,
        None => proof.prepare_key(&*config.crypto)?,
    };
    let proof = proof.verify_signature(&key)?;
    if is_new {
        config.proof_keys.insert((thumbprint, algorithm), key);
    }
    Ok(proof)
}

fn check_still_active(token: &VerifiedToken, now: UnixTime) -> Result<(), Cause> {
    if token.claims().expires_at() <= now {
        return Err(TokenErrorKind::Expired.into());
    }
    Ok(())
}

/// Only a token that is bound to nothing may be used by whoever holds it (RFC 9449 section 7.2).
fn admit_bearer(
    config: &DpopConfig,
    policy: &Policy,
    token: VerifiedToken,
) -> Result<Admission, Cause> {
    let now = config.clock.now();
    check_still_active(&token, now)?;
    match token.confirmation() {
        Confirmation::Unbound => {
            policy.requirements().check_token(token.claims(), now)?;
            Ok(Admission::Bearer(BearerToken::new(token.into_claims())))
        }
        Confirmation::Key(_) => Err(TokenErrorKind::BoundAsBearer.into()),
        Confirmation::Certificate | Confirmation::Unknown => {
            Err(TokenErrorKind::ConfirmationNotSupported.into())
        }
    }
}

/// A request on its way through the checks. It waits in two places only: for the issuer's keys if
/// they are not at hand, and for a replay store that is not in memory.
///
/// # Cancel safety
///
/// Dropped before the last step it leaves no trace; dropped during it, the proof may count as used.
pub(crate) struct Verification(Step);

enum Step {
    Rejected(Option<Cause>),
    Bearer(MaybeReady<Result<VerifiedToken, TokenError>>),
    Token(
        Option<Candidate>,
        MaybeReady<Result<VerifiedToken, TokenError>>,
    ),
    Replay(Option<Admission>, MaybeReady<Result<Freshness, StoreError>>),
}

impl Verification {
    /// Goes on as far as it can, by the configuration and the policy that it was begun with.
    pub(crate) fn poll(
        &mut self,
        config: &DpopConfig,
        policy: &Policy,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Admission, Cause>> {
        loop {
            let next = match &mut self.0 {
                Step::Rejected(rejection) => return Poll::Ready(Err(finished(rejection.take()))),
                Step::Bearer(token) => {
                    let token = ready!(Pin::new(token).poll(cx)).map_err(Cause::Token)?;
                    return Poll::Ready(admit_bearer(config, policy, token));
                }
                Step::Token(proof, token) => {
                    let token = ready!(Pin::new(token).poll(cx)).map_err(Cause::Token)?;
                    prove_possession(config, policy, finished(proof.take()), token)?
                }
                Step::Replay(admission, check) => {
                    return Poll::Ready(match ready!(Pin::new(check).poll(cx)) {
                        Ok(Freshness::Fresh) => Ok(finished(admission.take())),
                        Ok(Freshness::Replayed) => Err(ProofErrorKind::Replayed.into()),
                        Err(error) => Err(Cause::Store(error)),
                    });
                }
            };
            self.0 = next;
        }
    }
}

#[expect(
    clippy::expect_used,
    reason = "polling a completed future is a bug in the caller, as with any future"
)]
fn finished<T>(value: Option<T>) -> T {
    value.expect("`Verification` polled after completion")
}
