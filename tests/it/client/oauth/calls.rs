//! Requests to a protected API with tokens that are obtained for them.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use dpop_conformance::authorization_server::{AuthorizationServer, Settings};
use dpop_tower::{
    DpopConfig, DpopLayer, PublicOrigin,
    client::{ApiOrigin, DpopClientLayer, oauth::RenewingTokens},
    test_util::TestIssuer,
};
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer as _, ServiceBuilder, ServiceExt as _, service_fn};

use super::{builder, new_key, request};

#[tokio::test]
async fn the_nonces_of_the_authorization_server_and_of_the_api_are_kept_apart() {
    let issuer = TestIssuer::new();
    let server = AuthorizationServer::start(issuer.clone(), Settings::default()).await;
    let origin = PublicOrigin::new("https://api.test").unwrap();
    let config = DpopConfig::builder(origin, issuer.tokens()).require_nonces();
    let attempts = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&attempts);
    let api = ServiceBuilder::new()
        .map_request(move |request| {
            counter.fetch_add(1, Ordering::Relaxed);
            request
        })
        .layer(DpopLayer::new(config.build().unwrap()))
        .service(service_fn(async |_: Request<_>| {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        }));

    let dpop = new_key();
    let client = builder(&server, dpop.clone()).build().unwrap();
    let tokens = RenewingTokens::client_credentials(client.clone(), request()).build();
    let origin = ApiOrigin::new("https://api.test").unwrap();
    let service = DpopClientLayer::new(dpop, tokens, origin).layer(api);
    for _ in 0..3 {
        let request = Request::get("https://api.test/orders");
        let request = request.body(Full::<Bytes>::default()).unwrap();
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        // Another request to the authorization server, between two to the API.
        client.client_credentials(&super::request()).await.unwrap();
    }
    // One challenge each: no nonce was sent to the other server.
    assert_eq!(attempts.load(Ordering::Relaxed), 4);
    assert_eq!(server.asked().len(), 5);
    assert_eq!(server.grants().len(), 4);
}
