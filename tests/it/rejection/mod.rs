//! What a rejection says to the client and to the operator.

pub(crate) mod challenge;
pub(crate) mod logging;
mod metrics;
mod way_out;
