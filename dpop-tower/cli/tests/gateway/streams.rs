//! Bodies are streamed in both directions, and some connections are upgraded.

use std::{convert::Infallible, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, WebSocketUpgrade, ws::Message},
    response::{IntoResponse as _, Response, Sse, sse::Event},
    routing::{any, get, post},
};
use dpop_cli::gateway::{
    self, Gateway, Shutdown,
    guard::Guard,
    identity::Identity,
    proxy::{Forwarding, Proxy, Timeouts, Upstream},
    settings::Limits,
};
use dpop_tower::{
    PublicOrigin,
    clock::{SystemClock, TimeSource as _},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt as _, channel::Channel};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_tungstenite::tungstenite;

use super::{ORIGIN, Rig, Wanted, mirror, send, serve, soon};
use dpop_conformance::support::{self, Api};

type Sender = http_body_util::channel::Sender<Bytes, Infallible>;

/// A body that the test writes.
fn body() -> (Sender, Body) {
    let (sender, channel) = Channel::new(8);
    (sender, Body::new(channel))
}

async fn chunk(
    body: &mut (impl hyper::body::Body<Data = Bytes, Error: std::fmt::Debug> + Unpin),
) -> Bytes {
    let frame = soon(body.frame()).await.unwrap().unwrap();
    frame.into_data().unwrap()
}

#[tokio::test]
async fn a_response_arrives_before_the_upstream_has_finished_it() {
    let (hand, mut bodies) = mpsc::unbounded_channel();
    let upstream = Router::new().fallback(async move || {
        let (sender, body) = body();
        hand.send(sender).unwrap();
        body
    });
    let rig = Rig::new(upstream).await;
    let response = rig.send(rig.get("/orders")).await;
    let mut sender = soon(bodies.recv()).await.unwrap();
    let mut received = response.into_body();
    for text in ["one", "two"] {
        sender.send_data(Bytes::from(text)).await.unwrap();
        assert_eq!(chunk(&mut received).await, text);
    }
    drop(sender);
    assert!(soon(received.frame()).await.is_none());
}

#[tokio::test]
async fn a_request_arrives_before_the_client_has_finished_it() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let upstream = Router::new().fallback(async move |request: Request| {
        let mut body = request.into_body();
        while let Some(Ok(frame)) = body.frame().await {
            tell.send(frame.into_data().unwrap()).unwrap();
        }
        "done"
    });
    let rig = Rig::new(upstream).await;
    let (mut sender, body) = body();
    let mut request = rig.request(Method::POST, "/orders");
    *request.body_mut() = body;
    let response = tokio::spawn(send(rig.address, request));
    for text in ["one", "two"] {
        sender.send_data(Bytes::from(text)).await.unwrap();
        assert_eq!(soon(told.recv()).await.unwrap(), text);
    }
    drop(sender);
    assert_eq!(super::text(response.await.unwrap()).await, "done");
}

/// The upstream may wait for the rest of a request for as long as it keeps arriving.
#[tokio::test]
async fn an_upload_may_take_longer_than_the_limit_for_a_response() {
    let upstream = Router::new().fallback(async |body: Bytes| body.len().to_string());
    let tables = "[limits]\nresponse_timeout = 10";
    let rig = Rig::with(upstream, Wanted::tables(tables)).await;
    let (mut sender, body) = body();
    let mut request = rig.request(Method::POST, "/orders");
    *request.body_mut() = body;
    let response = tokio::spawn(send(rig.address, request));
    for _ in 0..12 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        sender.send_data(Bytes::from("x")).await.unwrap();
    }
    drop(sender);
    let response = response.await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(super::text(response).await, "12");
}

#[tokio::test]
async fn server_sent_events_arrive_as_they_are_sent() {
    let (send_event, events) = mpsc::unbounded_channel::<&str>();
    let events = std::sync::Arc::new(std::sync::Mutex::new(Some(events)));
    let upstream = Router::new().fallback(async move || -> Response {
        let mut events = events.lock().unwrap().take().unwrap();
        let stream = futures_util::stream::poll_fn(move |cx| {
            events
                .poll_recv(cx)
                .map(|event| event.map(|data| Ok::<_, Infallible>(Event::default().data(data))))
        });
        Sse::new(stream).into_response()
    });
    let rig = Rig::new(upstream).await;
    let response = rig.send(rig.get("/events")).await;
    assert_eq!(
        response.headers()[header::CONTENT_TYPE],
        "text/event-stream"
    );
    let mut body = response.into_body();
    for data in ["lap 1", "lap 2"] {
        send_event.send(data).unwrap();
        assert_eq!(chunk(&mut body).await, format!("data: {data}\n\n"));
    }
}

