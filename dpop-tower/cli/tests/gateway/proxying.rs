//! What the upstream receives, and what the client gets back (RFC 9110 section 7.6).

use axum::{Router, body::Body};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Version, header};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::Seen;
use super::{ORIGIN, Rig, Wanted, json, mirror, soon, text};

#[tokio::test]
async fn method_path_query_and_body_go_on_byte_for_byte() {
    let rig = Rig::new(mirror()).await;
    for path in [
        "/",
        "/a%2Fb/%7e",
        "/a;b=c/",
        "/%C3%A4?x=%41&y=a/../b&&z",
        "/a?",
        "/.well-known/x",
    ] {
        let mut request = rig.request(Method::PATCH, path);
        *request.body_mut() = Body::from("bytes");
        let seen = rig.seen(request).await;
        assert_eq!(seen.0["uri"], path);
        assert_eq!(seen.0["method"], "PATCH");
        assert_eq!(seen.0["body"], "bytes");
        assert_eq!(seen.header("content-length"), Some("5"));
    }
}

#[tokio::test]
async fn a_path_is_not_made_into_another_on_the_way() {
    let rig = Rig::new(mirror()).await;
    for (path, of_proof) in [("/a/../b", "/b"), ("/a/./b", "/a/b"), ("//a", "//a")] {
        let token = rig.token();
        let proof = rig.client.proof("GET", &format!("{ORIGIN}{of_proof}"));
        let proof = proof.access_token(&token).sign();
        let seen = rig.seen(rig.with_proof(path, &token, &proof)).await;
        assert_eq!(seen.0["uri"], path);
    }
}

/// The form that a client sends to its own proxy. Only the file decides where the request goes.
#[tokio::test]
async fn an_absolute_uri_goes_to_the_upstream_all_the_same() {
    let rig = Rig::new(mirror()).await;
    let mut request = rig.get("/orders");
    *request.uri_mut() = "http://elsewhere.test/orders".parse().unwrap();
    assert_eq!(rig.seen(request).await.0["uri"], "/orders");
}

