//! The server of tonic. It has the standard health service only, behind the same layer as any other.

use std::convert::Infallible;

use dpop_tower::{DpopConfig, DpopLayer, Policy, certificate::ClientCertificate, target::PeerAddr};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tonic::transport::{Server, server::Connected};
use tower::util::MapRequestLayer;

use crate::{Result, tls::TlsListener};

/// What tonic knows about a connection: its `TlsConnectInfo`, a name that it has with its own TLS only.
type Client = <TlsStream<TcpStream> as Connected>::ConnectInfo;

/// Tells the layer who is connected.
fn tell<B>(mut request: http::Request<B>) -> http::Request<B> {
    let Some(client) = request.extensions().get::<Client>() else {
        return request;
    };
    let (chain, address) = (client.peer_certs(), client.get_ref().remote_addr());
    let extensions = request.extensions_mut();
    if let Some(address) = address {
        extensions.insert(PeerAddr(address.ip()));
    }
    if let Some(certificate) = chain.and_then(|chain| ClientCertificate::from_chain(&chain)) {
        extensions.insert(certificate);
    }
    request
}

pub(crate) async fn serve(listener: TlsListener, config: DpopConfig) -> Result<()> {
    let layer = DpopLayer::new(config).with_policy(Policy::strict().accept_certificate_bound());
    let (_, health) = tonic_health::server::health_reporter();
    let connections = ReceiverStream::new(listener.connections).map(Ok::<_, Infallible>);
    Server::builder()
        // The outer layer comes first.
        .layer(MapRequestLayer::new(tell))
        .layer(layer)
        .add_service(health)
        .serve_with_incoming(connections)
        .await?;
    Ok(())
}
