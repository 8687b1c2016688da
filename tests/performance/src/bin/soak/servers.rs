//! The issuer and the upstream. Both are part of this program, and their connections end with them.

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use dpop_tower_performance::load::Error;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Either, Full};
use hyper::{
    body::{Body, Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpListener,
    task::{AbortHandle, JoinHandle, JoinSet, spawn_local},
    time::{Sleep, sleep},
};

/// How the issuer behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    Good,
    /// Accepts requests, and does not respond.
    Hangs,
    /// Responds with 500.
    Fails,
}

/// The issuer's keys, over HTTP.
#[derive(Debug)]
pub struct Issuer {
    pub address: SocketAddr,
    jwks: RefCell<String>,
    behaviour: Cell<Behaviour>,
    pub fetches: Cell<u64>,
    accepting: RefCell<Option<JoinHandle<()>>>,
}

impl Issuer {
    /// Starts the issuer.
    pub async fn start(jwks: String) -> Result<Rc<Self>, Error> {
        let listener = TcpListener::bind(("127.0.0.1", dpop_test_servers::free_port())).await?;
        let issuer = Rc::new(Self {
            address: listener.local_addr()?,
            jwks: RefCell::new(jwks),
            behaviour: Cell::new(Behaviour::Good),
            fetches: Cell::new(0),
            accepting: RefCell::new(None),
        });
        issuer.serve(listener);
        Ok(issuer)
    }

    /// Publishes these keys.
    pub fn publish(&self, jwks: String) {
        self.jwks.replace(jwks);
    }

    /// Behaves like this from now on.
    pub fn behave(&self, behaviour: Behaviour) {
        self.behaviour.set(behaviour);
    }

    /// Closes all connections and the port.
    pub async fn stop(&self) {
        let accepting = self.accepting.take();
        if let Some(accepting) = accepting {
            accepting.abort();
            // The port is free when the task is gone.
            let _ = accepting.await;
        }
    }

    /// Listens at the same address again.
    pub async fn restart(self: &Rc<Self>) -> Result<(), Error> {
        // The connections of the issuer before may be closing.
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(self.address)?;
        self.serve(socket.listen(64)?);
        Ok(())
    }

    fn serve(self: &Rc<Self>, listener: TcpListener) {
        let issuer = Rc::clone(self);
        let accepting = spawn_local(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                while connections.try_join_next().is_some() {}
                let issuer = Rc::clone(&issuer);
                connections.spawn_local(async move {
                    let service = service_fn(|_| Rc::clone(&issuer).respond());
                    let _ = http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        self.accepting.replace(Some(accepting));
    }

    async fn respond(self: Rc<Self>) -> Result<Response<Full<Bytes>>, Infallible> {
        self.fetches.set(self.fetches.get() + 1);
        let mut response = Response::new(Full::from(self.jwks.borrow().clone()));
        match self.behaviour.get() {
            Behaviour::Good => {}
            Behaviour::Hangs => sleep(Duration::from_secs(3600)).await,
            Behaviour::Fails => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
        }
        Ok(response)
    }
}

/// The service behind the gateways.
#[derive(Debug)]
pub struct Upstream {
    pub address: SocketAddr,
    /// How many connections are open.
    pub open: Rc<Cell<usize>>,
    /// How many streams are being sent.
    pub streams: Rc<Cell<usize>>,
    accepting: AbortHandle,
}

impl Upstream {
    /// Starts the upstream.
    pub async fn start() -> Result<Self, Error> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let open = Rc::new(Cell::new(0));
        let streams = Rc::new(Cell::new(0));
        let (count, counted) = (Rc::clone(&open), Rc::clone(&streams));
        let accepting = spawn_local(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                while connections.try_join_next().is_some() {}
                let (open, streams) = (Counted::new(&count), Rc::clone(&counted));
                connections.spawn_local(async move {
                    let _open = open;
                    let service = service_fn(|request| answer(request, Rc::clone(&streams)));
                    let _ = http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Ok(Self {
            address,
            open,
            streams,
            accepting: accepting.abort_handle(),
        })
    }

    /// Closes all connections and the port.
    pub fn stop(&self) {
        self.accepting.abort();
    }
}

/// Counts as open until it is dropped.
struct Counted(Rc<Cell<usize>>);

impl Counted {
    fn new(count: &Rc<Cell<usize>>) -> Self {
        count.set(count.get() + 1);
        Self(Rc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Returns the length of the body, or a stream without an end.
async fn answer(
    request: Request<Incoming>,
    streams: Rc<Cell<usize>>,
) -> Result<Response<Either<Full<Bytes>, Endless>>, hyper::Error> {
    if request.uri().path() == "/stream" {
        return Ok(Response::new(Either::Right(Endless {
            pause: Box::pin(sleep(Duration::ZERO)),
            _counted: Counted::new(&streams),
        })));
    }
    let body = request.into_body().collect().await?.to_bytes();
    Ok(Response::new(Either::Left(Full::from(
        body.len().to_string(),
    ))))
}

/// A chunk ten times a second, until the connection is closed.
struct Endless {
    pause: Pin<Box<Sleep>>,
    _counted: Counted,
}

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        ready!(self.pause.as_mut().poll(context));
        self.pause.set(sleep(Duration::from_millis(100)));
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"chunk")))))
    }
}
