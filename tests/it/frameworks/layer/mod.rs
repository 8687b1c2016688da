//! The layer as a tower middleware: readiness, cancellation, types, and layers around layers.

use std::{
    convert::Infallible,
    fmt,
    future::{self, Future},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use axum::{Router, body::Body, extract::Request as AxumRequest, routing};
use bytes::Bytes;
use dpop_tower::{
    BearerToken, BoundToken, Dpop, DpopConfig, DpopConfigBuilder, DpopLayer, Policy, PublicOrigin,
    RequireScope, RequireScopeLayer, ResponseBody, ResponseFuture,
    clock::UnixTime,
    future::MaybeReady,
    rejection::{Rejection, RejectionKind},
    replay::{AcceptanceWindows, Freshness, ReplayKey, ReplayStore, StoreError},
    test_util::TestIssuer,
    token::{PresentedToken, TokenError, TokenVerifier, VerifiedToken},
};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use tokio::{sync::oneshot, time::timeout};
use tower::{
    Layer as _, Service, ServiceBuilder, ServiceExt as _,
    limit::{ConcurrencyLimit, ConcurrencyLimitLayer},
    service_fn,
};

use crate::{
    stores::CountingStore,
    support::{Api, ORIGIN, URL, Verdict},
};

/// Far longer than anything here takes, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(5);

fn config(api: &Api) -> DpopConfigBuilder {
    DpopConfig::builder(PublicOrigin::new(ORIGIN).unwrap(), api.issuer.tokens())
        .clock(api.clock.clone())
}

fn layer(api: &Api) -> DpopLayer {
    DpopLayer::new(config(api).build().unwrap())
}

fn good(api: &Api) -> Request<()> {
    api.client.get(URL, &api.token().mint())
}

fn without_credentials() -> Request<()> {
    Request::new(())
}

fn bearer(token: &str) -> Request<()> {
    Request::get("/orders")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(())
        .unwrap()
}

async fn ok<B>(_: Request<B>) -> Result<Response<Body>, Infallible> {
    Ok(Response::default())
}

fn rejection<B>(response: &Response<B>) -> &Rejection {
    response.extensions().get().unwrap()
}

/// Panics if it is called without having been polled ready, as its clones have not.
#[derive(Debug, Default)]
struct OnlyWhenReady {
    is_ready: bool,
}

impl Clone for OnlyWhenReady {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<Request<()>> for OnlyWhenReady {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        assert!(self.is_ready, "called without being ready");
        self.is_ready = false;
        future::ready(Ok(Response::default()))
    }
}

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

/// Whoever keeps the response and the service, as an idle connection does, keeps no permit.
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
async fn the_inner_service_never_sees_a_rejected_request() {
    let api = Api::new();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let service = layer(&api).layer(service_fn(move |request: Request<()>| {
        counted.fetch_add(1, Ordering::SeqCst);
        ok(request)
    }));
    let token = api.token().mint();
    let stolen = dpop_tower::test_util::TestClient::new()
        .clock(api.clock.clone())
        .get(URL, &token);
    for (what, request) in [
        ("no credentials", without_credentials()),
        ("bearer", bearer(&token)),
        ("stolen", stolen),
        ("other target", api.client.get("https://api.test/x", &token)),
    ] {
        let mut request = request;
        *request.uri_mut() = "/orders".parse().unwrap();
        let response = service.clone().oneshot(request).await.unwrap();
        assert_ne!(Verdict::of(response), Verdict::Admitted, "{what}");
    }
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    service.oneshot(good(&api)).await.unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[derive(Debug, PartialEq)]
struct InnerError(u8);

impl fmt::Display for InnerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "inner error {}", self.0)
    }
}

impl std::error::Error for InnerError {}

/// Neither `Clone`, nor made of nothing, nor an HTTP body.
#[derive(Debug, PartialEq)]
struct OwnBody(&'static str);

async fn read<B>(response: Response<B>) -> Bytes
where
    B: http_body::Body<Error: fmt::Debug>,
{
    response.into_body().collect().await.unwrap().to_bytes()
}

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

/// That it compiles is half of the test.
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

/// Takes any token for one of `subject`, bound to the key it is told.
#[derive(Debug)]
pub(crate) struct AnyToken {
    pub(crate) claims: Value,
}

impl TokenVerifier for AnyToken {
    fn verify(
        &self,
        _: PresentedToken<'_>,
        _: UnixTime,
    ) -> MaybeReady<Result<VerifiedToken, TokenError>> {
        MaybeReady::ready(VerifiedToken::new(
            self.claims.as_object().cloned().unwrap(),
        ))
    }
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

#[tokio::test]
async fn the_inner_service_gets_credentials_that_are_marked_sensitive() {
    async fn report(request: Request<()>) -> Result<Response<Full<Bytes>>, Infallible> {
        let is_sensitive = |headers: &HeaderMap, name| {
            let values = headers.get_all(name).iter();
            values.map(http::HeaderValue::is_sensitive).collect()
        };
        let mut report: Vec<bool> = is_sensitive(request.headers(), "authorization");
        report.extend(is_sensitive(request.headers(), "dpop"));
        Ok(Response::new(format!("{report:?}").into()))
    }
    let api = Api::new();
    let service = layer(&api)
        .with_policy(Policy::optional())
        .layer(service_fn(report));
    let bound = service.clone().oneshot(good(&api)).await.unwrap();
    assert_eq!(read(bound).await, "[true, true]");

    let mut with_stray_proofs = bearer(&api.issuer.token().mint());
    for proof in ["a", "b"] {
        let value = http::HeaderValue::from_static(proof);
        with_stray_proofs.headers_mut().append("dpop", value);
    }
    let unbound = service.oneshot(with_stray_proofs).await.unwrap();
    assert_eq!(read(unbound).await, "[true, true, true]");
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
    fn check_and_insert(
        &self,
        _: ReplayKey,
        _: UnixTime,
        _: UnixTime,
    ) -> MaybeReady<Result<Freshness, StoreError>> {
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

/// Does all that a responder should not do.
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
