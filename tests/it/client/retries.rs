//! Retries outside the layer: each attempt has a proof of its own.

use std::{
    future::{Ready, ready},
    pin::pin,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use dpop_tower::client::{
    AccessToken, ApiOrigin, ClientKey, DpopClient, DpopClientLayer, RequestBody,
};
use dpop_tower::crypto::Algorithm;
use futures_util::future::{Either, select};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::Full;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tower::{
    BoxError, Layer as _, Service, ServiceBuilder, ServiceExt as _,
    retry::{Policy, RetryLayer},
    service_fn,
};

use super::server::{Http, Seen, Server, Step, assert_unique, client, get, post};

/// Sends a request again after 429, 503 and errors, this many times.
#[derive(Clone)]
struct Retries(usize);

impl<B: Clone, R, E> Policy<Request<B>, Response<R>, E> for Retries {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<B>,
        result: &mut Result<Response<R>, E>,
    ) -> Option<Ready<()>> {
        let has_failed = result.as_ref().is_ok_and(|response| {
            [
                StatusCode::TOO_MANY_REQUESTS,
                StatusCode::SERVICE_UNAVAILABLE,
            ]
            .contains(&response.status())
        });
        self.0 = self.0.checked_sub(1)?;
        (has_failed || result.is_err()).then(|| ready(()))
    }

    fn clone_request(&mut self, request: &Request<B>) -> Option<Request<B>> {
        Some(request.clone())
    }
}

#[tokio::test]
async fn a_retry_after_429_or_503_has_a_new_proof() {
    for status in [
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::SERVICE_UNAVAILABLE,
    ] {
        let server = Server::start().await;
        let http = RetryLayer::new(Retries(2)).layer(server.client());
        for attempts in [3, 2] {
            server.then([Step::Status(status)]);
            let request = post(&server.url(), "3 apples");
            let response = http.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), 200);
            let seen = server.seen();
            assert_eq!(seen.len(), attempts, "{seen:?}");
            assert_unique(&seen);
        }
    }
}

#[tokio::test]
async fn a_retry_after_a_time_out_has_a_new_proof() {
    let server = Arc::new(Server::start().await);
    let http = server.client();
    http.clone().oneshot(get(&server.url())).await.unwrap();
    let mut all = server.seen();
    server.then([Step::Hang]);

    // The time is over when the server has the request, so that the test does not depend on a clock.
    let waiting = Arc::clone(&server);
    let with_time_out = service_fn(move |request: Request<Full<Bytes>>| {
        let (http, waiting) = (http.clone(), Arc::clone(&waiting));
        async move {
            let (call, over) = (pin!(http.oneshot(request)), pin!(waiting.hung()));
            match select(call, over).await {
                Either::Left((result, _)) => result,
                Either::Right(_) => Err::<_, BoxError>("the time is over".into()),
            }
        }
    });
    let http = RetryLayer::new(Retries(1)).layer(with_time_out);
    let response = http.oneshot(post(&server.url(), "3 apples")).await.unwrap();
    assert_eq!(response.status(), 200);
    all.extend(server.seen());
    assert_eq!(all.len(), 4);
    assert_unique(&all);
}

fn layer(origin: &str) -> DpopClientLayer {
    let client = DpopClient::new(ClientKey::generate(Algorithm::Es256).unwrap()).unwrap();
    let token = AccessToken::new("token").unwrap();
    DpopClientLayer::new(client, token, ApiOrigin::new(origin).unwrap())
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    (listener, origin)
}

/// Reads the head of a request, which has no body, or `None` at the end of the connection.
async fn read(stream: &mut TcpStream) -> Option<Seen> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut headers = HeaderMap::new();
    for line in head.lines().skip(1).filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ").unwrap();
        let name = http::HeaderName::try_from(name).unwrap();
        headers.append(name, value.parse().unwrap());
    }
    Some(Seen::new(&headers))
}

async fn respond(stream: &mut TcpStream) {
    let response = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    stream.write_all(response).await.unwrap();
}

/// What happens to a connection on which one request was answered.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// The next request is read, and the connection reset.
    Reset,
    /// The connection ends.
    Close,
}

