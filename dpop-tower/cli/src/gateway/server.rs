//! Accepts connections, limits their number and their times, and shuts them down.

use std::{
    convert::Infallible,
    future::Future,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum::{body::Body, serve::Listener};
use dpop_tower::{certificate::ClientCertificate, target::PeerAddr};
use http::{Request, Response};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulConnection},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::Instant,
};
use tracing::{debug, info, warn};

pub(crate) use self::activity::{Activity, Ending};
use self::{
    framing::Framing,
    head::{Ambiguous, check},
};
use crate::gateway::{live::Gateway, observed::Observed, settings::Limits, tls::ServerTls};

mod activity;
mod framing;
pub(crate) mod head;

/// The time for a client to close its connection, after it was told that the connection was idle for too long.
const FAREWELL: Duration = Duration::from_secs(5);

/// The settings of a graceful shutdown.
#[derive(Debug)]
pub struct Shutdown<F> {
    /// Completes when the server should accept no more connections.
    pub signal: F,
    /// The time for requests under way to finish after the signal.
    pub timeout: Duration,
}

/// A permit for one of the connections that are allowed at a time. It is released when all clones are
/// dropped. A connection that becomes a WebSocket keeps a clone.
#[derive(Clone)]
pub(crate) struct ConnectionPermit(
    #[expect(dead_code, reason = "it is there to be dropped")] Arc<OwnedSemaphorePermit>,
);

/// Serves HTTP/1.1 and HTTP/2, with TLS if the file configures it.
///
/// A new connection gets the certificate that is in force when it is opened. After the shutdown signal, the
/// function returns when the requests under way have finished, or when the shutdown timeout has passed.
///
/// # Errors
///
/// Returns an error if the listener has no address.
pub async fn serve(
    listener: TcpListener,
    gateway: Gateway,
    limits: Limits,
    shutdown: Shutdown<impl Future<Output = ()>>,
) -> io::Result<()> {
    let live = gateway.clone();
    let tls = move || live.tls();
    let answer = move |request: Request<Body>| {
        let answer = check(&request).map(|()| gateway.answer(request));
        async {
            match answer {
                Ok(answer) => answer.await,
                Err(malformed) => malformed.answer(),
            }
        }
    };
    serve_within(tls, listener, "listening", answer, limits, shutdown).await
}

/// Serves any `answer` as [`serve`] does, without TLS. The log says `what` the server does at its address.
pub(crate) async fn serve_with<A, F>(
    listener: TcpListener,
    what: &str,
    answer: A,
    limits: Limits,
    shutdown: Shutdown<impl Future<Output = ()>>,
) -> io::Result<()>
where
    A: Fn(Request<Body>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    serve_within(|| None, listener, what, answer, limits, shutdown).await
}

/// Serves any `answer`. `tls` is called for each new connection, and returns `None` for one without TLS.
async fn serve_within<A, F>(
    tls: impl Fn() -> Option<ServerTls>,
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
    let (end, _) = watch::channel(());
    let mut signal = pin!(shutdown.signal);
    loop {
        let next = async {
            let permit = Arc::clone(&connections).acquire_owned().await;
            // `Listener::accept` waits if the system has no free file descriptor, instead of failing.
            (permit, Listener::accept(&mut listener).await)
        };
        tokio::select! {
            (permit, (stream, peer)) = next => {
                // The semaphore is never closed, so it always gives a permit.
                let Ok(permit) = permit else { continue };
                let client = Client {
                    peer,
                    permit: ConnectionPermit(Arc::new(permit)),
                    certificate: None,
                };
                accept(stream, tls(), client, answer.clone(), limits, end.subscribe());
            }
            () = &mut signal => break,
        }
    }
    drop(listener);
    info!(target: "gateway", "ending: {} connections are open", end.receiver_count());
    // Sending fails if no connection is open.
    let _ = end.send(());
    if tokio::time::timeout(shutdown.timeout, end.closed())
        .await
        .is_err()
    {
        warn!(target: "gateway", "requests have not finished within {:?}; they are cut off", shutdown.timeout);
    }
    Ok(())
}

/// The client of a connection.
struct Client {
    peer: SocketAddr,
    permit: ConnectionPermit,
    certificate: Option<ClientCertificate>,
}

