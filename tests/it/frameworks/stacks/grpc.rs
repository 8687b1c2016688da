//! tonic: whole servers, single services, interceptors and gRPC-web.

use dpop_tower::{
    DpopConfig, DpopLayer, PublicOrigin, RequireScopeLayer, grpc::RequestExt as _,
    rejection::ProblemDetails, target::ForwardedTarget,
};
use grpc_example::{orders::OrderDesk, proto::orders_server::OrdersServer};
use tokio::{net::TcpListener, task::JoinHandle};
use tonic::{
    Code, Request, Status,
    service::{InterceptorLayer, LayerExt as _, Routes, interceptor::InterceptedService},
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};
use tonic_web::GrpcWebLayer;
use tower::{Layer as _, ServiceBuilder, limit::ConcurrencyLimitLayer};
use tower_http::{catch_panic::CatchPanicLayer, trace::TraceLayer};

use super::layer;
use crate::{
    frameworks::orders::{KINDS, Kind, Sent, call, challenge},
    support::Api,
};

/// Returns a client of a server on a socket.
async fn connected(serve: impl FnOnce(TcpIncoming) -> JoinHandle<()>) -> Channel {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    serve(TcpIncoming::from(listener));
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    endpoint.connect().await.unwrap()
}

/// Returns a client of a tonic router.
macro_rules! client_of {
    ($router:expr) => {{
        let router = $router;
        connected(|incoming| {
            tokio::spawn(async move { router.serve_with_incoming(incoming).await.unwrap() })
        })
        .await
    }};
}

/// Asserts that a call of each kind is admitted with valid credentials, and rejected with a challenge
/// without any.
async fn assert_guards(api: &Api, channel: Channel) {
    for kind in KINDS {
        let sent = Sent::good(api, kind);
        let (_, answers) = call(channel.clone(), kind, &sent).await.unwrap();
        assert_eq!(answers, kind.answers(), "{kind:?}");

        let bare = Sent::default();
        let status = call(channel.clone(), kind, &bare).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{kind:?}");
        assert_eq!(challenge(&status).get("error"), None, "{kind:?}");
    }
}

fn desk() -> OrdersServer<OrderDesk> {
    OrdersServer::new(OrderDesk)
}

#[expect(clippy::unnecessary_wraps, reason = "interceptors may reject")]
fn pass(request: Request<()>) -> Result<Request<()>, Status> {
    Ok(request)
}

/// An interceptor inside the layer knows the caller.
fn known(request: Request<()>) -> Result<Request<()>, Status> {
    request.bound_token()?;
    Ok(request)
}

/// Makes a test of each stack around a whole server: by itself, and with every setting that affects
/// bodies.
macro_rules! servers {
    ($($name:ident: |$layer:ident| $stack:expr;)+) => {$(
        #[tokio::test]
        async fn $name() {
            let api = Api::new();
            let $layer = layer(&api);
            let server = Server::builder().layer($stack).add_service(desk());
            assert_guards(&api, client_of!(server)).await;
            let $layer = layer(&api).end_streams_at_expiry().with_rejection_response(ProblemDetails);
            let server = Server::builder().layer($stack).add_service(desk());
            assert_guards(&api, client_of!(server)).await;
        }
    )+};
}

/// Does the same for single services.
macro_rules! services {
    ($($name:ident: |$layer:ident| $service:expr;)+) => {$(
        #[tokio::test]
        async fn $name() {
            let api = Api::new();
            let $layer = layer(&api);
            assert_guards(&api, client_of!(Server::builder().add_service($service))).await;
            let $layer = layer(&api).end_streams_at_expiry().with_rejection_response(ProblemDetails);
            assert_guards(&api, client_of!(Server::builder().add_service($service))).await;
        }
    )+};
}

