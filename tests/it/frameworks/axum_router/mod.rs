//! The layer and the extractors in axum, in process and over a socket.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    body::Body,
    routing::{any, get, post},
};
use dpop_tower::{
    BearerToken, BoundToken, DpopConfig, DpopConfigBuilder, DpopLayer, Policy, PublicOrigin,
    nonce::{NonceSecret, StatelessNonces},
};
use http::{HeaderName, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tower_http::cors::CorsLayer;

use crate::{
    rejection::{challenge::Challenge, logging::Log},
    support::{Api, ORIGIN, URL, Verdict, invalid_proof, send},
};

fn config(api: &Api) -> DpopConfigBuilder {
    DpopConfig::builder(PublicOrigin::new(ORIGIN).unwrap(), api.issuer.tokens())
        .clock(api.clock.clone())
}

fn layer(api: &Api) -> DpopLayer {
    DpopLayer::new(config(api).build().unwrap())
}

fn optional(api: &Api) -> DpopLayer {
    layer(api).with_policy(Policy::optional())
}

fn bearer(token: &str) -> Request<()> {
    Request::get("/orders")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(())
        .unwrap()
}

/// A request with these method, target and `htu`, and no fault.
fn request(api: &Api, method: &Method, target: &str, htu: &str) -> Request<()> {
    let token = api.token().mint();
    let proof = api.client.proof(method.as_str(), htu).access_token(&token);
    let uri = format!("{ORIGIN}{target}");
    api.client
        .request_with_proof(method.clone(), &uri, &token, &proof.sign())
}

async fn get_for(api: &Api, router: &Router, target: &str, htu: &str) -> Verdict {
    let request = request(api, &Method::GET, target, htu);
    Verdict::of(send(router.clone(), request).await)
}

async fn text(response: Response<Body>) -> String {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

async fn hello() -> &'static str {
    "hello"
}

/// Serves on a port of its own until the runtime ends.
pub(crate) async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    #[serde(default)]
    groups: Vec<String>,
}

#[tokio::test]
async fn bound_token_gives_the_thumbprint_and_typed_claims() {
    async fn handler(token: BoundToken<Claims>) -> String {
        let Claims { sub, groups } = token.claims();
        format!(
            "{sub} {groups:?} {:?} {} {} {}",
            token.issuer(),
            token.thumbprint(),
            token.has_scope("read"),
            token.has_scope("rea"),
        )
    }
    let api = Api::new();
    let router = Router::new()
        .route("/orders", get(handler))
        .layer(layer(&api));
    let token = api.token().scope("read write").claim("groups", vec!["g"]);
    let response = send(router, api.client.get(URL, &token.mint())).await;
    let thumbprint = api.client.thumbprint();
    assert_eq!(
        text(response).await,
        format!("alice [\"g\"] Some(\"https://issuer.test\") {thumbprint} true false")
    );
}

#[tokio::test]
async fn bound_token_gives_untyped_claims() {
    async fn handler(token: BoundToken) -> String {
        let claims = token.claims();
        format!("{:?} {:?}", claims.subject(), claims.get("custom"))
    }
    let api = Api::new();
    let router = Router::new()
        .route("/orders", get(handler))
        .layer(layer(&api));
    let token = api.token().claim("custom", 7).mint();
    let response = send(router, api.client.get(URL, &token)).await;
    assert_eq!(text(response).await, "Some(\"alice\") Some(Number(7))");
}

#[tokio::test]
async fn each_optional_extractor_is_none_for_a_token_of_the_other_kind() {
    async fn handler(
        bound: Option<BoundToken<Claims>>,
        bearer: Option<BearerToken<Claims>>,
        untyped: (Option<BoundToken>, Option<BearerToken>),
    ) -> String {
        format!(
            "{:?} {:?} {:?}",
            bound.map(|token| token.into_claims().sub),
            bearer.map(|token| token.into_claims().sub),
            (untyped.0.is_some(), untyped.1.is_some()),
        )
    }
    let api = Api::new();
    let router = Router::new()
        .route("/orders", get(handler))
        .layer(optional(&api));
    let bound = send(router.clone(), api.client.get(URL, &api.token().mint())).await;
    assert_eq!(text(bound).await, "Some(\"alice\") None (true, false)");
    let unbound = api.issuer.token().subject("bob").mint();
    let unbound = send(router, bearer(&unbound)).await;
    assert_eq!(text(unbound).await, "None Some(\"bob\") (false, true)");
}

