//! gRPC streams that are open when their token expires.

use std::{io, time::Duration};

use dpop_tower::{DpopLayer, Policy};
use grpc_example::{
    calls::pears,
    orders::OrderDesk,
    proto::{orders_client::OrdersClient, orders_server::OrdersServer},
};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, sleep};
use tokio_stream::StreamExt as _;
use tonic::{
    Code,
    transport::{Channel, Endpoint, Server},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::service_fn;

use super::{Api, LIFETIME, PausedClock, client_of, end, every_second, with_proof};
use crate::frameworks::orders::quote;

/// Connects to a server with these services.
async fn connected(layer: DpopLayer, services: tonic::service::Routes) -> Channel {
    let layer = layer.end_streams_at_expiry();
    client_of!(Server::builder().layer(layer).add_routes(services))
}

/// Returns a client of tonic's health service.
async fn health(layer: DpopLayer) -> (HealthClient<Channel>, tonic_health::server::HealthReporter) {
    let (reporter, service) = tonic_health::server::health_reporter();
    let services = tonic::service::Routes::new(service);
    (
        HealthClient::new(connected(layer, services).await),
        reporter,
    )
}

async fn orders(layer: DpopLayer) -> OrdersClient<Channel> {
    let services = tonic::service::Routes::new(OrdersServer::new(OrderDesk));
    OrdersClient::new(connected(layer, services).await)
}

fn call(api: &Api<PausedClock>, method: &str) -> tonic::Request<HealthCheckRequest> {
    let path = format!("/grpc.health.v1.Health/{method}");
    with_proof(api, &path, HealthCheckRequest::default())
}

#[tokio::test(start_paused = true)]
async fn a_grpc_stream_ends_as_unauthenticated_when_the_token_does() {
    let api = Api::new();
    let (mut client, reporter) = health(api.layer()).await;
    let mut stream = client
        .watch(call(&api, "Watch"))
        .await
        .unwrap()
        .into_inner();
    let began = Instant::now();
    stream.message().await.unwrap().unwrap();
    reporter
        .set_service_status("", tonic_health::ServingStatus::NotServing)
        .await;
    stream.message().await.unwrap().unwrap();
    let status = end(&mut stream).await.unwrap();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(status.message(), "the token has expired");
    assert_eq!(began.elapsed().as_secs(), LIFETIME.unsigned_abs());
    // The connection still works.
    client.check(call(&api, "Check")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_grpc_client_that_goes_on_sending_is_told_that_its_token_has_expired() {
    let api = Api::new();
    let mut client = orders(api.layer()).await;
    let path = "/orders.v1.Orders/PlaceAll";
    let began = Instant::now();
    let request = with_proof(&api, path, every_second(|| pears(1)));
    let status = client.place_all(request).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(status.message(), "the token has expired");
    assert_eq!(began.elapsed().as_secs(), LIFETIME.unsigned_abs());
}

#[tokio::test(start_paused = true)]
async fn a_grpc_conversation_ends_for_both_sides() {
    let api = Api::new();
    let mut client = orders(api.layer()).await;
    let path = "/orders.v1.Orders/Quote";
    let began = Instant::now();
    let request = with_proof(&api, path, every_second(|| quote(1)));
    let mut offers = client.quote(request).await.unwrap().into_inner();
    let status = end(&mut offers).await.unwrap();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(status.message(), "the token has expired");
    assert_eq!(began.elapsed().as_secs(), LIFETIME.unsigned_abs());
}

#[tokio::test(start_paused = true)]
async fn a_policy_can_let_a_grpc_stream_go_on() {
    let api = Api::new();
    let policy = Policy::strict().danger_let_streams_outlive_tokens();
    let (mut client, _reporter) = health(api.layer().with_policy(policy)).await;
    let mut stream = client
        .watch(call(&api, "Watch"))
        .await
        .unwrap()
        .into_inner();
    tokio::select! {
        end = end(&mut stream) => panic!("ended with {end:?}"),
        () = sleep(Duration::from_secs(10 * 3600)) => {}
    }
}
