//! Proxies that ask over HTTP whether a request may pass, as nginx, Traefik and Caddy do.

mod who_may_ask;

use std::net::SocketAddr;

use axum::body::{Body, Bytes};
use dpop_cli::gateway::{
    Settings, Shutdown,
    forward_auth::{self, AskingProxy, ForwardAuth},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, header};
use http_body_util::channel::Channel;
use hyper::body::Incoming;
use tokio::net::TcpListener;

use super::{
    ORIGIN, Rig, Wanted, error_of,
    identity::{OF_THE_GATEWAY, spellings},
    mirror, send,
};

pub(super) const PROXIES: [(AskingProxy, &str); 3] = [
    (AskingProxy::Nginx, "nginx"),
    (AskingProxy::Traefik, "traefik"),
    (AskingProxy::Caddy, "caddy"),
];

/// A gateway that answers a proxy.
pub(super) struct ForwardAuthRig {
    pub(super) rig: Rig,
    pub(super) address: SocketAddr,
    proxy: AskingProxy,
}

impl ForwardAuthRig {
    pub(super) async fn by(proxy: &str, wanted: Wanted<'_>) -> Self {
        let table = format!(
            "[forward_auth]\nlisten = '127.0.0.1:0'\nproxy = '{proxy}'\n{}",
            wanted.tables
        );
        let wanted = Wanted {
            tables: &table,
            ..wanted
        };
        let rig = Rig::with(mirror(), wanted).await;
        let settings = Settings::read(&rig.path()).unwrap();
        let asking = settings.forward_auth().unwrap().clone();
        let proxy = asking.proxy;
        let listener = TcpListener::bind(asking.listen).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = Shutdown {
            signal: std::future::pending::<()>(),
            timeout: settings.shutdown_timeout(),
        };
        let forward_auth = ForwardAuth::new(rig.gateway.clone());
        let limits = settings.limits();
        tokio::spawn(forward_auth::serve(
            listener,
            forward_auth,
            limits,
            shutdown,
        ));
        Self {
            rig,
            address,
            proxy,
        }
    }

    /// Returns the status that a client gets, or 200.
    pub(super) async fn verdict<B>(&self, request: &Request<B>) -> u16 {
        let response = send(self.address, self.about(request)).await;
        match response.headers().get("x-dpop-status") {
            Some(status) => status.to_str().unwrap().parse().unwrap(),
            None => response.status().as_u16(),
        }
    }

    /// Returns the question that the proxy asks about a request.
    pub(super) fn about<B>(&self, request: &Request<B>) -> Request<Body> {
        let (method, uri) = names(self.proxy);
        let target = request.uri().path_and_query().unwrap().as_str();
        let mut asking = Request::get("/").body(Body::empty()).unwrap();
        let headers = asking.headers_mut();
        headers.clone_from(request.headers());
        headers.insert(method, request.method().as_str().parse().unwrap());
        headers.insert(uri, target.parse().unwrap());
        asking
    }

    pub(super) async fn answer(&self, asking: Request<Body>) -> Response<Incoming> {
        let response = send(self.address, asking).await;
        let headers = response.headers();
        assert_eq!(headers[header::CACHE_CONTROL], "no-store");
        assert_eq!(
            headers.contains_key("x-dpop-status"),
            self.proxy == AskingProxy::Nginx && matches!(response.status().as_u16(), 401 | 403)
        );
        response
    }

    /// Returns the status that the client gets from a correctly configured nginx.
    async fn status(&self, asking: Request<Body>) -> u16 {
        let response = self.answer(asking).await;
        match response.headers().get("x-dpop-status") {
            Some(status) => status.to_str().unwrap().parse().unwrap(),
            None => response.status().as_u16(),
        }
    }
}

fn names(proxy: AskingProxy) -> (HeaderName, HeaderName) {
    let name = HeaderName::from_static;
    match proxy {
        AskingProxy::Nginx => (name("x-original-method"), name("x-original-uri")),
        AskingProxy::Traefik | AskingProxy::Caddy => {
            (name("x-forwarded-method"), name("x-forwarded-uri"))
        }
    }
}

#[tokio::test]
async fn a_good_request_may_pass_and_the_proxy_learns_who_called() {
    for (_, name) in PROXIES {
        let asked = ForwardAuthRig::by(name, Wanted::default()).await;
        let thumbprint = asked.rig.client.thumbprint().to_string();
        let requests = [
            asked.rig.get("/orders?a=b&c"),
            asked.rig.request(Method::DELETE, "/a%2Fb/%7Ec"),
        ];
        for request in requests {
            let response = asked.answer(asked.about(&request)).await;
            assert_eq!(response.status(), 200, "{name}");
            let expected = [
                &*thumbprint,
                "https://issuer.test alice",
                "alice",
                "test-client",
                "f1:read",
                "https://issuer.test",
            ];
            for (header, value) in OF_THE_GATEWAY.into_iter().zip(expected) {
                assert_eq!(response.headers()[header], value, "{name}");
            }
        }
    }
}

