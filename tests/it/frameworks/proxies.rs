//! Behind proxies: only a trusted peer selects the target, and only among the configured ones.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::connect_info::{ConnectInfo, MockConnectInfo},
    routing::get,
};
use dpop_tower::{
    DpopConfig, DpopLayer, PublicOrigin,
    proof::{Htu, HtuError},
    target::{ForwardedTarget, PeerAddr, Target, TargetRequest, TargetUri},
};
use http::{HeaderName, HeaderValue, Method, Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use crate::{
    rejection::logging::Log,
    support::{Api, Verdict, invalid_proof, send},
};

const SHOP: &str = "https://shop.test:8443/v1/orders";

fn router(api: &Api, trusted: &str) -> Router {
    let origins = PublicOrigin::new("https://api.test")
        .and_then(|origin| origin.with_alias("https://shop.test:8443"))
        .unwrap();
    let target = ForwardedTarget::x_forwarded(origins, [trusted])
        .and_then(|target| target.prefixes(["/v1"]))
        .unwrap();
    let config = DpopConfig::builder(target, api.issuer.tokens());
    let config = config.clock(api.clock.clone()).build().unwrap();
    Router::new()
        .route("/orders", get(|| async { "hello" }))
        .layer(DpopLayer::new(config))
}

/// Returns a proxy's request for what the client called as [`SHOP`].
fn forwarded(api: &Api, htu: &str, more: &[(&'static str, &'static str)]) -> Request<()> {
    let token = api.token().mint();
    let proof = api.client.proof("GET", htu).access_token(&token).sign();
    let mut request = api
        .client
        .request_with_proof(Method::GET, htu, &token, &proof);
    *request.uri_mut() = "/orders".parse().unwrap();
    let headers = request.headers_mut();
    headers.insert("host", HeaderValue::from_static("10.0.0.5:3000"));
    for (name, value) in more {
        headers.append(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    request
}

const BY_PROXY: [(&str, &str); 3] = [
    ("x-forwarded-host", "shop.test:8443"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-prefix", "/v1"),
];

async fn over_a_socket(router: Router, request: Request<()>) -> Response<Incoming> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = request.map(|()| axum::body::Body::empty());
    sender.send_request(request).await.unwrap()
}

/// In order of distance from the socket, as far as the layer can know.
#[tokio::test]
async fn a_peer_that_a_test_makes_up_or_a_server_tells_counts_as_well() {
    let api = Api::new();
    let trusted: SocketAddr = "10.0.0.5:1000".parse().unwrap();
    let other: SocketAddr = "192.0.2.1:1000".parse().unwrap();
    type Tell = fn(&mut http::Extensions, SocketAddr);
    let tells: [(&str, Tell); 3] = [
        ("PeerAddr", |to, peer| {
            to.insert(PeerAddr(peer.ip()));
        }),
        ("ConnectInfo", |to, peer| {
            to.insert(ConnectInfo(peer));
        }),
        ("MockConnectInfo", |to, peer| {
            to.insert(MockConnectInfo(peer));
        }),
    ];
    let verdict = async |told: &[(Tell, SocketAddr)]| {
        let mut request = forwarded(&api, SHOP, &BY_PROXY);
        for (tell, peer) in told {
            tell(request.extensions_mut(), *peer);
        }
        Verdict::of(send(router(&api, "10.0.0.0/8"), request).await)
    };
    let rejected = invalid_proof("proof_htu_mismatch");
    assert_eq!(verdict(&[]).await, rejected);
    for (i, (name, nearer)) in tells.into_iter().enumerate() {
        assert_eq!(
            verdict(&[(nearer, trusted)]).await,
            Verdict::Admitted,
            "{name}"
        );
        assert_eq!(verdict(&[(nearer, other)]).await, rejected, "{name}");
        for (further_name, further) in tells.into_iter().skip(i + 1) {
            let what = format!("{name} before {further_name}");
            let both = [(nearer, trusted), (further, other)];
            assert_eq!(verdict(&both).await, Verdict::Admitted, "{what}");
            let both = [(nearer, other), (further, trusted)];
            assert_eq!(verdict(&both).await, rejected, "{what}");
        }
    }
}

/// Reports [`SHOP`] as the target of every request.
#[derive(Debug)]
struct AlwaysTheShop;

impl TargetUri for AlwaysTheShop {
    fn expected(&self, _: TargetRequest<'_>) -> Result<Htu, HtuError> {
        Htu::parse(SHOP)
    }
}

#[tokio::test]
async fn a_target_of_your_own_is_given_as_a_value_or_shared() {
    let api = Api::new();
    let shared: Arc<dyn TargetUri> = Arc::new(AlwaysTheShop);
    let targets: [Target; 3] = [
        AlwaysTheShop.into(),
        Arc::new(AlwaysTheShop).into(),
        shared.into(),
    ];
    for target in targets {
        let config = DpopConfig::builder(target, api.issuer.tokens());
        let config = config.clock(api.clock.clone()).build().unwrap();
        let router = Router::new()
            .route("/orders", get(|| async { "hello" }))
            .layer(DpopLayer::new(config));
        let response = send(router, forwarded(&api, SHOP, &[])).await;
        assert_eq!(Verdict::of(response), Verdict::Admitted);
    }
}

#[tokio::test]
async fn a_trusted_peer_is_known_by_its_socket() {
    let api = Api::new();
    for (trusted, htu, status) in [
        ("127.0.0.0/8", SHOP, 200),
        ("127.0.0.1", SHOP, 200),
        ("127.0.0.0/8", "https://api.test/orders", 401),
        ("10.0.0.0/8", SHOP, 401),
        ("10.0.0.0/8", "https://api.test/orders", 200),
    ] {
        let request = forwarded(&api, htu, &BY_PROXY);
        let response = over_a_socket(router(&api, trusted), request).await;
        assert_eq!(response.status(), status, "{htu} with {trusted}");
    }
}

#[tokio::test]
async fn no_header_makes_a_peer_trusted() {
    let api = Api::new();
    for spoofed in [
        ("x-forwarded-for", "10.0.0.1"),
        ("x-real-ip", "10.0.0.1"),
        ("forwarded", "for=10.0.0.1;host=\"shop.test:8443\""),
        ("connection", "x-forwarded-host, x-forwarded-for"),
        ("x_forwarded_host", "shop.test:8443"),
    ] {
        let mut lines = BY_PROXY.to_vec();
        lines.push(spoofed);
        let request = forwarded(&api, SHOP, &lines);
        let response = over_a_socket(router(&api, "10.0.0.0/8"), request).await;
        assert_eq!(response.status(), 401, "{spoofed:?}");
    }
}

#[tokio::test]
async fn a_server_may_tell_the_peer_itself() {
    let api = Api::new();
    for (peer, expected) in [
        (Some("10.0.0.1"), Verdict::Admitted),
        (Some("::ffff:10.0.0.1"), Verdict::Admitted),
        (Some("192.0.2.1"), invalid_proof("proof_htu_mismatch")),
        (None, invalid_proof("proof_htu_mismatch")),
    ] {
        let mut request = forwarded(&api, SHOP, &BY_PROXY);
        if let Some(peer) = peer {
            let peer = PeerAddr(peer.parse().unwrap());
            request.extensions_mut().insert(peer);
        }
        let response = send(router(&api, "10.0.0.0/8"), request).await;
        assert_eq!(Verdict::of(response), expected, "{peer:?}");
    }
}

/// What proxies say about the hops behind them does not hide what they say about the hops before them.
#[tokio::test]
async fn what_real_proxies_say_finds_the_listed_origin() {
    let api = Api::new();
    let origins = || {
        PublicOrigin::new("https://a.test")
            .and_then(|origin| origin.with_alias("https://b.test"))
            .unwrap()
    };
    let x_forwarded = ForwardedTarget::x_forwarded(origins(), ["10.0.0.0/8"]).unwrap();
    let forwarded_header = ForwardedTarget::forwarded(origins(), ["10.0.0.0/8"]).unwrap();
    let router = |target: ForwardedTarget| {
        let config = DpopConfig::builder(target, api.issuer.tokens());
        let config = config.clock(api.clock.clone()).build().unwrap();
        Router::new()
            .route("/orders", get(|| async { "hello" }))
            .layer(DpopLayer::new(config))
    };
    let (by_x, by_forwarded) = (router(x_forwarded), router(forwarded_header));
    let host = ("x-forwarded-host", "b.test");
    let https = ("x-forwarded-proto", "https");
    for (router, lines) in [
        (&by_x, &[host, https][..]),
        (&by_x, &[host, ("x-forwarded-proto", "https,http")]),
        (&by_x, &[host, ("x-forwarded-proto", "HTTPS, http")]),
        (&by_x, &[host, ("x-forwarded-proto", "wss")]),
        (&by_x, &[host, https, ("x-forwarded-port", "8080")]),
        (&by_x, &[host, https, ("x-forwarded-port", "443")]),
        (&by_x, &[("x-forwarded-host", "b.test:443"), https]),
        (&by_x, &[("x-forwarded-host", "evil.test, B.test"), https]),
        (&by_x, &[("x-forwarded-host", "evil.test"), host, https]),
        (&by_forwarded, &[("forwarded", "host=b.test;proto=https")]),
        (&by_forwarded, &[("forwarded", "host=b.test;proto=https;")]),
        (
            &by_forwarded,
            &[("forwarded", ";;host=b.test ; proto=https;secret=x")],
        ),
        (
            &by_forwarded,
            &[("forwarded", "host=\"b.test:443\";proto=http")],
        ),
    ] {
        for (htu, expected) in [
            ("https://b.test/orders", Verdict::Admitted),
            ("https://a.test/orders", invalid_proof("proof_htu_mismatch")),
        ] {
            let mut request = forwarded(&api, htu, lines);
            let peer = PeerAddr("10.0.0.1".parse().unwrap());
            request.extensions_mut().insert(peer);
            let response = send(router.clone(), request).await;
            assert_eq!(Verdict::of(response), expected, "{lines:?} {htu}");
        }
    }
    // An unlisted origin is never selected, however it is reported.
    for lines in [
        &[("x-forwarded-host", "evil.test"), https][..],
        &[("x-forwarded-host", "b.test, evil.test"), https],
        &[host, ("x-forwarded-proto", "http")],
        &[host, https, ("x-forwarded-port", "8443")],
        &[("x-forwarded-host", "b.test:8443"), https],
    ] {
        for htu in [
            "https://evil.test/orders",
            "http://b.test/orders",
            "https://b.test:8443/orders",
        ] {
            let mut request = forwarded(&api, htu, lines);
            let peer = PeerAddr("10.0.0.1".parse().unwrap());
            request.extensions_mut().insert(peer);
            let verdict = Verdict::of(send(by_x.clone(), request).await);
            assert_eq!(
                verdict,
                invalid_proof("proof_htu_mismatch"),
                "{lines:?} {htu}"
            );
        }
    }
}

#[tokio::test]
async fn the_log_says_why_forwarded_headers_did_not_count() {
    let api = Api::new();
    let log = Log::listen();
    for (peer, lines, told) in [
        (None, &BY_PROXY[..], "its peer is not known"),
        (Some("192.0.2.1"), &BY_PROXY, "none of the trusted networks"),
        (
            Some("10.0.0.1"),
            &[("x-forwarded-host", "evil.test")],
            "none of the public origins",
        ),
        (
            Some("10.0.0.1"),
            &[("x-forwarded-host", "\"shop.test")],
            "the `X-Forwarded-Host` header of the trusted proxy cannot be read",
        ),
    ] {
        let mut request = forwarded(&api, SHOP, lines);
        if let Some(peer) = peer {
            let peer = PeerAddr(peer.parse().unwrap());
            request.extensions_mut().insert(peer);
        }
        send(router(&api, "10.0.0.0/8"), request).await;
        let lines = log.take();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains(told), "{lines:?}");
        assert!(!lines[0].contains("evil"), "{lines:?}");
    }
    let request = api
        .client
        .get("https://evil.test/orders", &api.token().mint());
    let mut plain = request;
    let value = HeaderValue::from_static("evil.test");
    plain.headers_mut().insert("x-forwarded-host", value);
    api.send(plain).await;
    assert!(log.take()[0].contains("forwarded headers, which do not count"));
}
