//! Readiness, permits and cancellation.

use std::{
    convert::Infallible,
    future,
    pin::pin,
    sync::Arc,
    task::{Context, Waker},
};

use axum::body::Body;
use dpop_tower::{
    DpopLayer, Policy,
    future::MaybeReady,
    replay::{AcceptanceWindows, Freshness, ReplayStore, StoreError, UsedProof},
};
use http::{Method, Request, Response, StatusCode};
use tokio::{sync::oneshot, time::timeout};
use tower::{Layer as _, Service as _, ServiceBuilder, ServiceExt as _, service_fn};

use super::{
    OnlyWhenReady, PATIENCE, bearer, config, good, layer, ok, rejection, without_credentials,
};
use crate::support::{Api, URL, Verdict};

#[tokio::test]
async fn the_service_that_was_polled_ready_is_the_one_that_is_called() {
    let api = Api::new();
    let mut service = layer(&api).layer(OnlyWhenReady::default());
    for _ in 0..3 {
        let response = service.ready().await.unwrap().call(good(&api)).await;
        assert_eq!(Verdict::of(response.unwrap()), Verdict::Admitted);
    }
}

#[tokio::test]
async fn the_service_that_was_polled_ready_is_called_through_two_layers_too() {
    let api = Api::new();
    let layer = layer(&api);
    let inner = layer.layer(OnlyWhenReady::default());
    let mut service = layer.layer(inner);
    let response = service.ready().await.unwrap().call(good(&api)).await;
    assert_eq!(Verdict::of(response.unwrap()), Verdict::Admitted);
}

#[tokio::test]
async fn a_concurrency_limit_inside_serves_one_request_after_the_other() {
    let api = Api::new();
    let mut service = ServiceBuilder::new()
        .layer(layer(&api))
        .concurrency_limit(1)
        .service(service_fn(ok::<()>));
    for _ in 0..5 {
        let ready = timeout(PATIENCE, service.ready()).await.unwrap().unwrap();
        let response = ready.call(good(&api)).await.unwrap();
        assert_eq!(Verdict::of(response), Verdict::Admitted);
    }
}

#[tokio::test]
async fn a_request_admitted_counts_against_a_concurrency_limit_until_it_is_answered() {
    let api = Api::new();
    let mut service = ServiceBuilder::new()
        .layer(layer(&api))
        .concurrency_limit(1)
        .service(service_fn(async |_: Request<()>| {
            future::pending::<Result<Response<Body>, Infallible>>().await
        }));
    let mut other = service.clone();
    let mut hanging = pin!(service.ready().await.unwrap().call(good(&api)));
    let mut context = Context::from_waker(Waker::noop());
    assert!(hanging.as_mut().poll(&mut context).is_pending());
    assert!(other.poll_ready(&mut context).is_pending());
}

/// A caller that keeps the response and the service, as an idle connection does, keeps no permit.
#[tokio::test]
async fn a_rejected_request_gives_its_permit_back_before_its_response_is_dropped() {
    let api = Api::new();
    let mut service = ServiceBuilder::new()
        .layer(layer(&api))
        .concurrency_limit(1)
        .service(service_fn(ok::<()>));
    let mut second = service.clone();
    let mut future = pin!(service.ready().await.unwrap().call(without_credentials()));
    let response = future.as_mut().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);

    let ready = timeout(PATIENCE, second.ready()).await.unwrap().unwrap();
    let served = ready.call(good(&api)).await.unwrap();
    assert_eq!(Verdict::of(served), Verdict::Admitted);
    drop((response, future, service));
}

#[tokio::test]
async fn an_inner_layer_that_rejects_gives_its_permit_back_before_it_is_polled() {
    let api = Api::new();
    let config = Arc::new(config(&api).build().unwrap());
    let strict = ServiceBuilder::new()
        .layer(DpopLayer::new(config.clone()))
        .concurrency_limit(1)
        .service(service_fn(ok::<()>));
    let service = ServiceBuilder::new()
        .layer(DpopLayer::new(config).with_policy(Policy::optional()))
        .service(service_fn(move |request| {
            let (mut first, mut second) = (strict.clone(), strict.clone());
            async move {
                let unpolled = first.ready().await.unwrap().call(request);
                timeout(PATIENCE, second.ready()).await.unwrap().unwrap();
                unpolled.await
            }
        }));
    let token = api.issuer.token().mint();
    let response = service.oneshot(bearer(&token)).await.unwrap();
    assert_eq!(rejection(&response).reason(), "token_scheme_not_accepted");
}

#[tokio::test]
async fn one_service_serves_a_request_while_another_waits() {
    let api = Api::new();
    let (release, released) = oneshot::channel::<()>();
    let released = Arc::new(std::sync::Mutex::new(Some(released)));
    let mut service = layer(&api).layer(service_fn(move |_: Request<()>| {
        let released = released.lock().unwrap().take();
        async move {
            if let Some(released) = released {
                released.await.unwrap();
            }
            Ok::<_, Infallible>(Response::<Body>::default())
        }
    }));
    let mut slow = pin!(service.call(good(&api)));
    let mut context = Context::from_waker(Waker::noop());
    assert!(slow.as_mut().poll(&mut context).is_pending());
    let quick = service.call(good(&api)).await.unwrap();
    assert_eq!(Verdict::of(quick), Verdict::Admitted);
    release.send(()).unwrap();
    assert_eq!(Verdict::of(slow.await.unwrap()), Verdict::Admitted);
}

#[tokio::test]
async fn a_future_that_is_dropped_unpolled_uses_up_no_proof() {
    let api = Api::new();
    let mut service = layer(&api).layer(service_fn(ok::<()>));
    let token = api.token().mint();
    let proof = api.proof(&token).sign();
    let request = || {
        api.client
            .request_with_proof(Method::GET, URL, &token, &proof)
    };
    for _ in 0..3 {
        drop(service.ready().await.unwrap().call(request()));
    }
    let response = service.oneshot(request()).await.unwrap();
    assert_eq!(Verdict::of(response), Verdict::Admitted);
}

/// A store that never answers.
#[derive(Debug, Default)]
struct Silent(AcceptanceWindows);

impl ReplayStore for Silent {
    fn check_and_insert(&self, _: UsedProof) -> MaybeReady<Result<Freshness, StoreError>> {
        MaybeReady::pending(future::pending())
    }

    fn windows(&self) -> &AcceptanceWindows {
        &self.0
    }
}

#[tokio::test]
async fn the_inner_service_is_not_called_before_the_store_has_answered() {
    let api = Api::new();
    let config = config(&api)
        .replay_store(Silent::default())
        .build()
        .unwrap();
    let mut service = DpopLayer::new(config).layer(service_fn(async |_: Request<()>| {
        panic!("called too early");
        #[expect(unreachable_code, reason = "names the types")]
        Ok::<Response<Body>, Infallible>(Response::default())
    }));
    let mut future = pin!(service.call(good(&api)));
    for _ in 0..3 {
        let mut context = Context::from_waker(Waker::noop());
        assert!(future.as_mut().poll(&mut context).is_pending());
    }
}
