//! Envoy, which reports the certificate in `X-Forwarded-Client-Cert` or in the attributes of its question.

use axum::body::Body;
use dpop_cli::gateway::ext_authz::proto::envoy::service::auth::v3::{
    CheckRequest, attribute_context::Peer,
};
use http::Request;

use super::{Bound, EXPECTED, ROUTES, SYNTAXES, escaped, request, two_clients};
use crate::ext_authz::{Envoy, about};

async fn envoy(more: &str) -> Envoy {
    Envoy::before(&format!("{more}\n{ROUTES}")).await
}

/// Returns a question about a request from a connection with this certificate.
fn over(certificate: &str, request: &Request<Body>) -> CheckRequest {
    let mut question = about(request);
    question.attributes.as_mut().unwrap().source = Some(Peer {
        certificate: certificate.to_owned(),
    });
    question
}

/// Returns a question about a request with this header.
fn with(name: &str, value: &str, request: &Request<Body>) -> CheckRequest {
    let mut question = about(request);
    let attributes = question.attributes.as_mut().unwrap();
    let http = attributes.request.as_mut().unwrap().http.as_mut().unwrap();
    http.headers.insert(name.to_owned(), value.to_owned());
    question
}

#[tokio::test]
async fn rfc_8705_section_3_a_token_needs_the_certificate_of_the_connection_to_envoy() {
    let (own, other) = two_clients();
    let mut envoy = envoy("client_certificate = 'peer_certificate'").await;
    let (of_own, of_other) = (escaped(&own), escaped(&other));
    for (path, bound, with_own, without, unreadable) in EXPECTED {
        for (certificate, expected) in [
            (&*of_own, with_own),
            (&of_other, without),
            ("", without),
            ("junk", unreadable),
            (&format!("{of_own}{of_own}"), unreadable),
        ] {
            let request = request(&envoy.rig, path, bound, &own);
            let status = envoy.status(over(certificate, &request)).await;
            assert_eq!(status, expected, "{path}, {bound:?}: {certificate}");
        }
        // Envoy is not configured to report it.
        let request = request(&envoy.rig, path, bound, &own);
        assert_eq!(envoy.status(about(&request)).await, without);
    }
    // No header can be URL-encoded like this.
    let request = envoy.rig.get("/orders");
    assert_eq!(envoy.status(over("a\nb", &request)).await, 500);
}

#[tokio::test]
async fn a_header_counts_if_the_table_names_it() {
    let (own, other) = two_clients();
    for (syntax, name, value_of) in SYNTAXES {
        let mut envoy = envoy(&format!("client_certificate = {syntax}")).await;
        let (of_own, of_other) = (value_of(&own), value_of(&other));
        for (path, bound, with_own, without, unreadable) in EXPECTED {
            for (value, expected) in [
                (&*of_own, with_own),
                (&of_other, without),
                ("", without),
                ("junk", unreadable),
            ] {
                let request = request(&envoy.rig, path, bound, &own);
                let status = envoy.status(with(name, value, &request)).await;
                assert_eq!(status, expected, "{syntax}, {path}, {bound:?}: {value}");
            }
        }
        // Envoy joins headers of one name with a comma. Only the last element of its own header is its own.
        let last = if name == "x-forwarded-client-cert" {
            [(&of_other, &of_own, 200), (&of_own, &of_other, 401)]
        } else {
            [(&of_other, &of_own, 400), (&of_own, &of_other, 400)]
        };
        for (first, last, expected) in last {
            let request = request(&envoy.rig, "/certificate", Bound::Certificate, &own);
            let joined = with(name, &format!("{first},{last}"), &request);
            assert_eq!(envoy.status(joined).await, expected, "{syntax}");
        }
    }
}

#[tokio::test]
async fn what_the_table_does_not_name_does_not_count() {
    let (own, _) = two_clients();
    let attribute = escaped(&own);
    for (syntax, name, value_of) in SYNTAXES {
        let value = value_of(&own);
        for more in ["", "client_certificate = 'peer_certificate'"] {
            let mut envoy = envoy(more).await;
            for name in [name, "x-peer-certificate"] {
                let request = request(&envoy.rig, "/certificate", Bound::Certificate, &own);
                let question = with(name, &value, &request);
                assert_eq!(envoy.status(question).await, 401, "{syntax}: {more}");
            }
        }
        for more in ["", &format!("client_certificate = {syntax}")] {
            let mut envoy = envoy(more).await;
            let request = request(&envoy.rig, "/certificate", Bound::Certificate, &own);
            let question = over(&attribute, &request);
            assert_eq!(envoy.status(question).await, 401, "{syntax}: {more}");
        }
    }
    let more = "networks = ['192.0.2.0/24']\nclient_certificate = 'peer_certificate'";
    let mut envoy = envoy(more).await;
    let request = request(&envoy.rig, "/certificate", Bound::Certificate, &own);
    assert_eq!(envoy.status(over(&attribute, &request)).await, 403);
}

#[tokio::test]
async fn what_a_client_writes_about_its_certificate_is_removed() {
    for (more, removed, kept) in [
        (
            "",
            &["client-cert", "client-cert-chain", "client_cert"][..],
            &["x-forwarded-client-cert", "x-cert"][..],
        ),
        (
            "client_certificate = 'client_cert'",
            &["client_cert", "client.cert.chain"],
            &["client-cert", "client-cert-chain"],
        ),
        (
            "client_certificate = { base64_der = 'X-Cert' }",
            &["client-cert", "client-cert-chain", "x_cert"],
            &["x-cert"],
        ),
        (
            "client_certificate = 'peer_certificate'",
            &["client-cert", "client-cert-chain"],
            &["x-forwarded-client-cert"],
        ),
    ] {
        let mut envoy = envoy(more).await;
        for (names, expected) in [(removed, true), (kept, false)] {
            for name in names {
                let request = envoy.rig.get("/orders");
                let response = envoy.admitted(with(name, "junk", &request)).await;
                let is_removed = response.headers_to_remove.iter().any(|gone| gone == name);
                assert_eq!(is_removed, expected, "{more}: {name}");
            }
        }
    }
}
