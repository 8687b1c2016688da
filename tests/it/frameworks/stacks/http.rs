//! axum, `ServiceBuilder`, tower-http and plain hyper.

use std::{convert::Infallible, time::Duration};

use axum::{
    Router,
    body::Body,
    error_handling::HandleErrorLayer,
    extract::Request,
    middleware::{Next, from_fn, from_fn_with_state, map_request, map_response},
    response::Response,
    routing::get,
};
use bytes::Bytes;
use dpop_tower::{BoundToken, RequireScopeLayer, rejection::ProblemDetails};
use http::{HeaderValue, StatusCode, header};
use http_body_util::{Empty, Full, Limited};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use tower::{
    BoxError, Layer as _, ServiceBuilder, ServiceExt as _,
    limit::ConcurrencyLimitLayer,
    service_fn,
    timeout::TimeoutLayer as TowerTimeoutLayer,
    util::{BoxCloneSyncService, option_layer},
};
use tower_http::{
    catch_panic::CatchPanicLayer, compression::CompressionLayer, cors::CorsLayer,
    limit::RequestBodyLimitLayer, map_request_body::MapRequestBodyLayer,
    map_response_body::MapResponseBodyLayer, set_header::SetResponseHeaderLayer,
    timeout::TimeoutLayer, trace::TraceLayer,
};

use super::{PROBLEM, assert_guards, layer, subject, text};
use crate::support::{Api, URL};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

async fn handler(token: BoundToken) -> String {
    token.claims().subject().unwrap().to_owned()
}

fn routes() -> Router {
    Router::new().route("/orders", get(handler))
}

async fn pass(request: Request, next: Next) -> Response {
    next.run(request).await
}

/// A middleware that reads the caller's identity.
async fn tell(request: Request, next: Next) -> Response {
    let subject = HeaderValue::try_from(subject(&request)).unwrap();
    let mut response = next.run(request).await;
    response.headers_mut().insert("x-subject", subject);
    response
}

fn timeout() -> TimeoutLayer {
    TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, LONG)
}

async fn failed(_: BoxError) -> StatusCode {
    StatusCode::INTERNAL_SERVER_ERROR
}

/// Makes a test of each stack: by itself, and with every setting that affects bodies.
macro_rules! stacks {
    ($($name:ident: |$layer:ident| $stack:expr;)+) => {$(
        #[tokio::test]
        async fn $name() {
            let api = Api::new();
            let $layer = layer(&api);
            assert_guards(&api, $stack, "").await;
            let $layer = layer(&api).with_rejection_response(ProblemDetails).end_streams_at_expiry();
            assert_guards(&api, $stack, PROBLEM).await;
        }
    )+};
}

