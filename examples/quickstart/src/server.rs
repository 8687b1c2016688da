//! Serves connections as `axum::serve` does, with one more setting.

use std::{future::Future, pin::pin};

use axum::{Router, serve::Listener};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::net::TcpListener;

/// Limit for the headers of a request over HTTP/2. hyper's default of 16 KiB is too small: a token and a
/// proof may each have 16 KiB.
const HEADER_LIST_SIZE: u32 = 64 * 1024;

/// Serves until shutdown, and then until the requests under way have finished.
pub(crate) async fn serve(
    mut listener: TcpListener,
    router: Router,
    until: impl Future<Output = ()>,
) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HEADER_LIST_SIZE);
    let graceful = GracefulShutdown::new();
    let mut until = pin!(until);
    loop {
        let (stream, _peer) = tokio::select! {
            connection = Listener::accept(&mut listener) => connection,
            () = &mut until => break,
        };
        let service = TowerToHyperService::new(router.clone());
        let connection = builder
            .serve_connection_with_upgrades(TokioIo::new(stream), service)
            .into_owned();
        let connection = graceful.watch(connection);
        // The errors of a connection do not matter to the API.
        tokio::spawn(async { connection.await.ok() });
    }
    drop(listener);
    graceful.shutdown().await;
}
