//! RFC 9440 section 2.4: what a client writes about its certificate does not get to the upstream.

use axum::body::{Body, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use http_body_util::channel::Channel;

use super::{SYNTAXES, two_clients};
use crate::{Rig, Seen, Wanted, identity, json, mirror};

/// The headers that are known to have certificates, and some other spellings.
const NAMES: [&str; 9] = [
    "client-cert",
    "client-cert-chain",
    "x-forwarded-client-cert",
    "client_cert",
    "client.cert-chain",
    "x_forwarded_client_cert",
    // These are those of `SYNTAXES`, if one of them is configured.
    "x-cert",
    "x_cert",
    "x.cert",
];

/// Adds all of these headers, which say who has written them.
fn with_all(mut request: Request<Body>) -> Request<Body> {
    for name in NAMES {
        let value = HeaderValue::from_static("mallory");
        request.headers_mut().insert(name, value);
    }
    request
}

/// Returns those of the headers that the upstream got.
async fn passed(rig: &Rig, request: Request<Body>) -> Vec<&'static str> {
    let response = rig.send(request).await;
    assert_eq!(response.status(), 200);
    let seen = Seen(json(response).await);
    let mut names = NAMES.to_vec();
    names.retain(|name| !seen.all(name).is_empty());
    names
}

#[tokio::test]
async fn a_client_cannot_write_the_headers_of_its_certificate() {
    let own_name = ["x-cert", "x_cert", "x.cert"];
    let rig = Rig::new(mirror()).await;
    assert_eq!(passed(&rig, with_all(rig.get("/orders"))).await, own_name);
    for (syntax, name, _) in SYNTAXES {
        for table in [
            // The client is none of the trusted proxies.
            "[trusted_proxies]\nnetworks = ['192.0.2.0/24']",
            // The services of these proxies find the certificate in this header.
            "[forward_auth]\nlisten = '127.0.0.1:0'\nproxy = 'nginx'",
            "[ext_authz]\nlisten = '127.0.0.1:0'",
        ] {
            let tables = format!("{table}\nclient_certificate = {syntax}");
            let rig = Rig::with(mirror(), Wanted::tables(&tables)).await;
            let expected = if name == "x-cert" { &[][..] } else { &own_name };
            let passed = passed(&rig, with_all(rig.get("/orders"))).await;
            assert_eq!(passed, expected, "{tables}");
        }
    }
}

/// A proxy that does not report certificates passes on what clients write about them.
#[tokio::test]
async fn a_trusted_proxy_without_such_a_header_writes_none() {
    let tables = "[trusted_proxies]\nnetworks = ['127.0.0.0/8']";
    let rig = Rig::with(mirror(), Wanted::tables(tables)).await;
    let passed = passed(&rig, with_all(rig.get("/orders"))).await;
    assert_eq!(passed, ["x-cert", "x_cert", "x.cert"]);
}

#[tokio::test]
async fn the_header_of_a_trusted_proxy_gets_to_the_upstream_and_no_other() {
    let (own, _) = two_clients();
    for (syntax, name, value_of) in SYNTAXES {
        let tables =
            format!("[trusted_proxies]\nnetworks = ['127.0.0.0/8']\nclient_certificate = {syntax}");
        let rig = Rig::with(mirror(), Wanted::tables(&tables)).await;
        let mut request = with_all(rig.get("/orders"));
        let value = value_of(&own);
        request.headers_mut().insert(name, value.parse().unwrap());
        let response = rig.send(request).await;
        assert_eq!(response.status(), 200, "{syntax}");
        let seen = Seen(json(response).await);
        assert_eq!(seen.all(name), [&*value], "{syntax}");
        for other in NAMES.into_iter().filter(|other| *other != name) {
            // RFC 9440 section 2.3: the proxy that writes one of them is also responsible for the other.
            let is_chain = name == "client-cert" && other == "client-cert-chain";
            let is_own_name = name != "x-cert" && other.ends_with("cert") && other.len() == 6;
            assert_eq!(
                !seen.all(other).is_empty(),
                is_chain || is_own_name,
                "{syntax}: {other}"
            );
        }
    }
}

#[tokio::test]
async fn no_trailer_has_a_certificate() {
    for (networks, client_certificate) in [
        ("192.0.2.0/24", "{ base64_der = 'X-Cert' }"),
        // Trailers of a trusted proxy may be those of its client.
        ("127.0.0.0/8", "{ base64_der = 'X-Cert' }"),
        ("127.0.0.0/8", "'client_cert'"),
    ] {
        let tables = format!(
            "[trusted_proxies]\nnetworks = ['{networks}']\nclient_certificate = {client_certificate}"
        );
        let rig = Rig::with(identity::trailers(), Wanted::tables(&tables)).await;
        let mut trailers = HeaderMap::new();
        for name in NAMES.into_iter().chain(["x-sum"]) {
            let value = HeaderValue::from_static("mallory");
            trailers.insert(HeaderName::from_static(name), value);
        }
        let listed: Vec<&str> = trailers.keys().map(HeaderName::as_str).collect();
        let listed = HeaderValue::try_from(listed.join(", ")).unwrap();
        let (mut sender, body) = Channel::<Bytes>::new(2);
        sender.send_data(Bytes::from("body")).await.unwrap();
        sender.send_trailers(trailers).await.unwrap();
        drop(sender);
        let mut request = rig.request(Method::POST, "/orders");
        request.headers_mut().insert(header::TRAILER, listed);
        *request.body_mut() = Body::new(body);
        let mut got: Vec<String> =
            serde_json::from_value(json(rig.send(request).await).await).unwrap();
        got.sort_unstable();
        let expected: &[&str] = match client_certificate {
            "'client_cert'" => &["x-cert", "x-sum", "x.cert", "x_cert"],
            _ => &["x-sum"],
        };
        assert_eq!(got, expected, "{tables}");
    }
}
