//! TLS that asks clients for a certificate.

use std::{future::pending, io, net::Ipv4Addr, net::SocketAddr, sync::Arc, time::Duration};

use axum::serve::Listener;
use rustls::{
    RootCertStore, ServerConfig,
    server::{NoServerSessionStorage, WebPkiClientVerifier},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{
    Result,
    certificates::{Authority, Pair},
};

/// Accepts clients with a certificate of the authority, and clients without a certificate.
fn config(server: &Pair, clients: &Authority, protocol: &str) -> Result<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(clients.certificate()?)?;
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone())
        // Clients whose tokens are bound to a key alone need no certificate.
        .allow_unauthenticated()
        .build()?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![server.certificate.clone()], server.key.clone_key())?;
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    // A resumed session keeps the certificate of its first handshake, which may have expired since.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// The connections that have finished their handshake.
pub(crate) struct TlsListener {
    address: SocketAddr,
    pub(crate) connections: mpsc::Receiver<TlsStream<TcpStream>>,
}

/// Listens on loopback. Returns the URL as well.
pub(crate) async fn listen(
    server: &Pair,
    clients: &Authority,
    protocol: &str,
) -> Result<(TlsListener, String)> {
    let acceptor = TlsAcceptor::from(Arc::new(config(server, clients, protocol)?));
    let mut listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let (sender, connections) = mpsc::channel(16);
    tokio::spawn(async move {
        loop {
            let (stream, _) = Listener::accept(&mut listener).await;
            let (acceptor, sender) = (acceptor.clone(), sender.clone());
            // A task for each handshake, so that no client waits for a slow one.
            tokio::spawn(async move {
                let handshake = acceptor.accept(stream);
                if let Ok(Ok(stream)) = timeout(Duration::from_secs(10), handshake).await {
                    sender.send(stream).await.ok();
                }
            });
        }
    });
    let listener = TlsListener {
        address,
        connections,
    };
    Ok((listener, format!("https://{address}")))
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let Some(stream) = self.connections.recv().await else {
                // The task above never ends.
                pending().await
            };
            // A client that has gone already has no address.
            if let Ok(peer) = stream.get_ref().0.peer_addr() {
                return (stream, peer);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}
