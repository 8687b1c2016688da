//! The server of axum.

use std::net::SocketAddr;

use axum::{
    Router,
    extract::{ConnectInfo, Request, connect_info::Connected},
    middleware::map_request,
    routing::get,
    serve::IncomingStream,
};
use dpop_tower::{
    BoundToken, CertificateBoundToken, DpopConfig, DpopLayer, Policy, PolicyTable,
    certificate::ClientCertificate, rejection::ProblemDetails, target::PeerAddr,
};

use crate::{Result, tls::TlsListener};

/// The client of a connection.
#[derive(Clone)]
struct Client {
    address: SocketAddr,
    certificate: Option<ClientCertificate>,
}

impl Connected<IncomingStream<'_, TlsListener>> for Client {
    fn connect_info(stream: IncomingStream<'_, TlsListener>) -> Self {
        let (_, connection) = stream.io().get_ref();
        let chain = connection.peer_certificates();
        Self {
            address: *stream.remote_addr(),
            certificate: chain.and_then(ClientCertificate::from_chain),
        }
    }
}

/// Tells the layer who is connected.
async fn tell(ConnectInfo(client): ConnectInfo<Client>, mut request: Request) -> Request {
    let extensions = request.extensions_mut();
    extensions.insert(PeerAddr(client.address.ip()));
    if let Some(certificate) = client.certificate {
        extensions.insert(certificate);
    }
    request
}

/// Runs for clients that have proved possession of the key of their token.
async fn with_key(token: BoundToken) -> String {
    format!("key {}", token.thumbprint())
}

/// Also runs for clients that have the certificate of their token, and no key.
async fn with_either(key: Option<BoundToken>, token: Option<CertificateBoundToken>) -> String {
    match (key, token) {
        (Some(token), _) => format!("key {}", token.thumbprint()),
        (None, Some(token)) => format!("certificate {}", token.certificate_thumbprint()),
        (None, None) => "nobody".to_owned(),
    }
}

/// Serves a route for each policy.
pub(crate) async fn serve(listener: TlsListener, config: DpopConfig) -> Result<()> {
    let policies = PolicyTable::builder()
        .route("/key", Policy::strict())
        .route("/certificate", Policy::strict().accept_certificate_bound())
        .route("/both", Policy::strict().require_certificate_bound())
        .otherwise(Policy::deny())
        .build()?;
    let layer = DpopLayer::new(config)
        .with_policy(policies)
        .with_rejection_response(ProblemDetails);
    let app = Router::new()
        .route("/key", get(with_key))
        .route("/certificate", get(with_either))
        .route("/both", get(with_key))
        .layer(layer)
        // The outer layer, so that the certificate is there before the request is checked.
        .layer(map_request(tell));
    axum::serve(
        listener,
        app.into_make_service_with_connect_info::<Client>(),
    )
    .await?;
    Ok(())
}
