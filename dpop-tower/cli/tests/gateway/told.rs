//! What the upstream is told about a request's origin and target, and who cannot influence it.

use axum::body::{Body, Bytes};
use dpop_cli::gateway::Settings;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version, header};
use http_body_util::channel::Channel;
use tokio::net::TcpStream;

use super::{Rig, Seen, Wanted, identity, json, mirror, soon};

/// The headers in which proxies describe a request, and other spellings of their names.
const OF_PROXIES: [&str; 17] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-method",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-server",
    "x-forwarded-uri",
    "x-forwarded-anything",
    "x-real-ip",
    "forwarded_",
    "x_forwarded_for",
    "x.forwarded.host",
    "x-forwarded_port",
    "x__forwarded-prefix",
    "x_real_ip",
];

const X_FORWARDED: &str = "[trusted_proxies]\nnetworks = ['127.0.0.0/8']\nprefixes = ['/v1']";
const FORWARDED: &str =
    "[trusted_proxies]\nnetworks = ['127.0.0.0/8']\nheader = 'forwarded'\nprefixes = ['/v1']";

/// Starts a gateway with three public origins.
async fn with_three_origins(tables: &str) -> Rig {
    let rig = Rig::with(mirror(), Wanted::tables(tables)).await;
    let text = std::fs::read_to_string(rig.path()).unwrap();
    let three = "public_origins = ['https://a.test', 'https://b.test', 'http://c.test:8080']";
    let text = text.replace("public_origins = [\"https://api.test\"]", three);
    assert!(text.contains(three), "{text}");
    let settings = Settings::parse(&text, &rig.path()).unwrap_or_else(|error| panic!("{error}"));
    rig.gateway.replace(settings).unwrap();
    rig
}

/// Returns a valid request to an origin, with these headers instead of its `Host`.
fn to(rig: &Rig, origin: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let url = format!("{origin}/orders");
    let mut request = rig.client.get(&url, &rig.token()).map(|()| Body::empty());
    for (name, _) in headers {
        request.headers_mut().remove(*name);
    }
    for (name, value) in headers {
        let name: HeaderName = name.parse().unwrap();
        request.headers_mut().append(name, value.parse().unwrap());
    }
    *request.uri_mut() = "/orders".parse().unwrap();
    request
}

/// Returns what the upstream was told about the origin.
fn told(seen: &Seen) -> (&str, &str, &str) {
    (
        seen.header("x-forwarded-proto").unwrap(),
        seen.header("x-forwarded-host").unwrap(),
        seen.header("x-forwarded-port").unwrap(),
    )
}

fn parts_of(origin: &str) -> (&str, &str, &str) {
    match origin {
        "https://a.test" => ("https", "a.test", "443"),
        "https://b.test" => ("https", "b.test", "443"),
        _ => ("http", "c.test:8080", "8080"),
    }
}

/// Asserts that the upstream is told exactly the origin that proofs must be made for.
async fn assert_one_origin(rig: &Rig, headers: &[(&str, &str)], expected: &str) {
    for origin in ["https://a.test", "https://b.test", "http://c.test:8080"] {
        let response = rig.send(to(rig, origin, headers)).await;
        if origin == expected {
            assert_eq!(response.status(), 200, "{origin} {headers:?}");
            let seen = Seen(json(response).await);
            assert_eq!(told(&seen), parts_of(origin), "{headers:?}");
            assert!(!seen.has_anywhere("evil"), "{seen:?}");
        } else {
            assert_eq!(response.status(), 401, "{origin} {headers:?}");
        }
    }
}

#[tokio::test]
async fn the_origin_that_the_upstream_is_told_is_the_one_that_the_guard_went_by() {
    let rig = with_three_origins("").await;
    for (host, expected) in [
        ("a.test", "https://a.test"),
        ("b.test", "https://b.test"),
        ("B.test", "https://b.test"),
        ("b.test:443", "https://b.test"),
        ("b.test:", "https://b.test"),
        ("c.test:8080", "http://c.test:8080"),
        ("b.test:80", "https://a.test"),
        ("c.test", "https://a.test"),
        ("evil.example", "https://a.test"),
        ("127.0.0.1", "https://a.test"),
    ] {
        assert_one_origin(&rig, &[("host", host)], expected).await;
        // No trusted proxy says otherwise.
        let forged = [
            ("host", host),
            ("x-forwarded-host", "b.test"),
            ("x-forwarded-proto", "http"),
        ];
        assert_one_origin(&rig, &forged, expected).await;
    }
}

