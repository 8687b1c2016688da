//! Counts verdicts with the `metrics` crate.
//!
//! Every label has a small set of values that this crate defines.

use crate::policy::Mode;

#[cfg(feature = "metrics")]
const VERDICTS: &str = "dpop_verdicts_total";

pub(crate) fn describe() {
    #[cfg(feature = "metrics")]
    ::metrics::describe_counter!(
        VERDICTS,
        "Requests that DpopLayers have looked at, by verdict"
    );
}

pub(super) fn admitted(mode: Mode) {
    count(mode, "admitted", "none");
}

pub(super) fn rejected(mode: Mode, reason: &'static str) {
    count(mode, "rejected", reason);
}

pub(super) fn would_reject(mode: Mode, reason: &'static str) {
    count(mode, "would_reject", reason);
}

#[cfg_attr(
    not(feature = "metrics"),
    expect(unused_variables, reason = "nobody counts")
)]
fn count(mode: Mode, verdict: &'static str, reason: &'static str) {
    #[cfg(feature = "metrics")]
    ::metrics::counter!(
        VERDICTS,
        "mode" => mode.as_str(),
        "verdict" => verdict,
        "reason" => reason
    )
    .increment(1);
}
