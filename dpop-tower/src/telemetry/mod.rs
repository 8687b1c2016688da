//! The names of the metrics of this crate, which are for any recorder of the [`metrics`](https://docs.rs/metrics) crate.
//!
//! Install a recorder before you make layers and verifiers, since they describe the metrics to it. Without a
//! recorder, nothing is recorded.
//!
//! [`Metric::ALL`] lists the metrics, with labels and units. No label contains anything that a caller sent: each
//! value is one of a small set that this crate defines, so a stranger cannot make a recorder grow.
//!
//! # Buckets
//!
//! Exporters for Prometheus need to be told the buckets of histograms:
//!
//! ```
//! # #[cfg(feature = "metrics")] {
//! use std::collections::HashMap;
//! use dpop_tower::telemetry::Metric;
//!
//! let buckets: HashMap<&str, &[f64]> = Metric::ALL
//!     .iter()
//!     .filter_map(|metric| Some((metric.name(), metric.buckets()?)))
//!     .collect();
//! assert!(buckets.contains_key("dpop_verification_duration_seconds"));
//! # }
//! ```
//!
//! # Cost
//!
//! A request that is admitted takes six lookups in the recorder and four readings of the monotonic clock.

mod record;
#[cfg(feature = "metrics")]
mod table;

pub(crate) use self::record::*;
#[cfg(feature = "metrics")]
pub use self::table::{Metric, MetricKind};
