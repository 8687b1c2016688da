//! Nested layers.

use std::{convert::Infallible, sync::Arc};

use axum::body::Body;
use bytes::Bytes;
use dpop_tower::{BoundToken, DpopConfig, DpopLayer, Policy, PublicOrigin, test_util::TestIssuer};
use http::{Request, Response, header};
use http_body_util::Full;
use serde_json::json;
use tower::{ServiceBuilder, ServiceExt as _, service_fn};

use super::{AnyToken, bearer, config, good, layer, ok, read};
use crate::{
    stores::CountingStore,
    support::{Api, ORIGIN, Verdict},
};

#[tokio::test]
async fn two_layers_of_one_configuration_verify_once() {
    let api = Api::new();
    let store = Arc::new(CountingStore::default());
    let config = Arc::new(
        config(&api)
            .replay_store(Arc::clone(&store))
            .build()
            .unwrap(),
    );
    let service = ServiceBuilder::new()
        .layer(DpopLayer::new(config.clone()))
        .layer(DpopLayer::new(config.clone()).with_policy(Policy::optional()))
        .layer(DpopLayer::new(config))
        .service(service_fn(async |request: Request<()>| {
            assert!(request.extensions().get::<BoundToken>().is_some());
            ok(request).await
        }));
    let response = service.oneshot(good(&api)).await.unwrap();
    assert_eq!(Verdict::of(response), Verdict::Admitted);
    assert_eq!(store.asked(), 1);
}

/// An outer and an inner layer of one configuration.
async fn nested(api: &Api, outer: Policy, inner: Policy, request: Request<()>) -> Response<Body> {
    let config = Arc::new(config(api).build().unwrap());
    let response = ServiceBuilder::new()
        .layer(DpopLayer::new(config.clone()).with_policy(outer))
        .layer(DpopLayer::new(config).with_policy(inner))
        .service(service_fn(ok::<()>))
        .oneshot(request)
        .await;
    response.unwrap().map(Body::new)
}

#[tokio::test]
async fn a_strict_layer_inside_an_optional_one_rejects_an_unbound_token_with_a_challenge() {
    let api = Api::new();
    let request = bearer(&api.issuer.token().mint());
    let response = nested(&api, Policy::optional(), Policy::strict(), request).await;
    assert_eq!(
        Verdict::of(response),
        crate::support::invalid_token("token_scheme_not_accepted")
    );
    let bound = nested(&api, Policy::optional(), Policy::strict(), good(&api)).await;
    assert_eq!(Verdict::of(bound), Verdict::Admitted);
}

#[tokio::test]
async fn the_challenge_of_a_strict_layer_inside_an_optional_one_offers_no_bearer() {
    let api = Api::new();
    let request = bearer(&api.issuer.token().mint());
    let response = nested(&api, Policy::optional(), Policy::strict(), request).await;
    let challenges = response.headers().get_all(header::WWW_AUTHENTICATE);
    assert_eq!(challenges.iter().count(), 1);
}

#[tokio::test]
async fn an_optional_layer_inside_a_strict_one_does_not_loosen_it() {
    let api = Api::new();
    let request = bearer(&api.issuer.token().mint());
    let response = nested(&api, Policy::strict(), Policy::optional(), request).await;
    assert_eq!(
        Verdict::of(response),
        crate::support::invalid_token("token_scheme_not_accepted")
    );
    let two = nested(
        &api,
        Policy::optional(),
        Policy::optional(),
        bearer(&api.issuer.token().mint()),
    )
    .await;
    assert_eq!(Verdict::of(two), Verdict::Admitted);
}

#[tokio::test]
async fn layers_of_two_configurations_verify_each_for_itself_and_the_inner_verdict_counts() {
    let api = Api::new();
    let stores = [(); 2].map(|()| Arc::new(CountingStore::default()));
    let claims = json!({
        "sub": "seen by the inner layer",
        "exp": api.now() + 60,
        "cnf": { "jkt": api.client.thumbprint().to_string() },
    });
    let outer = config(&api).replay_store(Arc::clone(&stores[0]));
    let inner = DpopConfig::builder(
        PublicOrigin::new(ORIGIN).unwrap(),
        Arc::new(AnyToken { claims }),
    )
    .clock(api.clock.clone())
    .replay_store(Arc::clone(&stores[1]));
    let subject = ServiceBuilder::new()
        .layer(DpopLayer::new(outer.build().unwrap()))
        .layer(DpopLayer::new(inner.build().unwrap()))
        .service(service_fn(async |request: Request<()>| {
            let token = request.extensions().get::<BoundToken>().unwrap();
            let subject = token.claims().subject().unwrap().to_owned();
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(subject)))
        }))
        .oneshot(good(&api))
        .await
        .unwrap();
    assert_eq!(read(subject).await, "seen by the inner layer");
    assert_eq!(stores.map(|store| store.asked()), [1, 1]);
}

#[tokio::test]
async fn what_one_configuration_admitted_is_nothing_to_another() {
    let api = Api::new();
    let other_issuer = TestIssuer::new().clock(api.clock.clone());
    let inner = DpopConfig::builder(PublicOrigin::new(ORIGIN).unwrap(), other_issuer.tokens())
        .clock(api.clock.clone());
    let response = ServiceBuilder::new()
        .layer(layer(&api))
        .layer(DpopLayer::new(inner.build().unwrap()))
        .service(service_fn(ok::<()>))
        .oneshot(good(&api))
        .await
        .unwrap();
    assert_eq!(
        Verdict::of(response),
        crate::support::invalid_token("token_key_unknown")
    );
}
