//! Requests, responses and streams that are open when their token expires.
//!
//! Time is tokio's paused clock, which jumps to the next timer when there is no work. Connections are
//! therefore pipes in memory.

mod requests;
mod responses;
mod revoked;
mod streams;

use std::{
    convert::Infallible,
    pin::pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    routing::get,
};
use dpop_tower::{
    DpopConfig, DpopLayer, PublicOrigin,
    clock::{TimeSource, UnixTime},
    lifetime::TokenExpired,
    test_util::{TestClient, TestIssuer, TokenBuilder},
};
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Status, Streaming};
use tower::ServiceExt as _;

use crate::support::ORIGIN;

/// The lifetime of the tokens in these tests, in seconds.
const LIFETIME: i64 = 100;

/// Shows tokio's time, which the tests pause.
#[derive(Clone, Debug)]
struct PausedClock {
    began: Instant,
    /// The part of the first second that has passed at the beginning.
    fraction: Duration,
}

impl TimeSource for PausedClock {
    fn now(&self) -> UnixTime {
        UnixTime::from_secs(1_800_000_000).saturating_add(self.began.elapsed() + self.fraction)
    }
}

struct Api<C> {
    issuer: TestIssuer,
    client: TestClient,
    clock: C,
}

impl Api<PausedClock> {
    fn new() -> Self {
        Self::in_the_middle_of_a_second(Duration::ZERO)
    }

    fn in_the_middle_of_a_second(fraction: Duration) -> Self {
        let began = Instant::now();
        Self::with(PausedClock { began, fraction })
    }
}

impl<C: TimeSource + Clone> Api<C> {
    fn with(clock: C) -> Self {
        Self {
            issuer: TestIssuer::new().clock(clock.clone()),
            client: TestClient::new().clock(clock.clone()),
            clock,
        }
    }

    fn config(&self) -> DpopConfig {
        let origin = PublicOrigin::new(ORIGIN).unwrap();
        let config = DpopConfig::builder(origin, self.issuer.tokens());
        config.clock(self.clock.clone()).build().unwrap()
    }

    fn layer(&self) -> DpopLayer {
        DpopLayer::new(self.config())
    }

    fn unbound(&self) -> TokenBuilder {
        let expires_at = self.clock.now().as_secs() + LIFETIME;
        self.issuer.token().claim("exp", expires_at)
    }

    fn token(&self) -> String {
        self.unbound().bound_to(&self.client).mint()
    }

    fn request(&self, method: http::Method, path: &str) -> Request<()> {
        let url = format!("{ORIGIN}{path}");
        self.client.request(method, &url, &self.token())
    }

    /// Returns the router's response to a valid request for `/`.
    async fn get(&self, router: Router) -> Response<Body> {
        send(router, self.request(http::Method::GET, "/")).await
    }
}

async fn send(router: Router, request: Request<()>) -> Response<Body> {
    let response = router.oneshot(request.map(|()| Body::empty())).await;
    response.unwrap()
}

/// A body that contains what is sent to its channel.
struct Pipe(mpsc::UnboundedReceiver<&'static str>);

impl http_body::Body for Pipe {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let received = self.0.poll_recv(cx);
        received.map(|text| text.map(|text| Ok(Frame::data(text.into()))))
    }
}

/// Returns an endless body that says `tick` every second.
fn ticking() -> Body {
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while sender.send("tick").is_ok() {
            sleep(Duration::from_secs(1)).await;
        }
    });
    Body::new(Pipe(receiver))
}

/// A body that is always ready.
struct Flood;

impl http_body::Body for Flood {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"more")))))
    }
}

/// A body with a known length.
struct Announced(Pipe);

impl http_body::Body for Announced {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        std::pin::Pin::new(&mut self.0).poll_frame(cx)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(8)
    }
}

fn answering(body: impl Fn() -> Body + Clone + Send + Sync + 'static) -> Router {
    Router::new().route("/", get(move || async move { Response::new(body()) }))
}

/// Returns how a body ended, and the number of chunks before that.
async fn read(body: Body) -> (usize, Result<(), axum::Error>) {
    let mut body = body;
    let mut pieces = 0;
    loop {
        match body.frame().await {
            None => return (pieces, Ok(())),
            Some(Ok(frame)) => {
                assert!(frame.is_data());
                pieces += 1;
            }
            Some(Err(error)) => return (pieces, Err(error)),
        }
    }
}

fn is_token_expired(error: &axum::Error) -> bool {
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = source {
        if error.is::<TokenExpired>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// Asserts that a body does not end.
async fn assert_stays_open(body: Body) {
    let mut read = pin!(read(body));
    tokio::select! {
        (pieces, end) = &mut read => panic!("ended after {pieces} with {end:?}"),
        () = sleep(Duration::from_secs(10 * 3600)) => {}
    }
}

/// Returns a client of this tonic router, over a pipe in memory.
macro_rules! client_of {
    ($router:expr) => {{
        let (client, server) = tokio::io::duplex(1 << 16);
        let router = $router;
        tokio::spawn(async move {
            let incoming = tokio_stream::once(Ok::<_, io::Error>(server));
            let incoming = incoming.chain(tokio_stream::pending());
            // The client is dropped at the end of the test.
            let _ = router.serve_with_incoming(incoming).await;
        });
        let mut client = Some(client);
        let connector = service_fn(move |_| {
            let client = client.take();
            let client = client.ok_or_else(|| io::Error::other("one connection only"));
            async { Ok::<_, io::Error>(TokioIo::new(client?)) }
        });
        let endpoint = Endpoint::from_static("http://api.test");
        endpoint.connect_with_connector(connector).await.unwrap()
    }};
}

use client_of;

fn with_proof<T>(api: &Api<PausedClock>, path: &str, message: T) -> tonic::Request<T> {
    let token = api.token();
    let url = format!("{ORIGIN}{path}");
    let proof = api.client.proof("POST", &url).access_token(&token).sign();
    let mut request = tonic::Request::new(message);
    let metadata = request.metadata_mut();
    metadata.insert("authorization", format!("DPoP {token}").parse().unwrap());
    metadata.insert("dpop", proof.parse().unwrap());
    request
}

/// Returns the status with which a stream of the health service ends, however long that takes.
async fn end<T>(stream: &mut Streaming<T>) -> Option<Status> {
    loop {
        match stream.message().await {
            Ok(Some(_)) => {}
            Ok(None) => return None,
            Err(status) => return Some(status),
        }
    }
}

/// Returns an endless stream with a message every second.
fn every_second<T: Send + 'static>(
    message: impl Fn() -> T + Send + 'static,
) -> UnboundedReceiverStream<T> {
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while sender.send(message()).is_ok() {
            sleep(Duration::from_secs(1)).await;
        }
    });
    UnboundedReceiverStream::new(receiver)
}