stacks! {
    a_router: |dpop| routes().layer(dpop);
    a_router_with_a_route_layer: |dpop| routes().route_layer(dpop);
    a_method_router: |dpop| Router::new().route("/orders", get(handler).layer(dpop));
    a_service_in_a_router: |dpop| {
        let service = service_fn(async |request: Request| {
            Ok::<_, Infallible>(Response::new(Body::from(subject(&request))))
        });
        Router::new().route_service("/orders", dpop.layer(service))
    };
    a_fallback: |dpop| Router::new().fallback(handler).layer(dpop);
    a_router_in_a_router: |dpop| {
        Router::new().merge(routes().layer(dpop)).fallback(async || StatusCode::NOT_FOUND)
    };
    a_layer_around_a_layer: |dpop| routes().layer(dpop.clone()).layer(dpop);
    a_service_builder_with_one_layer: |dpop| routes().layer(ServiceBuilder::new().layer(dpop));
    tracing_inside: |dpop| {
        routes().layer(ServiceBuilder::new().layer(dpop).layer(TraceLayer::new_for_http()))
    };
    tracing_outside: |dpop| {
        routes().layer(ServiceBuilder::new().layer(TraceLayer::new_for_http()).layer(dpop))
    };
    compression_inside: |dpop| {
        routes().layer(ServiceBuilder::new().layer(dpop).layer(CompressionLayer::new()))
    };
    compression_outside: |dpop| {
        routes().layer(ServiceBuilder::new().layer(CompressionLayer::new()).layer(dpop))
    };
    a_limit_of_request_bodies_inside: |dpop| {
        routes().layer(ServiceBuilder::new().layer(dpop).layer(RequestBodyLimitLayer::new(100)))
    };
    a_limit_of_request_bodies_outside: |dpop| {
        routes().layer(ServiceBuilder::new().layer(RequestBodyLimitLayer::new(100)).layer(dpop))
    };
    panics_caught_inside: |dpop| {
        routes().layer(ServiceBuilder::new().layer(dpop).layer(CatchPanicLayer::new()))
    };
    panics_caught_outside: |dpop| {
        routes().layer(ServiceBuilder::new().layer(CatchPanicLayer::new()).layer(dpop))
    };
    a_timeout_inside: |dpop| routes().layer(ServiceBuilder::new().layer(dpop).layer(timeout()));
    a_timeout_outside: |dpop| routes().layer(ServiceBuilder::new().layer(timeout()).layer(dpop));
    cors_inside: |dpop| routes().layer(ServiceBuilder::new().layer(dpop).layer(CorsLayer::permissive()));
    cors_outside: |dpop| routes().layer(ServiceBuilder::new().layer(CorsLayer::permissive()).layer(dpop));
    a_function_inside: |dpop| routes().layer(from_fn(tell)).layer(dpop);
    a_function_inside_of_a_service_builder: |dpop| {
        routes().layer(ServiceBuilder::new().layer(dpop).layer(from_fn(tell)))
    };
    a_function_outside: |dpop| routes().layer(dpop).layer(from_fn(pass));
    functions_on_both_sides: |dpop| {
        routes().layer(ServiceBuilder::new().layer(from_fn(pass)).layer(dpop).layer(from_fn(tell)))
    };
    a_function_with_state_inside: |dpop| {
        let with_state = |_: axum::extract::State<u8>, request, next| tell(request, next);
        routes().layer(ServiceBuilder::new().layer(dpop).layer(from_fn_with_state(7_u8, with_state)))
    };
    mapped_requests_and_responses_inside: |dpop| {
        let request = map_request(async |request: Request| request);
        let response = map_response(async |response: Response| response);
        routes().layer(ServiceBuilder::new().layer(dpop).layer(request).layer(response))
    };
    mapped_bodies_inside: |dpop| {
        let request = MapRequestBodyLayer::new(|body: Body| Limited::new(body, 100));
        let response = MapResponseBodyLayer::new(|body: Body| Limited::new(body, 100));
        routes().layer(ServiceBuilder::new().layer(dpop).layer(request).layer(response))
    };
    mapped_bodies_outside: |dpop| {
        let request = MapRequestBodyLayer::new(|body: Body| Limited::new(body, 100));
        let response = MapResponseBodyLayer::new(Body::new);
        routes().layer(ServiceBuilder::new().layer(request).layer(response).layer(dpop))
    };
    an_error_of_a_layer_handled_outside: |dpop| {
        let timeout = TowerTimeoutLayer::new(LONG);
        let handle = HandleErrorLayer::new(failed);
        routes().layer(ServiceBuilder::new().layer(handle).layer(dpop).layer(timeout))
    };
    an_error_of_a_layer_handled_inside: |dpop| {
        let timeout = TowerTimeoutLayer::new(LONG);
        let handle = HandleErrorLayer::new(failed);
        routes().layer(ServiceBuilder::new().layer(dpop).layer(handle).layer(timeout))
    };
    a_limit_of_concurrency_inside: |dpop| {
        routes().layer(ServiceBuilder::new().layer(dpop).layer(ConcurrencyLimitLayer::new(1)))
    };
    an_optional_layer: |dpop| {
        // With and without it, responses must have the same type.
        let same_type = MapResponseBodyLayer::new(Body::new);
        routes().layer(option_layer(Some(ServiceBuilder::new().layer(same_type).layer(dpop))))
    };
    a_boxed_service: |dpop| {
        let service = ServiceBuilder::new().layer(dpop).layer(TraceLayer::new_for_http()).service(routes());
        BoxCloneSyncService::new(service)
    };
    the_layers_of_a_service_in_their_usual_order: |dpop| {
        routes().layer(
            ServiceBuilder::new()
                .layer(TraceLayer::new_for_http())
                .layer(CorsLayer::permissive())
                .layer(timeout())
                .layer(CompressionLayer::new())
                .layer(dpop)
                .layer(from_fn(tell))
                .layer(RequestBodyLimitLayer::new(100))
                .layer(CatchPanicLayer::new()),
        )
    };
    the_layers_of_a_service_all_inside: |dpop| {
        let server = HeaderValue::from_static("test");
        routes().layer(
            ServiceBuilder::new()
                .layer(dpop)
                .layer(TraceLayer::new_for_http())
                .layer(CatchPanicLayer::new())
                .layer(CompressionLayer::new())
                .layer(RequestBodyLimitLayer::new(100))
                .layer(timeout())
                .layer(SetResponseHeaderLayer::overriding(header::SERVER, server)),
        )
    };
    the_layers_of_a_service_all_outside: |dpop| {
        routes().layer(
            ServiceBuilder::new()
                .layer(TraceLayer::new_for_http())
                .layer(CatchPanicLayer::new())
                .layer(CompressionLayer::new())
                .layer(RequestBodyLimitLayer::new(100))
                .layer(timeout())
                .layer(dpop),
        )
    };
}

