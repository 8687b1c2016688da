//! Connections: how many, how slow, and how they end.

use std::{
    convert::Infallible,
    future::Future,
    io,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{body::Body, serve::Listener};
use dpop_tower::target::PeerAddr;
use http::{Request, Response};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tracing::{debug, info, warn};

use self::{
    framing::Framing,
    head::{Ambiguous, check},
};
use crate::{live::Gateway, observed::Observed, settings::Limits};

mod framing;
pub(crate) mod head;

/// When the program ends, and how long it then waits.
#[derive(Debug)]
pub struct Shutdown<F> {
    /// Completes when no more connections are to be accepted.
    pub signal: F,
    /// How long requests that are under way then have to finish.
    pub timeout: Duration,
}

/// One of the connections that are allowed at a time. It is free again when all clones are gone: a
/// connection that has become a WebSocket takes one with it.
#[derive(Clone)]
pub(crate) struct Place(
    #[expect(dead_code, reason = "it is there to be dropped")] Arc<OwnedSemaphorePermit>,
);

/// Serves until it is told to end, and then until the requests under way have finished or their time
/// is up. HTTP/1.1 and, without TLS, HTTP/2; TLS is for a proxy in front.
///
/// # Errors
///
/// If the listener has no address.
pub async fn serve(
    listener: TcpListener,
    gateway: Gateway,
    limits: Limits,
    shutdown: Shutdown<impl Future<Output = ()>>,
) -> io::Result<()> {
    let answer = move |request: Request<Body>| {
        let answer = check(&request).map(|()| gateway.answer(request));
        async {
            match answer {
                Ok(answer) => answer.await,
                Err(malformed) => malformed.answer(),
            }
        }
    };
    serve_with(listener, "listening", answer, limits, shutdown).await
}

/// As [`serve`], whatever answers. `what` is for the log: it says what goes on at the address.
pub(crate) async fn serve_with<A, F>(
    mut listener: TcpListener,
    what: &str,
    answer: A,
    limits: Limits,
    shutdown: Shutdown<impl Future<Output = ()>>,
) -> io::Result<()>
where
    A: Fn(Request<Body>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let address = TcpListener::local_addr(&listener)?;
    info!(target: "gateway", "{what} on {address}");
    let connections = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    let mut signal = pin!(shutdown.signal);
    loop {
        let next = async {
            let permit = Arc::clone(&connections).acquire_owned().await;
            // It waits when the system is out of files, instead of failing.
            (permit, Listener::accept(&mut listener).await)
        };
        tokio::select! {
            (permit, (stream, peer)) = next => {
                // A semaphore that is never closed always has a permit to give.
                let Ok(permit) = permit else { continue };
                accept(stream, peer, permit, &answer, limits, &graceful);
            }
            () = &mut signal => break,
        }
    }
    drop(listener);
    info!(target: "gateway", "ending: {} connections are open", graceful.count());
    if tokio::time::timeout(shutdown.timeout, graceful.shutdown())
        .await
        .is_err()
    {
        warn!(target: "gateway", "requests have not finished within {:?}; they are cut off", shutdown.timeout);
    }
    Ok(())
}

fn accept<A, F>(
    stream: TcpStream,
    peer: SocketAddr,
    permit: OwnedSemaphorePermit,
    answer: &A,
    limits: Limits,
    graceful: &GracefulShutdown,
) where
    A: Fn(Request<Body>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    // Otherwise a small response may wait for the acknowledgement of another.
    let _ = stream.set_nodelay(true);
    let has_called = Arc::new(AtomicBool::new(false));
    let place = Place(Arc::new(permit));
    let framing = Framing::new(limits.header_size);
    let is_ambiguous = framing.is_ambiguous();
    let service = {
        let (answer, has_called, place) = (answer.clone(), Arc::clone(&has_called), place.clone());
        service_fn(move |request: Request<Incoming>| {
            has_called.store(true, Ordering::Relaxed);
            let mut request = request.map(Body::new);
            let extensions = request.extensions_mut();
            extensions.insert(PeerAddr(peer.ip()));
            extensions.insert(place.clone());
            if is_ambiguous.load(Ordering::Relaxed) {
                extensions.insert(Ambiguous);
            }
            let answer = answer(request);
            async move { Ok::<_, Infallible>(answer.await) }
        })
    };
    let stream = Observed {
        io: stream,
        observer: framing,
    };
    let connection = builder(limits)
        .serve_connection_with_upgrades(TokioIo::new(stream), service)
        .into_owned();
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        let _place = place;
        let mut connection = pin!(connection);
        // hyper's own limit begins once it knows the version of HTTP, which it learns from the client.
        let result = match tokio::time::timeout(limits.header_timeout, &mut connection).await {
            Ok(result) => result,
            Err(_) if has_called.load(Ordering::Relaxed) => connection.await,
            Err(_) => return debug!(target: "gateway", "{peer} has sent no request in time"),
        };
        if let Err(error) = result {
            debug!(target: "gateway", "the connection of {peer} has ended: {error}");
        }
    });
}

fn builder(limits: Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.header_size);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(30))
        .max_header_list_size(u32::try_from(limits.header_size).unwrap_or(u32::MAX));
    builder
}
