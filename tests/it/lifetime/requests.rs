//! Request bodies that outlive their token, and bodies between the layer and the reader.

use std::{
    convert::Infallible,
    future::{Future, pending},
    io,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    middleware::{Next, from_fn},
    routing::post,
};
use dpop_tower::{DpopLayer, Policy, RequireScopeLayer, rejection::ProblemDetails};
use grpc_example::{
    calls::pears,
    orders::OrderDesk,
    proto::{orders_client::OrdersClient, orders_server::OrdersServer},
};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tokio_stream::StreamExt as _;
use tonic::{
    Code,
    service::Routes,
    transport::{Channel, Endpoint, Server},
};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_http::{limit::RequestBodyLimitLayer, map_request_body::MapRequestBodyLayer};

use super::{
    Announced, Api, LIFETIME, PausedClock, Pipe, answering, client_of, end, every_second,
    is_token_expired, read, send, ticking, with_proof,
};
use crate::{
    frameworks::orders::quote,
    rejection::challenge::Challenge,
    support::{ORIGIN, Verdict, invalid_token},
};

/// A body of a type that only its owner knows.
struct Upload(Pipe);

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }
}

/// Returns an endless body, and a sender that shows whether the body still exists.
fn endless() -> (mpsc::UnboundedSender<&'static str>, Upload) {
    let (sender, receiver) = mpsc::unbounded_channel();
    sender.send("more").unwrap();
    (sender, Upload(Pipe(receiver)))
}

/// Reads the whole request before it responds.
async fn read_all(request: Request<Upload>) -> Result<Response<Full<Bytes>>, Infallible> {
    let read = request.into_body().collect().await.unwrap().to_bytes();
    Ok(Response::new(Full::from(read)))
}

/// Reads the request at once, and takes an hour to respond.
async fn takes_an_hour(_: Request<Upload>) -> Result<Response<Full<Bytes>>, Infallible> {
    sleep(Duration::from_secs(3600)).await;
    Ok(Response::new(Full::from("late")))
}

