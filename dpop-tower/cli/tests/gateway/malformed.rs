//! Malformed requests, and requests that could be read as two (RFC 9112 sections 3.2 and 6, RFC 9113
//! section 8.3).

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, body::Body, extract::Request};
use http::{HeaderValue, Version, header};
use http_body_util::BodyExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{Rig, Wanted, mirror, soon};

const OPEN: Wanted<'_> = Wanted::head("mode = 'off'");

/// Counts the requests that arrive, and answers each with its body.
fn counting() -> (Arc<AtomicUsize>, Router) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let echo = Router::new().fallback(async move |request: Request| {
        counted.fetch_add(1, Ordering::Relaxed);
        let body = request.into_body().collect().await;
        body.map_or_else(|_| b"cut off".to_vec(), |body| body.to_bytes().to_vec())
    });
    (count, echo)
}

/// Returns everything that arrives until the gateway closes the connection. The client never closes it.
async fn exchange(rig: &Rig, text: &str) -> String {
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // The connection may be reset if unread bytes remain.
    let _ = soon(stream.read_to_end(&mut answer)).await;
    String::from_utf8(answer).unwrap()
}

/// Returns the statuses of all responses.
fn statuses(answers: &str) -> Vec<u16> {
    let lines = answers.split("HTTP/1.1 ").skip(1);
    lines.map(|rest| rest[..3].parse().unwrap()).collect()
}

#[tokio::test]
async fn a_request_has_one_host_that_is_one() {
    let (count, upstream) = counting();
    let rig = Rig::with(upstream, OPEN).await;
    for (headers, status) in [
        ("", 400),
        ("Host: api.test\r\nHost: evil.example", 400),
        ("Host: api.test\r\nhost: api.test", 400),
        ("Host:", 400),
        ("Host: a b", 400),
        ("Host: evil.example, api.test", 400),
        ("Host: user@api.test", 400),
        ("Host: api.test/admin", 400),
        ("Host: api.test:https", 400),
        ("Host: api.test", 200),
        ("Host: 10.0.0.5:8080", 200),
        ("Host: [::1]:8080", 200),
    ] {
        let before = count.load(Ordering::Relaxed);
        let request = format!("GET / HTTP/1.1\r\nConnection: close\r\n{headers}\r\n\r\n");
        let request = request.replace("\r\n\r\n\r\n", "\r\n\r\n");
        assert_eq!(
            statuses(&exchange(&rig, &request).await),
            [status],
            "{headers}"
        );
        let reached = count.load(Ordering::Relaxed) - before;
        assert_eq!(reached, usize::from(status == 200), "{headers}");
    }
    // HTTP/1.0 requests may have no `Host`, but not two.
    let old = "GET / HTTP/1.0\r\n\r\n";
    assert!(exchange(&rig, old).await.starts_with("HTTP/1.0 200"));
    let two = "GET / HTTP/1.0\r\nHost: a.test\r\nHost: a.test\r\n\r\n";
    assert!(exchange(&rig, two).await.starts_with("HTTP/1.0 400"));
    // A target with a host overrides the header, which is still required.
    let absolute =
        |host| format!("GET http://api.test/ HTTP/1.1\r\n{host}Connection: close\r\n\r\n");
    assert_eq!(
        statuses(&exchange(&rig, &absolute("Host: other.test\r\n")).await),
        [200]
    );
    assert_eq!(
        statuses(&exchange(&rig, &absolute("Host: a b\r\n")).await),
        [400]
    );
}