/// The error code of a rejection by an extractor, which has to look like one by the layer.
fn rejected_by_extractor(response: &Response<Body>) -> String {
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    let challenges = Challenge::all(response.headers());
    assert_eq!(challenges[0].scheme, "DPoP");
    assert!(challenges[0].get("algs").is_some());
    let mut errors = challenges.iter().filter_map(|c| c.get("error"));
    errors.next().unwrap().to_owned()
}

/// Of two layers of one configuration, the one that takes fewer schemes says which.
#[tokio::test]
async fn an_extractor_asks_for_no_scheme_that_a_layer_does_not_take() {
    let api = Api::new();
    let strict = layer(&api);
    let optional = strict.clone().with_policy(Policy::optional());
    for (outer, inner, schemes) in [
        (&optional, &optional, ["DPoP", "Bearer"].as_slice()),
        (&optional, &strict, &["DPoP"]),
        (&strict, &optional, &["DPoP"]),
    ] {
        let handler = get(|_: BearerToken| hello());
        let router = Router::new()
            .route("/orders", handler.route_layer(inner.clone()))
            .layer(outer.clone());
        let response = send(router, api.client.get(URL, &api.token().mint())).await;
        assert_eq!(rejected_by_extractor(&response), "invalid_token");
        let challenges = Challenge::all(response.headers());
        let asked: Vec<_> = challenges.iter().map(|it| it.scheme.as_str()).collect();
        assert_eq!(asked, schemes);
    }
}

#[tokio::test]
async fn claims_of_another_shape_than_the_handler_asks_for_are_an_invalid_token() {
    #[derive(Deserialize)]
    struct Demanding {
        #[expect(dead_code, reason = "only has to be there")]
        tenant: u64,
    }
    let log = Log::listen();
    let api = Api::new();
    let router = Router::new()
        .route("/orders", get(|_: BoundToken<Demanding>| hello()))
        .route("/option", get(|_: Option<BoundToken<Demanding>>| hello()))
        .route("/bearer", get(|_: BearerToken<Demanding>| hello()))
        .layer(optional(&api));
    for tenant in [serde_json::json!(null), "secret-tenant".into(), (-1).into()] {
        let token = api.token().claim("tenant", tenant.clone()).mint();
        for path in ["/orders", "/option"] {
            let request = api.client.get(&format!("{ORIGIN}{path}"), &token);
            let response = send(router.clone(), request).await;
            assert_eq!(
                rejected_by_extractor(&response),
                "invalid_token",
                "{tenant}"
            );
            assert!(!format!("{response:?}").contains("secret-tenant"));
            assert_eq!(text(response).await, "");
        }
        let mut unbound = bearer(&api.issuer.token().claim("tenant", tenant).mint());
        *unbound.uri_mut() = "/bearer".parse().unwrap();
        let response = send(router.clone(), unbound).await;
        assert_eq!(rejected_by_extractor(&response), "invalid_token");
    }
    let lines: Vec<_> = log.take();
    let is_told = |line: &&String| line.contains("rejected request") && line.contains("Demanding");
    assert_eq!(lines.iter().filter(is_told).count(), 9, "{lines:#?}");
    assert!(!lines.concat().contains("secret-tenant"));
    let good = api.token().claim("tenant", 7).mint();
    let response = send(router, api.client.get(URL, &good)).await;
    assert_eq!(Verdict::of(response), Verdict::Admitted);
}