#[tokio::test]
async fn the_same_goes_for_what_a_trusted_proxy_says() {
    let rig = with_three_origins(X_FORWARDED).await;
    let host = ("host", "10.0.0.5:8080");
    for (said, expected) in [
        (&[("x-forwarded-host", "b.test")][..], "https://b.test"),
        (&[("x-forwarded-host", "b.test:443")], "https://b.test"),
        (
            &[("x-forwarded-host", "evil.example, b.test")],
            "https://b.test",
        ),
        (
            &[("x-forwarded-host", "b.test, evil.example")],
            "https://a.test",
        ),
        (&[("x-forwarded-host", "evil.example")], "https://a.test"),
        (
            &[
                ("x-forwarded-host", "evil.example"),
                ("x-forwarded-host", "b.test"),
            ],
            "https://b.test",
        ),
        (
            &[("x-forwarded-host", "c.test"), ("x-forwarded-port", "8080")],
            "http://c.test:8080",
        ),
        (&[("x-forwarded-proto", "http")], "https://a.test"),
        // The client may have sent the headers of the other family.
        (
            &[("forwarded", "host=b.test;proto=https")],
            "https://a.test",
        ),
        (&[("x_forwarded_host", "b.test")], "https://a.test"),
    ] {
        assert_one_origin(&rig, &[said, &[host]].concat(), expected).await;
    }
    let rig = with_three_origins(FORWARDED).await;
    for (said, expected) in [
        (
            &[("forwarded", "host=b.test;proto=https")][..],
            "https://b.test",
        ),
        (
            &[("forwarded", "host=evil.example, host=b.test")],
            "https://b.test",
        ),
        (&[("forwarded", "host=evil.example")], "https://a.test"),
        (&[("x-forwarded-host", "b.test")], "https://a.test"),
        (
            &[
                ("x-forwarded-host", "evil.example"),
                ("x-forwarded-proto", "http"),
            ],
            "https://a.test",
        ),
    ] {
        assert_one_origin(&rig, &[said, &[host]].concat(), expected).await;
    }
}

