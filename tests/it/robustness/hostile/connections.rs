//! Bytes that are not HTTP, and several requests on one connection.

use std::time::Duration;

use http::header;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{Answer, Target};
use crate::{
    frameworks::axum_router::write_head,
    support::{Backend, URL},
};

dpop_conformance::each_backend!(
    what_is_no_http_is_answered_by_the_server_and_changes_nothing,
    requests_on_one_connection_are_judged_each_by_itself,
);

async fn what_is_no_http_is_answered_by_the_server_and_changes_nothing(backend: Backend) {
    let target = Target::new(backend).await;
    let [_, authorization, proof] = target.good();
    let authorization = String::from_utf8(authorization.1).unwrap();
    let proof = String::from_utf8(proof.1).unwrap();
    for (what, request) in [
        (
            "a byte of zero",
            format!(
                "GET /orders HTTP/1.1\r\ndpop: {proof}\0\r\nauthorization: {authorization}\r\n\r\n"
            ),
        ),
        (
            "a space before the colon",
            format!(
                "GET /orders HTTP/1.1\r\ndpop : {proof}\r\nauthorization: {authorization}\r\n\r\n"
            ),
        ),
        (
            "a folded line",
            format!(
                "GET /orders HTTP/1.1\r\ndpop: a\r\n {proof}\r\nauthorization: {authorization}\r\n\r\n"
            ),
        ),
        (
            "no colon",
            format!("GET /orders HTTP/1.1\r\ndpop\r\nauthorization: {authorization}\r\n\r\n"),
        ),
        (
            "two lengths",
            format!(
                "POST /orders HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\nauthorization: {authorization}\r\n\r\nab"
            ),
        ),
        ("no method", "/orders\r\n\r\n".to_owned()),
        ("another protocol", "EHLO api.test\r\n\r\n".to_owned()),
    ] {
        target.rejected(what, request.as_bytes()).await;
    }
}

/// Reads one response from a connection that stays open.
async fn next_answer(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    loop {
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
        let Some(answer) = Answer::parse(&bytes) else {
            continue;
        };
        let head = bytes.windows(4).position(|end| end == b"\r\n\r\n");
        let length = answer.headers[header::CONTENT_LENGTH].to_str().unwrap();
        if bytes.len() == head.unwrap() + 4 + length.parse::<usize>().unwrap() {
            return answer;
        }
    }
}

async fn requests_on_one_connection_are_judged_each_by_itself(backend: Backend) {
    let target = Target::new(backend).await;
    let api = &target.api;
    let token = api.token().mint();
    let get = || write_head(&api.client.get(URL, &token)) + "\r\n";
    let stranger = "GET /orders HTTP/1.1\r\nhost: api.test\r\n\r\n".to_owned();
    let used = get();
    let mut stream = TcpStream::connect(target.address).await.unwrap();
    for (request, status) in [
        (&stranger, 401),
        (&used, 200),
        (&stranger, 401),
        (&used, 401),
        (&get(), 200),
    ] {
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = timeout(Duration::from_secs(10), next_answer(&mut stream)).await;
        assert_eq!(answer.unwrap().status, status);
    }
}
