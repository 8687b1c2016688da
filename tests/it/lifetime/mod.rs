//! What is still open when its token expires.
//!
//! Time is tokio's, which stands still while there is work and then jumps to the next thing that waits
//! for it; so connections here are pipes in memory.

use std::{
    convert::Infallible,
    io,
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    response::sse::{Event, Sse},
    routing::{get, post},
};
use dpop_tower::{
    DpopConfig, DpopLayer, Policy, PublicOrigin,
    clock::{ManualClock, TimeSource, UnixTime},
    lifetime::{TokenExpired, TokenLifetime},
    test_util::{TestClient, TestIssuer, TokenBuilder},
};
use grpc_example::{
    calls::pears,
    orders::OrderDesk,
    proto::{orders_client::OrdersClient, orders_server::OrdersServer},
};
use http::{Request, Response, StatusCode, header};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tokio_stream::{StreamExt as _, wrappers::UnboundedReceiverStream};
use tonic::{
    Code, Status, Streaming,
    transport::{Channel, Endpoint, Server},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::{Layer as _, ServiceExt as _, service_fn};

mod requests;

use crate::{
    frameworks::orders::quote,
    support::{ORIGIN, Verdict},
};

/// How long the tokens of these tests are good for, in seconds.
const LIFETIME: i64 = 100;

/// Shows tokio's time, which the tests have paused.
#[derive(Clone, Debug)]
struct PausedClock {
    began: Instant,
    /// Of the first second, so much is over at the beginning.
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

    /// What the router answers to a good request for `/`.
    async fn get(&self, router: Router) -> Response<Body> {
        send(router, self.request(http::Method::GET, "/")).await
    }
}

async fn send(router: Router, request: Request<()>) -> Response<Body> {
    let response = router.oneshot(request.map(|()| Body::empty())).await;
    response.unwrap()
}

/// A body that has what is sent to it.
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

/// A body that says `tick` every second for ever.
fn ticking() -> Body {
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while sender.send("tick").is_ok() {
            sleep(Duration::from_secs(1)).await;
        }
    });
    Body::new(Pipe(receiver))
}

/// A body that never has to be waited for.
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

/// A body of which it is known how long it will be.
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

/// How a body ended, and how many pieces came before.
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

/// For a body that never ends by itself.
async fn assert_stays_open(body: Body) {
    let mut read = pin!(read(body));
    tokio::select! {
        (pieces, end) = &mut read => panic!("ended after {pieces} with {end:?}"),
        () = sleep(Duration::from_secs(10 * 3600)) => {}
    }
}

#[tokio::test(start_paused = true)]
async fn events_end_in_an_orderly_way_when_the_token_does() {
    let api = Api::new();
    let router = Router::new().route(
        "/",
        get(|| async {
            let (sender, receiver) = mpsc::unbounded_channel();
            tokio::spawn(async move {
                while sender.send(()).is_ok() {
                    sleep(Duration::from_secs(1)).await;
                }
            });
            let tick = |()| Ok::<_, Infallible>(Event::default().data("tick"));
            Sse::new(UnboundedReceiverStream::new(receiver).map(tick))
        }),
    );
    let began = Instant::now();
    let response = api
        .get(router.layer(api.layer().end_streams_at_expiry()))
        .await;
    assert_eq!(
        response.headers()[header::CONTENT_TYPE],
        "text/event-stream"
    );
    let (pieces, end) = read(response.into_body()).await;
    end.unwrap();
    assert_eq!(began.elapsed().as_secs(), LIFETIME.unsigned_abs());
    // One at the beginning of each second, and perhaps one of the last.
    assert!((100..=101).contains(&pieces), "{pieces}");
}

