//! Responders: the bodies of rejections.

use std::{convert::Infallible, sync::Arc};

use axum::{Router, extract::Request as AxumRequest, routing};
use bytes::Bytes;
use dpop_tower::rejection::{Rejection, RejectionKind};
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use tower::{Layer as _, ServiceExt as _, service_fn};

use super::{bearer, good, layer, read, without_credentials};
use crate::support::Api;

/// Does everything that a responder should not do.
fn wrong_response(_: &Rejection) -> Response<&'static str> {
    Response::builder()
        .status(StatusCode::OK)
        .header(header::WWW_AUTHENTICATE, "Basic realm=\"x\"")
        .header(header::WWW_AUTHENTICATE, "Negotiate")
        .header(header::CACHE_CONTROL, "public, max-age=60")
        .header(header::CONTENT_TYPE, "text/plain")
        .body("a body of its own")
        .unwrap()
}

async fn hello(_: Request<()>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new("hello".into()))
}

#[tokio::test]
async fn a_responder_chooses_the_body_and_nothing_that_clients_rely_on() {
    let api = Api::new();
    let service = layer(&api)
        .with_rejection_response(wrong_response)
        .layer(service_fn(hello));
    let response = service
        .clone()
        .oneshot(without_credentials())
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let headers = response.headers();
    let challenges: Vec<_> = headers.get_all(header::WWW_AUTHENTICATE).iter().collect();
    assert_eq!(challenges.len(), 1);
    assert!(challenges[0].to_str().unwrap().starts_with("DPoP algs="));
    let cache: Vec<_> = headers.get_all(header::CACHE_CONTROL).iter().collect();
    assert_eq!(cache, ["no-store"]);
    assert_eq!(headers[header::CONTENT_TYPE], "text/plain");
    assert_eq!(
        response.extensions().get::<Rejection>().unwrap().kind(),
        RejectionKind::CredentialsMissing
    );
    assert_eq!(read(response).await, "a body of its own");

    let passed = service.oneshot(good(&api)).await.unwrap();
    assert_eq!(read(passed).await, "hello");
}

#[tokio::test]
async fn a_responder_may_be_a_closure_that_keeps_the_layer_clonable() {
    let api = Api::new();
    let prefix = Arc::new("rejected: ".to_owned());
    let layer = layer(&api).with_rejection_response(move |rejection: &Rejection| {
        Response::new(format!("{prefix}{}", rejection.reason()))
    });
    let router = Router::new()
        .route("/orders", routing::get(|_: AxumRequest| async {}))
        .layer(layer.clone())
        .layer(layer);
    let response = crate::support::send(router, bearer("x")).await;
    let body = axum::body::to_bytes(response.into_body(), 100).await;
    assert_eq!(body.unwrap(), "rejected: token_scheme_not_accepted");
}

#[tokio::test]
async fn a_responder_is_not_asked_for_a_grpc_rejection() {
    let api = Api::new();
    let service = layer(&api)
        .with_rejection_response(|_: &Rejection| -> Response<&'static str> {
            panic!("asked for a gRPC rejection")
        })
        .layer(service_fn(hello));
    let request = Request::post("/orders")
        .header(header::CONTENT_TYPE, "application/grpc")
        .body(())
        .unwrap();
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(response.headers()["grpc-status"], "16");
}
