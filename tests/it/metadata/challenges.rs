//! `resource_metadata` in challenges (RFC 9728 section 5.1).

use axum::{Router, body::Body, routing::get};
use dpop_tower::{
    BoundToken, DpopConfig, DpopLayer, Policy, PublicOrigin, RequestHead, RequireScopeLayer,
    Verdict as Outcome, Verifier,
    metadata::ResourceMetadata,
    rejection::ProblemDetails,
    test_util::{TestClient, TestIssuer},
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::with;
use crate::{
    rejection::challenge::Challenge,
    support::{ORIGIN, URL, nonces},
};

const METADATA: &str = "https://api.test/.well-known/oauth-protected-resource/orders";

fn orders() -> ResourceMetadata {
    ResourceMetadata::new().resource(URL)
}

/// Returns the challenges of a response.
fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    let values = headers.get_all(header::WWW_AUTHENTICATE).iter();
    values
        .map(|value| Challenge::parse(value.to_str().unwrap()).unwrap())
        .collect()
}

/// Returns the scheme and the metadata of each challenge.
fn named(headers: &HeaderMap) -> Vec<(String, Option<String>)> {
    let challenges = challenges(headers).into_iter();
    challenges
        .map(|challenge| {
            let url = challenge.get("resource_metadata").map(str::to_owned);
            (challenge.scheme, url)
        })
        .collect()
}

fn both(url: &str) -> Vec<(String, Option<String>)> {
    ["DPoP", "Bearer"]
        .map(|scheme| (scheme.to_owned(), Some(url.to_owned())))
        .to_vec()
}

fn app(layer: DpopLayer) -> Router {
    Router::new()
        .route("/orders", get(async || "orders"))
        .layer(layer)
}

async fn send(app: &Router, request: Request<()>) -> Response<Body> {
    let request = request.map(|()| Body::empty());
    app.clone().oneshot(request).await.unwrap()
}

fn without_token() -> Request<()> {
    Request::get("/orders").body(()).unwrap()
}

#[tokio::test]
async fn every_challenge_of_either_scheme_names_the_metadata() {
    let (issuer, client) = (TestIssuer::new(), TestClient::new());
    let origin = PublicOrigin::new(ORIGIN).unwrap();
    let policy = Policy::optional().require_scope("read");
    let config = DpopConfig::builder(origin, issuer.tokens())
        .resource_metadata(orders())
        .policy(policy)
        .build()
        .unwrap();
    let app = app(DpopLayer::new(config));
    let bound = || issuer.token().bound_to(&client);
    let mut wrong_proof = client.get("https://api.test/other", &bound().scope("read").mint());
    *wrong_proof.uri_mut() = Uri::from_static("/orders");
    let mut twice = client.get(URL, &bound().scope("read").mint());
    let credentials = twice.headers()[header::AUTHORIZATION].clone();
    twice
        .headers_mut()
        .append(header::AUTHORIZATION, credentials);
    let mut bearer = without_token();
    let value = HeaderValue::from_static("Bearer nonsense");
    bearer.headers_mut().insert(header::AUTHORIZATION, value);
    for (request, status) in [
        (without_token(), 401),
        (client.get(URL, "nonsense"), 401),
        (client.get(URL, &bound().mint()), 403),
        (wrong_proof, 401),
        (twice, 400),
        (bearer, 401),
    ] {
        let response = send(&app, request).await;
        assert_eq!(response.status(), status);
        assert_eq!(named(response.headers()), both(METADATA), "{status}");
    }
}

#[tokio::test]
async fn a_challenge_for_a_nonce_names_it_too() {
    let client = TestClient::new();
    let issuer = TestIssuer::new();
    let config = DpopConfig::builder(PublicOrigin::new(ORIGIN).unwrap(), issuer.tokens())
        .resource_metadata(orders())
        .nonce_source(nonces())
        .require_nonces()
        .build()
        .unwrap();
    let token = issuer.token().bound_to(&client).mint();
    let response = send(&app(DpopLayer::new(config)), client.get(URL, &token)).await;
    let [challenge] = &challenges(response.headers())[..] else {
        panic!("{response:?}");
    };
    assert_eq!(challenge.get("error"), Some("use_dpop_nonce"));
    assert_eq!(challenge.get("resource_metadata"), Some(METADATA));
}

#[tokio::test]
async fn nothing_changes_without_metadata_or_where_there_is_no_challenge() {
    let origin = PublicOrigin::new(ORIGIN).unwrap();
    let config = DpopConfig::builder(origin, TestIssuer::new().tokens());
    let response = send(
        &app(DpopLayer::new(config.build().unwrap())),
        without_token(),
    )
    .await;
    let value = &response.headers()[header::WWW_AUTHENTICATE];
    assert_eq!(value, "DPoP algs=\"ES256 Ed25519 EdDSA PS256 RS256\"");

    let layer = DpopLayer::new(with(orders()).build().unwrap());
    let response = send(&app(layer.clone()), without_token()).await;
    let value = &response.headers()[header::WWW_AUTHENTICATE];
    let expected =
        format!("DPoP algs=\"ES256 Ed25519 EdDSA PS256 RS256\", resource_metadata=\"{METADATA}\"");
    assert_eq!(value, expected.as_str());

    let denied = app(layer.with_policy(Policy::deny()));
    let response = send(&denied, without_token()).await;
    assert!(!response.headers().contains_key(header::WWW_AUTHENTICATE));
}

