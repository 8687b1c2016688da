//! Access tokens that are bound to the certificates of clients (RFC 8705 section 3).

use std::fs;

use axum::body::Body;
use dpop_tower::certificate::CertificateThumbprint;
use http::{HeaderValue, Request, header};

use super::{
    Client, Http, Rig, TlsRig, Wanted,
    certificates::{Authority, Pair},
    mirror,
};

/// Routes that accept and require certificate-bound tokens.
pub(crate) const ROUTES: &str = "\
[[route]]
path = '/certificate'
accept_certificate_bound = true

[[route]]
path = '/both'
require_certificate_bound = true
";

/// What a token is bound to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound {
    Key,
    Certificate,
    Both,
}

pub(crate) fn thumbprint(pair: &Pair) -> CertificateThumbprint {
    CertificateThumbprint::from_bytes(openssl::sha::sha256(&pair.certificate_der()))
}

/// Makes a request with a proof, or with the `Bearer` scheme if the token is bound to the certificate alone.
pub(crate) fn request(rig: &Rig, path: &str, bound: Bound, pair: &Pair) -> Request<Body> {
    let token = rig.issuer.token().subject("alice");
    let token = match bound {
        Bound::Key => token.bound_to(&rig.client),
        Bound::Certificate => token.bound_to_certificate(&thumbprint(pair)),
        Bound::Both => token
            .bound_to(&rig.client)
            .bound_to_certificate(&thumbprint(pair)),
    };
    let token = token.mint();
    let url = format!("{}{path}", super::ORIGIN);
    let mut request = rig.client.get(&url, &token).map(|()| Body::empty());
    if matches!(bound, Bound::Certificate) {
        let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
        let headers = request.headers_mut();
        headers.insert(header::AUTHORIZATION, value);
        headers.remove("dpop");
    }
    request
}

async fn outcome(rig: &TlsRig, client: &Client, request: Request<Body>) -> (u16, String) {
    let mut http = Http::over(rig.connect(client).await.unwrap()).await;
    let response = http.send(request).await.unwrap();
    let status = response.status().as_u16();
    let challenges = response.headers().get_all(header::WWW_AUTHENTICATE);
    let challenges = challenges.iter().map(|value| value.to_str().unwrap());
    (status, challenges.collect::<Vec<_>>().join(", "))
}

#[tokio::test]
async fn rfc_8705_section_3_a_token_works_on_connections_with_its_certificate_alone() {
    let beside = tempfile::TempDir::new().unwrap();
    let clients = Authority::new("clients");
    let path = beside.path().join("clients.pem");
    fs::write(&path, clients.pem()).unwrap();
    let more = format!(
        "client_ca_file = '{}'\nclient_certificates = 'optional'",
        path.display()
    );
    let rig = TlsRig::with(&more, ROUTES).await;
    let (own, other) = (clients.server("client"), clients.server("client"));
    for protocol in ["h2", "http/1.1"] {
        for (path, bound, with_own, with_other) in [
            ("/certificate", Bound::Certificate, 200, 401),
            ("/certificate", Bound::Both, 200, 401),
            ("/certificate", Bound::Key, 200, 200),
            ("/both", Bound::Certificate, 401, 401),
            ("/both", Bound::Both, 200, 401),
            ("/both", Bound::Key, 401, 401),
            // This route has neither field.
            ("/orders", Bound::Certificate, 401, 401),
            ("/orders", Bound::Both, 200, 401),
            ("/orders", Bound::Key, 200, 200),
        ] {
            let client = || rig.client(protocol);
            for (client, expected) in [
                (client().with_certificate(&own), with_own),
                (client().with_certificate(&other), with_other),
                (client(), with_other),
            ] {
                let request = request(&rig.rig, path, bound, &own);
                let (status, challenges) = outcome(&rig, &client, request).await;
                assert_eq!(status, expected, "{path}, {bound:?}: {challenges}");
                if expected == 401 {
                    assert!(
                        challenges.contains("error=\"invalid_token\""),
                        "{challenges}"
                    );
                }
            }
        }
    }
}

