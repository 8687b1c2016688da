//! Certificates in the headers of proxies (RFC 9440).

use std::net::IpAddr;

use axum::{Router, routing::get};
use dpop_tower::{
    DpopConfig, DpopLayer, Policy, RequestHead, Verdict, Verifier,
    certificate::ClientCertificate,
    target::{CertificateHeader, ClientCertificates, PeerAddr},
};
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use proptest::prelude::*;

use super::{
    Bound, DER, accepting, as_bearer, certificate, connections, found, outcome, with_certificate,
};
use crate::support::{Api, URL, Why, send};

const PROXY: &str = "10.0.0.5";
const STRANGER: &str = "192.0.2.1";

const CLIENT_CERT: &str = "client-cert";

fn trusted() -> ClientCertificates {
    let header = CertificateHeader::client_cert();
    ClientCertificates::forwarded(["10.0.0.0/8"], header).unwrap()
}

fn config(api: &Api) -> DpopConfig {
    let config = api.config().client_certificates(trusted());
    config.policy(accepting()).build().unwrap()
}

fn router(config: DpopConfig) -> Router {
    Router::new()
        .route("/orders", get(found))
        .layer(DpopLayer::new(config))
}

fn client_cert() -> String {
    format!(":{DER}:")
}

/// A request over a connection from this peer, with these values of the header.
fn from(mut request: Request<()>, peer: Option<&str>, values: &[&str]) -> Request<()> {
    if let Some(peer) = peer {
        let peer = PeerAddr(peer.parse().unwrap());
        request.extensions_mut().insert(peer);
    }
    for value in values {
        let value = HeaderValue::from_str(value).unwrap();
        request.headers_mut().append(CLIENT_CERT, value);
    }
    request
}

#[tokio::test]
async fn rfc_9440_a_certificate_in_the_header_of_a_listed_proxy_counts() {
    let api = Api::new();
    let router = router(config(&api));
    let header = client_cert();
    let other = format!(":{}:", openssl::base64::encode_block(&[0x30, 1, 7]));
    for (values, as_both, alone) in [
        (&[&*header][..], "both", "certificate"),
        (
            &[&*other],
            "token_certificate_mismatch",
            "token_certificate_mismatch",
        ),
        (
            &[],
            "token_certificate_missing",
            "token_certificate_missing",
        ),
        (
            &[""],
            "token_certificate_missing",
            "token_certificate_missing",
        ),
    ] {
        // The certificate of the connection is that of the proxy.
        for own in connections() {
            let request = api.client.get(URL, &Bound::Both.token(&api));
            let request = with_certificate(request, own.as_ref());
            let request = from(request, Some(PROXY), values);
            assert_eq!(outcome(&router, request).await, as_both, "{values:?}");
            let request = as_bearer(&Bound::Certificate.token(&api));
            let request = with_certificate(request, own.as_ref());
            let request = from(request, Some(PROXY), values);
            assert_eq!(outcome(&router, request).await, alone, "{values:?}");
        }
    }
}

#[tokio::test]
async fn rfc_9440_section_4_a_header_of_any_other_peer_does_not_count() {
    let api = Api::new();
    let header = client_cert();
    let with_proxies = router(config(&api));
    let without = api.config().policy(accepting()).build().unwrap();
    let without = router(without);
    let token = Bound::Certificate.token(&api);
    let (own, missing) = (certificate(), "token_certificate_missing");
    for (router, peer) in [
        (&with_proxies, Some(STRANGER)),
        (&with_proxies, None),
        (&without, Some(PROXY)),
        (&without, None),
    ] {
        let request = || from(as_bearer(&token), peer, &[&header]);
        assert_eq!(outcome(router, request()).await, missing, "{peer:?}");
        let request = with_certificate(request(), Some(&own));
        assert_eq!(outcome(router, request).await, "certificate", "{peer:?}");
    }
}

/// Such a header shows that the proxy passes on what clients write.
#[tokio::test]
async fn a_header_that_comes_twice_or_is_too_long_is_rejected_whatever_the_token() {
    let api = Api::new();
    let protected = router(config(&api));
    let (header, long) = (client_cert(), "A".repeat(16 * 1024 + 1));
    for values in [&[&*header, &*header][..], &["", &*header], &[&*long]] {
        for bound in Bound::ALL {
            let request = from(api.client.get(URL, &bound.token(&api)), Some(PROXY), values);
            let response = send(protected.clone(), request).await;
            assert_eq!(response.status(), 400);
            let why = Why::of(&response).unwrap();
            assert_eq!(why.reason, "client_certificate_malformed");
            assert!(!why.detail.contains(DER), "{}", why.detail);
        }
    }
}

