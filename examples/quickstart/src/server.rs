//! Connections, as `axum::serve` has them, and with a setting that it does not have.

use std::{future::Future, pin::pin};

use axum::{Router, serve::Listener};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::net::TcpListener;

/// What the headers of a request may add up to over HTTP/2. hyper's default of 16 KiB is less than a
/// token and a proof may be long, which are 16 KiB each.
const HEADER_LIST_SIZE: u32 = 64 * 1024;

/// Serves until it is told to end, and then until the requests under way have finished.
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
        // How a connection ends is between the client and hyper.
        tokio::spawn(async { connection.await.ok() });
    }
    drop(listener);
    graceful.shutdown().await;
}
