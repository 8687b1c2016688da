//! The checks of a proof that come before its signature.

use http::HeaderMap;

use super::RequestHead;
use crate::{
    clock::UnixTime,
    config::{ProofDigest, Settings},
    credentials::{self, RequestErrorKind},
    jwk::Thumbprint,
    policy::Policy,
    proof::{self, Ath, NonceStatus, ProofContext, ProofErrorKind, ProofKey, UnverifiedProof},
    rejection::Cause,
    replay::Fence,
    telemetry::{self, CacheName},
};

/// A proof whose claims match the request but whose signature has not been verified.
pub(super) struct Candidate {
    pub(super) proof: UnverifiedProof,
    /// `None` unless the configuration allows proofs to be reused.
    pub(super) digest: Option<ProofDigest>,
    pub(super) fence: Fence,
    /// How many seconds the `iat` was ahead when the proof was checked.
    pub(super) clock_offset: i64,
}

/// Returns the thumbprint of the key in the proof if nonces are bound to keys.
pub(super) fn nonce_key(config: &Settings, headers: &HeaderMap) -> Option<Thumbprint> {
    if !config.nonces.binds_to_key() {
        return None;
    }
    proof::unverified_thumbprint(credentials::proof(headers).ok()?, &*config.crypto)
}

/// Checks everything about the proof except its signature. A request for a token has no `ath`.
pub(super) fn check_proof(
    config: &Settings,
    policy: &Policy,
    request: RequestHead<'_>,
    nonce_key: Option<Thumbprint>,
    ath: Option<Ath>,
    now: UnixTime,
) -> Result<Candidate, Cause> {
    let text = credentials::proof(request.headers)?;
    let target = request.target();
    let htu = config
        .target
        .expected(target)
        .map_err(|_| RequestErrorKind::TargetInvalid)?;
    let fence = config.replay.fence();
    let nonce_context = config.nonce_context(now, fence).thumbprint(nonce_key);
    let check_nonce = |nonce: &str| config.nonces.check(nonce, &nonce_context);
    let context = ProofContext::new(request.method, &htu, now);
    let context = match ath {
        Some(ath) => context.access_token(ath),
        None => context,
    };
    let context = if config.needs_nonce(policy) {
        context.require_nonce(&check_nonce)
    } else {
        // An inner layer may require one.
        context.observe_nonce(&check_nonce, config.replay.needs_good_nonce())
    };
    let life = |nonce: &str| config.nonces.life(nonce);
    let context = if config.nonce_for_iat {
        context.nonce_life(&life)
    } else {
        context
    };
    let known_key = |key: &ProofKey| {
        let known = config.proof_keys.get(key);
        telemetry::cache_lookup(CacheName::ProofKey, known.is_some());
        known
    };
    let context = context.known_key(&known_key);
    let proof = config
        .proof
        .check(text, &context, &*config.crypto)
        .map_err(|error| error.with_hint(|| config.target.hint(target)))?;
    let (algorithm, issued_at) = (proof.algorithm(), proof.issued_at());
    policy
        .requirements()
        .check_proof(algorithm, issued_at, now, config.proof.leeway)?;
    if !config.replay.covers(fence, issued_at) && !has_new_nonce(config, &proof) {
        return Err(ProofErrorKind::Fenced.into());
    }
    let digest = config
        .seen_proofs
        .as_ref()
        .map(|_| config.crypto.sha256(&[text.as_bytes()]));
    Ok(Candidate {
        proof,
        digest,
        fence,
        clock_offset: issued_at.seconds_since(now),
    })
}

/// Returns whether the nonce shows that the proof was made under the present incarnation of the replay store.
fn has_new_nonce(config: &Settings, proof: &UnverifiedProof) -> bool {
    let status = proof.nonce_status();
    config.nonces.covers_incarnation()
        && status.is_some_and(|status| status != NonceStatus::Unknown)
}