#[tokio::test]
async fn a_malformed_header_is_rejected_if_the_token_is_bound_to_a_certificate() {
    let api = Api::new();
    let protected = router(config(&api));
    let malformed = "client_certificate_malformed";
    for values in [&[DER][..], &["junk"], &[":::"]] {
        for (bound, with_proof, without_proof) in [
            (Bound::Key, "key", "token_bound_as_bearer"),
            (Bound::Both, malformed, "token_bound_as_bearer"),
            (Bound::Certificate, "token_not_bound", malformed),
            (Bound::Not, "token_not_bound", "token_scheme_not_accepted"),
        ] {
            let token = bound.token(&api);
            let request = from(api.client.get(URL, &token), Some(PROXY), values);
            assert_eq!(outcome(&protected, request).await, with_proof, "{bound:?}");
            let request = from(as_bearer(&token), Some(PROXY), values);
            assert_eq!(
                outcome(&protected, request).await,
                without_proof,
                "{bound:?}"
            );
        }
    }
    // It is the client's fault as little as that of the proof, which is not used up.
    let request = api.client.get(URL, &Bound::Both.token(&api));
    let response = send(
        protected.clone(),
        from(request.clone(), Some(PROXY), &["junk"]),
    );
    assert_eq!(response.await.status(), 400);
    let header = client_cert();
    let again = from(request, Some(PROXY), &[&header]);
    assert_eq!(outcome(&protected, again).await, "both");
    // A report-only layer reports it.
    let config = api.config().client_certificates(trusted());
    let reporting = router(config.policy(Policy::report_only()).build().unwrap());
    let request = from(
        api.client.get(URL, &Bound::Both.token(&api)),
        Some(PROXY),
        &["junk"],
    );
    assert_eq!(
        outcome(&reporting, request).await,
        "would be client_certificate_malformed"
    );
}

/// A policy that requires a binding rejects a token without one, whatever the header is.
#[tokio::test]
async fn a_malformed_header_admits_nothing_that_a_policy_rejects() {
    let api = Api::new();
    let config = api.config().client_certificates(trusted());
    let policy = Policy::strict().require_certificate_bound();
    let router = router(config.policy(policy).build().unwrap());
    for (bound, expected) in [
        (Bound::Key, "policy_certificate_binding_missing"),
        (Bound::Both, "client_certificate_malformed"),
        (Bound::Not, "token_not_bound"),
        (Bound::Certificate, "token_confirmation_not_supported"),
    ] {
        let request = api.client.get(URL, &bound.token(&api));
        let request = from(request, Some(PROXY), &["junk"]);
        assert_eq!(outcome(&router, request).await, expected, "{bound:?}");
    }
}

#[tokio::test]
async fn a_certificate_is_hashed_if_a_token_is_bound_to_one() {
    let api = Api::new();
    let config = api.config().policy(accepting()).build().unwrap();
    let router = router(config);
    let own = certificate();
    let is_hashed = || !format!("{own:?}").contains("None");
    let key = api.client.get(URL, &Bound::Key.token(&api));
    assert_eq!(
        outcome(&router, with_certificate(key, Some(&own))).await,
        "key"
    );
    assert!(!is_hashed());
    let both = api.client.get(URL, &Bound::Both.token(&api));
    assert_eq!(
        outcome(&router, with_certificate(both, Some(&own))).await,
        "both"
    );
    assert!(is_hashed());
}

