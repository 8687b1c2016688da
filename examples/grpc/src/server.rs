//! The server: this file is what an application needs.

use std::error::Error;

use dpop_tower::{ConfigError, DpopConfig, DpopLayer, Policy, PolicyTable};
use tokio::net::TcpListener;
use tonic::transport::{Server, server::TcpIncoming};
use tonic_web::GrpcWebLayer;

use crate::{
    orders::OrderDesk,
    proto::{FILE_DESCRIPTOR_SET, orders_server::OrdersServer},
};

/// Limit for the headers of a call. The default of 16 KiB is too small: a token and a proof may each
/// have 16 KiB.
const HEADER_LIST_SIZE: u32 = 64 * 1024;

/// The requirements of each method. Methods that are not listed get [`Policy::strict`].
///
/// # Errors
///
/// Returns a [`ConfigError`] if two patterns contradict each other.
pub fn policies() -> Result<PolicyTable, ConfigError> {
    let write = || Policy::strict().require_scope("orders:write");
    PolicyTable::builder()
        .route("/orders.v1.Orders/Place", write())
        .route("/orders.v1.Orders/PlaceAll", write())
        .route("/orders.v1.Orders/{*method}", Policy::strict())
        // Load balancers have no token. Reflection shows the API to everyone.
        .route("/grpc.health.v1.Health/{*method}", Policy::off())
        .route(
            "/grpc.reflection.v1.ServerReflection/{*method}",
            Policy::off(),
        )
        .build()
}

/// Serves the orders, health checks and reflection, as gRPC and as gRPC-web.
///
/// # Errors
///
/// Returns an error if the policies or the proto are not valid, or if the listener fails.
pub async fn serve(
    listener: TcpListener,
    config: DpopConfig,
    until: impl Future<Output = ()>,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let layer = DpopLayer::new(config)
        .with_policy(policies()?)
        .end_streams_at_expiry();
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<OrdersServer<OrderDesk>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    Server::builder()
        .http2_max_header_list_size(HEADER_LIST_SIZE)
        // Browsers also send gRPC-web over HTTP/1.1.
        .accept_http1(true)
        // The outer layer, so that it also converts rejections to gRPC-web.
        .layer(GrpcWebLayer::new())
        .layer(layer)
        .add_service(OrdersServer::new(OrderDesk))
        .add_service(health)
        .add_service(reflection)
        .serve_with_incoming_shutdown(TcpIncoming::from(listener), until)
        .await?;
    Ok(())
}
