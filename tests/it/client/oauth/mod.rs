//! Tokens from an authorization server on a real socket.

mod answers;
mod authorization;
mod calls;
mod devices;
mod grants;
mod renewing;
mod stores;

use std::time::Duration;

use dpop_conformance::authorization_server::{AuthorizationServer, Settings};
use dpop_tower::{
    client::{
        ClientKey, DpopClient,
        oauth::{TokenClient, TokenClientBuilder, TokenRequest},
    },
    crypto::Algorithm,
    test_util::TestIssuer,
};

async fn server(settings: Settings) -> AuthorizationServer {
    AuthorizationServer::start(TestIssuer::new(), settings).await
}

fn builder(server: &AuthorizationServer, dpop: DpopClient) -> TokenClientBuilder {
    TokenClient::builder(&server.issuer, "orders", dpop).danger_allow_plain_http()
}

fn new_key() -> DpopClient {
    DpopClient::new(ClientKey::generate(Algorithm::Es256).unwrap()).unwrap()
}

fn client(server: &AuthorizationServer) -> TokenClient {
    builder(server, new_key()).build().unwrap()
}

fn request() -> TokenRequest {
    TokenRequest::new().scope("orders:read orders:write")
}

/// Moves the clock of the runtime, which has one thread.
async fn later(duration: Duration) {
    tokio::time::pause();
    tokio::time::advance(duration + Duration::from_millis(1)).await;
    tokio::time::resume();
}
