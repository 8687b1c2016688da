//! Counts verdicts with the `metrics` crate.
//!
//! Every label has a small set of values that this crate defines.

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

#[cfg_attr(
    not(feature = "metrics"),
    expect(unused_variables, reason = "nobody counts")
)]
pub(super) fn verdict(mode: Mode, verdict: &'static str, reason: &'static str) {
    #[cfg(feature = "metrics")]
    ::metrics::counter!(
        VERDICTS,
        "mode" => mode.as_str(),
        "verdict" => verdict,
        "reason" => reason
    )
    .increment(1);
}
