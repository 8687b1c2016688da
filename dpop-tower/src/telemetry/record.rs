//! What the rest of the crate calls to record something. Without the feature `metrics`, it does nothing.
//!
//! What an admitted request records has keys that are known when this crate is compiled, because a recorder looks
//! them up without an allocation and with a hash that is computed in advance. Handles cannot be kept in place of
//! keys: a recorder may be installed later, and tests have one for each thread.

#![cfg_attr(
    not(feature = "metrics"),
    expect(unused_variables, reason = "nobody records anything")
)]

#[cfg(feature = "metrics")]
use std::time::Instant;

#[cfg(feature = "metrics")]
use ::metrics::{Key, Label, Level, Metadata};

#[cfg(feature = "metrics")]
use super::table;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Admitted,
    Rejected,
    WouldReject,
}

impl Outcome {
    /// Returns the name in snake case, as spans and metrics have it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Rejected => "rejected",
            Self::WouldReject => "would_reject",
        }
    }
}

/// A cache whose lookups are counted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CacheName {
    /// Verified JWTs.
    Token,
    /// Parsed keys of proofs.
    ProofKey,
    /// The issuer's verdicts on opaque tokens.
    #[cfg(feature = "introspection")]
    Introspection,
}

/// Measures how long something takes. It takes no room and no time without the feature `metrics`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timer(#[cfg(feature = "metrics")] Instant);

impl Timer {
    pub(crate) fn start() -> Self {
        Self(
            #[cfg(feature = "metrics")]
            Instant::now(),
        )
    }

