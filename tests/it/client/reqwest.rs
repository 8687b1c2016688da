//! reqwest inside the layer.

use bytes::Bytes;
use dpop_tower::client::{DpopClientLayer, RequestBody};
use http::{Request, Response};
use http_body_util::Full;
use reqwest::redirect::Policy;
use tower::{BoxError, Layer as _, Service, ServiceExt as _, service_fn};
use tower_http::follow_redirect::FollowRedirectLayer;

use super::server::{Server, Step, assert_unique, get, post};

/// Returns the service that docs/client.md shows.
fn service(
    http: reqwest::Client,
    layer: &DpopClientLayer,
) -> impl Service<
    Request<Full<Bytes>>,
    Response = Response<reqwest::Body>,
    Error = BoxError,
    Future: Send,
> + Clone
+ use<> {
    let send = service_fn(move |request: Request<RequestBody<_>>| {
        let http = http.clone();
        async move {
            let request = reqwest::Request::try_from(request.map(reqwest::Body::wrap))?;
            http.execute(request)
                .await
                .map(Response::<reqwest::Body>::from)
        }
    });
    layer.layer(send)
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .redirect(Policy::none())
        .no_proxy()
}

#[tokio::test]
async fn reqwest_sends_a_new_proof_with_each_attempt() {
    let server = Server::start().await;
    let http = service(builder().build().unwrap(), &server.layer());
    for attempts in [2, 1] {
        let request = post(&server.url(), "3 apples");
        let response = http.clone().oneshot(request).await.unwrap();
        let text = reqwest::Response::from(response).text().await.unwrap();
        assert_eq!(text, "3 apples");
        let seen = server.seen();
        assert_eq!(seen.len(), attempts);
        assert_unique(&seen);
    }
}

#[tokio::test]
async fn redirects_outside_the_layer_have_new_proofs_and_stay_at_the_origin() {
    let (server, other) = (Server::start().await, Server::start().await);
    let http = service(builder().build().unwrap(), &server.layer());
    let http = FollowRedirectLayer::new().layer(http);
    server.then([Step::Redirect(server.url()), Step::Pass, Step::Pass]);
    let response = http.clone().oneshot(get(&server.url())).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_unique(&server.seen());

    server.then([Step::Redirect(other.url())]);
    http.oneshot(get(&server.url())).await.unwrap_err();
    assert_eq!(other.count(), 0);
}

#[tokio::test]
async fn the_retries_of_reqwest_cannot_send_a_proof_twice() {
    let server = Server::start().await;
    let retrying = || {
        let retries = reqwest::retry::for_host("127.0.0.1").no_budget();
        let retries = retries.classify_fn(|attempt| match attempt.status() {
            Some(http::StatusCode::SERVICE_UNAVAILABLE) => attempt.retryable(),
            _ => attempt.success(),
        });
        builder().retry(retries).build().unwrap()
    };
    let unavailable = || Step::Status(http::StatusCode::SERVICE_UNAVAILABLE);
    for request in [get(&server.url()), post(&server.url(), "3 apples")] {
        server.then([unavailable()]);
        let http = service(retrying(), &server.layer());
        let response = http.oneshot(request).await.unwrap();
        assert_eq!(response.status(), 503);
        assert_eq!(server.seen().len(), 1);
    }

    // By itself, it does send a request again.
    let before = server.count();
    server.then([unavailable()]);
    retrying().get(server.url()).send().await.unwrap();
    assert_eq!(server.count(), before + 2);
}
