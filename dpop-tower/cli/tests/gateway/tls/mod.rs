//! TLS that ends at the gateway, and TLS from it to upstreams, on real sockets.

pub(crate) mod bound;
pub(crate) mod certificates;
mod clients;
mod reload;
mod serving;
mod upstreams;

use std::{fs, path::Path, sync::Arc};

use axum::body::Body;
use http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use self::certificates::{Authority, Pair};
use super::{ORIGIN, Rig, Wanted, mirror, soon};

/// A gateway that ends TLS for `api.test`.
struct TlsRig {
    rig: Rig,
    authority: Authority,
    /// Contains the certificate and the key of the gateway.
    folder: TempDir,
}

/// Returns a table `[tls]` with the files of this folder.
fn tls_table(folder: &Path, more: &str) -> String {
    let folder = folder.display();
    format!(
        "[tls]\ncertificate_file = '{folder}/server.pem'\nkey_file = '{folder}/server.key'\n{more}\n"
    )
}

impl TlsRig {
    async fn new() -> Self {
        Self::with("", "").await
    }

    /// Starts a gateway with more lines in the table `[tls]`, and with more tables.
    async fn with(more: &str, tables: &str) -> Self {
        Self::before(mirror(), more, tables).await
    }

    async fn before(upstream: axum::Router, more: &str, tables: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let authority = Authority::new("servers");
        authority.server("api.test").write(folder.path(), "server");
        let tables = format!("{}{tables}", tls_table(folder.path(), more));
        let rig = Rig::with(upstream, Wanted::tables(&tables)).await;
        Self {
            rig,
            authority,
            folder,
        }
    }

    /// Returns a client that trusts the authority and speaks one version of HTTP.
    fn client(&self, protocol: &str) -> Client {
        Client::new(&self.authority, protocol)
    }

    async fn connect(&self, client: &Client) -> std::io::Result<TlsStream<TcpStream>> {
        client.connect(self.rig.address).await
    }

    /// Sends a good request over a new connection.
    async fn get(&self, client: &Client) -> Response<Incoming> {
        let mut connection = Http::over(self.connect(client).await.unwrap()).await;
        connection.send(self.rig.get("/orders")).await.unwrap()
    }
}

/// The TLS settings of a client.
pub(crate) struct Client {
    roots: RootCertStore,
    protocol: Vec<u8>,
    pair: Option<(Vec<u8>, Vec<u8>)>,
}

impl Client {
    pub(crate) fn new(authority: &Authority, protocol: &str) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().into()).unwrap();
        Self {
            roots,
            protocol: protocol.into(),
            pair: None,
        }
    }

    pub(crate) fn with_certificate(mut self, pair: &Pair) -> Self {
        let key = pair.key.private_key_to_pkcs8().unwrap();
        self.pair = Some((pair.certificate_der(), key));
        self
    }

    pub(crate) async fn connect(
        &self,
        address: std::net::SocketAddr,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots.clone());
        let mut config = match &self.pair {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = vec![CertificateDer::from(certificate.clone())];
                let key = PrivateKeyDer::try_from(key.clone()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = vec![self.protocol.clone()];
        let connector = TlsConnector::from(Arc::new(config));
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from("api.test").unwrap();
        soon(connector.connect(name, stream)).await
    }
}

/// A connection with the version of HTTP that was agreed on.
pub(crate) enum Http {
    One(hyper::client::conn::http1::SendRequest<Body>),
    Two(hyper::client::conn::http2::SendRequest<Body>),
}

impl Http {
    pub(crate) async fn over(stream: TlsStream<TcpStream>) -> Self {
        let protocol = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        let stream = TokioIo::new(stream);
        if protocol.as_deref() == Some(b"h2") {
            let executor = TokioExecutor::new();
            let (sender, connection) = hyper::client::conn::http2::handshake(executor, stream)
                .await
                .unwrap();
            tokio::spawn(connection);
            Self::Two(sender)
        } else {
            let (sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
            tokio::spawn(connection);
            Self::One(sender)
        }
    }

    pub(crate) async fn send(
        &mut self,
        mut request: Request<Body>,
    ) -> hyper::Result<Response<Incoming>> {
        let path = request.uri().path().to_owned();
        match self {
            Self::One(sender) => {
                let headers = request.headers_mut();
                headers.insert("host", "api.test".parse().unwrap());
                soon(sender.send_request(request)).await
            }
            Self::Two(sender) => {
                *request.version_mut() = Version::HTTP_2;
                *request.uri_mut() = format!("{ORIGIN}{path}").parse().unwrap();
                soon(sender.send_request(request)).await
            }
        }
    }
}

/// Replaces the old pair with a new one, as programs that renew certificates do.
fn replace(pair: &Pair, folder: &Path) {
    pair.write(folder, "next");
    for kind in ["key", "pem"] {
        let next = folder.join(format!("next.{kind}"));
        fs::rename(next, folder.join(format!("server.{kind}"))).unwrap();
    }
}