servers! {
    a_server: |dpop| dpop;
    a_server_with_tracing_inside: |dpop| {
        ServiceBuilder::new().layer(dpop).layer(TraceLayer::new_for_grpc())
    };
    a_server_with_tracing_outside: |dpop| {
        ServiceBuilder::new().layer(TraceLayer::new_for_grpc()).layer(dpop)
    };
    a_server_with_panics_caught_inside: |dpop| {
        ServiceBuilder::new().layer(dpop).layer(CatchPanicLayer::new())
    };
    a_server_with_an_interceptor_inside: |dpop| {
        ServiceBuilder::new().layer(dpop).layer(InterceptorLayer::new(known))
    };
    a_server_with_an_interceptor_outside: |dpop| {
        ServiceBuilder::new().layer(InterceptorLayer::new(pass)).layer(dpop)
    };
    a_server_with_grpc_web_inside: |dpop| {
        ServiceBuilder::new().layer(dpop).layer(GrpcWebLayer::new())
    };
    a_server_with_grpc_web_outside: |dpop| {
        ServiceBuilder::new().layer(GrpcWebLayer::new()).layer(dpop)
    };
    a_server_with_a_limit_of_concurrency_inside: |dpop| {
        ServiceBuilder::new().layer(dpop).layer(ConcurrencyLimitLayer::new(8))
    };
    a_server_with_a_layer_around_a_layer: |dpop| {
        ServiceBuilder::new().layer(dpop.clone()).layer(dpop)
    };
    a_server_with_the_layers_one_by_one: |dpop| {
        // `Server::layer` accepts any layer, including this one.
        ServiceBuilder::new().layer(TraceLayer::new_for_grpc()).layer(dpop).into_inner()
    };
}

services! {
    a_single_service: |dpop| dpop.layer(desk());
    a_single_service_with_an_interceptor: |dpop| {
        dpop.layer(OrdersServer::with_interceptor(OrderDesk, known))
    };
    a_single_service_with_an_interceptor_outside: |dpop| {
        InterceptedService::new(dpop.layer(desk()), pass)
    };
    a_single_service_with_tracing_inside: |dpop| {
        dpop.layer(TraceLayer::new_for_grpc().named_layer(desk()))
    };
    a_single_service_with_tracing_outside: |dpop| {
        TraceLayer::new_for_grpc().named_layer(dpop.layer(desk()))
    };
    a_single_service_with_grpc_web_inside: |dpop| dpop.layer(GrpcWebLayer::new().layer(desk()));
    a_single_service_with_grpc_web_outside: |dpop| GrpcWebLayer::new().layer(dpop.layer(desk()));
    a_single_service_with_a_layer_around_a_layer: |dpop| dpop.layer(dpop.layer(desk()));
    a_single_service_that_needs_a_scope: |dpop| {
        dpop.layer(RequireScopeLayer::new("orders:write").unwrap().layer(desk()))
    };
    a_single_service_with_a_scope_and_an_interceptor: |dpop| {
        let service = OrdersServer::with_interceptor(OrderDesk, known);
        let scope = RequireScopeLayer::new("orders:write").unwrap().with_rejection_response(ProblemDetails);
        dpop.layer(scope.layer(service))
    };
}

#[tokio::test]
async fn a_server_with_layers_inside_and_outside() {
    let api = Api::new();
    let server = Server::builder()
        .layer(TraceLayer::new_for_grpc())
        .layer(GrpcWebLayer::new())
        .layer(layer(&api).end_streams_at_expiry())
        .layer(InterceptorLayer::new(known))
        .layer(RequireScopeLayer::new("orders:write").unwrap())
        .layer(CatchPanicLayer::new())
        .add_service(desk());
    assert_guards(&api, client_of!(server)).await;
}

#[tokio::test]
async fn a_router_of_axum_made_of_services_of_tonic() {
    let api = Api::new();
    for is_inside in [true, false] {
        let layer = layer(&api).end_streams_at_expiry();
        let router = match is_inside {
            true => Routes::new(layer.layer(desk())).into_axum_router(),
            false => Routes::new(desk()).into_axum_router().layer(layer),
        };
        let address = crate::frameworks::axum_router::serve(router).await;
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        assert_guards(&api, endpoint.connect().await.unwrap()).await;
    }
}

#[tokio::test]
async fn a_single_service_without_the_scope_is_permission_denied() {
    let api = Api::new();
    let service = RequireScopeLayer::new("admin").unwrap().layer(desk());
    let server = Server::builder().add_service(layer(&api).layer(service));
    let channel = client_of!(server);
    for kind in KINDS {
        let sent = Sent::good(&api, kind);
        let status = call(channel.clone(), kind, &sent).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{kind:?}");
        assert_eq!(challenge(&status).get("scope"), Some("admin"), "{kind:?}");
    }
}

