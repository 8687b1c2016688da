//! Connections without a request under way do not keep their places.

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes},
};
use http::{Request, Version};
use http_body_util::{BodyExt as _, channel::Channel};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
    time::sleep,
};

use super::{ORIGIN, Rig, Wanted, mirror, soon, streams};

/// One second without a request, and much longer for the first one.
const SHORT: &str = "[limits]\nidle_timeout = 1\nheader_timeout = 600\n";

/// Longer than the idle timeout and the time that a client has to leave.
const LONG: Duration = Duration::from_secs(8);

async fn http_2(rig: &Rig) -> (SendRequest<Body>, JoinHandle<hyper::Result<()>>) {
    let stream = TcpStream::connect(rig.address).await.unwrap();
    let executor = TokioExecutor::new();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(executor, TokioIo::new(stream))
            .await
            .unwrap();
    (sender, tokio::spawn(connection))
}

fn request(rig: &Rig, path: &str) -> Request<Body> {
    let mut request = rig.get(path);
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = format!("{ORIGIN}{path}").parse().unwrap();
    request
}

/// An upstream that answers `/slow` piece by piece for longer than idle connections may stay open, and
/// `/late` after as long.
fn slow() -> Router {
    async fn pieces() -> Body {
        let (mut sender, body) = Channel::<Bytes, Infallible>::new(1);
        tokio::spawn(async move {
            for piece in ["one ", "two ", "three"] {
                sender.send_data(Bytes::from(piece)).await.unwrap();
                sleep(LONG / 2).await;
            }
        });
        Body::new(body)
    }
    Router::new()
        .route("/slow", axum::routing::get(pieces))
        .route(
            "/late",
            axum::routing::get(async || {
                sleep(LONG).await;
                "late"
            }),
        )
        .fallback(async || "soon")
}

#[tokio::test]
async fn an_http_1_connection_without_a_request_is_closed() {
    let rig = Rig::with(
        mirror(),
        Wanted {
            head: "mode = 'off'",
            tables: SHORT,
        },
    )
    .await;
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    let begun = Instant::now();
    for _ in 0..3 {
        let request = b"GET / HTTP/1.1\r\nhost: api.test\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut start = [0; 12];
        soon(stream.read_exact(&mut start)).await.unwrap();
        assert_eq!(&start, b"HTTP/1.1 200");
        let mut rest = [0; 4096];
        soon(stream.read(&mut rest)).await.unwrap();
        // Not long enough for the idle timeout.
        sleep(Duration::from_millis(300)).await;
    }
    let mut rest = Vec::new();
    soon(stream.read_to_end(&mut rest)).await.unwrap();
    assert!(begun.elapsed() > Duration::from_millis(1500));
}

#[tokio::test]
async fn an_http_2_connection_without_a_request_is_closed_in_an_orderly_way() {
    let rig = Rig::with(mirror(), Wanted::tables(SHORT)).await;
    let (mut sender, connection) = http_2(&rig).await;
    let response = soon(sender.send_request(request(&rig, "/orders")))
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    soon(response.into_body().collect()).await.unwrap();
    soon(connection).await.unwrap().unwrap();
    assert!(sender.is_closed());
}

/// The HTTP/2 frames up to the first request, with the parameters of the test.
fn opening(settings: &[u8], headers: &[u8]) -> Vec<u8> {
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
    };
    let mut opening = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    opening.extend(frame(4, 0, 0, settings));
    if !headers.is_empty() {
        // The end of the headers and of the stream.
        opening.extend(frame(1, 5, 1, headers));
    }
    opening
}

/// `GET /` over HTTP/2, with an authority. Without one, the response has a body.
const GET: &[u8] = b"\x82\x86\x84\x41\x08api.test";
const MALFORMED: &[u8] = b"\x82\x86\x84";

/// A client that reads nothing, not even GOAWAY, and answers no ping.
async fn until_cut_off(rig: &Rig, opening: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    stream.write_all(opening).await.unwrap();
    let mut read = Vec::new();
    // With or without a reset.
    let _ = soon(stream.read_to_end(&mut read)).await;
    read
}