fn accept<A, F>(
    stream: TcpStream,
    tls: Option<ServerTls>,
    mut client: Client,
    answer: A,
    limits: Limits,
    mut end: watch::Receiver<()>,
) where
    A: Fn(Request<Body>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    // With Nagle's algorithm, a small response may wait for the acknowledgement of another one.
    let _ = stream.set_nodelay(true);
    tokio::spawn(async move {
        let Some(tls) = tls else {
            return serve_connection(stream, client, answer, limits, end).await;
        };
        let handshake = tokio::time::timeout(limits.header_timeout, tls.accept(stream));
        let made = tokio::select! {
            made = handshake => made,
            // No request is under way yet.
            _ = end.changed() => return,
        };
        let peer = client.peer;
        match made {
            Ok(Ok((stream, certificate))) => {
                client.certificate = certificate;
                // The future is boxed, so that the tasks of connections without TLS need no memory for it.
                Box::pin(serve_connection(stream, client, answer, limits, end)).await;
            }
            Ok(Err(error)) => {
                debug!(target: "gateway", "the TLS handshake with {peer} has failed: {error}");
            }
            Err(_) => {
                debug!(target: "gateway", "the TLS handshake with {peer} has not finished in time");
            }
        }
    });
}

async fn serve_connection<A, F, S>(
    stream: S,
    client: Client,
    answer: A,
    limits: Limits,
    end: watch::Receiver<()>,
) where
    A: Fn(Request<Body>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Client {
        peer,
        permit: place,
        certificate,
    } = client;
    let activity = Activity::new();
    let framing = Framing::new(limits.header_size);
    let is_ambiguous = framing.is_ambiguous();
    let service = {
        let (activity, place) = (activity.clone(), place.clone());
        service_fn(move |request: Request<Incoming>| {
            let under_way = activity.begin();
            let mut request = request.map(Body::new);
            let extensions = request.extensions_mut();
            extensions.insert(PeerAddr(peer.ip()));
            extensions.insert(place.clone());
            extensions.insert(activity.clone());
            if let Some(certificate) = &certificate {
                extensions.insert(certificate.clone());
            }
            if is_ambiguous.load(Ordering::Relaxed) {
                extensions.insert(Ambiguous);
            }
            let answer = answer(request);
            async move {
                let response = answer.await;
                drop(under_way);
                Ok::<_, Infallible>(response)
            }
        })
    };
    let stream = Observed {
        io: stream,
        observer: framing,
    };
    let connection = builder(limits)
        .serve_connection_with_upgrades(TokioIo::new(stream), service)
        .into_owned();
    let _place = place;
    let connection = Serving {
        connection: pin!(connection),
        end,
        is_told: false,
    };
    match connection.run(&activity, limits).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            debug!(target: "gateway", "the connection of {peer} has ended: {error}");
        }
        Err(CutOff(why)) => {
            debug!(target: "gateway", "the connection of {peer} is cut off: {why}");
        }
    }
}

/// A connection that is being served.
struct Serving<'c, C> {
    connection: Pin<&'c mut C>,
    /// Changes when the server shuts down.
    end: watch::Receiver<()>,
    is_told: bool,
}

/// Why a connection was ended without waiting for the client.
struct CutOff(&'static str);

impl<C: GracefulConnection> Serving<'_, C> {
    /// Serves the connection until it ends.
    ///
    /// A connection that has no requests for too long is made to end. HTTP/2 pings would keep it open, and
    /// it would hold its permit forever.
    async fn run(mut self, activity: &Activity, limits: Limits) -> Result<C::Output, CutOff> {
        // hyper's own time limit for a head begins when the client has sent enough to tell the version of
        // HTTP.
        let (first, idle) = (limits.header_timeout, limits.idle_timeout);
        let idle = activity.quiet(Instant::now(), first, idle);
        if let Some(output) = self.until(idle).await {
            return Ok(output);
        }
        if !activity.has_begun() {
            return Err(CutOff("no request has come in time"));
        }
        self.tell_to_end();
        let idle = activity.quiet(Instant::now(), first, FAREWELL);
        let output = self.until(idle).await;
        output.ok_or(CutOff(
            "it was idle, and the client has not gone when it was told to",
        ))
    }

    /// Returns the output of the connection, or `None` if `limit` completes first.
    async fn until(&mut self, limit: impl Future<Output = ()>) -> Option<C::Output> {
        let mut limit = pin!(limit);
        loop {
            tokio::select! {
                output = self.connection.as_mut() => return Some(output),
                _ = self.end.changed(), if !self.is_told => self.tell_to_end(),
                () = limit.as_mut() => return None,
            }
        }
    }

    /// Tells the client that only the requests under way will be answered.
    fn tell_to_end(&mut self) {
        self.is_told = true;
        self.connection.as_mut().graceful_shutdown();
    }
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

#[cfg(all(test, feature = "tls"))]
mod tests;
