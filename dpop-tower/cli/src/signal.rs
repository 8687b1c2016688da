//! The signals that end a server.

use std::future::Future;

/// Completes on SIGTERM or SIGINT.
pub(crate) fn told_to_end() -> impl Future<Output = ()> {
    #[cfg(unix)]
    let terminated = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            // Without a handler, the default action of the signal ends the process.
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();
    async {
        let interrupted = async {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = terminated => {}
            () = interrupted => {}
        }
    }
}
