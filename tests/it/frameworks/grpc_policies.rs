//! The server of the example: what its table of policies allows and denies.

use std::future::pending;

use grpc_example::server;
use tokio::net::TcpListener;
use tonic::{
    Code,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::{
    frameworks::orders::{KINDS, Sent, call, challenge},
    support::Api,
};

async fn served(api: &Api) -> Channel {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let config = api.config().build().unwrap();
    tokio::spawn(server::serve(listener, config, pending()));
    Endpoint::from_shared(url).unwrap().connect().await.unwrap()
}

#[tokio::test]
async fn health_and_reflection_need_no_token() {
    let channel = served(&Api::new()).await;
    let mut health = HealthClient::new(channel.clone());
    let request = HealthCheckRequest {
        service: "orders.v1.Orders".to_owned(),
    };
    let answer = health.check(request).await.unwrap().into_inner();
    assert_eq!(answer.status(), ServingStatus::Serving);

    let request = ServerReflectionRequest {
        message_request: Some(MessageRequest::ListServices(String::new())),
        ..ServerReflectionRequest::default()
    };
    let mut reflection = ServerReflectionClient::new(channel);
    let answers = reflection
        .server_reflection_info(tokio_stream::iter([request]))
        .await;
    let answer = answers.unwrap().into_inner().message().await.unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.unwrap().message_response else {
        panic!("no list of services");
    };
    let names: Vec<_> = list.service.into_iter().map(|known| known.name).collect();
    assert!(names.contains(&"orders.v1.Orders".to_owned()), "{names:?}");
}

#[tokio::test]
async fn a_method_of_the_service_needs_a_token_and_what_writes_a_scope() {
    let api = Api::new();
    let channel = served(&api).await;
    for kind in KINDS {
        let status = call(channel.clone(), kind, &Sent::default()).await;
        assert_eq!(status.unwrap_err().code(), Code::Unauthenticated);

        let reader = Sent::with_scope(&api, kind, "orders:read");
        let outcome = call(channel.clone(), kind, &reader).await;
        if kind.path().starts_with("/orders.v1.Orders/Place") {
            let status = outcome.unwrap_err();
            assert_eq!(status.code(), Code::PermissionDenied, "{kind:?}");
            assert_eq!(challenge(&status).get("scope"), Some("orders:write"));
        } else {
            assert_eq!(outcome.unwrap().1, kind.answers());
        }
        let good = call(channel.clone(), kind, &Sent::good(&api, kind)).await;
        assert_eq!(good.unwrap().1, kind.answers());
    }
}

#[tokio::test]
async fn an_unknown_method_is_rejected_without_a_token_and_unknown_with_one() {
    let api = Api::new();
    let mut client = tonic::client::Grpc::new(served(&api).await);
    for (path, sent, code) in [
        ("/orders.v1.Orders/Cancel", false, Code::Unauthenticated),
        ("/orders.v2.Orders/Place", false, Code::Unauthenticated),
        ("/orders.v1.Orders/Cancel", true, Code::Unimplemented),
        ("/orders.v2.Orders/Place", true, Code::Unimplemented),
    ] {
        let mut request = tonic::Request::new(HealthCheckRequest::default());
        if sent {
            let token = api.token().mint();
            let htu = format!("{}{path}", crate::support::ORIGIN);
            let proof = api.client.proof("POST", &htu).access_token(&token);
            *request.metadata_mut() = Sent::new(&token, &proof.sign()).metadata();
        }
        client.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<HealthCheckRequest, HealthCheckRequest>::default();
        let status = client.unary(request, path.parse().unwrap(), codec).await;
        assert_eq!(status.unwrap_err().code(), code, "{path}");
    }
}
