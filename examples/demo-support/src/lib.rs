//! What the examples share, so that each shows only what it is about.

mod identity_provider;

use std::{error::Error, future::pending, io, net::Ipv4Addr};

use tokio::net::TcpListener;

pub use identity_provider::IdentityProvider;

/// Listens on this machine, at this port or, for 0, at a free one. Gives the URL of that, too.
///
/// # Errors
///
/// If the port is taken.
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

/// Whether a URL is of this machine, where nobody is on the path.
#[must_use]
pub fn is_loopback(url: &str) -> bool {
    let uri: Option<axum::http::Uri> = url.parse().ok();
    let host = uri.as_ref().and_then(axum::http::Uri::host);
    host.is_some_and(|host| matches!(host, "127.0.0.1" | "[::1]" | "localhost"))
}

/// An error with all that led to it.
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