#[tokio::test]
async fn hop_by_hop_headers_end_at_the_gateway() {
    let rig = Rig::new(mirror()).await;
    let mut request = rig.get("/orders");
    for (name, value) in [
        ("connection", "keep-alive, X-Mine"),
        ("connection", "x-mine-too"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("proxy-authorization", "Basic YTpi"),
        ("proxy-authenticate", "Basic"),
        ("te", "trailers, deflate;q=0.5"),
        ("upgrade", "h2c"),
        ("x-mine", "a"),
        ("x-mine-too", "b"),
        ("x-other", "c"),
    ] {
        let name = HeaderName::from_static(name);
        request
            .headers_mut()
            .append(name, HeaderValue::from_static(value));
    }
    let seen = rig.seen(request).await;
    for name in [
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "proxy-authenticate",
        "upgrade",
        "x-mine",
        "x-mine-too",
    ] {
        assert_eq!(seen.header(name), None, "{name}");
    }
    assert_eq!(seen.header("te"), Some("trailers"));
    assert_eq!(seen.header("x-other"), Some("c"));
}

#[tokio::test]
async fn hop_by_hop_headers_of_the_upstream_end_there_too() {
    let upstream = Router::new().fallback(async || {
        [
            ("connection", "x-mine"),
            ("x-mine", "a"),
            ("keep-alive", "timeout=5"),
            ("proxy-authenticate", "Basic"),
            ("upgrade", "h2c"),
            ("dpop-nonce", "of-the-upstream"),
            ("x-other", "b"),
            ("www-authenticate", "Basic"),
        ]
    });
    let rig = Rig::new(upstream).await;
    let response = rig.send(rig.get("/orders")).await;
    for name in [
        "x-mine",
        "keep-alive",
        "proxy-authenticate",
        "upgrade",
        "dpop-nonce",
    ] {
        assert!(!response.headers().contains_key(name), "{name}");
    }
    assert_eq!(response.headers()["x-other"], "b");
    assert_eq!(response.headers()["www-authenticate"], "Basic");
    assert_eq!(response.headers()["via"], "1.1 dpop-tower-gateway");
}

/// A proof for the second origin is valid if a trusted proxy reports that origin, but not if anyone else
/// does.
#[tokio::test]
async fn only_a_trusted_proxy_chooses_among_the_origins() {
    for (networks, status) in [("['127.0.0.1']", 200), ("['192.0.2.0/24']", 401)] {
        let tables = format!("[trusted_proxies]\nnetworks = {networks}\nprefixes = ['/v1']");
        let rig = Rig::with(mirror(), Wanted::tables(&tables)).await;
        let token = rig.token();
        let proof = rig.client.proof("GET", &format!("{ORIGIN}/v1/orders"));
        let proof = proof.access_token(&token).sign();
        let mut request = rig.with_proof("/orders", &token, &proof);
        let prefix = HeaderValue::from_static("/v1");
        request.headers_mut().insert("x-forwarded-prefix", prefix);
        assert_eq!(rig.status(request).await, status, "{networks}");
    }
}

#[tokio::test]
async fn methods_that_are_for_proxies_are_not_forwarded() {
    let rig = Rig::with(mirror(), Wanted::head("mode = 'off'")).await;
    let trace = Request::builder().method(Method::TRACE).uri("/");
    assert_eq!(rig.status(trace.body(Body::empty()).unwrap()).await, 405);
    for (line, status) in [("CONNECT elsewhere.test:443", "405"), ("OPTIONS *", "400")] {
        let mut stream = TcpStream::connect(rig.address).await.unwrap();
        let request = format!("{line} HTTP/1.1\r\nhost: api.test\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut start = [0; 12];
        soon(stream.read_exact(&mut start)).await.unwrap();
        assert_eq!(start, format!("HTTP/1.1 {status}").as_bytes(), "{line}");
    }
}

#[tokio::test]
async fn an_upstream_that_cannot_be_reached_is_a_502_that_says_no_more() {
    let upstream = format!("http://127.0.0.1:{}", dpop_test_servers::free_port());
    let rig = Rig::before(&upstream, Wanted::default()).await;
    let response = rig.send(rig.get("/orders")).await;
    assert_eq!(response.status(), 502);
    assert_eq!(
        response.headers()[header::CONTENT_TYPE],
        "application/problem+json"
    );
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    assert_eq!(
        text(response).await,
        r#"{"status":502,"title":"Bad Gateway"}"#
    );
}

/// Answers every connection with this text, once.
async fn raw_upstream(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    url
}

#[tokio::test]
async fn an_upstream_that_does_not_speak_http_is_a_502() {
    for answer in [
        "",
        "SSH-2.0-internal-host\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: nonsense\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
    ] {
        let upstream = raw_upstream(answer).await;
        let rig = Rig::before(&upstream, Wanted::default()).await;
        let response = rig.send(rig.get("/orders")).await;
        assert_eq!(response.status(), 502, "{answer:?}");
        assert_eq!(
            text(response).await,
            r#"{"status":502,"title":"Bad Gateway"}"#
        );
    }
}

#[tokio::test]
async fn an_upstream_that_takes_too_long_is_a_504() {
    let upstream = Router::new().fallback(async || {
        std::future::pending::<()>().await;
    });
    let tables = "[limits]\nresponse_timeout = 1";
    let rig = Rig::with(upstream, Wanted::tables(tables)).await;
    let response = rig.send(rig.get("/orders")).await;
    assert_eq!(response.status(), 504);
    assert_eq!(
        text(response).await,
        r#"{"status":504,"title":"Gateway Timeout"}"#
    );
}

#[tokio::test]
async fn the_status_of_the_upstream_is_that_of_the_answer() {
    let upstream = Router::new()
        .route(
            "/teapot",
            axum::routing::get(async || StatusCode::IM_A_TEAPOT),
        )
        .route(
            "/see",
            axum::routing::get(async || axum::response::Redirect::to("/teapot")),
        );
    let rig = Rig::new(upstream).await;
    assert_eq!(rig.status(rig.get("/teapot")).await, 418);
    // The redirect is for the client to follow.
    assert_eq!(rig.status(rig.get("/see")).await, 303);
}

#[tokio::test]
async fn headers_beyond_the_limit_are_rejected() {
    let tables = "[limits]\nheader_size = 8192";
    let rig = Rig::with(mirror(), Wanted::tables(tables)).await;
    let mut request = rig.get("/orders");
    let long = HeaderValue::try_from("a".repeat(10_000)).unwrap();
    request.headers_mut().insert("x-long", long);
    assert_eq!(rig.status(request).await, 431);
}

/// Sends nothing, only the beginning of HTTP/2, or a request without an end.
#[tokio::test]
async fn a_connection_that_sends_no_request_in_time_is_closed() {
    let tables = "[limits]\nheader_timeout = 3";
    let rig = Rig::with(mirror(), Wanted::tables(tables)).await;
    for start in ["", "PRI * HTTP/2.0\r\n", "GET / HTTP/1.1\r\nhost: a\r\nx: "] {
        let mut stream = TcpStream::connect(rig.address).await.unwrap();
        stream.write_all(start.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        // Closed, with or without a response.
        let _ = soon(stream.read_to_end(&mut rest)).await;
    }
    assert_eq!(rig.status(rig.get("/orders")).await, 200);
}

#[tokio::test]
async fn a_connection_more_than_allowed_waits_for_its_turn() {
    let tables = "[limits]\nconnections = 1\nheader_timeout = 3";
    let rig = Rig::with(mirror(), Wanted::tables(tables)).await;
    let _idle = TcpStream::connect(rig.address).await.unwrap();
    // Served once the first connection is closed.
    assert_eq!(rig.status(rig.get("/orders")).await, 200);
}

#[tokio::test]
async fn a_client_can_speak_http_2_and_its_cookies_become_one_header() {
    let rig = Rig::new(mirror()).await;
    let stream = TcpStream::connect(rig.address).await.unwrap();
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(executor, hyper_util::rt::TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let mut request = rig.get("/orders");
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = "https://api.test/orders".parse().unwrap();
    request.headers_mut().remove(header::HOST);
    for cookie in ["a=1", "b=\u{e4}"] {
        let cookie = HeaderValue::from_bytes(cookie.as_bytes()).unwrap();
        request.headers_mut().append(header::COOKIE, cookie);
    }
    let response = soon(sender.send_request(request)).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.version(), Version::HTTP_2);
    let seen = Seen(json(response).await);
    assert_eq!(seen.header("cookie"), Some("a=1; b=\u{e4}"));
    assert_eq!(seen.header("via"), Some("2.0 dpop-tower-gateway"));
    assert_eq!(seen.header("x-forwarded-host"), Some("api.test"));
    assert_eq!(seen.header("x-dpop-subject"), Some("alice"));
}

/// A client that waits for `100 Continue` gets it from the gateway.
#[tokio::test]
async fn expect_is_answered_by_the_gateway() {
    let rig = Rig::new(mirror()).await;
    let request = rig.request(Method::POST, "/orders");
    let mut head =
        "POST /orders HTTP/1.1\r\nconnection: close\r\nexpect: 100-continue\r\ncontent-length: 4\r\n".to_owned();
    for (name, value) in request.headers() {
        head += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    stream
        .write_all(format!("{head}\r\n").as_bytes())
        .await
        .unwrap();
    let mut start = [0; 12];
    soon(stream.read_exact(&mut start)).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 100");
    stream.write_all(b"body").await.unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.contains("HTTP/1.1 200"), "{answer}");
    assert!(
        !answer.contains("expect"),
        "the upstream is not asked: {answer}"
    );
}