#[tokio::test]
async fn an_authority_and_a_host_do_not_contradict_each_other() {
    let rig = Rig::with(mirror(), OPEN).await;
    for (hosts, status) in [
        (&[][..], 200),
        (&["api.test"], 200),
        (&["API.test:443"], 200),
        (&["evil.example"], 400),
        (&["api.test:8443"], 400),
        (&["a b"], 400),
        (&["api.test", "api.test"], 400),
    ] {
        let stream = TcpStream::connect(rig.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http2::handshake(
            hyper_util::rt::TokioExecutor::new(),
            hyper_util::rt::TokioIo::new(stream),
        )
        .await
        .unwrap();
        tokio::spawn(connection);
        let mut request = http::Request::new(Body::empty());
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = "https://api.test/".parse().unwrap();
        for host in hosts {
            let host = HeaderValue::from_static(host);
            request.headers_mut().append(header::HOST, host);
        }
        let response = soon(sender.send_request(request)).await.unwrap();
        assert_eq!(response.status(), status, "{hosts:?}");
    }
}

const CHUNKED: &str = "5\r\nhello\r\n0\r\n\r\n";

#[tokio::test]
async fn a_transfer_coding_other_than_chunked_is_not_implemented() {
    let (count, upstream) = counting();
    let rig = Rig::with(upstream, OPEN).await;
    for (encoding, status) in [
        ("Transfer-Encoding: gzip, chunked", 501),
        ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", 501),
        ("Transfer-Encoding: identity, chunked", 501),
        ("Transfer-Encoding: chunked, chunked", 400),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            400,
        ),
        ("Transfer-Encoding: , chunked", 400),
        ("Transfer-Encoding: chunked, gzip", 400),
        ("Transfer-Encoding: gzip", 400),
    ] {
        let request = format!("POST / HTTP/1.1\r\nHost: api.test\r\n{encoding}\r\n\r\n{CHUNKED}");
        let answer = exchange(&rig, &request).await;
        assert_eq!(statuses(&answer), [status], "{encoding}");
    }
    assert_eq!(count.load(Ordering::Relaxed), 0);
    for good in ["Transfer-Encoding: chunked", "transfer-encoding: CHUNKED"] {
        let head = format!("POST / HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n{good}");
        let answer = exchange(&rig, &format!("{head}\r\n\r\n{CHUNKED}")).await;
        assert_eq!(statuses(&answer), [200], "{good}");
        assert!(answer.ends_with("hello"), "{answer}");
    }
}

/// A proxy in front that uses the length would read the rest as another client's next request.
#[tokio::test]
async fn a_length_beside_an_encoding_is_rejected_and_nothing_after_it_is_read() {
    let (count, upstream) = counting();
    let rig = Rig::with(upstream, OPEN).await;
    let both = [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "TRANSFER-ENCODING: chunked\r\nX: y\r\ncontent-length:5",
        "Content-Length: 0\r\nTransfer-Encoding: chunked",
    ];
    let good = [
        "",
        "GET /1 HTTP/1.1\r\nHost: api.test\r\n\r\n",
        "POST /1 HTTP/1.1\r\nHost: api.test\r\nContent-Length: 5\r\n\r\nGET /",
        "POST /1 HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nGET /\r\n0\r\n\r\n",
    ];
    for (both, good) in both
        .into_iter()
        .flat_map(|both| good.map(|good| (both, good)))
    {
        let mut stream = TcpStream::connect(rig.address).await.unwrap();
        stream.write_all(good.as_bytes()).await.unwrap();
        if !good.is_empty() {
            let mut first = [0; 12];
            soon(stream.read_exact(&mut first)).await.unwrap();
            assert_eq!(&first, b"HTTP/1.1 200");
        }
        let before = count.load(Ordering::Relaxed);
        let smuggled = "GET /smuggled HTTP/1.1\r\nHost: api.test\r\n\r\n";
        let request =
            format!("POST /2 HTTP/1.1\r\nHost: api.test\r\n{both}\r\n\r\n{CHUNKED}{smuggled}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = soon(stream.read_to_end(&mut answer)).await;
        let answer = String::from_utf8_lossy(&answer);
        assert_eq!(statuses(&answer), [400], "{both} after {good:?}");
        assert!(answer.contains("connection: close"), "{answer}");
        assert_eq!(
            count.load(Ordering::Relaxed),
            before,
            "{both} after {good:?}"
        );
    }
}

/// All ways to frame a request, one after another.
#[tokio::test]
async fn a_connection_goes_on_after_bodies_of_every_kind() {
    let (count, upstream) = counting();
    let rig = Rig::with(upstream, OPEN).await;
    let requests = [
        "GET / HTTP/1.1\r\nHost: api.test\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: api.test\r\nContent-Length: 3\r\n\r\none",
        "POST / HTTP/1.1\r\nHost: api.test\r\nContent-Length: 0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\ntwo\r\n0\r\nX: y\r\n\r\n",
        // A body that contains a head.
        "POST / HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n\
         17\r\n\r\nContent-Length: 100\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n",
    ];
    let answer = exchange(&rig, &requests.concat()).await;
    assert_eq!(statuses(&answer), [200; 6], "{answer}");
    assert_eq!(count.load(Ordering::Relaxed), 6);
}