fn kinds(mut frames: &[u8]) -> Vec<u8> {
    let mut kinds = Vec::new();
    while let [a, b, c, kind, _, _, _, _, _, rest @ ..] = frames {
        kinds.push(*kind);
        let length = u32::from_be_bytes([0, *a, *b, *c]);
        frames = &rest[usize::try_from(length).unwrap().min(rest.len())..];
    }
    kinds
}

#[tokio::test]
async fn a_client_that_does_not_go_is_cut_off() {
    const GOAWAY: u8 = 7;
    let tables = "[limits]\nidle_timeout = 1\nheader_timeout = 600\nconnections = 1\n";
    let rig = Rig::with(mirror(), Wanted::tables(tables)).await;
    let read = until_cut_off(&rig, &opening(&[], GET)).await;
    assert!(kinds(&read).contains(&GOAWAY), "{:?}", kinds(&read));
    // A window of zero, so that the response can never be sent in full.
    let no_window = [0, 4, 0, 0, 0, 0];
    let read = until_cut_off(&rig, &opening(&no_window, MALFORMED)).await;
    assert!(kinds(&read).contains(&GOAWAY), "{:?}", kinds(&read));
    // The place is free again.
    assert_eq!(rig.status(rig.get("/orders")).await, 200);
}

#[tokio::test]
async fn a_connection_that_never_has_a_request_is_closed_when_the_first_should_have_come() {
    let tables = "[limits]\nidle_timeout = 600\nheader_timeout = 1\nconnections = 1\n";
    let rig = Rig::with(mirror(), Wanted::tables(tables)).await;
    let whole = opening(&[], b"");
    for part in [0, 1, 10, 23, 24, 30, whole.len()] {
        until_cut_off(&rig, &whole[..part]).await;
    }
    let half_a_request = &opening(&[], GET)[..whole.len() + 12];
    until_cut_off(&rig, half_a_request).await;
    assert_eq!(rig.status(rig.get("/orders")).await, 200);
}

#[tokio::test]
async fn requests_under_way_keep_their_connection() {
    let rig = Rig::with(slow(), Wanted::tables(SHORT)).await;
    let http_1 = async |path| {
        let response = rig.send(rig.get(path)).await;
        super::text(response).await
    };
    let http_2 = async {
        let (mut sender, _connection) = http_2(&rig).await;
        let mut get = async |path: &str| {
            let response = soon(sender.send_request(request(&rig, path)))
                .await
                .unwrap();
            assert_eq!(response.status(), 200);
            response.into_body()
        };
        let slow = get("/slow").await;
        // Another request that ends earlier.
        let soon_over = get("/soon").await.collect().await.unwrap();
        assert_eq!(soon_over.to_bytes(), "soon");
        let slow = soon(slow.collect()).await.unwrap();
        assert_eq!(slow.to_bytes(), "one two three");
        let late = soon(get("/late").await.collect()).await.unwrap();
        assert_eq!(late.to_bytes(), "late");
    };
    let (slow, late, ()) = tokio::join!(http_1("/slow"), http_1("/late"), http_2);
    assert_eq!((&*slow, &*late), ("one two three", "late"));
}

#[tokio::test]
async fn a_websocket_is_not_idle() {
    use futures_util::{SinkExt as _, StreamExt as _};
    use tokio_tungstenite::tungstenite::Message;

    let rig = Rig::with(streams::websocket(), Wanted::tables(SHORT)).await;
    let stream = TcpStream::connect(rig.address).await.unwrap();
    let handshake = streams::handshake(rig.get("/ws").headers());
    let (mut socket, _) = soon(tokio_tungstenite::client_async(handshake, stream))
        .await
        .unwrap();
    sleep(LONG).await;
    socket.send(Message::text("lap")).await.unwrap();
    let answer = soon(socket.next()).await.unwrap().unwrap();
    assert_eq!(answer, Message::text("LAP"));
}