/// HTTP/2 has no `Host`.
#[tokio::test]
async fn the_same_goes_for_an_authority() {
    let rig = with_three_origins("").await;
    for (authority, origin) in [
        ("b.test:443", "https://b.test"),
        ("evil.example", "https://a.test"),
    ] {
        let stream = TcpStream::connect(rig.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http2::handshake(
            hyper_util::rt::TokioExecutor::new(),
            hyper_util::rt::TokioIo::new(stream),
        )
        .await
        .unwrap();
        tokio::spawn(connection);
        let mut request = to(&rig, origin, &[]);
        request.headers_mut().remove(header::HOST);
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = format!("https://{authority}/orders").parse().unwrap();
        let response = soon(sender.send_request(request)).await.unwrap();
        assert_eq!(response.status(), 200, "{authority}");
        let seen = Seen(json(response).await);
        assert_eq!(told(&seen), parts_of(origin), "{authority}");
        assert!(!seen.has_anywhere("evil"));
    }
}

fn with_all(mut request: Request<Body>, value: &'static str) -> Request<Body> {
    for name in OF_PROXIES {
        let value = match name {
            "forwarded" | "forwarded_" => format!("for={value};host={value};proto={value}"),
            "x-forwarded-prefix" | "x__forwarded-prefix" => format!("/{value}"),
            _ => value.to_owned(),
        };
        for _ in 0..2 {
            let name = HeaderName::from_static(name);
            request.headers_mut().append(name, value.parse().unwrap());
        }
    }
    let value = HeaderValue::from_static("1.0 before");
    request.headers_mut().insert(header::VIA, value);
    request
}

#[tokio::test]
async fn where_a_request_comes_from_the_gateway_says_and_no_client() {
    let far = "[trusted_proxies]\nnetworks = ['192.0.2.0/24']\nprefixes = ['/forged']";
    let far_forwarded = format!("{far}\nheader = 'forwarded'");
    for tables in ["", far, &far_forwarded, X_FORWARDED, FORWARDED] {
        let rig = Rig::with(mirror(), Wanted::tables(tables)).await;
        let seen = rig.seen(with_all(rig.get("/orders"), "forged")).await;
        assert!(!seen.has_anywhere("forged"), "{tables}: {seen:?}");
        assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(told(&seen), ("https", "api.test", "443"));
        let forwarded = tables
            .contains("'forwarded'")
            .then_some("for=127.0.0.1;host=\"api.test\";proto=https");
        assert_eq!(seen.header("forwarded"), forwarded, "{tables}");
        for name in ["x-forwarded-prefix", "x-forwarded-server", "x-real-ip"] {
            assert_eq!(seen.header(name), None, "{tables}");
        }
        assert_eq!(seen.all("via"), ["1.0 before", "1.1 dpop-tower-gateway"]);
        let host = seen.header("host").unwrap();
        assert_eq!(format!("http://{host}"), rig.upstream);
    }
}

/// Anyone can have written what precedes the first untrusted address.
#[tokio::test]
async fn of_the_way_of_a_request_counts_what_trusted_proxies_vouch_for() {
    let networks = "networks = ['127.0.0.0/8', '10.0.0.0/8', '2001:db8::/32']";
    let trusted = format!("[trusted_proxies]\n{networks}");
    let rig = Rig::with(mirror(), Wanted::tables(&trusted)).await;
    for (said, expected) in [
        (&["192.0.2.7"][..], "192.0.2.7, 127.0.0.1"),
        (&["192.0.2.7:4711"], "192.0.2.7, 127.0.0.1"),
        (&["192.0.2.9, 192.0.2.7"], "192.0.2.7, 127.0.0.1"),
        (
            &["192.0.2.9, 192.0.2.7, 10.0.0.1"],
            "192.0.2.7, 10.0.0.1, 127.0.0.1",
        ),
        (
            &["192.0.2.9", "192.0.2.7,10.0.0.1", "[2001:db8::1]:80"],
            "192.0.2.7, 10.0.0.1, 2001:db8::1, 127.0.0.1",
        ),
        (&["10.0.0.2, 10.0.0.1"], "10.0.0.2, 10.0.0.1, 127.0.0.1"),
        (&["192.0.2.7, unknown, 10.0.0.1"], "10.0.0.1, 127.0.0.1"),
        (&["192.0.2.7, "], "127.0.0.1"),
        (&["unknown"], "127.0.0.1"),
    ] {
        let headers: Vec<_> = said.iter().map(|said| ("x-forwarded-for", *said)).collect();
        let seen = rig.seen(to(&rig, super::ORIGIN, &headers)).await;
        assert_eq!(seen.header("x-forwarded-for"), Some(expected), "{said:?}");
        assert_eq!(seen.header("forwarded"), None);
    }

    let trusted = format!("{trusted}\nheader = 'forwarded'");
    let rig = Rig::with(mirror(), Wanted::tables(&trusted)).await;
    let origin = "host=\"api.test\";proto=https";
    for (said, chain) in [
        ("for=192.0.2.7", &["192.0.2.7"][..]),
        (
            "for=192.0.2.9, for=\"192.0.2.7:80\";host=evil, For=10.0.0.1;proto=http",
            &["192.0.2.7", "10.0.0.1"],
        ),
        ("for=\"[2001:db8::1]\"", &["\"[2001:db8::1]\""]),
        ("for=_hidden, for=10.0.0.1", &["10.0.0.1"]),
        ("host=evil", &[]),
    ] {
        let headers = [("forwarded", said), ("x-forwarded-for", "192.0.2.66")];
        let seen = rig.seen(to(&rig, super::ORIGIN, &headers)).await;
        let elements = chain.iter().chain(&["127.0.0.1"]);
        let elements: Vec<_> = elements
            .map(|address| format!("for={address};{origin}"))
            .collect();
        assert_eq!(
            seen.header("forwarded"),
            Some(&*elements.join(", ")),
            "{said}"
        );
        let plain = chain
            .iter()
            .map(|address| address.trim_matches(['"', '[', ']']));
        let plain: Vec<_> = plain.chain(["127.0.0.1"]).collect();
        assert_eq!(
            seen.header("x-forwarded-for"),
            Some(&*plain.join(", ")),
            "{said}"
        );
    }
}

#[tokio::test]
async fn a_prefix_is_told_if_it_is_listed_and_a_trusted_proxy_says_so() {
    let far = "[trusted_proxies]\nnetworks = ['192.0.2.0/24']\nprefixes = ['/v1']";
    for (tables, said, of_proof, expected) in [
        (X_FORWARDED, "/v1", "/v1/orders", Some("/v1")),
        (X_FORWARDED, "/evil, /v1", "/v1/orders", Some("/v1")),
        (X_FORWARDED, "/v2", "/orders", None),
        (X_FORWARDED, "/v1/", "/orders", None),
        (X_FORWARDED, "/v1/../v2", "/orders", None),
        (X_FORWARDED, "//evil.example", "/orders", None),
        (FORWARDED, "/v1", "/orders", None),
        (far, "/v1", "/orders", None),
    ] {
        let rig = Rig::with(mirror(), Wanted::tables(tables)).await;
        let token = rig.token();
        let url = format!("{}{of_proof}", super::ORIGIN);
        let proof = rig.client.proof("GET", &url).access_token(&token).sign();
        let mut request = rig.with_proof("/orders", &token, &proof);
        let name = HeaderName::from_static("x-forwarded-prefix");
        request.headers_mut().insert(name, said.parse().unwrap());
        let seen = rig.seen(request).await;
        assert_eq!(
            seen.header("x-forwarded-prefix"),
            expected,
            "{tables} {said}"
        );
    }
}

/// Headers that could make a service see another method, path, host or length than was checked.
const MISLEADING: [&str; 21] = [
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
    "x-original-method",
    "x-original-uri",
    "x-original-host",
    "x-host",
    "x-http-host-override",
    "x-script-name",
    "script-name",
    "path-info",
    "x-url-scheme",
    "front-end-https",
    "proxy",
    "transfer_encoding",
    "content_length",
    "connection_",
    "te_",
    "host_",
];

#[tokio::test]
async fn what_could_mislead_the_upstream_is_dropped_under_any_spelling() {
    let rig = Rig::new(mirror()).await;
    for name in MISLEADING {
        for spelling in identity::spellings(name) {
            // The gateway must not drop a framing header under its own name.
            if http_names(&spelling) {
                continue;
            }
            let mut request = rig.request(Method::POST, "/orders");
            *request.body_mut() = Body::from("body");
            let header: HeaderName = spelling.parse().unwrap();
            request
                .headers_mut()
                .insert(header, HeaderValue::from_static("misleading"));
            let seen = rig.seen(request).await;
            assert!(!seen.has_anywhere("misleading"), "{spelling}: {seen:?}");
            assert_eq!(
                (&seen.0["method"], &seen.0["body"]),
                (&"POST".into(), &"body".into())
            );
        }
    }
    // Other headers pass, whatever they look like.
    let others = [
        "x-request-id",
        "x_request_id",
        "x-originals",
        "method",
        "x-forwarder",
        "origin",
    ];
    for name in others {
        let mut request = rig.get("/orders");
        let header = HeaderName::from_static(name);
        request
            .headers_mut()
            .insert(header, HeaderValue::from_static("a"));
        assert_eq!(rig.seen(request).await.header(name), Some("a"));
    }
}

fn http_names(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [
        "transfer-encoding",
        "content-length",
        "connection",
        "te",
        "host",
    ]
    .contains(&&*name)
}

#[tokio::test]
async fn trailers_do_not_mislead_either() {
    let rig = Rig::new(identity::trailers()).await;
    let mut trailers = HeaderMap::new();
    let misleading = MISLEADING.into_iter().chain(OF_PROXIES);
    for name in misleading.chain(["content-length", "transfer-encoding", "host", "x-sum"]) {
        let name = HeaderName::from_static(name);
        trailers.insert(name, HeaderValue::from_static("t"));
    }
    let listed: Vec<&str> = trailers.keys().map(HeaderName::as_str).collect();
    let listed = HeaderValue::try_from(listed.join(", ")).unwrap();
    let (mut sender, body) = Channel::<Bytes>::new(2);
    sender.send_data(Bytes::from("body")).await.unwrap();
    sender.send_trailers(trailers).await.unwrap();
    drop(sender);
    let mut request = rig.request(Method::POST, "/orders");
    request.headers_mut().insert(header::TRAILER, listed);
    *request.body_mut() = Body::new(body);
    let got: Vec<String> = serde_json::from_value(json(rig.send(request).await).await).unwrap();
    assert_eq!(got, ["x-sum"]);
}
