//! What the replay store is asked about a proof, and what follows from its answer.

use super::Possession;
use crate::{
    clock::UnixTime,
    config::Settings,
    proof::ProofErrorKind,
    rejection::Cause,
    replay::{Fence, Freshness, ReplayCheck, ReplayKey, StoreError},
};

/// Puts the proof on record, unless the configuration allows proofs to be reused. It counts towards the share that
/// its key and the subject have of the store.
pub(super) fn ask_store(
    config: &Settings,
    possession: &Possession,
    subject: Option<[u8; 32]>,
    now: UnixTime,
) -> Result<ReplayCheck, Cause> {
    let proof = &possession.proof;
    if proof.expires_at() < now {
        return Err(ProofErrorKind::TooOld.into());
    }
    if let Some((seen, digest)) = config.seen_proofs.as_ref().zip(possession.digest) {
        if seen.get(&digest).is_none() {
            seen.insert(digest, ());
        }
        return Ok(ReplayCheck::fresh());
    }
    let key = ReplayKey::new(*proof.thumbprint().as_bytes(), proof.jti(), &*config.crypto);
    let key = match subject {
        Some(digest) => key.of_subject(digest),
        None => key,
    };
    Ok(config.replay.check_and_insert(key, proof.issued_at(), now))
}

/// Reads the answer of the store about a proof that was checked behind this fence, if it was asked.
pub(super) fn check_freshness(
    config: &Settings,
    fence: Option<Fence>,
    freshness: Result<Freshness, StoreError>,
) -> Result<(), Cause> {
    match freshness {
        // The store may have lost its records since the proof was checked.
        Ok(Freshness::Fresh) if fence.is_some_and(|fence| fence != config.replay.fence()) => {
            Err(ProofErrorKind::Fenced.into())
        }
        Ok(Freshness::Fresh) => Ok(()),
        Ok(Freshness::Replayed) => Err(ProofErrorKind::Replayed.into()),
        Err(error) => Err(Cause::Store(error)),
    }
}