#[tokio::test(start_paused = true)]
async fn without_the_layer_a_stream_goes_on() {
    let api = Api::new();
    let response = api.get(answering(ticking).layer(api.layer())).await;
    assert_stays_open(response.into_body()).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_of_unknown_length_does_not_look_complete() {
    let api = Api::new();
    let layer = api.layer().end_streams_at_expiry();
    let began = Instant::now();
    let response = api.get(answering(ticking).layer(layer)).await;
    let body = response.into_body();
    assert_eq!(body.size_hint().lower(), 0);
    let (_, end) = read(body).await;
    assert!(is_token_expired(&end.unwrap_err()));
    assert_eq!(began.elapsed().as_secs(), LIFETIME.unsigned_abs());
}

/// A body that says it will have eight bytes at least, and never has any.
#[derive(Default)]
struct Promise;

impl http_body::Body for Promise {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        hint.set_lower(8);
        hint
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_has_been_ended_stays_so_and_promised_nothing() {
    let api = Api::new();
    for (content_type, last) in [
        ("application/grpc", "trailers"),
        ("application/grpc+proto", "trailers"),
        ("application/grpc-web+proto", "an error"),
        ("text/event-stream; charset=utf-8", "nothing"),
        ("text/event-streams", "an error"),
        ("text/plain", "an error"),
    ] {
        let layer = api.layer().end_streams_at_expiry();
        let service = layer.layer(service_fn(async |_| {
            let response = Response::builder().header(header::CONTENT_TYPE, content_type);
            Ok::<_, Infallible>(response.body(Promise).unwrap())
        }));
        let request = api.request(http::Method::GET, "/");
        let request = request.map(|()| http_body_util::Empty::<Bytes>::new());
        let body = service.oneshot(request).await.unwrap().into_body();
        let mut body = pin!(body);
        assert_eq!(body.size_hint().lower(), 0, "{content_type}");
        assert!(!body.is_end_stream(), "{content_type}");
        let ended = match body.frame().await {
            None => "nothing",
            Some(Err(error)) if error.is::<TokenExpired>() => "an error",
            Some(Ok(frame)) if frame.is_trailers() => "trailers",
            other => panic!("{content_type}: {other:?}"),
        };
        assert_eq!(ended, last, "{content_type}");
        assert!(body.is_end_stream(), "{content_type}");
        assert!(body.frame().await.is_none(), "{content_type}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_silent_ends_as_well() {
    let half = Duration::from_millis(500);
    let api = Api::in_the_middle_of_a_second(half);
    let layer = api.layer().end_streams_at_expiry();
    let (sender, receiver) = mpsc::unbounded_channel();
    let receiver = Arc::new(std::sync::Mutex::new(Some(receiver)));
    let body = move || Body::new(Pipe(receiver.lock().unwrap().take().unwrap()));
    let response = api.get(answering(body).layer(layer)).await;
    let began = Instant::now();
    let (pieces, end) = read(response.into_body()).await;
    assert_eq!(pieces, 0);
    assert!(is_token_expired(&end.unwrap_err()));
    assert!(sender.is_closed());
    // Not too early, and at most a tenth of a second late.
    let late = began.elapsed() - (Duration::from_secs(LIFETIME.unsigned_abs()) - half);
    assert!(late <= Duration::from_millis(100), "{late:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_never_waits_ends_as_well() {
    let clock = ManualClock::new(UnixTime::from_secs(1_800_000_000));
    let api = Api::with(clock.clone());
    let layer = api.layer().end_streams_at_expiry();
    let response = api.get(answering(|| Body::new(Flood)).layer(layer)).await;
    let mut body = response.into_body();
    for _ in 0..1_000 {
        body.frame().await.unwrap().unwrap();
    }
    clock.advance(Duration::from_secs(LIFETIME.unsigned_abs()));
    let (pieces, end) = read(body).await;
    assert_eq!(pieces, 0);
    assert!(is_token_expired(&end.unwrap_err()));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_is_noticed_within_half_a_minute() {
    let clock = ManualClock::new(UnixTime::from_secs(1_800_000_000));
    let api = Api::with(clock.clone());
    let layer = api.layer().end_streams_at_expiry();
    let (_sender, receiver) = mpsc::unbounded_channel();
    let receiver = Arc::new(std::sync::Mutex::new(Some(receiver)));
    let body = move || Body::new(Pipe(receiver.lock().unwrap().take().unwrap()));
    let response = api.get(answering(body).layer(layer)).await;
    // A task of its own, which nothing but the timer wakes.
    let silent = tokio::spawn(read(response.into_body()));
    sleep(Duration::from_secs(3600)).await;
    // The clock stands still, and so nothing has ended.
    assert!(!silent.is_finished());
    clock.advance(Duration::from_secs(LIFETIME.unsigned_abs()));
    let began = Instant::now();
    silent.await.unwrap().1.unwrap_err();
    assert!(began.elapsed() <= Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn an_answer_whose_length_was_announced_is_left_alone() {
    let api = Api::new();
    let layer = api.layer().end_streams_at_expiry();
    let slow = || {
        let (sender, receiver) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            sender.send("half").unwrap();
            sleep(Duration::from_secs(3600)).await;
            sender.send("half").unwrap();
        });
        Body::new(Announced(Pipe(receiver)))
    };
    let response = api.get(answering(slow).layer(layer)).await;
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "halfhalf"
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_took_longer_than_its_token_is_given_in_one_piece() {
    let api = Api::new();
    let layer = api.layer().end_streams_at_expiry();
    let router = Router::new().route(
        "/",
        get(|| async {
            sleep(Duration::from_secs(3600)).await;
            let (sender, receiver) = mpsc::unbounded_channel();
            sender.send("done").unwrap();
            Response::new(Body::new(Pipe(receiver)))
        }),
    );
    let response = api.get(router.layer(layer)).await;
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "done"
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_that_goes_on_sending_is_cut_off() {
    let api = Api::new();
    let router = Router::new().route(
        "/",
        post(|body: Body| async {
            let (pieces, end) = read(body).await;
            assert!(pieces >= 100, "{pieces}");
            assert!(is_token_expired(&end.unwrap_err()));
            "cut"
        }),
    );
    let request = api.request(http::Method::POST, "/").map(|()| ticking());
    let began = Instant::now();
    let router = router.layer(api.layer().end_streams_at_expiry());
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "cut"
    );
    assert_eq!(began.elapsed().as_secs(), LIFETIME.unsigned_abs());
}

#[tokio::test(start_paused = true)]
async fn bearer_tokens_expire_too() {
    let api = Api::new();
    let layer = api.layer().with_policy(Policy::optional());
    let router = answering(ticking).layer(layer.end_streams_at_expiry());
    let token = api.unbound().mint();
    let request = Request::get("/").header(header::AUTHORIZATION, format!("Bearer {token}"));
    let response = send(router, request.body(()).unwrap()).await;
    read(response.into_body()).await.1.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_enforced_nothing_ends() {
    let api = Api::new();
    for policy in [
        Policy::off(),
        Policy::report_only(),
        Policy::strict().danger_let_streams_outlive_tokens(),
    ] {
        let layer = api.layer().with_policy(policy).end_streams_at_expiry();
        let response = api.get(answering(ticking).layer(layer)).await;
        assert_stays_open(response.into_body()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_layers_either_is_enough_to_have_streams_ended() {
    let api = Api::new();
    let lenient = || Policy::strict().danger_let_streams_outlive_tokens();
    let layer = api.layer();
    let other_config = api.layer();
    for (outer, inner, ends) in [
        (layer.clone(), layer.clone().with_policy(lenient()), true),
        (layer.clone().with_policy(lenient()), layer.clone(), true),
        (
            layer.clone().with_policy(lenient()),
            layer.clone().with_policy(lenient()),
            false,
        ),
        (
            layer.clone(),
            layer.clone().with_policy(Policy::report_only()),
            true,
        ),
        (
            layer.clone().with_policy(Policy::report_only()),
            layer.clone(),
            true,
        ),
        (
            layer.clone(),
            other_config.clone().with_policy(lenient()),
            true,
        ),
        (
            layer.clone().with_policy(lenient()),
            other_config.clone(),
            true,
        ),
    ] {
        let what = format!("{outer:?} around {inner:?}");
        let router = answering(ticking).layer(inner.end_streams_at_expiry());
        let response = api.get(router.layer(outer)).await;
        assert_eq!(response.status(), StatusCode::OK);
        if ends {
            let (_, end) =
                tokio::time::timeout(Duration::from_secs(3600), read(response.into_body()))
                    .await
                    .unwrap_or_else(|_| panic!("{what}"));
            end.unwrap_err();
        } else {
            assert_stays_open(response.into_body()).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_rejection_passes_as_it_is() {
    let api = Api::new();
    let router = answering(ticking).layer(api.layer().end_streams_at_expiry());
    let request = Request::get("/").body(()).unwrap();
    let verdict = Verdict::of(send(router, request).await);
    let missing = Verdict::Rejected {
        status: 401,
        error: "",
        reason: "credentials_missing",
    };
    assert_eq!(verdict, missing);
}

#[tokio::test(start_paused = true)]
async fn a_handler_learns_when_its_token_ends() {
    async fn handler(lifetime: TokenLifetime) -> String {
        let before = lifetime.is_over();
        lifetime.ended().await;
        format!(
            "{before} {} {:?}",
            lifetime.is_over(),
            lifetime.expires_at()
        )
    }
    let api = Api::new();
    let expires_at = api
        .clock
        .now()
        .saturating_add(Duration::from_secs(LIFETIME.unsigned_abs()));
    let router = Router::new().route("/", get(handler));
    let began = Instant::now();
    let response = api.get(router.clone().layer(api.layer())).await;
    let text = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(text, format!("false true {:?}", Some(expires_at)));
    assert_eq!(began.elapsed().as_secs(), LIFETIME.unsigned_abs());

    // Without a layer in front it is a mistake of the developer's.
    let response = api.get(router).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
}

/// A client of this router of tonic's, over a pipe in memory.
macro_rules! client_of {
    ($router:expr) => {{
        let (client, server) = tokio::io::duplex(1 << 16);
        let router = $router;
        tokio::spawn(async move {
            let incoming = tokio_stream::once(Ok::<_, io::Error>(server));
            let incoming = incoming.chain(tokio_stream::pending());
            // The client is gone when the test is over.
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

/// The same to a server with these services.
async fn connected(layer: DpopLayer, services: tonic::service::Routes) -> Channel {
    let layer = layer.end_streams_at_expiry();
    client_of!(Server::builder().layer(layer).add_routes(services))
}

/// A client of tonic's health service.
async fn health(layer: DpopLayer) -> (HealthClient<Channel>, tonic_health::server::HealthReporter) {
    let (reporter, service) = tonic_health::server::health_reporter();
    let services = tonic::service::Routes::new(service);
    (
        HealthClient::new(connected(layer, services).await),
        reporter,
    )
}

async fn orders(layer: DpopLayer) -> OrdersClient<Channel> {
    let services = tonic::service::Routes::new(OrdersServer::new(OrderDesk));
    OrdersClient::new(connected(layer, services).await)
}

fn call(api: &Api<PausedClock>, method: &str) -> tonic::Request<HealthCheckRequest> {
    let path = format!("/grpc.health.v1.Health/{method}");
    with_proof(api, &path, HealthCheckRequest::default())
}

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

/// What a stream of the health service ends with, however long that takes.
async fn end<T>(stream: &mut Streaming<T>) -> Option<Status> {
    loop {
        match stream.message().await {
            Ok(Some(_)) => {}
            Ok(None) => return None,
            Err(status) => return Some(status),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_grpc_stream_ends_as_unauthenticated_when_the_token_does() {
    let api = Api::new();
    let (mut client, reporter) = health(api.layer()).await;
    let mut stream = client
        .watch(call(&api, "Watch"))
        .await
        .unwrap()
        .into_inner();
    let began = Instant::now();
    stream.message().await.unwrap().unwrap();
    reporter
        .set_service_status("", tonic_health::ServingStatus::NotServing)
        .await;
    stream.message().await.unwrap().unwrap();
    let status = end(&mut stream).await.unwrap();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(status.message(), "the token has expired");
    assert_eq!(began.elapsed().as_secs(), LIFETIME.unsigned_abs());
    // The connection is as good as before.
    client.check(call(&api, "Check")).await.unwrap();
}

/// A message every second for ever.
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

#[tokio::test(start_paused = true)]
async fn a_grpc_client_that_goes_on_sending_is_told_that_its_token_has_expired() {
    let api = Api::new();
    let mut client = orders(api.layer()).await;
    let path = "/orders.v1.Orders/PlaceAll";
    let began = Instant::now();
    let request = with_proof(&api, path, every_second(|| pears(1)));
    let status = client.place_all(request).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(status.message(), "the token has expired");
    assert_eq!(began.elapsed().as_secs(), LIFETIME.unsigned_abs());
}

#[tokio::test(start_paused = true)]
async fn a_grpc_conversation_ends_for_both_sides() {
    let api = Api::new();
    let mut client = orders(api.layer()).await;
    let path = "/orders.v1.Orders/Quote";
    let began = Instant::now();
    let request = with_proof(&api, path, every_second(|| quote(1)));
    let mut offers = client.quote(request).await.unwrap().into_inner();
    let status = end(&mut offers).await.unwrap();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(status.message(), "the token has expired");
    assert_eq!(began.elapsed().as_secs(), LIFETIME.unsigned_abs());
}

#[tokio::test(start_paused = true)]
async fn a_policy_can_let_a_grpc_stream_go_on() {
    let api = Api::new();
    let policy = Policy::strict().danger_let_streams_outlive_tokens();
    let (mut client, _reporter) = health(api.layer().with_policy(policy)).await;
    let mut stream = client
        .watch(call(&api, "Watch"))
        .await
        .unwrap()
        .into_inner();
    tokio::select! {
        end = end(&mut stream) => panic!("ended with {end:?}"),
        () = sleep(Duration::from_secs(10 * 3600)) => {}
    }
}
