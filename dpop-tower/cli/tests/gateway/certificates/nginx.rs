//! nginx with the configuration that users copy, which ends TLS and asks clients for a certificate.

use std::fs;

use tempfile::TempDir;

use super::{Bound, EXPECTED, ROUTES, SYNTAXES, escaped, request, two_clients};
use crate::{
    Wanted, json,
    nginx::Asking,
    tls::{Client, Http, certificates::Authority},
};

const FIELD: &str = "client_certificate = { escaped_pem = 'X-Client-Certificate' }";

struct MutualTls {
    nginx: Asking,
    servers: Authority,
    /// Contains the certificate and the key of nginx.
    _folder: TempDir,
}

impl MutualTls {
    async fn start(field: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let servers = Authority::new("servers");
        servers.server("api.test").write(folder.path(), "server");
        fs::write(folder.path().join("servers.pem"), servers.pem()).unwrap();
        let path = folder.path().display();
        // It accepts certificates of any authority, as RFC 8705 section 2.2 allows.
        let listen = format!(
            " ssl;\n    ssl_certificate {path}/server.pem;\n    ssl_certificate_key {path}/server.key;\n    \
             ssl_verify_client optional_no_ca"
        );
        let tables = format!("{field}\n{ROUTES}");
        let nginx = Asking::listening(&listen, Wanted::tables(&tables)).await;
        Self {
            nginx,
            servers,
            _folder: folder,
        }
    }

    fn client(&self) -> Client {
        Client::new(&self.servers, "http/1.1")
    }

    async fn connect(&self, client: &Client) -> Http {
        Http::over(client.connect(self.nginx.address).await.unwrap()).await
    }
}

#[tokio::test]
async fn rfc_8705_section_3_a_token_works_on_connections_to_nginx_with_its_certificate_alone() {
    let (own, other) = two_clients();
    let tls = MutualTls::start(FIELD).await;
    let (with_own, with_other) = (
        tls.client().with_certificate(&own),
        tls.client().with_certificate(&other),
    );
    for (path, bound, expected, without, _) in EXPECTED {
        for (client, expected) in [
            (&with_own, expected),
            (&with_other, without),
            (&tls.client(), without),
        ] {
            let mut http = tls.connect(client).await;
            let request = request(&tls.nginx.asked.rig, path, bound, &own);
            let response = http.send(request).await.unwrap();
            assert_eq!(response.status(), expected, "{path}, {bound:?}");
        }
    }
}

/// nginx replaces the header, also if the client has no certificate.
#[tokio::test]
async fn what_a_client_writes_into_the_header_does_not_count() {
    let (own, other) = two_clients();
    let tls = MutualTls::start(FIELD).await;
    let value = escaped(&own);
    for client in [tls.client(), tls.client().with_certificate(&other)] {
        for name in ["x-client-certificate", "X_Client_Certificate"] {
            for times in [1, 2] {
                let rig = &tls.nginx.asked.rig;
                let mut request = request(rig, "/certificate", Bound::Certificate, &own);
                for _ in 0..times {
                    let name: http::HeaderName = name.parse().unwrap();
                    request.headers_mut().append(name, value.parse().unwrap());
                }
                let mut http = tls.connect(&client).await;
                let status = http.send(request).await.unwrap().status();
                assert_eq!(status, 401, "{name} {times}");
            }
        }
    }
}

#[tokio::test]
async fn without_the_field_no_certificate_counts() {
    let (own, _) = two_clients();
    let tls = MutualTls::start("").await;
    let mut http = tls.connect(&tls.client().with_certificate(&own)).await;
    let rig = &tls.nginx.asked.rig;
    let request = request(rig, "/certificate", Bound::Certificate, &own);
    assert_eq!(http.send(request).await.unwrap().status(), 401);
}

#[tokio::test]
async fn the_service_gets_no_certificate_that_a_client_wrote() {
    let (own, _) = two_clients();
    let tls = MutualTls::start(FIELD).await;
    let mut request = tls.nginx.asked.rig.get("/orders");
    let names = SYNTAXES.map(|(_, name, _)| name);
    for name in ["client-cert-chain", "x-client-certificate"]
        .into_iter()
        .chain(names.into_iter().filter(|name| *name != "x-cert"))
    {
        let value = "mallory".parse().unwrap();
        request.headers_mut().insert(name, value);
    }
    let mut http = tls.connect(&tls.client().with_certificate(&own)).await;
    let response = http.send(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let seen = json(response).await.to_string();
    assert!(!seen.contains("mallory"), "{seen}");
}