#[tokio::test]
async fn a_proof_is_for_the_method_and_the_path_that_the_proxy_tells() {
    for (proxy, name) in PROXIES {
        let asked = ForwardAuthRig::by(name, Wanted::default()).await;
        let (method, uri) = names(proxy);
        let changes = [
            (&method, "POST"),
            (&method, "get"),
            (&uri, "/other"),
            (&uri, "/Orders"),
            (&uri, "/orders/"),
            (&uri, "/v1/orders"),
            (&uri, "//orders"),
            (&uri, "/orders%2F"),
        ];
        for (header, value) in changes {
            let mut asking = asked.about(&asked.rig.get("/orders"));
            asking
                .headers_mut()
                .insert(header, HeaderValue::from_static(value));
            let response = asked.answer(asking).await;
            assert_eq!(response.status(), 401, "{name} {value}");
            assert_eq!(error_of(&response).as_deref(), Some("invalid_dpop_proof"));
        }
    }
}

/// The method and the path of the question itself are the proxy's own.
#[tokio::test]
async fn what_is_asked_with_does_not_count() {
    let asked = ForwardAuthRig::by("nginx", Wanted::default()).await;
    let mut asking = asked.about(&asked.rig.get("/orders"));
    *asking.method_mut() = Method::POST;
    *asking.uri_mut() = "/_dpop?x".parse().unwrap();
    assert_eq!(asked.status(asking).await, 200);
}

#[tokio::test]
async fn a_proof_passes_once_wherever_it_is_shown() {
    let asked = ForwardAuthRig::by("caddy", Wanted::default()).await;
    let first = asked.rig.get("/orders");
    assert_eq!(asked.status(asked.about(&first)).await, 200);
    assert_eq!(asked.status(asked.about(&first)).await, 401);
    assert_eq!(asked.rig.status(first).await, 401);
    let second = asked.rig.get("/orders");
    let asking = asked.about(&second);
    assert_eq!(asked.rig.status(second).await, 200);
    assert_eq!(asked.status(asking).await, 401);
}

#[tokio::test]
async fn rejections_have_what_the_client_needs() {
    let tables = "[nonces]\nmode = 'required'\n[[route]]\npath = '/admin'\nscopes = ['admin']\n";
    let wanted = Wanted::tables(tables);
    for (_, name) in PROXIES {
        let asked = ForwardAuthRig::by(name, wanted).await;
        let mut bare = asked.rig.get("/orders");
        bare.headers_mut().remove(header::AUTHORIZATION);
        let response = asked.answer(asked.about(&bare)).await;
        assert_eq!(response.status(), 401);
        let challenge = response.headers()[header::WWW_AUTHENTICATE].to_str();
        assert!(challenge.unwrap().starts_with("DPoP "));

        let response = asked.answer(asked.about(&asked.rig.get("/orders"))).await;
        assert_eq!(response.status(), 401);
        assert_eq!(error_of(&response).as_deref(), Some("use_dpop_nonce"));
        let nonce = response.headers()["dpop-nonce"].to_str().unwrap();
        let with_nonce = |path: &str| {
            let (url, token) = (format!("{ORIGIN}{path}"), asked.rig.token());
            let client = &asked.rig.client;
            let proof = client.proof("GET", &url).access_token(&token);
            let proof = proof.nonce(nonce).sign();
            let request = client.request_with_proof(Method::GET, &url, &token, &proof);
            let path = path.parse().unwrap();
            let (mut parts, ()) = request.into_parts();
            parts.uri = path;
            Request::from_parts(parts, asked.rig.get("/").into_body())
        };
        let asking = asked.about(&with_nonce("/orders"));
        assert_eq!(asked.status(asking).await, 200);
        let response = asked.answer(asked.about(&with_nonce("/admin"))).await;
        assert_eq!(response.status(), 403, "{name}");
        assert_eq!(error_of(&response).as_deref(), Some("insufficient_scope"));
    }
}

/// nginx turns these statuses into a 500 unless it gets them as 403.
#[tokio::test]
async fn nginx_gets_no_status_that_it_cannot_pass_on() {
    let wanted = Wanted::tables("[replay]\ncapacity = 1\n");
    for (proxy, name) in PROXIES {
        let asked = ForwardAuthRig::by(name, wanted).await;
        let expected = |status| match proxy {
            AskingProxy::Nginx => 403,
            AskingProxy::Traefik | AskingProxy::Caddy => status,
        };
        let mut unreadable = asked.rig.get("/orders");
        unreadable
            .headers_mut()
            .insert(header::AUTHORIZATION, HeaderValue::from_static("DPoP"));
        let response = asked.answer(asked.about(&unreadable)).await;
        assert_eq!(response.status(), expected(400));
        assert_eq!(asked.status(asked.about(&unreadable)).await, 400);

        assert_eq!(asked.status(asked.about(&asked.rig.get("/1"))).await, 200);
        let response = asked.answer(asked.about(&asked.rig.get("/2"))).await;
        assert_eq!(response.status(), expected(503));
        assert!(response.headers().contains_key(header::RETRY_AFTER));
        assert_eq!(asked.status(asked.about(&asked.rig.get("/3"))).await, 503);
    }
}

