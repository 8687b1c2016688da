//! Verdicts in numbers, for whatever recorder of the `metrics` crate the program has installed.
//!
//! Every label has few values, all of them from this crate.

use crate::policy::Mode;

#[cfg(feature = "metrics")]
const VERDICTS: &str = "dpop_verdicts_total";

pub(super) fn describe() {
    #[cfg(feature = "metrics")]
    ::metrics::describe_counter!(
        VERDICTS,
        "Requests that DpopLayers have looked at, by verdict"
    );
}

pub(super) fn let_in(mode: Mode) {
    count(mode, "let_in", "none");
}

pub(super) fn refused(mode: Mode, reason: &'static str) {
    count(mode, "refused", reason);
}

pub(super) fn would_refuse(mode: Mode, reason: &'static str) {
    count(mode, "would_refuse", reason);
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
