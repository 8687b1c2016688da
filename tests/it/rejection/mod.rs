//! What the client and the operator learn about a rejection.

pub(crate) mod challenge;
pub(crate) mod logging;
mod metrics;
mod way_out;
