//! The layer combined with other crates and layers: the combinations compile, and requests have the
//! expected outcome.

mod bodies;
mod grpc;
mod http;
mod names;
mod order;

use std::{convert::Infallible, error::Error};

use ::http::{Request, Response, StatusCode, header};
use axum::body::Body;
use bytes::Bytes;
use dpop_tower::{BoundToken, DpopLayer, rejection::Rejection};
use http_body_util::BodyExt as _;
use tower::{Service, ServiceExt as _};

use crate::{
    rejection::challenge::Challenge,
    support::{Api, URL},
};

fn layer(api: &Api) -> DpopLayer {
    DpopLayer::new(api.config().build().unwrap())
}

/// Returns the response of every service in these tests.
fn subject<B>(request: &Request<B>) -> String {
    let token: &BoundToken = request.extensions().get().unwrap();
    token.claims().subject().unwrap().to_owned()
}

async fn text<B>(response: Response<B>) -> String
where
    B: http_body::Body<Data = Bytes, Error: std::fmt::Debug>,
{
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Asserts that a valid request reaches this service, which responds with [`subject`], and that a
/// request without credentials is answered with a challenge and this body.
async fn assert_guards<S, B>(api: &Api, service: S, rejected: &str)
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone,
    B: http_body::Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>> + std::fmt::Debug>,
{
    let good = api.client.get(URL, &api.token().mint());
    let good = good.map(|()| Body::empty());
    let response = service.clone().oneshot(good).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(text(response).await, "alice");

    let bare = Request::get(URL).body(Body::empty()).unwrap();
    let response = service.oneshot(bare).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    assert_eq!(Challenge::all(response.headers())[0].scheme, "DPoP");
    let rejection: &Rejection = response.extensions().get().unwrap();
    assert_eq!(rejection.reason(), "credentials_missing");
    assert_eq!(text(response).await, rejected);
}

const PROBLEM: &str = r#"{"status":401,"title":"Unauthorized","detail":"no access token was sent","reason":"credentials_missing"}"#;
