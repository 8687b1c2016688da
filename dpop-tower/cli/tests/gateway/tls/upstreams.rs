//! TLS to upstreams that have TLS settings of their own.

use std::{fs, sync::Arc};

use axum::{Router, body::Body};
use http::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::WebPkiClientVerifier,
};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::certificates::{Authority, Pair};
use crate::{Rig, Wanted, serve, text};

/// Starts an HTTPS service that answers with its name, the name that it was asked for (SNI), and whether the
/// client has a certificate. It does not answer clients that ask for no name.
async fn upstream(name: &'static str, pair: &Pair, clients: Option<&Authority>) -> String {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.der().into()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let chain = vec![CertificateDer::from(pair.certificate_der())];
    let key = PrivateKeyDer::try_from(pair.key.private_key_to_pkcs8().unwrap()).unwrap();
    let config = builder.with_single_cert(chain, key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "https://localhost:{}",
        listener.local_addr().unwrap().port()
    );
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // A client that does not trust the certificate ends the handshake.
            let Ok(stream) = acceptor.accept(stream).await else {
                continue;
            };
            let (_, connection) = stream.get_ref();
            let asked_for = connection.server_name().unwrap_or("nobody").to_owned();
            let client = connection.peer_certificates().is_some();
            let service = Router::new()
                .fallback(async move || format!("{name} as {asked_for}, client {client}"));
            let service = hyper_util::service::TowerToHyperService::new(service);
            tokio::spawn(async move {
                let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                let _ = builder
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    url
}

async fn answer(rig: &Rig, path: &str) -> (u16, String) {
    let response = rig.send(rig.get(path)).await;
    (response.status().as_u16(), text(response).await)
}

#[tokio::test]
async fn each_upstream_is_checked_with_its_own_authority_name_and_certificate() {
    let folder = TempDir::new().unwrap();
    let (first, second, ours) = (
        Authority::new("first"),
        Authority::new("second"),
        Authority::new("ours"),
    );
    for (authority, name) in [(&first, "first"), (&second, "second")] {
        fs::write(folder.path().join(format!("{name}.pem")), authority.pem()).unwrap();
    }
    ours.server("gateway").write(folder.path(), "gateway");
    let plain = serve(Router::new().fallback(async || "plain")).await;
    let one = upstream("one", &first.server("localhost"), None).await;
    let two = upstream("two", &second.server("orders.internal"), Some(&ours)).await;
    let at = folder.path().display();
    let client = format!(
        "client_certificate_file = '{at}/gateway.pem', client_key_file = '{at}/gateway.key'"
    );
    let two_tls = format!("ca_file = '{at}/second.pem', server_name = 'orders.internal'");
    let route = |path: &str, url: &str, tls: &str| {
        format!("[[route]]\npath = '{path}'\nupstream = '{url}'\nupstream_tls = {{ {tls} }}\n")
    };
    let tables = [
        route("/one", &one, &format!("ca_file = '{at}/first.pem'")),
        route("/two", &two, &format!("{two_tls}, {client}")),
        // Each of these settings lacks something that the upstream needs.
        route(
            "/other-authority",
            &one,
            &format!("ca_file = '{at}/second.pem'"),
        ),
        route("/system", &one, "server_name = 'localhost'"),
        route(
            "/no-name",
            &two,
            &format!("ca_file = '{at}/second.pem', {client}"),
        ),
        route("/no-certificate", &two, &two_tls),
        "[[route]]\npath = '/plain'\n".to_owned(),
    ]
    .concat();
    let rig = Rig::before(&plain, Wanted::tables(&tables)).await;
    let good = |text: &str| (200, text.to_owned());
    assert_eq!(
        answer(&rig, "/one").await,
        good("one as localhost, client false")
    );
    assert_eq!(
        answer(&rig, "/two").await,
        good("two as orders.internal, client true")
    );
    assert_eq!(answer(&rig, "/plain").await, good("plain"));
    assert_eq!(answer(&rig, "/anything").await, good("plain"));
    for bad in ["/other-authority", "/system", "/no-name", "/no-certificate"] {
        assert_eq!(answer(&rig, bad).await.0, 502, "{bad}");
    }
}

#[tokio::test]
async fn the_upstream_of_the_file_can_have_settings_too() {
    let folder = TempDir::new().unwrap();
    let authority = Authority::new("internal");
    fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    let url = upstream("one", &authority.server("localhost"), None).await;
    let head = format!(
        "upstream_tls = {{ ca_file = '{}/ca.pem' }}",
        folder.path().display()
    );
    let rig = Rig::before(&url, Wanted::head(&head)).await;
    let (status, text) = answer(&rig, "/orders").await;
    assert_eq!((status, &*text), (200, "one as localhost, client false"));
    // A request without a proof does not reach the upstream.
    let bare = Request::get("/orders").body(Body::empty()).unwrap();
    assert_eq!(rig.status(bare).await, 401);
    // A new authority applies to the next connection.
    let other = Authority::new("other");
    fs::write(folder.path().join("ca.pem"), other.pem()).unwrap();
    rig.reload(Wanted::head(&head));
    assert_eq!(answer(&rig, "/orders").await.0, 502);
}