#[tokio::test]
async fn a_scope_is_asked_for_among_other_layers_and_with_a_responder_of_its_own() {
    let api = Api::new();
    let scope = RequireScopeLayer::new("admin")
        .unwrap()
        .with_rejection_response(ProblemDetails);
    let inside = ServiceBuilder::new()
        .layer(layer(&api).end_streams_at_expiry())
        .layer(scope.clone())
        .layer(CompressionLayer::new())
        .layer(TraceLayer::new_for_http());
    let outside = ServiceBuilder::new()
        .layer(TraceLayer::new_for_http())
        .layer(from_fn(pass))
        .layer(scope)
        .layer(from_fn(tell))
        .layer(CatchPanicLayer::new());
    let routers = [
        routes().layer(inside),
        routes().route_layer(outside).layer(layer(&api)),
    ];
    for router in routers {
        for (granted, status) in [("admin", 200), ("user", 403)] {
            let request = api.client.get(URL, &api.token().scope(granted).mint());
            let response = crate::support::send(router.clone(), request).await;
            assert_eq!(response.status(), status);
            let told = r#""error":"insufficient_scope""#;
            assert_eq!(text(response).await.contains(told), status == 403);
        }
    }
}

#[tokio::test]
async fn a_nested_router_keeps_its_prefix_among_other_layers() {
    let api = Api::new();
    let stack = ServiceBuilder::new()
        .layer(layer(&api).end_streams_at_expiry())
        .layer(TraceLayer::new_for_http())
        .layer(from_fn(tell));
    let router = Router::new().nest("/api", routes().layer(stack));
    let url = "https://api.test/api/orders";
    let request = api.client.get(url, &api.token().mint());
    let response = crate::support::send(router, request).await;
    assert_eq!(response.headers()["x-subject"], "alice");
}

/// hyper serves this service with hyper's own bodies.
async fn over_hyper(version: http::Version, is_good: bool) -> http::Response<Incoming> {
    let api = Api::new();
    let service = ServiceBuilder::new()
        .layer(TraceLayer::new_for_http())
        .layer(
            layer(&api)
                .with_rejection_response(ProblemDetails)
                .end_streams_at_expiry(),
        )
        .layer(CompressionLayer::new())
        .layer(RequestBodyLimitLayer::new(100))
        .service(service_fn(
            async |request: http::Request<tower_http::body::Limited<Incoming>>| {
                Ok::<_, Infallible>(http::Response::new(Full::<Bytes>::from(subject(&request))))
            },
        ));
    let service = TowerToHyperService::new(service);
    let (client, server) = tokio::io::duplex(1 << 16);
    let (client, server) = (TokioIo::new(client), TokioIo::new(server));
    let mut request = match is_good {
        true => api.client.get(URL, &api.token().mint()),
        false => http::Request::get(URL).body(()).unwrap(),
    }
    .map(|()| Empty::<Bytes>::new());
    if version == http::Version::HTTP_2 {
        let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(server, service);
        tokio::spawn(server);
        let (mut client, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), client)
                .await
                .unwrap();
        tokio::spawn(connection);
        client.send_request(request).await.unwrap()
    } else {
        let server = hyper::server::conn::http1::Builder::new().serve_connection(server, service);
        tokio::spawn(server);
        let (mut client, connection) = hyper::client::conn::http1::handshake(client).await.unwrap();
        tokio::spawn(connection);
        *request.uri_mut() = "/orders".parse().unwrap();
        let host = HeaderValue::from_static("api.test");
        request.headers_mut().insert(header::HOST, host);
        client.send_request(request).await.unwrap()
    }
}

#[tokio::test]
async fn hyper_serves_the_layer_around_a_plain_service_over_either_version() {
    for version in [http::Version::HTTP_11, http::Version::HTTP_2] {
        let response = over_hyper(version, true).await;
        assert_eq!(response.status(), 200, "{version:?}");
        assert_eq!(text(response).await, "alice");

        let response = over_hyper(version, false).await;
        assert_eq!(response.status(), 401, "{version:?}");
        // The length is known, so the connection can be reused.
        let length = response.headers()[header::CONTENT_LENGTH].to_str().unwrap();
        assert_eq!(length, PROBLEM.len().to_string());
        assert_eq!(text(response).await, PROBLEM);
    }
}

/// A body without `Default`, whose data is made of `Bytes`.
#[tokio::test]
async fn a_body_that_cannot_be_made_of_nothing_is_good_enough() {
    let api = Api::new();
    let service = layer(&api).layer(service_fn(async |request: http::Request<Body>| {
        let body = Limited::new(Full::<Bytes>::from(subject(&request)), 100);
        Ok::<_, Infallible>(http::Response::new(body))
    }));
    assert_guards(&api, service.clone(), "").await;
    assert_guards(&api, service.boxed_clone(), "").await;
}
