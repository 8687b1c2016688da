//! The recorder of the metrics, and the exporter of the traces.

use std::time::Duration;

use axum::{Router, http::header, routing::get};
use dpop_tower::telemetry::Metric;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tracing_subscriber::{
    Layer as _, filter::LevelFilter, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::Result;

/// The recorder forgets old samples of summaries only when it is told to.
const UPKEEP: Duration = Duration::from_secs(5);

pub(crate) struct Telemetry {
    metrics: PrometheusHandle,
    traces: SdkTracerProvider,
}

impl Telemetry {
    /// Installs both for the whole process. Spans go to the collector at this URL, or to that of the environment.
    pub(crate) fn install(collector: Option<&str>) -> Result<Self> {
        let mut builder = PrometheusBuilder::new();
        for metric in Metric::ALL {
            // Without buckets, histograms become summaries, which cannot be added up over several nodes.
            if let Some(buckets) = metric.buckets() {
                let name = Matcher::Full(metric.name().to_owned());
                builder = builder.set_buckets_for_metric(name, buckets)?;
            }
        }
        let metrics = builder.install_recorder()?;
        let upkeep = metrics.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(UPKEEP).await;
                upkeep.run_upkeep();
            }
        });

        let exporter = SpanExporter::builder().with_http();
        let exporter = match collector {
            Some(url) => exporter.with_endpoint(format!("{url}/v1/traces")),
            None => exporter,
        };
        let traces = SdkTracerProvider::builder()
            .with_resource(Resource::builder().with_service_name("orders").build())
            .with_batch_exporter(exporter.build()?)
            .build();
        let spans = tracing_opentelemetry::layer()
            .with_tracer(traces.tracer("orders"))
            .with_filter(LevelFilter::INFO);
        let lines = tracing_subscriber::fmt::layer().with_filter(LevelFilter::WARN);
        tracing_subscriber::registry()
            .with(spans)
            .with(lines)
            .try_init()?;
        Ok(Self { metrics, traces })
    }

    /// Returns `/metrics` in the format of Prometheus.
    pub(crate) fn router(&self) -> Router {
        let metrics = self.metrics.clone();
        let format = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
        Router::new().route("/metrics", get(async move || (format, metrics.render())))
    }

    /// Sends the spans that are still waiting.
    pub(crate) async fn shut_down(&self) -> Result<()> {
        let traces = self.traces.clone();
        // It blocks until the collector has answered.
        Ok(tokio::task::spawn_blocking(move || traces.shutdown()).await??)
    }
}