/// An upstream that echoes each message in capitals.
pub(super) fn websocket() -> Router {
    async fn echo(headers: HeaderMap, upgrade: WebSocketUpgrade) -> Response {
        assert_eq!(headers["x-dpop-subject"], "alice");
        assert!(!headers.contains_key("authorization") && !headers.contains_key("dpop"));
        upgrade.on_upgrade(async |mut socket| {
            while let Some(Ok(Message::Text(text))) = socket.recv().await {
                let answer = Message::Text(text.to_uppercase().into());
                if socket.send(answer).await.is_err() {
                    return;
                }
            }
        })
    }
    Router::new().route("/ws", any(echo))
}

pub(super) fn handshake(headers: &HeaderMap) -> tungstenite::handshake::client::Request {
    use tungstenite::client::IntoClientRequest as _;

    let mut request = format!("{}/ws", ORIGIN.replace("https", "ws"))
        .into_client_request()
        .unwrap();
    for name in ["authorization", "dpop"] {
        if let Some(value) = headers.get(name) {
            request
                .headers_mut()
                .insert(HeaderName::from_static(name), value.clone());
        }
    }
    request
}

#[tokio::test]
async fn a_websocket_passes_for_whoever_has_proved_its_key() {
    let rig = Rig::new(websocket()).await;
    let stream = TcpStream::connect(rig.address).await.unwrap();
    let request = handshake(rig.get("/ws").headers());
    let (mut socket, response) = soon(tokio_tungstenite::client_async(request, stream))
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    for _ in 0..2 {
        use futures_util::{SinkExt as _, StreamExt as _};

        socket
            .send(tungstenite::Message::text("lap"))
            .await
            .unwrap();
        let answer = soon(socket.next()).await.unwrap().unwrap();
        assert_eq!(answer, tungstenite::Message::text("LAP"));
    }

    let stream = TcpStream::connect(rig.address).await.unwrap();
    let rejected = tokio_tungstenite::client_async(handshake(&HeaderMap::new()), stream);
    match soon(rejected).await {
        Err(tungstenite::Error::Http(response)) => assert_eq!(response.status(), 401),
        other => panic!("{:?}", other.map(|(_, response)| response.status())),
    }
}

#[tokio::test]
async fn a_websocket_ends_with_the_token_that_opened_it() {
    use futures_util::StreamExt as _;

    let rig = Rig::new(websocket()).await;
    let soon_over = SystemClock.now().as_secs() + 5;
    let token = rig.issuer.token().subject("alice").bound_to(&rig.client);
    let token = token.claim("exp", soon_over).mint();
    let request = rig.client.get(&format!("{ORIGIN}/ws"), &token);
    let stream = TcpStream::connect(rig.address).await.unwrap();
    let connected = tokio_tungstenite::client_async(handshake(request.headers()), stream);
    let (mut socket, _) = soon(connected).await.unwrap();
    // The connection is cut off or closed. Either way, nothing more arrives.
    assert!(!matches!(soon(socket.next()).await, Some(Ok(_))));
    assert!(SystemClock.now().as_secs() >= soon_over);
}

