//! Requests over a socket.

use std::net::SocketAddr;

use axum::{Router, body::Body, routing::post};
use dpop_tower::{
    BoundToken,
    nonce::{NonceSecret, StatelessNonces},
};
use http::{Method, Request, StatusCode};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::{layer, request, serve, write_head};
use crate::{
    rejection::challenge::Challenge,
    support::{Api, URL},
};

/// Calls an API whose public origin differs from its socket's, as behind a proxy.
async fn call(
    address: SocketAddr,
    request: Request<()>,
    body: impl Into<reqwest::Body>,
) -> reqwest::Response {
    let (parts, ()) = request.into_parts();
    reqwest::Client::new()
        .request(parts.method, format!("http://{address}{}", parts.uri))
        .headers(parts.headers)
        .body(body)
        .send()
        .await
        .unwrap()
}

/// Answers with the body of the request.
fn echoing(api: &Api) -> Router {
    Router::new()
        .route("/orders", post(|_: BoundToken, body: Body| async { body }))
        .layer(layer(api))
}

#[tokio::test]
async fn over_a_socket_requests_are_admitted_once_and_rejected_with_a_challenge() {
    let api = Api::new();
    let address = serve(api.router.clone()).await;
    let token = api.token().mint();
    let proof = api.proof(&token).sign();
    let get = || {
        api.client
            .request_with_proof(Method::GET, URL, &token, &proof)
    };
    let response = call(address, get(), "").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.text().await.unwrap(), "alice");

    let response = call(address, get(), "").await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let challenges = Challenge::all(response.headers());
    assert_eq!(challenges[0].get("error"), Some("invalid_dpop_proof"));
}

#[tokio::test]
async fn over_a_socket_a_large_body_gets_through_whole() {
    let api = Api::new();
    let address = serve(echoing(&api)).await;
    let body: Vec<u8> = (0_u32..1_000_000).flat_map(u32::to_le_bytes).collect();
    let request = request(&api, &Method::POST, "/orders", URL);
    let response = call(address, request, body.clone()).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.bytes().await.unwrap() == body);
}

/// Reads until `text` has arrived.
async fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut all = Vec::new();
    loop {
        let read = String::from_utf8_lossy(&all);
        if read.contains(text) {
            return read.into_owned();
        }
        assert_ne!(stream.read_buf(&mut all).await.unwrap(), 0, "{all:?}");
    }
}

#[tokio::test]
async fn over_a_socket_a_body_is_streamed_not_collected() {
    let api = Api::new();
    let mut stream = TcpStream::connect(serve(echoing(&api)).await)
        .await
        .unwrap();
    let head = write_head(&request(&api, &Method::POST, "/orders", URL));
    let first = format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
    stream.write_all(first.as_bytes()).await.unwrap();
    let answer = read_until(&mut stream, "first").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    stream.write_all(b"6\r\nsecond\r\n0\r\n\r\n").await.unwrap();
    read_until(&mut stream, "second").await;
}

/// docs/wire.md describes the spellings that clients see, since some clients recognise only one.
#[tokio::test]
async fn over_a_socket_dpop_nonce_is_written_in_lower_case_or_in_title_case() {
    let nonces = StatelessNonces::new(NonceSecret::new([1; 32]).unwrap());
    let api = Api::with(
        |tokens| tokens,
        |config| config.nonce_source(nonces).require_nonces(),
    );
    for (title_case, spelling) in [(false, "\r\ndpop-nonce: "), (true, "\r\nDpop-Nonce: ")] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = TowerToHyperService::new(api.router.clone());
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut server = hyper::server::conn::http1::Builder::new();
            server.title_case_headers(title_case);
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = write_head(&api.client.get(URL, "token"));
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(b"\r\n").await.unwrap();
        let answer = read_until(&mut stream, "\r\n\r\n").await;
        assert!(answer.contains(spelling), "{answer}");
        // A value keeps its case.
        assert!(answer.contains(": DPoP error="), "{answer}");
    }
}