#[tokio::test]
async fn it_is_in_every_shape_of_a_rejection() {
    let layer = DpopLayer::new(with(orders()).build().unwrap());
    let expected = vec![("DPoP".to_owned(), Some(METADATA.to_owned()))];

    let problem = app(layer.clone().with_rejection_response(ProblemDetails));
    let response = send(&problem, without_token()).await;
    assert_eq!(named(response.headers()), expected);
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );

    let mut grpc = without_token();
    *grpc.method_mut() = Method::POST;
    let value = HeaderValue::from_static("application/grpc");
    grpc.headers_mut().insert(header::CONTENT_TYPE, value);
    let response = send(&app(layer.clone()), grpc).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["grpc-status"], "16");
    assert_eq!(named(response.headers()), expected);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(body.is_empty());

    let (uri, headers) = (Uri::from_static("/orders"), HeaderMap::new());
    let head = RequestHead::new(&Method::GET, &uri, &headers);
    let Outcome::Rejected(rejection) = layer.verifier().verify_request(head).await else {
        panic!("admitted");
    };
    assert_eq!(named(&rejection.headers()), expected);
}

/// Two origins, one of which has a second resource.
fn several() -> DpopConfig {
    let origin = PublicOrigin::new(ORIGIN).unwrap();
    let origin = origin.with_alias("https://api.example").unwrap();
    let resources = [
        "https://api.test",
        "https://api.test/orders",
        "https://api.test/orders/v2",
        "https://api.example/orders",
        "https://api.example/tools",
    ];
    let resources = resources.into_iter();
    let metadata = resources.fold(ResourceMetadata::new(), ResourceMetadata::resource);
    DpopConfig::builder(origin, TestIssuer::new().tokens())
        .resource_metadata(metadata)
        .build()
        .unwrap()
}

#[tokio::test]
async fn of_several_resources_the_one_that_was_called_is_named() {
    let verifier = Verifier::new(several());
    for (host, path, resource) in [
        ("api.test", "/", ORIGIN),
        ("api.test", "/other", ORIGIN),
        ("api.test", "/orders", "https://api.test/orders"),
        ("api.test", "/orders/7", "https://api.test/orders"),
        ("api.test", "/orders/v2/7", "https://api.test/orders/v2"),
        ("api.test", "/orders/v20", "https://api.test/orders"),
        ("api.test", "/ordersomething", ORIGIN),
        ("api.example", "/tools/x", "https://api.example/tools"),
        ("api.example", "/other", "https://api.example/orders"),
        // A host that is not listed selects nothing.
        ("evil.example", "/tools", ORIGIN),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static(host));
        let uri = Uri::from_static(path);
        let head = RequestHead::new(&Method::GET, &uri, &headers);
        let Outcome::Rejected(rejection) = verifier.verify_request(head).await else {
            panic!("admitted");
        };
        let (origin, path) =
            resource.split_at(resource[8..].find('/').map_or(resource.len(), |at| at + 8));
        let url = format!("{origin}/.well-known/oauth-protected-resource{path}");
        let expected = vec![("DPoP".to_owned(), Some(url))];
        assert_eq!(named(&rejection.headers()), expected, "{host}{path}");
    }
}

#[tokio::test]
async fn inner_layers_and_handlers_name_the_resource_that_was_called() {
    async fn bound(_: BoundToken) {}

    let issuer = TestIssuer::new();
    let origin = PublicOrigin::new(ORIGIN).unwrap();
    let origin = origin.with_alias("https://api.example").unwrap();
    let config = DpopConfig::builder(origin, issuer.tokens())
        .resource_metadata(ResourceMetadata::new())
        .policy(Policy::optional())
        .build()
        .unwrap();
    let admin = RequireScopeLayer::new("admin").unwrap();
    let app = Router::new()
        .route("/scope", get(async || "scope").layer(admin))
        .route("/handler", get(bound))
        .layer(DpopLayer::new(config));
    let token = issuer.token().mint();
    for path in ["/scope", "/handler"] {
        let request = Request::get(path)
            .header("host", "api.example")
            .header("authorization", format!("Bearer {token}"))
            .body(())
            .unwrap();
        let response = send(&app, request).await;
        let url = "https://api.example/.well-known/oauth-protected-resource";
        let named = named(response.headers());
        assert!(!named.is_empty(), "{path}");
        for (_, told) in named {
            assert_eq!(told.as_deref(), Some(url), "{path}");
        }
    }
}

#[tokio::test]
async fn the_challenge_names_a_document_that_is_there() {
    for config in [with(orders()).build().unwrap(), several()] {
        let metadata = dpop_tower::metadata::router(&config).unwrap();
        let app = app(DpopLayer::new(config)).merge(metadata);
        let challenged = send(&app, without_token()).await;
        let (_, url) = named(challenged.headers()).remove(0);
        let url: Uri = url.unwrap().parse().unwrap();
        let request = Request::get(url.path()).header("host", url.host().unwrap());
        let response = send(&app, request.body(()).unwrap()).await;
        assert_eq!(response.status(), 200);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let document: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(document["resource"], URL);
    }
}
