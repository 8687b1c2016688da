//! A protected axum service whose metrics go to Prometheus and whose traces go to OpenTelemetry.
//!
//! ```text
//! cargo run -p observability-example              serves the API, and its metrics on a port of their own
//! cargo run -p observability-example -- --demo    sends good and bad requests, and shows what was recorded
//! ```
//!
//! Traces go to `OTEL_EXPORTER_OTLP_ENDPOINT`, or to a collector on this machine. With `--demo`, the program is its own
//! collector, and fails unless every metric and every field of the span is there that docs/observability.md lists.

mod api;
mod demo;
mod telemetry;

use std::error::Error;

use demo_support::{IdentityProvider, interrupted, listen};

use crate::{demo::Demo, telemetry::Telemetry};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Result<()> {
    let is_demo = std::env::args().any(|arg| arg == "--demo");
    let (collector, spans) = demo::collector().await?;
    // Before the layer is made, so that it can describe its metrics.
    let telemetry = Telemetry::install(is_demo.then_some(&*collector))?;

    let (idp_listener, idp_url) = listen(0).await?;
    let (api_listener, api_url) = listen(if is_demo { 0 } else { 3000 }).await?;
    // A port that is not open to the world: the metrics tell strangers how busy the service is.
    let (metrics_listener, metrics_url) = listen(if is_demo { 0 } else { 9464 }).await?;

    let idp = IdentityProvider::new(&idp_url, &api_url).try_with(&api_url, "orders");
    let idp = api::with_introspection(idp.router()?);
    tokio::spawn(async { axum::serve(idp_listener, idp).await });
    let api = api::router(&idp_url, &api_url)?;
    tokio::spawn(async { axum::serve(api_listener, api).await });
    let metrics = telemetry.router();
    tokio::spawn(async { axum::serve(metrics_listener, metrics).await });

    if is_demo {
        let demo = Demo {
            idp: idp_url,
            api: api_url,
            metrics: format!("{metrics_url}/metrics"),
        };
        demo.send_requests().await?;
        telemetry.shut_down().await?;
        demo.check_metrics().await?;
        return demo::check_spans(&spans);
    }
    println!("Serving {api_url}/orders, and {metrics_url}/metrics for Prometheus.");
    println!("A request to paste into a shell: curl -s {idp_url}/try");
    interrupted().await;
    telemetry.shut_down().await
}
