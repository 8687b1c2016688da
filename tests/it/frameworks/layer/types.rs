//! The types of bodies and errors.

use std::{
    fmt, future,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{Router, body::Body, routing};
use bytes::Bytes;
use dpop_tower::{
    BearerToken, BoundToken, Dpop, DpopConfig, DpopLayer, RequireScope, RequireScopeLayer,
    ResponseBody, ResponseFuture, rejection::Rejection,
};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::{
    Layer as _, Service, ServiceBuilder, ServiceExt as _,
    limit::{ConcurrencyLimit, ConcurrencyLimitLayer},
    service_fn,
};

use super::{OnlyWhenReady, bearer, config, good, layer, ok, read, without_credentials};
use crate::support::{Api, Verdict};

#[derive(Debug, PartialEq)]
struct InnerError(u8);

impl fmt::Display for InnerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "inner error {}", self.0)
    }
}

impl std::error::Error for InnerError {}

/// Neither `Clone` nor `Default`, and not an HTTP body.
#[derive(Debug, PartialEq)]
struct OwnBody(&'static str);

#[tokio::test]
async fn request_bodies_and_errors_keep_their_types_and_values() {
    let api = Api::new();
    let service = layer(&api).layer(service_fn(async |request: Request<OwnBody>| match request
        .into_body()
    {
        OwnBody("fail") => Err(InnerError(7)),
        OwnBody(text) => Ok(Response::new(Full::<Bytes>::from(text))),
    }));
    let with_body = |text| good(&api).map(|()| OwnBody(text));
    let answer = service.clone().oneshot(with_body("hello")).await;
    assert_eq!(read(answer.unwrap()).await, "hello");
    let failed = service.clone().oneshot(with_body("fail")).await;
    assert_eq!(failed.unwrap_err(), InnerError(7));
    let rejected: Result<_, InnerError> = service
        .oneshot(without_credentials().map(|()| OwnBody("x")))
        .await;
    assert_eq!(read(rejected.unwrap()).await, "");
}

#[tokio::test]
async fn an_error_of_poll_ready_is_passed_on() {
    #[derive(Clone, Debug)]
    struct NeverReady;
    impl Service<Request<()>> for NeverReady {
        type Response = Response<Body>;
        type Error = InnerError;
        type Future = future::Ready<Result<Response<Body>, InnerError>>;
        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), InnerError>> {
            Poll::Ready(Err(InnerError(9)))
        }
        fn call(&mut self, _: Request<()>) -> Self::Future {
            panic!("called without being ready")
        }
    }
    let api = Api::new();
    let mut service = layer(&api).layer(NeverReady);
    assert_eq!(service.ready().await.unwrap_err(), InnerError(9));
}

/// Half of the test is that this compiles.
#[tokio::test]
async fn a_layer_needs_no_type_annotations_anywhere() {
    let api = Api::new();
    let of_config = DpopLayer::new(config(&api).build().unwrap());
    let of_arc = DpopLayer::new(Arc::new(config(&api).build().unwrap()));
    let handler = || async { "ok" };
    let built = ServiceBuilder::new()
        .layer(of_config.clone())
        .layer(ConcurrencyLimitLayer::new(8))
        .service(service_fn(ok::<Body>));
    let routers = [
        Router::new()
            .route("/orders", routing::get(handler))
            .layer(of_config.clone()),
        Router::new()
            .route("/orders", routing::get(handler))
            .route_layer(of_arc.clone()),
        Router::new().route("/orders", routing::get(handler).layer(of_config.clone())),
        Router::new().route("/orders", routing::get(handler).route_layer(of_arc.clone())),
        Router::new()
            .route("/orders", routing::get(handler))
            .layer(ServiceBuilder::new().layer(of_config)),
        Router::new().route_service("/orders", built),
    ];
    for (i, router) in routers.into_iter().enumerate() {
        let send = |request: Request<()>| crate::support::send(router.clone(), request);
        assert_eq!(
            Verdict::of(send(good(&api)).await),
            Verdict::Admitted,
            "{i}"
        );
        let rejected = send(bearer(&api.token().mint())).await;
        assert_eq!(rejected.status(), StatusCode::UNAUTHORIZED, "{i}");
    }
}

const _: () = {
    const fn shared<T: Clone + Send + Sync + fmt::Debug + 'static>() {}
    const fn sent<T: Send + 'static>() {}
    const fn sync<T: Send + Sync + Unpin + fmt::Debug + 'static>() {}
    type Leaf = ConcurrencyLimit<OnlyWhenReady>;
    shared::<DpopLayer>();
    shared::<Dpop<OnlyWhenReady>>();
    shared::<RequireScopeLayer>();
    shared::<RequireScope<OnlyWhenReady>>();
    shared::<Arc<DpopConfig>>();
    shared::<Rejection>();
    shared::<BoundToken>();
    shared::<BearerToken>();
    sent::<ResponseFuture<OnlyWhenReady, ()>>();
    sent::<ResponseFuture<Leaf, ()>>();
    sync::<ResponseBody<Full<Bytes>>>();
};