/// Returns the certificate as nginx writes it, with all but unreserved characters escaped.
pub(crate) fn escaped(pair: &Pair) -> String {
    (pair.certificate_pem().into_iter())
        .map(|byte| match byte {
            b'-' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

/// A value of `client_certificate`, the name of its header, and the value of the header.
type Syntax = (&'static str, &'static str, fn(&Pair) -> String);

fn base64(pair: &Pair) -> String {
    openssl::base64::encode_block(&pair.certificate_der())
}

fn hex(pair: &Pair) -> String {
    let thumbprint = thumbprint(pair);
    let bytes = thumbprint.as_bytes().iter();
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) const SYNTAXES: [Syntax; 5] = [
    ("'client_cert'", "client-cert", |pair| {
        format!(":{}:", base64(pair))
    }),
    (
        "'x_forwarded_client_cert'",
        "x-forwarded-client-cert",
        |pair| format!("By=a;Hash={};Cert=\"{}\"", hex(pair), escaped(pair)),
    ),
    ("{ escaped_pem = 'X-Cert' }", "x-cert", escaped),
    ("{ base64_der = 'X-Cert' }", "x-cert", base64),
    ("{ sha256_hex = 'X-Cert' }", "x-cert", hex),
];

#[tokio::test]
async fn a_header_with_a_certificate_counts_from_trusted_proxies_alone() {
    let own = Authority::new("clients").server("client");
    for (syntax, name, value_of) in SYNTAXES {
        let value = value_of(&own);
        for (networks, with_header) in [("127.0.0.0/8", 200), ("192.0.2.0/24", 401)] {
            let tables = format!(
                "[trusted_proxies]\nnetworks = ['{networks}']\nclient_certificate = {syntax}\n\n{ROUTES}"
            );
            let rig = Rig::with(mirror(), Wanted::tables(&tables)).await;
            for (path, bound) in [("/certificate", Bound::Certificate), ("/both", Bound::Both)] {
                let plain = request(&rig, path, bound, &own);
                assert_eq!(rig.status(plain).await, 401, "{syntax}");
                let mut request = request(&rig, path, bound, &own);
                let value = HeaderValue::from_str(&value).unwrap();
                request.headers_mut().insert(name, value);
                assert_eq!(rig.status(request).await, with_header, "{syntax}");
            }
            // It is decoded if the token is bound to a certificate.
            for (path, bound, trusted, untrusted) in [
                ("/orders", Bound::Key, 200, 200),
                ("/orders", Bound::Both, 400, 401),
                ("/certificate", Bound::Certificate, 400, 401),
            ] {
                let mut malformed = request(&rig, path, bound, &own);
                let value = HeaderValue::from_static("junk");
                malformed.headers_mut().insert(name, value);
                let expected = if with_header == 200 {
                    trusted
                } else {
                    untrusted
                };
                assert_eq!(rig.status(malformed).await, expected, "{syntax}, {bound:?}");
            }
            let mut twice = request(&rig, "/orders", Bound::Key, &own);
            for _ in 0..2 {
                let value = HeaderValue::from_str(&value).unwrap();
                twice.headers_mut().append(name, value);
            }
            let expected = if with_header == 200 { 400 } else { 200 };
            assert_eq!(rig.status(twice).await, expected, "{syntax}");
        }
    }
}

#[tokio::test]
async fn an_upstream_is_told_the_subject_of_a_certificate_bound_token_and_no_thumbprint() {
    let own = Authority::new("clients").server("client");
    let base64 = openssl::base64::encode_block(&own.certificate_der());
    let tables = format!(
        "[trusted_proxies]\nnetworks = ['127.0.0.0/8']\nclient_certificate = 'client_cert'\n\n{ROUTES}"
    );
    let rig = Rig::with(mirror(), Wanted::tables(&tables)).await;
    let mut request = request(&rig, "/certificate", Bound::Certificate, &own);
    let value = HeaderValue::from_str(&format!(":{base64}:")).unwrap();
    request.headers_mut().insert("client-cert", value);
    let seen = rig.seen(request).await;
    assert_eq!(seen.header("x-dpop-subject"), Some("alice"));
    assert_eq!(seen.header("x-dpop-thumbprint"), None);
}