#[tokio::test]
async fn a_token_of_the_kind_that_the_handler_does_not_ask_for_is_rejected() {
    let api = Api::new();
    let router = Router::new()
        .route("/orders", get(|_: BoundToken| hello()))
        .route("/bearer", get(|_: BearerToken| hello()))
        .layer(optional(&api));
    let unbound = send(router.clone(), bearer(&api.issuer.token().mint())).await;
    assert_eq!(rejected_by_extractor(&unbound), "invalid_token");
    // No bearer token would do.
    assert_eq!(Challenge::all(unbound.headers()).len(), 1);
    let bound = api
        .client
        .get("https://api.test/bearer", &api.token().mint());
    let bound = send(router, bound).await;
    assert_eq!(rejected_by_extractor(&bound), "invalid_token");
}

#[tokio::test]
async fn a_handler_without_a_layer_answers_500_to_whatever_it_asks_for() {
    let log = Log::listen();
    let api = Api::new();
    let routers = [
        Router::new().route("/orders", get(|_: BoundToken| hello())),
        Router::new().route("/orders", get(|_: BoundToken<Claims>| hello())),
        Router::new().route("/orders", get(|_: Option<BoundToken>| hello())),
        Router::new().route("/orders", get(|_: Option<BoundToken<Claims>>| hello())),
        Router::new().route("/orders", get(|_: BearerToken| hello())),
        Router::new().route("/orders", get(|_: Option<BearerToken<Claims>>| hello())),
    ];
    for router in routers {
        let request = api.client.get(URL, &api.token().mint());
        let response = send(router, request).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!response.headers().contains_key(header::WWW_AUTHENTICATE));
        assert_eq!(text(response).await, "");
        let lines = log.take().concat();
        assert!(
            lines.contains("ERROR") && lines.contains("no DpopLayer in front of a handler"),
            "{lines}"
        );
    }
}