/// Returns a request with an endless body and this method, version and header.
fn upload(
    api: &Api<PausedClock>,
    (method, version, header): (Method, Version, Option<(HeaderName, &'static str)>),
) -> (mpsc::UnboundedSender<&'static str>, Request<Upload>) {
    let (sender, body) = endless();
    let mut request = api.request(method, "/").map(|()| body);
    *request.version_mut() = version;
    if let Some((name, value)) = header {
        let value = HeaderValue::from_static(value);
        request.headers_mut().insert(name, value);
    }
    (sender, request)
}

/// Fails instead of waiting forever.
async fn within_an_hour<F: Future>(future: F) -> F::Output {
    let result = tokio::time::timeout(Duration::from_secs(3600), future).await;
    result.expect("it ends with the token")
}

/// HTTP/1.1 has no other way to send a body of unknown length.
const CHUNKED: (Method, Version, Option<(HeaderName, &str)>) = (
    Method::POST,
    Version::HTTP_11,
    Some((header::TRANSFER_ENCODING, "chunked")),
);

#[tokio::test(start_paused = true)]
async fn the_settings_of_a_layer_may_be_made_in_any_order() {
    let api = Api::new();
    let policy = || Policy::strict().require_scope("orders").build().unwrap();
    let table = || {
        let table = dpop_tower::PolicyTable::builder().route("/", policy());
        table.build().unwrap()
    };
    for layer in [
        (api.layer().end_streams_at_expiry().with_policy(policy()))
            .with_rejection_response(ProblemDetails),
        (api.layer().with_policy(policy()).end_streams_at_expiry())
            .with_rejection_response(ProblemDetails),
        (api.layer().with_rejection_response(ProblemDetails))
            .with_policy(policy())
            .end_streams_at_expiry(),
        (api.layer().end_streams_at_expiry().with_policy(table()))
            .with_rejection_response(ProblemDetails),
        (api.layer().end_streams_at_expiry().end_streams_at_expiry())
            .with_policy(table())
            .with_rejection_response(ProblemDetails),
    ] {
        let router = answering(ticking).layer(layer);
        let rejected = api.get(router.clone()).await;
        assert_eq!(rejected.status(), StatusCode::FORBIDDEN);
        let body = rejected.into_body().collect().await.unwrap().to_bytes();
        assert!(body.starts_with(br#"{"status":403,"#), "{body:?}");

        let token = api.unbound().scope("orders").bound_to(&api.client).mint();
        let url = format!("{ORIGIN}/");
        let request = api.client.request(Method::GET, &url, &token);
        let response = send(router, request).await;
        let (_, end) = within_an_hour(read(response.into_body())).await;
        assert!(is_token_expired(&end.unwrap_err()));
    }
}

#[tokio::test(start_paused = true)]
async fn what_goes_on_is_cut_off_behind_functions_and_scopes_too() {
    async fn pass(request: axum::extract::Request, next: Next) -> axum::response::Response {
        next.run(request).await
    }
    let api = Api::new();
    let reads = async |body: Body| {
        let (pieces, end) = read(body).await;
        assert!(pieces >= 100, "{pieces}");
        assert!(is_token_expired(&end.unwrap_err()));
        Body::new(Pipe(endless().1.0.0))
    };
    let router = Router::new()
        .route("/", post(reads).get(async || ticking()))
        .layer(RequireScopeLayer::new("orders").unwrap())
        .layer(from_fn(pass))
        .layer(api.layer().end_streams_at_expiry())
        .layer(from_fn(pass));
    let began = Instant::now();
    let token = || api.unbound().scope("orders").bound_to(&api.client).mint();
    let url = format!("{ORIGIN}/");
    let request = api.client.request(Method::POST, &url, &token());
    let response = router.clone().oneshot(request.map(|()| ticking())).await;
    assert_eq!(response.unwrap().status(), StatusCode::OK);
    assert_eq!(began.elapsed().as_secs(), LIFETIME.unsigned_abs());

    let request = api.client.request(Method::GET, &url, &token());
    let (_, end) = read(send(router, request).await.into_body()).await;
    assert!(is_token_expired(&end.unwrap_err()));
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_length_was_announced_is_left_alone() {
    let api = Api::new();
    let layer = api.layer().end_streams_at_expiry();
    let router = Router::new().route("/", post(async |body: Bytes| body));
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        sender.send("half").unwrap();
        sleep(Duration::from_secs(3600)).await;
        sender.send("half").unwrap();
    });
    let request = api.request(Method::POST, "/");
    let request = request.map(|()| Body::new(Announced(Pipe(receiver))));
    let response = router.layer(layer).oneshot(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "halfhalf");
}

#[tokio::test(start_paused = true)]
async fn a_limit_outside_is_still_told_from_a_broken_body() {
    let api = Api::new();
    let router = Router::new()
        .route("/", post(async |body: Bytes| body))
        .layer(api.layer().end_streams_at_expiry())
        .layer(RequestBodyLimitLayer::new(10));
    for (text, status) in [("short", 200), ("longer than ten", 413)] {
        let (sender, receiver) = mpsc::unbounded_channel();
        sender.send(text).unwrap();
        drop(sender);
        let request = api.request(Method::POST, "/");
        let request = request.map(|()| Body::new(Pipe(receiver)));
        let response = router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), status, "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_of_another_type_is_given_up_while_there_is_no_answer() {
    let api = Api::new();
    let layer = api.layer().end_streams_at_expiry();
    let layer = layer.with_rejection_response(ProblemDetails);
    let service = layer.layer(service_fn(read_all));
    for kind in [
        CHUNKED,
        (Method::GET, CHUNKED.1, CHUNKED.2),
        (Method::POST, Version::HTTP_2, None),
        (Method::PUT, Version::HTTP_2, None),
        (Method::PATCH, Version::HTTP_3, None),
    ] {
        let what = format!("{kind:?}");
        let (sender, request) = upload(&api, kind);
        let began = Instant::now();
        let response = within_an_hour(service.clone().oneshot(request))
            .await
            .unwrap();
        assert_eq!(began.elapsed().as_secs(), LIFETIME.unsigned_abs(), "{what}");
        assert!(sender.is_closed(), "{what}");
        let challenge = &Challenge::all(response.headers())[0];
        let told = challenge.get("error_description");
        assert_eq!(told, Some("the token has expired"), "{what}");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        assert!(body.starts_with(br#"{"status":401,"#), "{body:?}");
        let verdict = Verdict::of(Response::from_parts(parts, ()));
        assert_eq!(verdict, invalid_token("token_expired"), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_grpc_request_of_another_type_is_given_up_in_words_of_grpc() {
    let api = Api::new();
    let service = api
        .layer()
        .end_streams_at_expiry()
        .layer(service_fn(read_all));
    for content_type in [
        "application/grpc",
        "application/grpc+proto",
        "application/grpc-web",
    ] {
        let grpc = Some((header::CONTENT_TYPE, content_type));
        let (sender, request) = upload(&api, (Method::POST, Version::HTTP_2, grpc));
        let response = within_an_hour(service.clone().oneshot(request))
            .await
            .unwrap();
        assert!(sender.is_closed());
        assert_eq!(response.status(), StatusCode::OK);
        let headers = response.headers();
        assert_eq!(headers["grpc-status"], "16");
        assert_eq!(headers["grpc-message"], "the token has expired");
        assert_eq!(
            Challenge::all(headers)[0].get("error"),
            Some("invalid_token")
        );
        assert!(response.into_body().is_end_stream());
    }
}

/// According to their heads, none of these requests is endless, or no deadline applies.
#[tokio::test(start_paused = true)]
async fn an_answer_to_a_request_that_is_no_stream_may_take_longer_than_its_token() {
    let api = Api::new();
    let ends = || api.layer().end_streams_at_expiry();
    let length = Some((header::CONTENT_LENGTH, "4"));
    for (layer, kind) in [
        (ends(), (Method::POST, Version::HTTP_11, length.clone())),
        (ends(), (Method::POST, Version::HTTP_11, None)),
        (ends(), (Method::GET, Version::HTTP_11, None)),
        (ends(), (Method::POST, Version::HTTP_2, length)),
        (ends(), (Method::GET, Version::HTTP_2, None)),
        (ends(), (Method::DELETE, Version::HTTP_2, None)),
        (api.layer(), CHUNKED),
        (ends().with_policy(Policy::off()), CHUNKED),
        (ends().with_policy(Policy::report_only()), CHUNKED),
        (
            ends().with_policy(Policy::strict().danger_let_streams_outlive_tokens()),
            CHUNKED,
        ),
    ] {
        let what = format!("{layer:?}: {kind:?}");
        let (_sender, request) = upload(&api, kind);
        let service = layer.layer(service_fn(takes_an_hour));
        let response = service.oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{what}");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "late", "{what}");
    }
}

/// A layer around a layer that does not end streams still ends them.
#[tokio::test(start_paused = true)]
async fn of_two_layers_either_may_give_a_request_up() {
    let api = Api::new();
    let layer = api.layer();
    let lenient = Policy::strict().danger_let_streams_outlive_tokens();
    let lenient = layer.clone().with_policy(lenient);
    for (outer, inner) in [
        (layer.clone().end_streams_at_expiry(), lenient.clone()),
        (lenient.clone(), layer.clone().end_streams_at_expiry()),
        (layer.clone(), lenient.end_streams_at_expiry()),
        (
            layer.clone(),
            layer
                .clone()
                .with_policy(Policy::off())
                .end_streams_at_expiry(),
        ),
    ] {
        let what = format!("{outer:?} around {inner:?}");
        let service = outer.layer(inner.layer(service_fn(read_all)));
        let (sender, request) = upload(&api, CHUNKED);
        let response = within_an_hour(service.oneshot(request)).await.unwrap();
        assert_eq!(
            Verdict::of(response),
            invalid_token("token_expired"),
            "{what}"
        );
        assert!(sender.is_closed(), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn once_an_answer_has_begun_only_its_own_end_is_watched() {
    let api = Api::new();
    let echo = service_fn(async |request: Request<Upload>| {
        let response = Response::builder().header(header::CONTENT_TYPE, "text/event-stream");
        Ok::<_, Infallible>(response.body(request.into_body()).unwrap())
    });
    let service = api.layer().end_streams_at_expiry().layer(echo);
    let (sender, request) = upload(&api, CHUNKED);
    let began = Instant::now();
    let response = within_an_hour(service.oneshot(request)).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "more");
    assert_eq!(began.elapsed().as_secs(), LIFETIME.unsigned_abs());
    assert!(sender.is_closed());
}

/// The service does no more work for a request that was abandoned.
#[tokio::test(start_paused = true)]
async fn a_request_that_is_given_up_takes_the_future_of_the_service_with_it() {
    let api = Api::new();
    let (alive, dropped) = mpsc::unbounded_channel::<Infallible>();
    let service = service_fn(move |request: Request<Upload>| {
        let alive = alive.clone();
        async move {
            let _kept = (request, alive);
            pending::<Result<Response<Full<Bytes>>, Infallible>>().await
        }
    });
    let mut service = api.layer().end_streams_at_expiry().layer(service);
    let (_sender, request) = upload(&api, CHUNKED);
    let mut future = pin!(tower::Service::call(&mut service, request));
    let response = within_an_hour(future.as_mut()).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    // What is left belongs to the service, which the layer keeps for the next request.
    assert_eq!(dropped.sender_strong_count(), 1);
}

/// Converts any body to axum's, which can be ended by itself.
#[tokio::test(start_paused = true)]
async fn a_body_of_another_type_can_be_made_one_that_ends_alone() {
    let api = Api::new();
    let service = tower::ServiceBuilder::new()
        .layer(MapRequestBodyLayer::new(Body::new))
        .layer(api.layer().end_streams_at_expiry())
        .service(service_fn(async |request: Request<Body>| {
            let (pieces, end) = read(request.into_body()).await;
            assert!(is_token_expired(&end.unwrap_err()));
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(format!("{pieces}"))))
        }));
    let (_sender, request) = upload(&api, CHUNKED);
    let response = service.oneshot(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "1");
}

/// A client sends chunks forever to a service that hyper serves with its own body type.
#[tokio::test(start_paused = true)]
async fn hyper_answers_a_client_that_goes_on_sending_chunks() {
    let api = Api::new();
    let service = api.layer().end_streams_at_expiry().layer(service_fn(
        async |request: Request<hyper::body::Incoming>| {
            let read = request.into_body().collect().await;
            Ok::<_, Infallible>(Response::new(Full::new(read.unwrap().to_bytes())))
        },
    ));
    let (client, server) = tokio::io::duplex(1 << 16);
    let service = hyper_util::service::TowerToHyperService::new(service);
    let server =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(server), service);
    // The client's reaction does not matter.
    tokio::spawn(async { server.await.ok() });
    let (mut client, connection) = hyper::client::conn::http1::handshake(TokioIo::new(client))
        .await
        .unwrap();
    tokio::spawn(async { connection.await.ok() });
    let mut request = api.request(Method::POST, "/").map(|()| ticking());
    *request.uri_mut() = "/".parse().unwrap();
    let host = HeaderValue::from_static("api.test");
    request.headers_mut().insert(header::HOST, host);
    let began = Instant::now();
    let response = within_an_hour(client.send_request(request)).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let challenge = &Challenge::all(response.headers())[0];
    assert_eq!(challenge.get("error"), Some("invalid_token"));
    assert_eq!(began.elapsed().as_secs(), LIFETIME.unsigned_abs());
}

/// Asserts that a stream of requests and a stream in both directions end with their token.
async fn assert_ends<F>(connect: impl Fn(DpopLayer) -> F)
where
    F: Future<Output = Channel>,
{
    let api = Api::new();
    let mut client = OrdersClient::new(connect(api.layer()).await);
    let began = Instant::now();
    let request = with_proof(
        &api,
        "/orders.v1.Orders/PlaceAll",
        every_second(|| pears(1)),
    );
    let status = client.place_all(request).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(status.message(), "the token has expired");
    assert_eq!(began.elapsed().as_secs(), LIFETIME.unsigned_abs());

    let began = Instant::now();
    let request = with_proof(&api, "/orders.v1.Orders/Quote", every_second(|| quote(1)));
    let mut offers = client.quote(request).await.unwrap().into_inner();
    let status = end(&mut offers).await.unwrap();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(status.message(), "the token has expired");
    assert_eq!(began.elapsed().as_secs(), LIFETIME.unsigned_abs());
}

#[tokio::test(start_paused = true)]
async fn streams_of_a_single_service_of_tonic_end() {
    assert_ends(async |layer| {
        let service = layer
            .end_streams_at_expiry()
            .layer(OrdersServer::new(OrderDesk));
        client_of!(Server::builder().add_service(service))
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn streams_of_a_single_service_with_an_interceptor_end() {
    use dpop_tower::grpc::RequestExt as _;

    assert_ends(async |layer| {
        let known = |request: tonic::Request<()>| {
            request.bound_token()?;
            Ok(request)
        };
        let service = OrdersServer::with_interceptor(OrderDesk, known);
        let service = layer.end_streams_at_expiry().layer(service);
        client_of!(Server::builder().add_service(service))
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn streams_of_tonic_in_a_router_of_axum_end() {
    assert_ends(async |layer| {
        let routes = Routes::new(OrdersServer::new(OrderDesk)).into_axum_router();
        let router = routes.layer(layer.end_streams_at_expiry());
        client_of!(Server::builder().add_routes(Routes::from(router)))
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn streams_end_behind_grpc_web_and_in_front_of_it() {
    use tonic_web::GrpcWebLayer;

    assert_ends(async |layer| {
        let layer = layer.end_streams_at_expiry();
        let mut server = Server::builder().layer(GrpcWebLayer::new()).layer(layer);
        client_of!(server.add_service(OrdersServer::new(OrderDesk)))
    })
    .await;
    assert_ends(async |layer| {
        let layer = layer.end_streams_at_expiry();
        let mut server = Server::builder().layer(layer).layer(GrpcWebLayer::new());
        client_of!(server.add_service(OrdersServer::new(OrderDesk)))
    })
    .await;
}
