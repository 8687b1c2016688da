//! How the document is served: its place, methods, headers, and how it composes with a layer.

use axum::{Router, body::Body, routing::get};
use dpop_tower::{
    DpopConfig, DpopLayer, Policy, PublicOrigin,
    metadata::{self, ResourceMetadata, ResourceMetadataService},
    target::{ForwardedTarget, PeerAddr},
    test_util::TestIssuer,
};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::net::TcpListener;
use tower::ServiceExt as _;

use super::{WELL_KNOWN, document_at, with};
use crate::support::ORIGIN;

fn app(resource: &str) -> Router {
    let config = with(ResourceMetadata::new().resource(resource));
    let layer = DpopLayer::new(config.build().unwrap());
    Router::new()
        .route("/mcp", get(async || "tools"))
        .layer(layer.clone())
        .merge(metadata::router(&layer).unwrap())
}

async fn send(app: &Router, method: Method, path: &str) -> Response<Body> {
    let request = Request::builder().method(method).uri(path);
    let request = request.body(Body::empty()).unwrap();
    app.clone().oneshot(request).await.unwrap()
}

#[tokio::test]
async fn rfc_9728_section_3_1_the_well_known_path_stands_before_that_of_the_resource() {
    for (resource, path) in [
        ("https://api.test", WELL_KNOWN.to_owned()),
        ("https://api.test/", WELL_KNOWN.to_owned()),
        ("https://api.test/mcp", format!("{WELL_KNOWN}/mcp")),
        ("https://api.test/mcp/", format!("{WELL_KNOWN}/mcp/")),
        ("https://api.test/a/b", format!("{WELL_KNOWN}/a/b")),
        ("https://api.test/a%2Fb", format!("{WELL_KNOWN}/a%2Fb")),
    ] {
        let app = app(resource);
        let response = send(&app, Method::GET, &path).await;
        assert_eq!(response.status(), 200, "{resource}");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let document: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(document["resource"], resource);
    }
}

#[tokio::test]
async fn a_path_that_axum_cannot_route_is_an_error_and_no_panic() {
    for resource in ["https://api.test/:a", "https://api.test/a/*b"] {
        let metadata = ResourceMetadata::new().resource(resource);
        let config = with(metadata).build().unwrap();
        let error = metadata::router::<()>(&config).unwrap_err();
        assert!(
            error.to_string().contains("`ResourceMetadataService`"),
            "{error}"
        );
        let path = resource.replace("https://api.test", WELL_KNOWN);
        let document = document_at(&path, None, &config).await;
        assert_eq!(document["resource"], resource);
    }
}

#[tokio::test]
async fn no_other_path_has_a_document() {
    let app = app("https://api.test/mcp");
    let config = with(ResourceMetadata::new().resource("https://api.test/mcp"));
    let service = ResourceMetadataService::new(&config.build().unwrap()).unwrap();
    for path in [
        "/",
        WELL_KNOWN,
        &format!("{WELL_KNOWN}/"),
        &format!("{WELL_KNOWN}/mcp/"),
        &format!("{WELL_KNOWN}/MCP"),
        &format!("{WELL_KNOWN}/mcp/a"),
        &format!("{WELL_KNOWN}/%6dcp"),
        &format!("/{WELL_KNOWN}/mcp"),
        &format!("/mcp{WELL_KNOWN}"),
    ] {
        assert_eq!(send(&app, Method::GET, path).await.status(), 404, "{path}");
        let request = Request::get(path).body(()).unwrap();
        assert!(!service.is_for(request.uri()));
        assert_eq!(
            service.clone().oneshot(request).await.unwrap().status(),
            404
        );
    }
}

#[tokio::test]
async fn it_is_read_and_nothing_else() {
    let app = app("https://api.test/mcp");
    let path = format!("{WELL_KNOWN}/mcp");
    let got = send(&app, Method::GET, &path).await;
    assert_eq!(got.status(), 200);
    let headers = got.headers().clone();
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["cache-control"], "public, max-age=600");
    assert_eq!(headers["access-control-allow-origin"], "*");
    assert!(!headers.contains_key(header::WWW_AUTHENTICATE));
    assert!(!headers.contains_key("dpop-nonce"));

    let head = send(&app, Method::HEAD, &path).await;
    assert_eq!(head.status(), 200);
    assert_eq!(*head.headers(), headers);
    let body = head.into_body().collect().await.unwrap().to_bytes();
    assert!(body.is_empty());

    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let response = send(&app, method, &path).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()["allow"], "GET, HEAD");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(body.is_empty());
    }
}