#[tokio::test]
async fn inside_nest_the_htu_is_the_whole_path() {
    let api = Api::new();
    let protected = Router::new().route("/orders", get(hello));
    let one_level = Router::new().nest("/api", protected.clone().layer(layer(&api)));
    let two_levels = Router::new().nest(
        "/api",
        Router::new().nest("/v1", protected.clone().layer(layer(&api))),
    );
    let route_layer = Router::new().nest(
        "/api",
        Router::new().nest("/{version}", protected.route_layer(layer(&api))),
    );
    for (router, path, inner_path) in [
        (one_level, "/api/orders", "/orders"),
        (two_levels, "/api/v1/orders", "/v1/orders"),
        (route_layer, "/api/v2/orders", "/orders"),
    ] {
        let whole = format!("{ORIGIN}{path}");
        assert_eq!(
            get_for(&api, &router, path, &whole).await,
            Verdict::Admitted
        );
        let stripped = format!("{ORIGIN}{inner_path}");
        assert_eq!(
            get_for(&api, &router, path, &stripped).await,
            invalid_proof("proof_htu_mismatch"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_layer_around_and_one_inside_nest_verify_once() {
    let api = Api::new();
    let config = Arc::new(config(&api).build().unwrap());
    let inner = Router::new()
        .route("/orders", get(hello))
        .layer(DpopLayer::new(config.clone()));
    let router = Router::new()
        .nest("/api", inner)
        .layer(DpopLayer::new(config));
    let htu = format!("{ORIGIN}/api/orders");
    assert_eq!(
        get_for(&api, &router, "/api/orders", &htu).await,
        Verdict::Admitted
    );
}

#[tokio::test]
async fn a_merged_router_keeps_its_own_protection() {
    let api = Api::new();
    let router = Router::new()
        .route("/orders", get(hello))
        .layer(layer(&api))
        .merge(Router::new().route("/health", get(hello)));
    let get = |path: &str| {
        let request = Request::get(path).body(()).unwrap();
        send(router.clone(), request)
    };
    assert_eq!(get("/health").await.status(), StatusCode::OK);
    assert_eq!(get("/orders").await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        get_for(&api, &router, "/orders", URL).await,
        Verdict::Admitted
    );
}

#[tokio::test]
async fn layer_covers_paths_that_do_not_exist_and_route_layer_does_not() {
    let api = Api::new();
    let routes = Router::new().route("/orders", get(hello));
    for (router, not_found) in [
        (routes.clone().layer(layer(&api)), 401),
        (routes.clone().fallback(hello).layer(layer(&api)), 401),
        (routes.route_layer(layer(&api)), 404),
    ] {
        let stranger = |method: Method, path: &str| {
            let request = Request::builder().method(method).uri(path);
            send(router.clone(), request.body(()).unwrap())
        };
        assert_eq!(stranger(Method::GET, "/nothing").await.status(), not_found);
        assert_eq!(stranger(Method::GET, "/orders").await.status(), 401);
        assert_eq!(stranger(Method::DELETE, "/orders").await.status(), 401);
    }
}

#[tokio::test]
async fn who_is_admitted_gets_the_404_and_the_405_of_the_router() {
    let api = Api::new();
    let router = Router::new()
        .route("/orders", get(hello))
        .layer(layer(&api));
    for (method, path, status) in [
        (Method::GET, "/nothing", StatusCode::NOT_FOUND),
        (Method::DELETE, "/orders", StatusCode::METHOD_NOT_ALLOWED),
    ] {
        let request = request(&api, &method, path, &format!("{ORIGIN}{path}"));
        assert_eq!(send(router.clone(), request).await.status(), status);
    }
}

#[tokio::test]
async fn a_method_router_can_be_protected_in_part() {
    let api = Api::new();
    let router = Router::new().route("/orders", post(hello).layer(layer(&api)).get(hello));
    for (method, status) in [(Method::GET, 200), (Method::POST, 401)] {
        let request = Request::builder().method(method.clone()).uri("/orders");
        let response = send(router.clone(), request.body(()).unwrap()).await;
        assert_eq!(response.status(), status, "{method}");
    }
    let request = request(&api, &Method::POST, "/orders", URL);
    assert_eq!(Verdict::of(send(router, request).await), Verdict::Admitted);
}

#[tokio::test]
async fn every_method_is_compared_to_the_htm_as_it_was_sent() {
    let api = Api::new();
    let router = Router::new()
        .route("/orders", any(hello))
        .layer(layer(&api));
    let methods = [
        Method::GET,
        Method::HEAD,
        Method::OPTIONS,
        Method::DELETE,
        Method::from_bytes(b"get").unwrap(),
        Method::from_bytes(b"PURGE").unwrap(),
    ];
    for sent in &methods {
        for signed in &methods {
            let mut request = request(&api, signed, "/orders", URL);
            *request.method_mut() = sent.clone();
            let verdict = Verdict::of(send(router.clone(), request).await);
            if sent == signed {
                assert_eq!(verdict, Verdict::Admitted, "{sent}");
            } else {
                let rejected = invalid_proof("proof_htm_mismatch");
                assert_eq!(verdict, rejected, "{sent} {signed}");
            }
        }
    }
}

#[tokio::test]
async fn a_head_request_to_a_get_handler_needs_a_proof_for_head() {
    let api = Api::new();
    let router = Router::new()
        .route("/orders", get(hello))
        .layer(layer(&api));
    let head = send(router.clone(), request(&api, &Method::HEAD, "/orders", URL)).await;
    assert_eq!(Verdict::of(head), Verdict::Admitted);
}

#[tokio::test]
async fn query_and_fragment_do_not_count() {
    let api = Api::new();
    let router = Router::new()
        .route("/orders", get(hello))
        .layer(layer(&api));
    for target in ["/orders", "/orders?a=b", "/orders?", "/orders?x=/y?z"] {
        for htu in ["", "?a=b", "?other", "#fragment"] {
            let verdict = get_for(&api, &router, target, &format!("{URL}{htu}")).await;
            assert_eq!(verdict, Verdict::Admitted, "{target} {htu}");
        }
    }
}

#[tokio::test]
async fn paths_that_differ_in_a_slash_or_in_case_are_different_paths() {
    let api = Api::new();
    let router = Router::new()
        .route("/orders", get(hello))
        .route("/orders/", get(hello))
        .route("/Orders", get(hello))
        .layer(layer(&api));
    let paths = ["/orders", "/orders/", "/Orders", "//orders", "/orders//"];
    for target in paths {
        for signed in paths {
            let request = request(&api, &Method::GET, target, &format!("{ORIGIN}{signed}"));
            let mut request = request;
            *request.uri_mut() = target.parse().unwrap();
            let response = send(router.clone(), request).await;
            if target == signed {
                assert_ne!(response.status(), StatusCode::UNAUTHORIZED, "{target}");
            } else {
                let verdict = Verdict::of(response);
                let rejected = invalid_proof("proof_htu_mismatch");
                assert_eq!(verdict, rejected, "{target} {signed}");
            }
        }
    }
}

#[tokio::test]
async fn a_prefix_that_a_proxy_takes_off_is_put_back() {
    let api = Api::new();
    let origin = PublicOrigin::new(ORIGIN)
        .and_then(|origin| origin.path_prefix("/v1"))
        .unwrap();
    let config = DpopConfig::builder(origin, api.issuer.tokens()).clock(api.clock.clone());
    let config = Arc::new(config.build().unwrap());
    let routes = Router::new().route("/orders", get(hello));
    let plain = routes.clone().layer(DpopLayer::new(config.clone()));
    let nested = Router::new().nest("/api", routes.layer(DpopLayer::new(config)));
    for (router, path) in [(plain, "/orders"), (nested, "/api/orders")] {
        let public = format!("{ORIGIN}/v1{path}");
        assert_eq!(
            get_for(&api, &router, path, &public).await,
            Verdict::Admitted
        );
        let internal = format!("{ORIGIN}{path}");
        assert_eq!(
            get_for(&api, &router, path, &internal).await,
            invalid_proof("proof_htu_mismatch")
        );
    }
}

fn preflight() -> Request<()> {
    Request::options("/orders")
        .header(header::ORIGIN, "https://app.test")
        .header(header::ACCESS_CONTROL_REQUEST_METHOD, "GET")
        .header(header::ACCESS_CONTROL_REQUEST_HEADERS, "authorization,dpop")
        .body(())
        .unwrap()
}

fn cors() -> CorsLayer {
    let nonce = HeaderName::from_static("dpop-nonce");
    CorsLayer::new()
        .allow_origin(["https://app.test".parse().unwrap()])
        .allow_headers([header::AUTHORIZATION, HeaderName::from_static("dpop")])
        .expose_headers([header::WWW_AUTHENTICATE, nonce])
}

#[tokio::test]
async fn a_cors_layer_outside_answers_preflight_requests_and_opens_rejections_to_the_browser() {
    let api = Api::new();
    let router = Router::new()
        .route("/orders", get(hello))
        .layer(layer(&api))
        .layer(cors());
    let response = send(router.clone(), preflight()).await;
    assert_eq!(response.status(), StatusCode::OK);

    let mut rejected = Request::get("/orders").body(()).unwrap();
    let origin = "https://app.test".parse().unwrap();
    rejected.headers_mut().insert(header::ORIGIN, origin);
    let response = send(router, rejected).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let exposed = &response.headers()[header::ACCESS_CONTROL_EXPOSE_HEADERS];
    assert_eq!(exposed, "www-authenticate,dpop-nonce");
}

#[tokio::test]
async fn a_cors_layer_inside_never_sees_a_preflight_request() {
    let api = Api::new();
    let router = Router::new()
        .route("/orders", get(hello))
        .layer(cors())
        .layer(layer(&api));
    let response = send(router, preflight()).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
}

/// Calls an API whose public origin is another than its socket's, as behind a proxy.
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

/// Reads until `text` has come.
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

/// docs/wire.md says which spellings a client meets, because there are some that look for one only.
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

/// A request line and headers as HTTP/1.1 has them, without the empty line at their end.
pub(crate) fn write_head(request: &Request<()>) -> String {
    let mut head = format!("{} {} HTTP/1.1\r\n", request.method(), request.uri());
    for (name, value) in request.headers() {
        head += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    head
}