/// Serves two requests on one connection as `then` says, and all others on connections of their own.
fn breaking(listener: TcpListener, then: Then) -> (Arc<Mutex<Vec<Seen>>>, impl Drop) {
    let all = Arc::<Mutex<Vec<Seen>>>::default();
    let seen = Arc::clone(&all);
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read(&mut stream).await;
        seen.lock().unwrap().extend(request);
        respond(&mut stream).await;
        if matches!(then, Then::Reset) {
            let request = read(&mut stream).await;
            seen.lock().unwrap().extend(request);
            stream.set_zero_linger().unwrap();
        }
        drop(stream);
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let Some(request) = read(&mut stream).await else {
                continue;
            };
            seen.lock().unwrap().push(request);
            respond(&mut stream).await;
        }
    });
    (all, AbortOnDrop(task))
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[tokio::test]
async fn a_retry_after_a_reset_has_a_new_proof() {
    let (listener, origin) = listen().await;
    let (seen, _task) = breaking(listener, Then::Reset);
    let http: Http = client(&layer(&origin));
    http.clone().oneshot(get(&origin)).await.unwrap();
    // The client of hyper-util does not send it again by itself, since the server may have received it.
    let error = http.clone().oneshot(get(&origin)).await.unwrap_err();
    assert!(error.is::<hyper_util::client::legacy::Error>(), "{error:?}");
    assert_eq!(seen.lock().unwrap().len(), 2);

    assert_eq!(requests_for_two_answers(Then::Reset).await, 3);
}

/// Has a retry layer outside of the client's layer get two answers of a server that breaks its connections, and
/// returns how many requests the server received, each with a proof of its own.
async fn requests_for_two_answers(then: Then) -> usize {
    let (listener, origin) = listen().await;
    let (seen, _task) = breaking(listener, then);
    let http: Http = client(&layer(&origin));
    let http = RetryLayer::new(Retries(1)).layer(http);
    for _ in 0..2 {
        let response = http.clone().oneshot(get(&origin)).await.unwrap();
        assert_eq!(response.status(), 200);
    }
    let seen = seen.lock().unwrap();
    assert_unique(&seen);
    seen.len()
}

#[tokio::test]
async fn a_request_on_a_connection_that_has_ended_is_received_once() {
    assert_eq!(requests_for_two_answers(Then::Close).await, 2);
}

/// The code with which a server says that it has not processed a stream (RFC 9113 section 8.7).
const UNPROCESSED: u32 = 7;

/// Resets the first stream of HTTP/2 before it has processed anything, and answers the others.
fn resetting(listener: TcpListener) -> (Arc<Mutex<Vec<Seen>>>, impl Drop) {
    let all = Arc::<Mutex<Vec<Seen>>>::default();
    let seen = Arc::clone(&all);
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            let mut seen = seen.lock().unwrap();
            seen.push(Seen::new(request.headers()));
            if seen.len() == 1 {
                respond.send_reset(UNPROCESSED.into());
            } else {
                respond.send_response(Response::new(()), true).unwrap();
            }
        }
    });
    (all, AbortOnDrop(task))
}

#[tokio::test]
async fn a_retry_after_an_unprocessed_stream_of_http_2_has_a_new_proof() {
    let (listener, origin) = listen().await;
    let (seen, _task) = resetting(listener);
    let http = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    let http = ServiceBuilder::new()
        .layer(RetryLayer::new(Retries(1)))
        .layer(layer(&origin))
        .service(http);
    let response = http.oneshot(post(&origin, "3 apples")).await.unwrap();
    assert_eq!(response.status(), 200);
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 2);
    assert_unique(&seen);
}

#[tokio::test]
async fn an_unprocessed_stream_is_not_retried_inside_the_layer() {
    let (listener, origin) = listen().await;
    let (seen, _task) = resetting(listener);
    let http = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    let http = layer(&origin).layer(http);
    let error = http.oneshot(post(&origin, "3 apples")).await.unwrap_err();
    assert!(error.is::<hyper_util::client::legacy::Error>(), "{error:?}");
    assert_eq!(seen.lock().unwrap().len(), 1);
}

/// What a retry policy needs, and an attempt does not have.
#[test]
fn the_body_of_an_attempt_cannot_be_cloned() {
    trait Ambiguous<A> {
        fn check() {}
    }
    impl<T> Ambiguous<()> for T {}
    struct IsClone;
    impl<T: Clone> Ambiguous<IsClone> for T {}

    // It does not compile if both impls apply.
    <RequestBody<String> as Ambiguous<_>>::check();
}

/// A service of a type that is `Send`, as servers need it.
#[test]
fn services_and_futures_are_send() {
    fn is_send<S: Service<Request<Full<Bytes>>, Future: Send> + Send + Sync>() {}
    is_send::<Http>();
}