/// nginx before 1.23 passes on only the first.
#[tokio::test]
async fn nginx_gets_all_challenges_in_one_header() {
    let wanted = Wanted::head("mode = 'optional'");
    let asked = ForwardAuthRig::by("nginx", wanted).await;
    let mut bare = asked.rig.get("/orders");
    bare.headers_mut().remove(header::AUTHORIZATION);
    let response = asked.answer(asked.about(&bare)).await;
    let challenges = response.headers().get_all(header::WWW_AUTHENTICATE);
    let challenges: Vec<_> = challenges.iter().collect();
    assert_eq!(challenges.len(), 1);
    let joined = challenges[0].to_str().unwrap();
    assert!(
        joined.contains("DPoP ") && joined.contains("Bearer"),
        "{joined}"
    );
}

/// The library rejects gRPC requests with status 200, which would let them pass.
#[tokio::test]
async fn no_content_type_makes_a_rejection_a_success() {
    for (_, name) in PROXIES {
        let asked = ForwardAuthRig::by(name, Wanted::default()).await;
        for content_type in [
            "application/grpc",
            "application/grpc+proto",
            "application/grpc-web",
            "application/grpc-web-text",
        ] {
            let mut asking = asked.about(&asked.rig.request(Method::POST, "/a.B/C"));
            let headers = asking.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
            headers.remove("dpop");
            assert_eq!(asked.status(asking).await, 401, "{name} {content_type}");
        }
    }
}

#[tokio::test]
async fn without_the_headers_of_the_proxy_there_is_no_verdict() {
    for (proxy, name) in PROXIES {
        let asked = ForwardAuthRig::by(name, Wanted::default()).await;
        let (method, uri) = names(proxy);
        for header in [method, uri] {
            let request = asked.rig.get("/orders");
            let mut missing = asked.about(&request);
            missing.headers_mut().remove(&header);
            assert_eq!(asked.status(missing).await, 500, "{name} {header}");
            let mut twice = asked.about(&request);
            let same = twice.headers()[&header].clone();
            twice.headers_mut().append(&header, same);
            assert_eq!(asked.status(twice).await, 500, "{name} {header}");
            // The rejection does not use up the proof.
            assert_eq!(asked.status(asked.about(&request)).await, 200);
        }
    }
}

/// GHSA-fvhj-4qfh-q2hm: one side read what follows a `#` as part of the path, the other did not.
#[tokio::test]
async fn what_is_no_path_is_rejected() {
    for (proxy, name) in PROXIES {
        let asked = ForwardAuthRig::by(name, Wanted::default()).await;
        let (method, uri) = names(proxy);
        for (header, value) in [
            (&uri, "/orders#"),
            (&uri, "/orders?a#b"),
            (&uri, "#/orders"),
            (&uri, "https://api.test/orders"),
            (&uri, "orders"),
            (&uri, "*"),
            (&uri, "?"),
            (&uri, ""),
            (&uri, "/orders /orders"),
            (&method, "GE T"),
            (&method, ""),
            (&method, "GET, GET"),
        ] {
            let mut asking = asked.about(&asked.rig.get("/orders"));
            asking
                .headers_mut()
                .insert(header, HeaderValue::from_static(value));
            assert_eq!(asked.status(asking).await, 400, "{name} {header}: {value}");
        }
    }
}

/// Nothing removes the header between here and the service.
#[tokio::test]
async fn a_request_with_a_header_of_the_gateway_does_not_pass() {
    for (_, name) in PROXIES {
        let asked = ForwardAuthRig::by(name, Wanted::default()).await;
        let all = OF_THE_GATEWAY.into_iter().chain(["x-dpop-report"]);
        for spelling in all.flat_map(spellings) {
            let request = asked.rig.get("/orders");
            let mut asking = asked.about(&request);
            let forged: HeaderName = spelling.parse().unwrap();
            asking
                .headers_mut()
                .insert(forged, HeaderValue::from_static("mallory"));
            assert_eq!(asked.status(asking).await, 400, "{name} {spelling}");
        }
    }
}

