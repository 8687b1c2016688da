//! The table of all metrics. The documentation and the example are checked against it.

use self::MetricKind::{Counter, Gauge, Histogram};

/// A metric that this crate records.
///
/// ```
/// use dpop_tower::telemetry::{Metric, MetricKind};
///
/// let verdicts = Metric::ALL.iter().find(|metric| metric.name() == "dpop_verdicts_total");
/// let verdicts = verdicts.ok_or("no such metric")?;
/// assert_eq!(verdicts.kind(), MetricKind::Counter);
/// assert_eq!(verdicts.label_names(), ["mode", "outcome", "reason"]);
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Metric {
    name: &'static str,
    kind: MetricKind,
    labels: &'static [&'static str],
    is_time: bool,
    buckets: Option<&'static [f64]>,
    description: &'static str,
}

/// The kinds of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetricKind {
    /// A number that only goes up while the process runs.
    Counter,
    /// A number that goes up and down.
    Gauge,
    /// A distribution of values.
    Histogram,
}

pub(super) const VERDICTS: &str = "dpop_verdicts_total";
pub(super) const VERIFICATION: &str = "dpop_verification_duration_seconds";
pub(super) const NONCE_CHALLENGES: &str = "dpop_nonce_challenges_total";
pub(super) const CLOCK_OFFSET: &str = "dpop_clock_offset_seconds";
pub(super) const CACHE_LOOKUPS: &str = "dpop_cache_lookups_total";
pub(super) const REPLAY_CHECK: &str = "dpop_replay_check_duration_seconds";
pub(super) const REPLAY_ENTRIES: &str = "dpop_replay_entries";
pub(super) const REPLAY_CAPACITY: &str = "dpop_replay_capacity";
#[cfg(feature = "jwks")]
pub(super) const KEY_FETCHES: &str = "dpop_key_fetches_total";
#[cfg(feature = "introspection")]
pub(super) const INTROSPECTIONS: &str = "dpop_introspections_total";
#[cfg(feature = "ssf")]
pub(super) const SECURITY_EVENTS: &str = "dpop_security_events_total";

/// From a signature check to the time limit of a fetch.
const VERIFICATION_BUCKETS: &[f64] = &[
    50e-6, 100e-6, 150e-6, 200e-6, 300e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1,
    0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// From a lookup in memory to the time limit of a server.
const REPLAY_BUCKETS: &[f64] = &[
    0.5e-6, 1e-6, 2e-6, 5e-6, 10e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 25e-3,
    50e-3, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
];

const OFFSET_BUCKETS: &[f64] = &[
    -300.0, -60.0, -30.0, -10.0, -5.0, -2.0, -1.0, 0.0, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0,
];

impl Metric {
    /// All metrics that the enabled features record.
    pub const ALL: &[Self] = &[
        Self::new(VERDICTS, Counter, "Requests by verdict").labels(&["mode", "outcome", "reason"]),
        Self::new(
            VERIFICATION,
            Histogram,
            "Time from the headers of a request to its verdict",
        )
        .labels(&["outcome"])
        .seconds(VERIFICATION_BUCKETS),
        Self::new(
            NONCE_CHALLENGES,
            Counter,
            "Rejected requests that have to be repeated with a nonce",
        ),
        Self::new(
            CLOCK_OFFSET,
            Histogram,
            "How far the clocks of clients are ahead of this server's",
        )
        .seconds(OFFSET_BUCKETS),
        Self::new(CACHE_LOOKUPS, Counter, "Lookups in caches").labels(&["cache", "outcome"]),
        Self::new(
            REPLAY_CHECK,
            Histogram,
            "Time that the replay store takes for a proof",
        )
        .labels(&["outcome"])
        .seconds(REPLAY_BUCKETS),
        Self::new(
            REPLAY_ENTRIES,
            Gauge,
            "Entries in the replay store in memory",
        ),
        Self::new(
            REPLAY_CAPACITY,
            Gauge,
            "Entries that the replay store in memory can hold",
        ),
        #[cfg(feature = "jwks")]
        Self::new(
            KEY_FETCHES,
            Counter,
            "Attempts to fetch the keys of an issuer",
        )
        .labels(&["outcome"]),
        #[cfg(feature = "introspection")]
        Self::new(INTROSPECTIONS, Counter, "Calls to introspection endpoints").labels(&["outcome"]),
        #[cfg(feature = "ssf")]
        Self::new(SECURITY_EVENTS, Counter, "Security events received").labels(&["outcome"]),
    ];

    const fn new(name: &'static str, kind: MetricKind, description: &'static str) -> Self {
        Self {
            name,
            kind,
            labels: &[],
            is_time: false,
            buckets: None,
            description,
        }
    }

    const fn labels(mut self, labels: &'static [&'static str]) -> Self {
        self.labels = labels;
        self
    }

    const fn seconds(mut self, buckets: &'static [f64]) -> Self {
        self.is_time = true;
        self.buckets = Some(buckets);
        self
    }

    /// Returns the name, such as `dpop_verdicts_total`.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the kind.
    pub const fn kind(&self) -> MetricKind {
        self.kind
    }

    /// Returns the unit, `seconds`, or `None` if the metric counts something.
    pub const fn unit(&self) -> Option<&'static str> {
        if self.is_time { Some("seconds") } else { None }
    }

    /// Returns the names of the labels.
    pub const fn label_names(&self) -> &'static [&'static str] {
        self.labels
    }

    /// Returns buckets that fit the values of a histogram, and `None` for other metrics.
    pub const fn buckets(&self) -> Option<&'static [f64]> {
        self.buckets
    }

    /// Returns what the metric counts or measures.
    pub const fn description(&self) -> &'static str {
        self.description
    }

    /// Describes the metric to the recorder.
    pub(super) fn describe(&self) {
        use ::metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
        let unit = if self.is_time {
            Unit::Seconds
        } else {
            Unit::Count
        };
        match self.kind {
            Counter => describe_counter!(self.name, unit, self.description),
            Gauge => describe_gauge!(self.name, unit, self.description),
            Histogram => describe_histogram!(self.name, unit, self.description),
        }
    }
}
