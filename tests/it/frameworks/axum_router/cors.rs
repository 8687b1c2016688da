//! A CORS layer outside or inside the `DpopLayer`.

use axum::{Router, routing::get};
use http::{HeaderName, Request, StatusCode, header};
use tower_http::cors::CorsLayer;

use super::{hello, layer};
use crate::support::{Api, send};

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
