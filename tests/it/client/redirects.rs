//! Redirects outside the layer.

use dpop_tower::client::{ClientError, ClientErrorKind};
use tower::{Layer as _, ServiceExt as _};
use tower_http::follow_redirect::FollowRedirectLayer;

use super::server::{Server, Step, assert_unique, get};

#[tokio::test]
async fn each_hop_to_the_same_origin_has_a_new_proof() {
    let server = Server::start().await;
    let http = FollowRedirectLayer::new().layer(server.client());
    server.then([Step::Redirect("/orders?page=2".to_owned())]);
    let response = http.oneshot(get(&server.url())).await.unwrap();
    assert_eq!(response.status(), 200);
    let seen = server.seen();
    // The redirect, the challenge and the response.
    assert_eq!(seen.len(), 3);
    assert_unique(&seen);
}

#[tokio::test]
async fn nothing_is_sent_to_another_origin() {
    let (server, other) = (Server::start().await, Server::start().await);
    let http = FollowRedirectLayer::new().layer(server.client());
    server.then([Step::Redirect(other.url())]);
    let error = http.oneshot(get(&server.url())).await.unwrap_err();
    let error = error.downcast_ref::<ClientError>().unwrap();
    assert_eq!(error.kind(), ClientErrorKind::Origin);
    assert_eq!((server.count(), other.count()), (1, 0));
}
