//! Two programs that call a protected API with tokens of their own: a service between other services, and the
//! backend of a browser app.
//!
//! With `--demo`, it also plays their callers, and fails unless every outcome is as expected.

mod api;
mod browser;
mod demo;
mod orders;
mod reports;

use axum::Router;
use demo_support::{interrupted, listen};
use dpop_tower::test_util::TestIssuer;
use tokio::net::TcpListener;
use tower::BoxError;

/// Serves until the program ends.
fn serve(listener: TcpListener, router: Router) {
    tokio::spawn(async { axum::serve(listener, router).await });
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    // Issuers for tests. A real one is `Issuer::discover("https://…").audience(…)`.
    let (for_orders, for_reports) = (TestIssuer::new(), TestIssuer::new());

    let (listener, orders_url) = listen(0).await?;
    serve(listener, orders::router(&orders_url, &for_orders)?);
    let (listener, reports_url) = listen(0).await?;
    let orders = api::Api::new(&orders_url, "reports", &for_orders)?;
    serve(
        listener,
        reports::router(&reports_url, &for_reports, orders)?,
    );
    let (listener, app_url) = listen(0).await?;
    serve(listener, browser::router(&orders_url, &for_orders));

    if std::env::args().any(|arg| arg == "--demo") {
        return demo::run(&reports_url, &for_reports, &app_url).await;
    }
    println!("orders {orders_url}, reports {reports_url}, backend of the browser app {app_url}");
    interrupted().await;
    Ok(())
}
