//! Code that the examples share, so that each contains only what it demonstrates.

mod identity_provider;

use std::{error::Error, future::pending, io, net::Ipv4Addr};

use tokio::net::TcpListener;

pub use identity_provider::IdentityProvider;

/// Listens on loopback at this port, or at a free one for 0. Returns the URL as well.
///
/// # Errors
///
/// Returns an error if the port is in use.
pub async fn listen(port: u16) -> io::Result<(TcpListener, String)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    let listener = listener.map_err(|error| {
        let text = format!("cannot listen on port {port}: {error}");
        io::Error::new(error.kind(), text)
    })?;
    let url = format!("http://{}", listener.local_addr()?);
    Ok((listener, url))
}

/// Completes on Ctrl-C.
pub async fn interrupted() {
    // Without a signal handler, the default action of the signal ends the process.
    if tokio::signal::ctrl_c().await.is_err() {
        pending::<()>().await;
    }
}

/// Whether a URL is on this machine, where nobody can intercept the connection.
#[must_use]
pub fn is_loopback(url: &str) -> bool {
    let uri: Option<axum::http::Uri> = url.parse().ok();
    let host = uri.as_ref().and_then(axum::http::Uri::host);
    host.is_some_and(|host| matches!(host, "127.0.0.1" | "[::1]" | "localhost"))
}

/// Formats an error and all of its sources in one line.
#[must_use]
pub fn explain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