/// By default, hyper accepts 16 KiB of headers over HTTP/2. A token and a proof may each have that much.
#[tokio::test]
async fn a_long_token_and_a_long_proof_need_a_setting_that_the_example_has() {
    let api = Api::new();
    let sent = |kind: Kind| {
        let token = api.token().scope("orders:write");
        let token = token.claim("groups", "g".repeat(10_700)).mint();
        let proof = api.client.proof("POST", &kind.htu()).access_token(&token);
        let proof = proof.claim("padding", "p".repeat(1_300)).sign();
        assert!((14_000..16_000).contains(&token.len()), "{}", token.len());
        assert!(proof.len() > 2_000, "{}", proof.len());
        Sent::new(&token, &proof)
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let config = api.config().build().unwrap();
    tokio::spawn(async {
        let until = std::future::pending();
        grpc_example::server::serve(listener, config, until)
            .await
            .ok();
    });
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let example = endpoint.connect().await.unwrap();
    let plain = client_of!(Server::builder().layer(layer(&api)).add_service(desk()));
    for kind in KINDS {
        let (_, answers) = call(example.clone(), kind, &sent(kind)).await.unwrap();
        assert_eq!(answers, kind.answers(), "{kind:?}");
        let status = call(plain.clone(), kind, &sent(kind)).await.unwrap_err();
        assert_eq!(status.code(), Code::Unknown, "{status:?}");
    }
    assert_guards(&api, plain).await;
}

const SHOP: &str = "https://shop.test:8443/v1/orders.v1.Orders/Place";

/// Returns a layer for two origins. A proxy in this network may select one.
fn behind_a_proxy(api: &Api, trusted: &str) -> DpopLayer {
    let origins = PublicOrigin::new("https://api.test")
        .and_then(|origin| origin.with_alias("https://shop.test:8443"))
        .unwrap();
    let target = ForwardedTarget::x_forwarded(origins, [trusted])
        .and_then(|target| target.prefixes(["/v1"]))
        .unwrap();
    let config = DpopConfig::builder(target, api.issuer.tokens());
    DpopLayer::new(config.clock(api.clock.clone()).build().unwrap())
}

#[tokio::test]
async fn the_peer_of_a_server_of_tonic_is_known() {
    let api = Api::new();
    let forwarded = |mut request: Request<()>| {
        for (name, value) in [
            ("x-forwarded-host", "shop.test:8443"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-prefix", "/v1"),
        ] {
            request.metadata_mut().insert(name, value.parse().unwrap());
        }
        request
    };
    for (trusted, is_served) in [
        ("127.0.0.0/8", true),
        ("127.0.0.1", true),
        ("10.0.0.0/8", false),
        ("::1", false),
    ] {
        let layer = behind_a_proxy(&api, trusted);
        let whole = Server::builder().layer(layer.clone()).add_service(desk());
        let single = Server::builder().add_service(layer.layer(desk()));
        for channel in [client_of!(whole), client_of!(single)] {
            let token = api.token().mint();
            let proof = api.client.proof("POST", SHOP).access_token(&token).sign();
            let proxy = InterceptedService::new(channel, move |request: Request<()>| {
                Ok(forwarded(request))
            });
            let mut client = grpc_example::proto::orders_client::OrdersClient::new(proxy);
            let sent = Sent::new(&token, &proof);
            let request = sent.on(Request::new(grpc_example::calls::pears(3)));
            let answer = client.place(request).await;
            assert_eq!(answer.is_ok(), is_served, "{trusted}: {answer:?}");
            if let Err(status) = answer {
                assert_eq!(status.message(), "the proof is for another URI");
            }
        }
    }
}

/// What the client says about its own address does not change the address that tonic knows.
#[tokio::test]
async fn no_header_makes_a_peer_of_a_server_of_tonic_a_trusted_one() {
    let api = Api::new();
    let layer = behind_a_proxy(&api, "10.0.0.0/8");
    let channel = client_of!(Server::builder().layer(layer).add_service(desk()));
    for name in ["x-forwarded-for", "x-real-ip", "forwarded"] {
        let token = api.token().mint();
        let proof = api.client.proof("POST", SHOP).access_token(&token).sign();
        let proxy = InterceptedService::new(channel.clone(), move |mut request: Request<()>| {
            let metadata = request.metadata_mut();
            metadata.insert("x-forwarded-host", "shop.test:8443".parse().unwrap());
            metadata.insert("x-forwarded-prefix", "/v1".parse().unwrap());
            let value = if name == "forwarded" {
                "for=10.0.0.1"
            } else {
                "10.0.0.1"
            };
            metadata.insert(name, value.parse().unwrap());
            Ok(request)
        });
        let mut client = grpc_example::proto::orders_client::OrdersClient::new(proxy);
        let sent = Sent::new(&token, &proof);
        let request = sent.on(Request::new(grpc_example::calls::pears(3)));
        let status = client.place(request).await.unwrap_err();
        assert_eq!(status.message(), "the proof is for another URI", "{name}");
    }
    // Only the peer is missing.
    let sent = Sent::good(&api, Kind::Unary);
    call(channel, Kind::Unary, &sent).await.unwrap();
}
