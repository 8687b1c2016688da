//! Proxies that ask over HTTP, and report the certificate in a header.

use axum::body::Body;
use http::Request;

use super::{Bound, EXPECTED, ROUTES, SYNTAXES, request, two_clients};
use crate::{
    Wanted,
    forward_auth::{ForwardAuthRig, PROXIES},
};

fn with(mut request: Request<Body>, name: &'static str, values: &[&str]) -> Request<Body> {
    for value in values {
        request.headers_mut().append(name, value.parse().unwrap());
    }
    request
}

async fn asked(proxy: &str, more: &str) -> ForwardAuthRig {
    let tables = format!("{more}\n{ROUTES}");
    ForwardAuthRig::by(proxy, Wanted::tables(&tables)).await
}

#[tokio::test]
async fn rfc_8705_section_3_a_token_needs_the_certificate_that_the_asking_proxy_reports() {
    let (own, other) = two_clients();
    for (_, proxy) in PROXIES {
        for (syntax, name, value_of) in SYNTAXES {
            let asked = asked(proxy, &format!("client_certificate = {syntax}")).await;
            let (of_own, of_other) = (value_of(&own), value_of(&other));
            for (path, bound, with_own, without, unreadable) in EXPECTED {
                for (values, expected) in [
                    (&[&*of_own][..], with_own),
                    (&[&*of_other], without),
                    (&[], without),
                    (&[""], without),
                    (&["junk"], unreadable),
                    // Also if no certificate is needed.
                    (&[&*of_own, &*of_own], 400),
                ] {
                    let request = with(request(&asked.rig, path, bound, &own), name, values);
                    let status = asked.verdict(&request).await;
                    assert_eq!(
                        status, expected,
                        "{proxy}, {syntax}, {path}, {bound:?}: {values:?}"
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn a_header_that_the_table_of_the_proxy_does_not_name_does_not_count() {
    let (own, _) = two_clients();
    let trusted = "[trusted_proxies]\nnetworks = ['127.0.0.0/8']\nclient_certificate";
    for (syntax, name, value_of) in SYNTAXES {
        let value = value_of(&own);
        for more in [
            String::new(),
            "client_certificate = { base64_der = 'X-Other' }".to_owned(),
            // This is the header of those that forward requests to the gateway.
            format!("{trusted} = {syntax}"),
        ] {
            let asked = asked("nginx", &more).await;
            let request = request(&asked.rig, "/certificate", Bound::Certificate, &own);
            let request = with(request, name, &[&value]);
            assert_eq!(asked.verdict(&request).await, 401, "{syntax}: {more}");
        }
    }
}

#[tokio::test]
async fn a_header_of_a_proxy_that_asks_does_not_count_where_requests_are_forwarded() {
    let (own, _) = two_clients();
    for (syntax, name, value_of) in SYNTAXES {
        let asked = asked("nginx", &format!("client_certificate = {syntax}")).await;
        let request = || request(&asked.rig, "/certificate", Bound::Certificate, &own);
        let value = value_of(&own);
        let forwarded = with(request(), name, &[&value]);
        assert_eq!(asked.rig.status(forwarded).await, 401, "{syntax}");
        let asking = with(request(), name, &[&value]);
        assert_eq!(asked.verdict(&asking).await, 200, "{syntax}");
    }
}

#[tokio::test]
async fn a_peer_that_may_not_ask_reports_no_certificate() {
    let (own, _) = two_clients();
    for (syntax, name, value_of) in SYNTAXES {
        let more = format!("networks = ['192.0.2.0/24']\nclient_certificate = {syntax}");
        let asked = asked("nginx", &more).await;
        let request = request(&asked.rig, "/certificate", Bound::Certificate, &own);
        let request = with(request, name, &[&value_of(&own)]);
        assert_eq!(asked.verdict(&request).await, 403, "{syntax}");
    }
}

/// Services behind CGI and its successors read both as one header.
#[tokio::test]
async fn a_misspelling_of_the_header_is_rejected() {
    for (_, proxy) in PROXIES {
        let asked = asked(proxy, "client_certificate = { base64_der = 'X-Cert' }").await;
        for misspelt in ["x_cert", "x.cert", "client_cert", "x_forwarded_client_cert"] {
            let request = with(asked.rig.get("/orders"), misspelt, &["junk"]);
            assert_eq!(asked.verdict(&request).await, 400, "{proxy}, {misspelt}");
        }
        let request = asked.rig.get("/orders");
        assert_eq!(asked.verdict(&request).await, 200, "{proxy}");
    }
}
