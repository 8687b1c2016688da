//! Calls both servers with every kind of token, with and without the other half of its binding.

use std::sync::Arc;

use bytes::Bytes;
use dpop_tower::{
    certificate::{CertificateThumbprint, ClientCertificate},
    crypto::AwsLcRs,
    test_util::{TestClient, TestIssuer},
};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::{metadata::MetadataMap, transport::Endpoint};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::service_fn;

use self::{Bound::*, Which::*};
use crate::{
    Result,
    certificates::{Authority, Pair},
};

/// What a token is bound to.
#[derive(Clone, Copy, Debug)]
enum Bound {
    Key,
    Certificate,
    Both,
}

/// Which certificate or key a client has: that of the token, another one, or none.
#[derive(Clone, Copy, Debug)]
enum Which {
    Right,
    Other,
    No,
}

const CHECK: &str = "/grpc.health.v1.Health/Check";

const ADMITTED: &str = "admitted";
const BY_CERTIFICATE: [&str; 3] = [
    ADMITTED,
    "token_certificate_mismatch",
    "token_certificate_missing",
];

/// The path, the binding of the token, the key of the client, and the outcomes with each certificate: that of the
/// token, another one, and none. An outcome is `admitted` or the reason of the rejection.
const CALLS: [(&str, Bound, Which, [&str; 3]); 11] = [
    ("/key", Key, Right, [ADMITTED; 3]),
    ("/key", Key, Other, ["token_binding_mismatch"; 3]),
    ("/key", Certificate, No, ["token_scheme_not_accepted"; 3]),
    ("/certificate", Certificate, No, BY_CERTIFICATE),
    ("/certificate", Key, Right, [ADMITTED; 3]),
    ("/both", Both, Right, BY_CERTIFICATE),
    ("/both", Both, Other, ["token_binding_mismatch"; 3]),
    ("/both", Both, No, ["token_scheme_not_accepted"; 3]),
    (CHECK, Certificate, No, BY_CERTIFICATE),
    (CHECK, Both, Right, BY_CERTIFICATE),
    (CHECK, Both, No, ["token_bound_as_bearer"; 3]),
];

pub(crate) struct Demo {
    issuer: TestIssuer,
    servers: RootCertStore,
    /// That of the token, and another one.
    certificates: [Pair; 2],
    keys: [TestClient; 2],
    /// Of axum and of tonic.
    urls: [String; 2],
}

impl Demo {
    pub(crate) fn new(
        issuer: TestIssuer,
        servers: &Authority,
        clients: &Authority,
        urls: [String; 2],
    ) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(servers.certificate()?)?;
        Ok(Self {
            issuer,
            servers: roots,
            certificates: [clients.issue()?, clients.issue()?],
            keys: [TestClient::new(), TestClient::new()],
            urls,
        })
    }

    pub(crate) async fn run(&self) -> Result<()> {
        for (path, bound, key, outcomes) in CALLS {
            for (certificate, expected) in [Right, Other, No].into_iter().zip(outcomes) {
                let outcome = self.call(path, bound, certificate, key).await?;
                let client = format!("{certificate:?} certificate, {key:?} key");
                println!("{path:<28}  {bound:?} token: {client:<30}  {outcome}");
                if outcome != expected {
                    return Err(format!("{expected} was expected").into());
                }
            }
        }
        Ok(())
    }

    async fn call(
        &self,
        path: &str,
        bound: Bound,
        certificate: Which,
        key: Which,
    ) -> Result<String> {
        let [rest, grpc] = &self.urls;
        let (url, method, protocol) = match path {
            CHECK => (grpc, Method::POST, "h2"),
            _ => (rest, Method::GET, "http/1.1"),
        };
        let stream = self.connect(url, certificate, protocol).await?;
        let (token, uri) = (self.token(bound), format!("{url}{path}"));
        let headers = match choose(&self.keys, key) {
            Some(key) => key.request(method, &uri, &token).headers().clone(),
            None => {
                let bearer = HeaderValue::try_from(format!("Bearer {token}"))?;
                HeaderMap::from_iter([(header::AUTHORIZATION, bearer)])
            }
        };
        match path {
            CHECK => check(stream, url, headers).await,
            _ => get(stream, path, headers).await,
        }
    }

    fn token(&self, bound: Bound) -> String {
        let ([certificate, _], [key, _]) = (&self.certificates, &self.keys);
        let token = self.issuer.token().subject("alice");
        match bound {
            Key => token.bound_to(key),
            Certificate => token.bound_to_certificate(&thumbprint(certificate)),
            Both => token
                .bound_to(key)
                .bound_to_certificate(&thumbprint(certificate)),
        }
        .mint()
    }

    async fn connect(
        &self,
        url: &str,
        certificate: Which,
        protocol: &str,
    ) -> Result<TlsStream<TcpStream>> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(self.servers.clone());
        let mut config = match choose(&self.certificates, certificate) {
            None => builder.with_no_client_auth(),
            Some(Pair { certificate, key }) => {
                builder.with_client_auth_cert(vec![certificate.clone()], key.clone_key())?
            }
        };
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let stream = TcpStream::connect(url.trim_start_matches("https://")).await?;
        let connector = TlsConnector::from(Arc::new(config));
        Ok(connector
            .connect(ServerName::try_from("127.0.0.1")?, stream)
            .await?)
    }
}

fn choose<T>([right, other]: &[T; 2], which: Which) -> Option<&T> {
    match which {
        Right => Some(right),
        Other => Some(other),
        No => None,
    }
}

fn thumbprint(Pair { certificate, .. }: &Pair) -> CertificateThumbprint {
    ClientCertificate::from_der(certificate.as_ref()).thumbprint(&AwsLcRs)
}

/// Calls axum. The body of a rejection contains the reason.
async fn get(stream: TlsStream<TcpStream>, path: &str, headers: HeaderMap) -> Result<String> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async { connection.await.ok() });
    let mut request = Request::get(path)
        .header(header::HOST, "127.0.0.1")
        .body(Empty::<Bytes>::new())?;
    request.headers_mut().extend(headers);
    let response = sender.send_request(request).await?;
    if response.status() == StatusCode::OK {
        return Ok("admitted".to_owned());
    }
    let body = response.into_body().collect().await?.to_bytes();
    let problem: serde_json::Value = serde_json::from_slice(&body)?;
    Ok(problem["reason"].as_str().unwrap_or_default().to_owned())
}

/// Calls tonic. The metadata of a rejection contains the reason.
async fn check(stream: TlsStream<TcpStream>, url: &str, headers: HeaderMap) -> Result<String> {
    let mut stream = Some(TokioIo::new(stream));
    let connector = service_fn(move |_| {
        let stream = stream.take().ok_or("the connection has ended");
        async { stream }
    });
    // The connector has made the connection, so tonic does not need to know about TLS.
    let channel = Endpoint::from_static("http://127.0.0.1")
        .connect_with_connector(connector)
        .await?;
    let mut client = HealthClient::with_origin(channel, url.parse()?);
    let mut request = tonic::Request::new(HealthCheckRequest::default());
    *request.metadata_mut() = MetadataMap::from_headers(headers);
    let Err(status) = client.check(request).await else {
        return Ok("admitted".to_owned());
    };
    let reason = status
        .metadata()
        .get("dpop-reason")
        .ok_or("the server has failed")?;
    Ok(reason.to_str()?.to_owned())
}