/// The clock of a machine may be set, and a sleeping machine misses its timers.
#[tokio::test]
async fn a_websocket_ends_with_its_token_also_where_the_clock_is_set() {
    use futures_util::StreamExt as _;

    let api = Api::new();
    let guard = Guard::new(api.config().build().unwrap(), None, Identity::default());
    let proxy = Proxy::new(
        Upstream::new(&serve(websocket()).await).unwrap(),
        guard.identity().clone(),
        Forwarding::new(PublicOrigin::new(support::ORIGIN).unwrap()),
        Timeouts::default(),
    );
    let gateway = Gateway::from_parts(guard, &proxy.unwrap()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = Shutdown {
        signal: std::future::pending::<()>(),
        timeout: Duration::ZERO,
    };
    tokio::spawn(gateway::serve(
        listener,
        gateway,
        Limits::default(),
        shutdown,
    ));

    let url = format!("{}/ws", support::ORIGIN);
    let request = api.client.get(&url, &api.token().mint());
    let stream = TcpStream::connect(address).await.unwrap();
    let connected = tokio_tungstenite::client_async(handshake(request.headers()), stream);
    let (mut socket, _) = soon(connected).await.unwrap();
    // The end is noticed within half a minute, which now passes at once.
    tokio::time::pause();
    let still_open = tokio::time::timeout(Duration::from_secs(100), socket.next());
    assert!(still_open.await.is_err());
    api.advance(3600);
    let ended = tokio::time::timeout(Duration::from_secs(31), socket.next()).await;
    assert!(!matches!(ended.unwrap(), Some(Ok(_))));
}

/// A WebSocket is a connection like any other, and takes a place.
#[tokio::test]
async fn a_websocket_counts_among_the_connections() {
    let tables = "[limits]\nconnections = 2";
    let rig = Rig::with(websocket(), Wanted::tables(tables)).await;
    let mut sockets = Vec::new();
    for _ in 0..2 {
        let stream = TcpStream::connect(rig.address).await.unwrap();
        let request = handshake(rig.get("/ws").headers());
        let connected = tokio_tungstenite::client_async(request, stream);
        sockets.push(soon(connected).await.unwrap());
    }
    // Far longer than an answer takes, and there is none.
    let third = send(rig.address, rig.get("/other"));
    let third = tokio::time::timeout(Duration::from_secs(2), third).await;
    assert!(third.is_err());
    sockets.clear();
    assert_eq!(rig.status(rig.get("/other")).await, 404);
}

/// Above all `h2c`: nobody would check the requests that follow.
#[tokio::test]
async fn no_other_protocol_is_asked_for() {
    let rig = Rig::new(mirror()).await;
    for protocol in ["h2c", "TLS/1.0", "websocket2", "HTTP/2.0, h2c"] {
        let mut request = rig.get("/orders");
        let headers = request.headers_mut();
        headers.insert(
            header::CONNECTION,
            HeaderValue::from_static("upgrade, http2-settings"),
        );
        headers.insert(header::UPGRADE, HeaderValue::from_static(protocol));
        headers.insert(
            "http2-settings",
            HeaderValue::from_static("AAMAAABkAAQAAP__"),
        );
        let seen = rig.seen(request).await;
        assert_eq!(seen.header("upgrade"), None, "{protocol}");
        assert_eq!(seen.header("connection"), None, "{protocol}");
        assert_eq!(seen.header("http2-settings"), None, "{protocol}");
    }
    // Both headers and the method `GET` are required.
    let mut request = rig.request(Method::POST, "/orders");
    request
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    request
        .headers_mut()
        .insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    assert_eq!(rig.seen(request).await.header("upgrade"), None);
    let mut request = rig.get("/orders");
    request
        .headers_mut()
        .insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    assert_eq!(rig.seen(request).await.header("upgrade"), None);
}

/// A request that is under way at shutdown runs to its end.
#[tokio::test]
async fn requests_under_way_finish_when_the_gateway_ends() {
    let (hand, mut bodies) = mpsc::unbounded_channel();
    let upstream = Router::new().route(
        "/slow",
        get(async move || {
            let (sender, body) = body();
            hand.send(sender).unwrap();
            body
        }),
    );
    let mut rig = Rig::new(upstream).await;
    let response = rig.send(rig.get("/slow")).await;
    let mut sender = soon(bodies.recv()).await.unwrap();
    rig.stop.take().unwrap().send(()).unwrap();
    // The gateway accepts no new connections.
    soon(async {
        while TcpStream::connect(rig.address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert!(!rig.served.is_finished());
    sender.send_data(Bytes::from("the rest")).await.unwrap();
    drop(sender);
    assert_eq!(super::text(response).await, "the rest");
    soon(rig.served).await.unwrap().unwrap();
}

#[tokio::test]
async fn requests_that_do_not_finish_are_cut_off_when_their_time_is_up() {
    let (hand, mut bodies) = mpsc::unbounded_channel();
    let upstream = Router::new().route(
        "/slow",
        post(async move || {
            let (sender, body) = body();
            hand.send(sender).unwrap();
            body
        }),
    );
    let head = "shutdown_timeout = 1";
    let mut rig = Rig::with(upstream, Wanted::head(head)).await;
    let response = rig.send(rig.request(Method::POST, "/slow")).await;
    let _never_finished = soon(bodies.recv()).await.unwrap();
    rig.stop.take().unwrap().send(()).unwrap();
    soon(rig.served).await.unwrap().unwrap();
    drop(response);
}
