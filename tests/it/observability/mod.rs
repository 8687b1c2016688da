//! What operators see: spans, metrics, and the documentation of both.

mod documentation;
mod metrics;
mod spans;

use std::collections::BTreeMap;

use dpop_tower::telemetry::Metric;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};

/// The metrics that a test has recorded: the values of each name and its labels.
pub(crate) struct Recorded(BTreeMap<String, Vec<f64>>);

impl Recorded {
    /// Records what `send` does on this thread.
    pub(crate) fn by(send: impl AsyncFnOnce()) -> Self {
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        ::metrics::with_local_recorder(&recorder, || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(send());
        });
        let mut recorded = BTreeMap::new();
        for (key, unit, description, value) in snapshotter.snapshot().into_vec() {
            let (_, key) = key.into_parts();
            let metric = Metric::ALL
                .iter()
                .find(|metric| metric.name() == key.name());
            let metric = metric.unwrap_or_else(|| panic!("{} is not in the table", key.name()));
            assert_eq!(
                description.as_deref(),
                Some(metric.description()),
                "{}",
                key.name()
            );
            let is_time = unit == Some(::metrics::Unit::Seconds);
            assert_eq!(is_time, metric.unit().is_some(), "{}", key.name());
            let mut labels: Vec<_> = key.labels().collect();
            labels.sort_by_key(|label| label.key());
            let names = labels.iter().map(|label| label.key());
            assert!(names.eq(metric.label_names().iter().copied()), "{key:?}");
            let values: Vec<_> = labels.iter().map(|label| label.value()).collect();
            let series = [&[key.name()], &*values].concat().join(" ");
            let values = match value {
                #[expect(clippy::cast_precision_loss, reason = "no test counts so far")]
                DebugValue::Counter(count) => vec![count as f64],
                DebugValue::Gauge(value) => vec![value.into_inner()],
                DebugValue::Histogram(values) => values.into_iter().map(f64::from).collect(),
            };
            recorded.insert(series, values);
        }
        Self(recorded)
    }

    /// Returns the values of a series: a name and the values of its labels.
    pub(crate) fn values(&self, series: &str) -> &[f64] {
        self.0.get(series).map_or(&[], |values| values)
    }
}
