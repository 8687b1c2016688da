//! The client certificates of requests over TLS.

use std::{future::pending, net::SocketAddr, sync::Arc, time::Duration};

use axum::body::Body;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, HandshakeKind, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsConnector, client::TlsStream};

use self::certificates::{Authority, Pair};
use super::{Limits, Shutdown, serve_within};
use crate::gateway::tls::{Clients, ServerFiles, ServerTls};
use dpop_tower::certificate::ClientCertificate;

#[allow(dead_code, reason = "other tests use more of it")]
#[path = "../../../tests/gateway/tls/certificates.rs"]
mod certificates;

/// Starts a server that answers with the certificate of the client, in hexadecimal digits.
async fn serve(authority: &Authority, clients: Option<&Authority>) -> SocketAddr {
    let folder = TempDir::new().unwrap();
    authority.server("api.test").write(folder.path(), "server");
    let clients = clients.map(|clients| {
        let ca = folder.path().join("clients.pem");
        std::fs::write(&ca, clients.pem()).unwrap();
        Clients {
            ca,
            is_required: false,
        }
    });
    let tls = ServerTls::read(&ServerFiles {
        certificate: folder.path().join("server.pem"),
        key: folder.path().join("server.key"),
        clients,
    });
    let tls = tls.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = async move |request: Request<Body>| {
        let certificate = request.extensions().get::<ClientCertificate>();
        let text = certificate.map(|certificate| hex(certificate.as_der()));
        Response::new(Body::from(text.unwrap_or_else(|| "none".to_owned())))
    };
    let shutdown = Shutdown {
        signal: pending::<()>(),
        timeout: Duration::ZERO,
    };
    tokio::spawn(async move {
        let answer = move |request| Box::pin(answer(request));
        let tls = move || Some(tls.clone());
        serve_within(
            tls,
            listener,
            "listening",
            answer,
            Limits::default(),
            shutdown,
        )
        .await
    });
    address
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn client(authority: &Authority, pair: Option<&Pair>) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().into()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match pair {
        None => builder.with_no_client_auth(),
        Some(pair) => {
            let key = pair.key.private_key_to_pkcs8().unwrap();
            let chain = vec![CertificateDer::from(pair.certificate_der())];
            let key = PrivateKeyDer::try_from(key).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    Arc::new(config).into()
}

async fn connect(address: SocketAddr, client: &TlsConnector) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("api.test").unwrap();
    client.connect(name, stream).await.unwrap()
}

/// Returns the kind of handshake of a new connection, and the answers to two requests over it.
async fn answers(address: SocketAddr, client: &TlsConnector) -> (HandshakeKind, [String; 2]) {
    let stream = connect(address, client).await;
    let kind = stream.get_ref().1.handshake_kind().unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut answers = [String::new(), String::new()];
    for answer in &mut answers {
        let request = Request::get("/").header("host", "api.test");
        let request = request.body(Body::empty()).unwrap();
        let body = sender.send_request(request).await.unwrap().into_body();
        let bytes = body.collect().await.unwrap().to_bytes();
        *answer = String::from_utf8(bytes.to_vec()).unwrap();
    }
    (kind, answers)
}

#[tokio::test]
async fn each_request_has_the_certificate_that_its_connection_was_opened_with() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let address = serve(&servers, Some(&clients)).await;
    for name in ["alice", "bob"] {
        let pair = clients.server(name);
        let (_, answers) = answers(address, &client(&servers, Some(&pair))).await;
        let expected = hex(&pair.certificate_der());
        assert_eq!(answers, [expected.clone(), expected]);
    }
    let (_, answers) = answers(address, &client(&servers, None)).await;
    assert_eq!(answers, ["none", "none"]);
}

/// A server that does not ask for certificates uses none.
#[tokio::test]
async fn a_certificate_that_is_not_asked_for_is_none() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let address = serve(&servers, None).await;
    let pair = clients.server("alice");
    let (_, answers) = answers(address, &client(&servers, Some(&pair))).await;
    assert_eq!(answers, ["none", "none"]);
}

/// A resumed session would have a certificate that was verified long ago.
#[tokio::test]
async fn sessions_are_resumed_only_without_certificates_of_clients() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    for (authority, again) in [
        (None, HandshakeKind::Resumed),
        (Some(&clients), HandshakeKind::Full),
    ] {
        let address = serve(&servers, authority).await;
        let pair = clients.server("alice");
        let client = client(&servers, Some(&pair));
        let (first, _) = answers(address, &client).await;
        let (second, _) = answers(address, &client).await;
        assert_eq!((first, second), (HandshakeKind::Full, again));
    }
}
