//! What was called and what came back, and whether a store that keeps its contract can answer so.

use std::{
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use crate::replay::{Freshness, ReplayKey, StoreError};

/// What a call told its caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Fresh,
    Replayed,
    /// An error, or nothing: the proof may be on record, now or later, or not.
    Unknown(String),
}

impl Outcome {
    pub(super) fn of(result: Result<Freshness, StoreError>) -> Self {
        match result {
            Ok(Freshness::Fresh) => Self::Fresh,
            Ok(Freshness::Replayed) => Self::Replayed,
            Err(error) => Self::Unknown(chain(&error)),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fresh => f.write_str("Fresh"),
            Self::Replayed => f.write_str("Replayed"),
            Self::Unknown(reason) => write!(f, "error: {reason}"),
        }
    }
}

/// Returns the message of an error with those of its sources.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// One call. The two instants are positions in one order of all beginnings and ends, so a call that ended before
/// another one began has `returned < invoked`.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) key: [u8; 32],
    pub(super) node: usize,
    pub(super) invoked: u64,
    pub(super) returned: u64,
    pub(super) outcome: Outcome,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            node,
            invoked,
            returned,
            outcome,
            ..
        } = self;
        write!(f, "node {node}, from {invoked} to {returned}: {outcome}")
    }
}

/// Why no store that keeps its contract gives these answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Two calls returned `Fresh`.
    FreshTwice,
    /// A call returned `Replayed` before any other had begun that can have recorded the proof.
    ReplayedUnused,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FreshTwice => "one proof was fresh twice",
            Self::ReplayedUnused => "a proof was replayed before it was used",
        })
    }
}

/// Checks whether the calls for one key are linearizable: whether there is one order of them, in which each takes
/// effect at one instant between its beginning and its end, and in which the first call that records the proof
/// returns `Fresh`, every earlier one nothing, and every later one `Replayed`. A call without an answer may take
/// effect at any time after its beginning, or never.
///
/// A proof is set once and never unset, so no search is needed:
///
/// - Two calls cannot both be the first, so at most one returns `Fresh`.
/// - If one does, no call without an answer took effect before it. The order that puts it at its beginning, and each
///   `Replayed` at its end, exists unless a `Replayed` ended before the `Fresh` began.
/// - If none does, each `Replayed` needs a call without an answer that began before the `Replayed` ended.
pub(super) fn linearizable(calls: &[Call]) -> Result<(), Fault> {
    fresh_once(calls)?;
    let fresh = calls.iter().find(|call| call.outcome == Outcome::Fresh);
    let recorded_from = match fresh {
        Some(fresh) => Some(fresh.invoked),
        None => calls
            .iter()
            .filter(|call| matches!(call.outcome, Outcome::Unknown(_)))
            .map(|call| call.invoked)
            .min(),
    };
    let is_explained = |replayed: &Call| recorded_from.is_some_and(|from| from < replayed.returned);
    calls
        .iter()
        .filter(|call| call.outcome == Outcome::Replayed)
        .all(is_explained)
        .then_some(())
        .ok_or(Fault::ReplayedUnused)
}

/// Checks the part of [`linearizable`] that security depends on. A store in trouble may return `Replayed` for a proof
/// that was never used.
pub(super) fn fresh_once(calls: &[Call]) -> Result<(), Fault> {
    let fresh = calls
        .iter()
        .filter(|call| call.outcome == Outcome::Fresh)
        .count();
    if fresh > 1 {
        return Err(Fault::FreshTwice);
    }
    Ok(())
}

/// The calls of one check, from all threads.
#[derive(Debug, Default)]
pub(super) struct History {
    /// How many calls have begun and ended.
    instants: AtomicU64,
    calls: Mutex<Vec<Call>>,
}

impl History {
    /// Returns the instant of a beginning or an end, later than every one before.
    pub(super) fn instant(&self) -> u64 {
        self.instants.fetch_add(1, SeqCst)
    }

    /// Records a call that began at the instant `invoked` and has ended just now.
    pub(super) fn record(&self, key: &ReplayKey, node: usize, invoked: u64, outcome: Outcome) {
        let call = Call {
            key: *key.proof(),
            node,
            invoked,
            returned: self.instant(),
            outcome,
        };
        self.calls().push(call);
    }

    fn calls(&self) -> MutexGuard<'_, Vec<Call>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the calls for one key in the order of their beginnings.
    pub(super) fn of(&self, key: &ReplayKey) -> Vec<Call> {
        let mut calls: Vec<Call> = self
            .calls()
            .iter()
            .filter(|call| call.key == *key.proof())
            .cloned()
            .collect();
        calls.sort_by_key(|call| call.invoked);
        calls
    }

    /// Returns the calls for each key, in the order of their beginnings.
    pub(super) fn by_key(&self) -> Vec<Vec<Call>> {
        let mut keys = std::collections::BTreeMap::<[u8; 32], Vec<Call>>::new();
        for call in self.calls().iter() {
            keys.entry(call.key).or_default().push(call.clone());
        }
        let mut keys: Vec<Vec<Call>> = keys.into_values().collect();
        for calls in &mut keys {
            calls.sort_by_key(|call| call.invoked);
        }
        keys
    }
}

#[cfg(test)]
mod tests;