#[tokio::test]
async fn a_page_may_read_it_with_a_header_of_its_own() {
    let app = app("https://api.test/mcp");
    let preflight = Request::options(format!("{WELL_KNOWN}/mcp"))
        .header("origin", "https://app.test")
        .header("access-control-request-method", "GET")
        .header("access-control-request-headers", "mcp-protocol-version")
        .body(Body::empty())
        .unwrap();
    let response = app.oneshot(preflight).await.unwrap();
    assert_eq!(response.status(), 204);
    for (name, value) in [
        ("access-control-allow-origin", "*"),
        ("access-control-allow-methods", "GET, HEAD"),
        ("access-control-allow-headers", "*"),
    ] {
        assert_eq!(response.headers()[name], value);
    }
    assert!(
        !response
            .headers()
            .contains_key("access-control-allow-credentials")
    );
}

#[tokio::test]
async fn the_layer_protects_the_other_routes_and_not_the_document() {
    let app = app("https://api.test/mcp");
    assert_eq!(send(&app, Method::GET, "/mcp").await.status(), 401);
    let path = format!("{WELL_KNOWN}/mcp");
    assert_eq!(send(&app, Method::GET, &path).await.status(), 200);

    // Inside the layer, nobody without a token can read it.
    let config = with(ResourceMetadata::new()).build().unwrap();
    let inside = metadata::router(&config)
        .unwrap()
        .layer(DpopLayer::new(config));
    assert_eq!(send(&inside, Method::GET, WELL_KNOWN).await.status(), 401);
}

#[tokio::test]
async fn it_is_served_over_a_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}{WELL_KNOWN}/mcp", listener.local_addr().unwrap());
    let server =
        tokio::spawn(async move { axum::serve(listener, app("https://api.test/mcp")).await });
    let client = reqwest::Client::new();
    let got = client.get(&url).send().await.unwrap();
    let length = got.content_length().unwrap();
    let text = got.text().await.unwrap();
    assert_eq!(length, text.len() as u64);
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["resource"], "https://api.test/mcp");
    let head = client.head(&url).send().await.unwrap();
    assert_eq!(head.headers()["content-length"], length.to_string());
    assert_eq!(head.text().await.unwrap(), "");
    server.abort();
}

#[tokio::test]
async fn each_origin_has_a_document_of_its_own() {
    let origin = PublicOrigin::new(ORIGIN).unwrap();
    let origin = origin.with_alias("https://api.example:8443").unwrap();
    let config = DpopConfig::builder(origin, TestIssuer::new().tokens())
        .resource_metadata(ResourceMetadata::new())
        .build()
        .unwrap();
    for (host, resource) in [
        (None, "https://api.test"),
        (Some("api.test"), "https://api.test"),
        (Some("API.example:8443"), "https://api.example:8443"),
        // Only what is listed is ever named.
        (Some("evil.example"), "https://api.test"),
        (Some("api.example"), "https://api.test"),
        (Some("\"evil"), "https://api.test"),
    ] {
        let document = document_at(WELL_KNOWN, host, &config).await;
        assert_eq!(document["resource"], resource, "{host:?}");
    }
}

#[tokio::test]
async fn behind_a_proxy_the_forwarded_host_selects_the_document_if_the_proxy_is_trusted() {
    let origin = PublicOrigin::new(ORIGIN).unwrap();
    let origin = origin.with_alias("https://api.example").unwrap();
    let target = ForwardedTarget::x_forwarded(origin, ["10.0.0.0/8"]).unwrap();
    let config = DpopConfig::builder(target, TestIssuer::new().tokens())
        .resource_metadata(ResourceMetadata::new())
        .build()
        .unwrap();
    let service = ResourceMetadataService::new(&config).unwrap();
    for (peer, resource) in [("10.1.2.3", "https://api.example"), ("192.0.2.1", ORIGIN)] {
        let request = Request::get(WELL_KNOWN)
            .header("host", "internal:8080")
            .header("x-forwarded-host", "api.example")
            .header("x-forwarded-proto", "https")
            .extension(PeerAddr(peer.parse().unwrap()))
            .body(())
            .unwrap();
        let response = service.clone().oneshot(request).await.unwrap();
        let document: Value = serde_json::from_str(response.body()).unwrap();
        assert_eq!(document["resource"], resource, "{peer}");
    }
}

#[tokio::test]
async fn the_document_is_that_of_the_layer_whose_policies_are_given() {
    let config = with(ResourceMetadata::new()).build().unwrap();
    let optional = DpopLayer::new(config.clone()).with_policy(Policy::optional());
    let (plain, of_layer) = (
        document_at(WELL_KNOWN, None, &config).await,
        document_at(WELL_KNOWN, None, &optional).await,
    );
    assert_eq!(plain["dpop_bound_access_tokens_required"], true);
    assert_eq!(of_layer.get("dpop_bound_access_tokens_required"), None);
}
