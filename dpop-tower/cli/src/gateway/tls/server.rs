//! TLS for the connections of clients.

use std::{fmt, io, sync::Arc};

use dpop_tower::certificate::ClientCertificate;
use rustls::{
    ServerConfig,
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    sign::SingleCertAndKey,
    version::{TLS12, TLS13},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    Clients, ServerFiles, TlsError,
    files::{certified_key, provider, roots, warnings},
};

/// A certificate with its key, and the authorities of the clients that may connect. Clones are cheap.
#[derive(Clone)]
pub(crate) struct ServerTls {
    config: Arc<ServerConfig>,
    warnings: Arc<[(&'static str, String)]>,
}

impl ServerTls {
    pub(crate) fn read(files: &ServerFiles) -> Result<Self, TlsError> {
        let provider = provider();
        let certified = certified_key(
            ("certificate_file", &files.certificate),
            ("key_file", &files.key),
            &provider,
        )?;
        let warnings = warnings("certificate_file", &certified.cert, &provider);
        let unusable = |error: &dyn fmt::Display| {
            TlsError::new("certificate_file", format!("it cannot be used: {error}"))
        };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| unusable(&error))?;
        let builder = match &files.clients {
            None => builder.with_no_client_auth(),
            Some(Clients { ca, is_required }) => {
                let roots = roots("client_ca_file", ca)?;
                let mut verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                if !is_required {
                    verifier = verifier.allow_unauthenticated();
                }
                let verifier = verifier.build().map_err(|error| {
                    TlsError::new("client_ca_file", format!("it cannot be used: {error}"))
                })?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        if files.clients.is_some() {
            // A resumed session keeps the client certificate of the first handshake, which may have expired
            // since.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(Self {
            config: Arc::new(config),
            warnings: warnings.into(),
        })
    }

    /// Returns the names of fields that work but need attention, each with the reason.
    pub(crate) fn warnings(&self) -> &[(&'static str, String)] {
        &self.warnings
    }

    /// Performs the handshake, and returns the client's own certificate if it has a verified one.
    ///
    /// The handshake has no time limit here, so callers set one.
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
    ) -> io::Result<(TlsStream<TcpStream>, Option<ClientCertificate>)> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.config));
        let stream = acceptor.accept(stream).await?;
        let (_, connection) = stream.get_ref();
        let certificate = connection
            .peer_certificates()
            .and_then(ClientCertificate::from_chain);
        Ok((stream, certificate))
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").finish_non_exhaustive()
    }
}