#[tokio::test]
async fn where_nothing_is_looked_at_a_forged_header_does_not_pass_either() {
    let wanted = Wanted::head("mode = 'off'");
    let asked = ForwardAuthRig::by("traefik", wanted).await;
    let bare = |headers: HeaderMap| {
        let mut request = Request::get("/orders").body(()).unwrap();
        *request.headers_mut() = headers;
        asked.about(&request)
    };
    let response = asked.answer(bare(HeaderMap::new())).await;
    assert_eq!(response.status(), 200);
    assert!(!response.headers().contains_key("x-dpop-subject"));
    let name = HeaderName::from_static("x_dpop_subject");
    let forged = HeaderMap::from_iter([(name, HeaderValue::from_static("mallory"))]);
    assert_eq!(asked.status(bare(forged)).await, 400);
}

#[tokio::test]
async fn the_host_chooses_among_the_public_origins_only() {
    for (proxy, name) in PROXIES {
        let asked = ForwardAuthRig::by(name, Wanted::default()).await;
        let head = "public_origins = ['https://api.test', 'https://other.test:8443']";
        let text = std::fs::read_to_string(asked.rig.path()).unwrap();
        let text = text.replace(&format!("public_origins = [\"{ORIGIN}\"]"), head);
        let settings = Settings::parse(&text, &asked.rig.path()).unwrap();
        asked.rig.gateway.replace(settings).unwrap();
        let header = match proxy {
            AskingProxy::Nginx => "host",
            AskingProxy::Traefik | AskingProxy::Caddy => "x-forwarded-host",
        };
        for (host, origin, status) in [
            ("api.test", "https://api.test", 200),
            ("other.test:8443", "https://other.test:8443", 200),
            ("other.test:8443", "https://api.test", 401),
            ("api.test", "https://other.test:8443", 401),
            ("evil.test", "https://evil.test", 401),
            ("evil.test", "https://api.test", 200),
        ] {
            let url = format!("{origin}/orders");
            let request = asked
                .rig
                .client
                .request(Method::GET, &url, &asked.rig.token());
            let mut asking = asked.about(&request);
            asking
                .headers_mut()
                .insert(header, HeaderValue::from_static(host));
            assert_eq!(asked.status(asking).await, status, "{name} {host} {origin}");
        }
        let request = asked.rig.get("/orders");
        let mut twice = asked.about(&request);
        for host in ["api.test", "other.test:8443"] {
            let host = HeaderValue::from_static(host);
            twice.headers_mut().append(header, host);
        }
        // nginx sends the host in the `Host` header itself.
        let expected = match proxy {
            AskingProxy::Nginx => 400,
            AskingProxy::Traefik | AskingProxy::Caddy => 500,
        };
        assert_eq!(asked.status(twice).await, expected, "{name}");
        for host in ["evil.example, api.test", "api.test/x", "user@api.test"] {
            let mut invalid = asked.about(&request);
            let host = HeaderValue::from_static(host);
            invalid.headers_mut().insert(header, host);
            assert_eq!(asked.status(invalid).await, 400, "{name}");
        }
    }
}

/// The service would receive these headers, and could see another request than was checked.
#[tokio::test]
async fn a_request_that_could_mislead_the_service_does_not_pass() {
    for (_, name) in PROXIES {
        let asked = ForwardAuthRig::by(name, Wanted::default()).await;
        let request = asked.rig.get("/orders");
        for (header, status) in [
            ("x-http-method-override", 400),
            ("x_method_override", 400),
            ("x-original-url", 400),
            ("x-rewrite-url", 400),
            ("x-host", 400),
            ("x-original-host", 400),
            ("path_info", 400),
            ("x_original_uri", 400),
            ("x_forwarded_host", 400),
            ("x.real.ip", 400),
            ("transfer_encoding", 400),
            ("content_length", 400),
        ] {
            let mut asking = asked.about(&request);
            let value = HeaderValue::from_static("1");
            asking.headers_mut().insert(header, value);
            assert_eq!(asked.status(asking).await, status, "{name} {header}");
        }
        let mut unknown = asked.about(&request);
        let coding = HeaderValue::from_static("gzip, chunked");
        // The client library sends no transfer coding without a body.
        let (_sender, body) = Channel::<Bytes>::new(1);
        *unknown.body_mut() = Body::new(body);
        unknown
            .headers_mut()
            .insert(header::TRANSFER_ENCODING, coding);
        assert_eq!(asked.status(unknown).await, 501, "{name}");
        // The proxy's own headers are allowed. The rejections did not use up the proof.
        let mut good = asked.about(&request);
        for (header, value) in [
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-port", "443"),
            ("x-forwarded-server", "proxy"),
            ("x-real-ip", "192.0.2.1"),
            ("x-request-id", "1"),
        ] {
            let value = HeaderValue::from_static(value);
            good.headers_mut().insert(header, value);
        }
        assert_eq!(asked.status(good).await, 200, "{name}");
    }
}