#[tokio::test]
async fn a_header_that_the_request_head_names_counts_alone() {
    let api = Api::new();
    let named = CertificateHeader::base64_der(HeaderName::from_static("x-cert"));
    let (own, in_client_cert) = (certificate(), client_cert());
    let other = openssl::base64::encode_block(&[0x30, 1, 7]);
    // The configuration reads another header of this peer.
    let with_proxies = Verifier::new(config(&api));
    let without = Verifier::new(api.config().policy(accepting()).build().unwrap());
    for (values, expected) in [
        (&[DER][..], "admitted"),
        (&[&*other], "token_certificate_mismatch"),
        (&[], "token_certificate_missing"),
        (&[""], "token_certificate_missing"),
        (&["junk"], "client_certificate_malformed"),
        (&[DER, DER], "client_certificate_malformed"),
    ] {
        for verifier in [&with_proxies, &without] {
            for peer in [PROXY, STRANGER] {
                let mut request = as_bearer(&Bound::Certificate.token(&api));
                let headers = request.headers_mut();
                headers.insert(CLIENT_CERT, in_client_cert.parse().unwrap());
                for value in values {
                    headers.append("x-cert", value.parse().unwrap());
                }
                let head = RequestHead::new(request.method(), request.uri(), request.headers())
                    .client_certificate(&own)
                    .peer(peer.parse().unwrap())
                    .client_certificate_in(&named);
                let reason = match verifier.verify_request(head).await {
                    Verdict::Admitted(_) => "admitted",
                    Verdict::Rejected(rejection) => rejection.reason(),
                };
                assert_eq!(reason, expected, "{values:?}, {peer}");
            }
        }
    }
}

/// Returns the reason, or `admitted`.
async fn reason(
    verifier: &Verifier,
    request: &Request<()>,
    headers: &HeaderMap,
    peer: Option<IpAddr>,
    own: Option<&ClientCertificate>,
) -> &'static str {
    let head = RequestHead::new(request.method(), request.uri(), headers);
    let head = peer.map_or(head, |peer| head.peer(peer));
    let head = own.map_or(head, |own| head.client_certificate(own));
    match verifier.verify_request(head).await {
        Verdict::Admitted(_) => "admitted",
        Verdict::Rejected(rejection) => rejection.reason(),
    }
}

fn any_value() -> impl Strategy<Value = String> {
    let hash = "0380ed2f626650c840b2f263e6d2b29fae12ab39ae5db32b25ad27efad72e6fd";
    prop_oneof![
        Just(client_cert()),
        Just(DER.to_owned()),
        Just(hash.to_owned()),
        Just(format!("Hash={hash}")),
        Just(String::new()),
        "[ -~]{0,40}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_header_of_a_peer_that_is_not_listed_changes_a_verdict(
        values in prop::collection::vec(any_value(), 1..4),
        syntax in 0..5_usize,
        peer in prop_oneof![
            Just(None),
            any::<[u8; 4]>().prop_map(|address| Some(IpAddr::from(address))),
            any::<[u8; 16]>().prop_map(|address| Some(IpAddr::from(address))),
        ],
        bound in 0..4_usize,
        as_proof in any::<bool>(),
        connection in 0..3_usize,
    ) {
        let listed = |peer: IpAddr| match peer.to_canonical() {
            IpAddr::V4(peer) => u32::from(peer) >> 24 == 10,
            IpAddr::V6(_) => false,
        };
        prop_assume!(!peer.is_some_and(listed));
        let name = HeaderName::from_static("x-cert");
        let (name, header) = match syntax {
            0 => (HeaderName::from_static(CLIENT_CERT), CertificateHeader::client_cert()),
            1 => (
                HeaderName::from_static("x-forwarded-client-cert"),
                CertificateHeader::x_forwarded_client_cert(),
            ),
            2 => (name.clone(), CertificateHeader::escaped_pem(name)),
            3 => (name.clone(), CertificateHeader::base64_der(name)),
            _ => (name.clone(), CertificateHeader::sha256_hex(name)),
        };
        let api = Api::new();
        let certificates = ClientCertificates::forwarded(["10.0.0.0/8"], header).unwrap();
        let config = api.config().client_certificates(certificates);
        let policy = Policy::optional().accept_certificate_bound();
        let verifier = Verifier::new(config.policy(policy).build().unwrap());
        let bound = Bound::ALL[bound];
        let token = bound.token(&api);
        let request = || if as_proof { api.client.get(URL, &token) } else { as_bearer(&token) };
        let connection = &connections()[connection];
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let plain = request();
            let without =
                reason(&verifier, &plain, plain.headers(), peer, connection.as_ref()).await;
            let more = request();
            let mut headers = more.headers().clone();
            for value in &values {
                headers.append(&name, HeaderValue::from_str(value).unwrap());
            }
            let with = reason(&verifier, &more, &headers, peer, connection.as_ref()).await;
            prop_assert_eq!(without, with);
            Ok(())
        })?;
    }
}