    #[cfg(feature = "metrics")]
    fn seconds(self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}

#[cfg(feature = "metrics")]
static METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// Returns a key that is computed at compile time.
#[cfg(feature = "metrics")]
macro_rules! key {
    ($name:expr) => {{
        static KEY: Key = Key::from_static_name($name);
        &KEY
    }};
    ($name:expr, $($label:literal => $value:expr),+) => {{
        static LABELS: &[Label] = &[$(Label::from_static_parts($label, $value)),+];
        static KEY: Key = Key::from_static_parts($name, LABELS);
        &KEY
    }};
}

/// Returns a key with one label, whose value the compiler does not know.
#[cfg(feature = "metrics")]
fn labelled(name: &'static str, label: &'static str, value: &'static str) -> Key {
    Key::from_parts(name, vec![Label::new(label, value)])
}

#[cfg(feature = "metrics")]
fn increment(key: &Key) {
    ::metrics::with_recorder(|recorder| recorder.register_counter(key, &METADATA)).increment(1);
}

#[cfg(feature = "metrics")]
fn observe(key: &Key, value: f64) {
    ::metrics::with_recorder(|recorder| recorder.register_histogram(key, &METADATA)).record(value);
}

#[cfg(feature = "metrics")]
#[expect(clippy::cast_precision_loss, reason = "no store has so many entries")]
fn set(key: &Key, value: usize) {
    ::metrics::with_recorder(|recorder| recorder.register_gauge(key, &METADATA)).set(value as f64);
}

/// Describes all metrics to the recorder, if there is one.
pub(crate) fn describe() {
    #[cfg(feature = "metrics")]
    for metric in table::Metric::ALL {
        metric.describe();
    }
}

/// Counts a verdict.
pub(crate) fn verdict(mode: &'static str, outcome: Outcome, reason: &'static str) {
    #[cfg(feature = "metrics")]
    {
        macro_rules! admitted {
            ($mode:literal) => {
                increment(key!(
                    table::VERDICTS,
                    "mode" => $mode, "outcome" => "admitted", "reason" => "none"
                ))
            };
        }
        match (outcome, mode) {
            (Outcome::Admitted, "strict") => admitted!("strict"),
            (Outcome::Admitted, "optional") => admitted!("optional"),
            (Outcome::Admitted, "report_only") => admitted!("report_only"),
            _ => {
                let labels = vec![
                    Label::new("mode", mode),
                    Label::new("outcome", outcome.as_str()),
                    Label::new("reason", reason),
                ];
                increment(&Key::from_parts(table::VERDICTS, labels));
            }
        }
    }
}

/// Records how long a verification took.
pub(crate) fn verification(timer: Timer, outcome: Outcome) {
    #[cfg(feature = "metrics")]
    {
        let key = match outcome {
            Outcome::Admitted => key!(table::VERIFICATION, "outcome" => "admitted"),
            Outcome::Rejected => key!(table::VERIFICATION, "outcome" => "rejected"),
            Outcome::WouldReject => key!(table::VERIFICATION, "outcome" => "would_reject"),
        };
        observe(key, timer.seconds());
    }
}

/// Counts a rejection that asks the client to repeat the request with a nonce.
pub(crate) fn nonce_challenge() {
    #[cfg(feature = "metrics")]
    increment(key!(table::NONCE_CHALLENGES));
}

/// Records how far the clock of a client is ahead.
///
/// Call it only after the signature of the proof is verified, so that strangers cannot distort the distribution.
pub(crate) fn clock_offset(seconds: i64) {
    #[cfg(feature = "metrics")]
    {
        /// Where a nonce stands in for `iat`, clients can have any clock. No sum may be useless for ever because of
        /// one.
        const MOST: i32 = 24 * 60 * 60;

        let clamped = i32::try_from(seconds).unwrap_or(if seconds < 0 { -MOST } else { MOST });
        observe(key!(table::CLOCK_OFFSET), clamped.clamp(-MOST, MOST).into());
    }
}

/// Counts a lookup in a cache.
pub(crate) fn cache_lookup(cache: CacheName, is_hit: bool) {
    #[cfg(feature = "metrics")]
    {
        macro_rules! lookup {
            ($cache:literal) => {
                match is_hit {
                    true => key!(table::CACHE_LOOKUPS, "cache" => $cache, "outcome" => "hit"),
                    false => key!(table::CACHE_LOOKUPS, "cache" => $cache, "outcome" => "miss"),
                }
            };
        }
        increment(match cache {
            CacheName::Token => lookup!("token"),
            CacheName::ProofKey => lookup!("proof_key"),
            #[cfg(feature = "introspection")]
            CacheName::Introspection => lookup!("introspection"),
        });
    }
}

/// Records how long the replay store took. The outcome is `fresh`, `replayed`, or the reason of an error.
pub(crate) fn replay_check(timer: Timer, outcome: &'static str) {
    #[cfg(feature = "metrics")]
    match outcome {
        "fresh" => observe(
            key!(table::REPLAY_CHECK, "outcome" => "fresh"),
            timer.seconds(),
        ),
        _ => observe(
            &labelled(table::REPLAY_CHECK, "outcome", outcome),
            timer.seconds(),
        ),
    }
}

/// Records the size of the replay store in memory.
pub(crate) fn replay_size(entries: usize, capacity: usize) {
    #[cfg(feature = "metrics")]
    {
        set(key!(table::REPLAY_ENTRIES), entries);
        set(key!(table::REPLAY_CAPACITY), capacity);
    }
}

/// Counts an attempt to fetch the keys of an issuer.
#[cfg(feature = "jwks")]
pub(crate) fn key_fetch(has_succeeded: bool) {
    #[cfg(feature = "metrics")]
    increment(&labelled(
        table::KEY_FETCHES,
        "outcome",
        success(has_succeeded),
    ));
}

/// Counts a call to an introspection endpoint.
#[cfg(feature = "introspection")]
pub(crate) fn introspection(has_succeeded: bool) {
    #[cfg(feature = "metrics")]
    increment(&labelled(
        table::INTROSPECTIONS,
        "outcome",
        success(has_succeeded),
    ));
}

#[cfg(all(feature = "metrics", feature = "jwks"))]
const fn success(has_succeeded: bool) -> &'static str {
    if has_succeeded { "success" } else { "failure" }
}

/// Counts a security event of a transmitter.
#[cfg(feature = "ssf")]
pub(crate) fn security_event(outcome: &'static str) {
    #[cfg(feature = "metrics")]
    increment(&labelled(table::SECURITY_EVENTS, "outcome", outcome));
}
