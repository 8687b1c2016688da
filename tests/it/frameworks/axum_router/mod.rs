//! The layer and the extractors in axum, in process and over a socket.

mod cors;
mod extractors;
mod routing;
mod sockets;

use std::net::SocketAddr;

use axum::{Router, body::Body};
use dpop_tower::{DpopConfig, DpopConfigBuilder, DpopLayer, Policy, PublicOrigin};
use http::{Method, Request, Response, header};
use http_body_util::BodyExt as _;
use tokio::net::TcpListener;

use crate::support::{Api, ORIGIN, Verdict, send};

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

/// Returns a valid request with this method, target and `htu`.
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

/// Writes the request line and the headers for HTTP/1.1, without the empty line at the end.
pub(crate) fn write_head(request: &Request<()>) -> String {
    let mut head = format!("{} {} HTTP/1.1\r\n", request.method(), request.uri());
    for (name, value) in request.headers() {
        head += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    head
}
