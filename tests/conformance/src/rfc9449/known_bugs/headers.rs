//! Headers that change the target, and claims that become headers.

use axum::{Router, body::to_bytes, routing::get};
use dpop_tower::BoundToken;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use percent_encoding::percent_decode;
use serde_json::json;

use crate::{
    rfc9449::case::Case,
    support::{Over, URL, Verdict, Way, invalid_proof},
};

fn with_headers(mut request: Request<()>, headers: &[(&str, &[u8])]) -> Request<()> {
    for (name, value) in headers {
        let name: HeaderName = name.parse().unwrap();
        let value = HeaderValue::from_bytes(value).unwrap();
        request.headers_mut().append(name, value);
    }
    request
}

/// CVE-2026-40575, CVE-2026-88011 and others: headers that only a proxy should write, in spellings that
/// a proxy does not remove.
pub(super) async fn no_spelling_of_a_forwarded_header_moves_the_target(way: Way) {
    let case = Case::new(way);
    let long = b"evil.test,".repeat(2000);
    let forged: &[(&str, &[u8])] = &[
        ("x-forwarded-host", b"evil.test"),
        ("x_forwarded_host", b"evil.test"),
        ("x.forwarded.host", b"evil.test"),
        ("x-forwarded_host", b"evil.test"),
        ("x-forwarded-host.", b"evil.test"),
        ("x-forwarded-host_", b"evil.test"),
        ("x-forwarded-host", b"evil.test, api.test"),
        ("x-forwarded-host", b""),
        ("x-forwarded-host", b",,,"),
        ("x-forwarded-host", b"\xff\xfe"),
        ("x-forwarded-host", &long),
        ("x-forwarded-server", b"evil.test"),
        ("x-forwarded-proto", b"http"),
        ("x_forwarded_proto", b"http"),
        ("x-forwarded-scheme", b"http"),
        ("x-forwarded-protocol", b"http"),
        ("x-forwarded-ssl", b"off"),
        ("x-forwarded-port", b"8080"),
        ("x-forwarded-prefix", b"/other"),
        ("x-forwarded-path", b"/other"),
        ("x-forwarded-uri", b"/other"),
        ("x_forwarded_uri", b"/other"),
        ("x-forwarded-uri", b"https://evil.test/orders"),
        ("x-forwarded-for", b"127.0.0.1"),
        ("x-real-ip", b"127.0.0.1"),
        ("x-original-uri", b"/other"),
        ("x-original-url", b"/other"),
        ("x-rewrite-url", b"/other"),
        ("x-envoy-original-path", b"/other"),
        ("x-script-name", b"/other"),
        ("x-http-host-override", b"evil.test"),
        ("front-end-https", b"off"),
        ("forwarded", b"host=evil.test;proto=http;for=127.0.0.1"),
        ("forwarded", b"for=\"[::1;host=evil.test"),
        ("forwarded", b"host=\"evil.test"),
        ("forwarded", b";;;===,,,\"\\"),
        ("via", b"1.1 evil.test"),
    ];
    let alone = forged.iter().map(std::slice::from_ref);
    for headers in alone.chain([forged]) {
        for (htu, expected) in [
            (URL, Verdict::Admitted),
            (
                "https://evil.test/orders",
                invalid_proof("proof_htu_mismatch"),
            ),
            (
                "http://api.test/orders",
                invalid_proof("proof_htu_mismatch"),
            ),
            (
                "https://api.test:8080/orders",
                invalid_proof("proof_htu_mismatch"),
            ),
            (
                "https://api.test/other",
                invalid_proof("proof_htu_mismatch"),
            ),
            (
                "https://api.test/other/orders",
                invalid_proof("proof_htu_mismatch"),
            ),
        ] {
            let proof = case.proof().claim("htu", htu).sign();
            let client = &case.api.client;
            let request = client.request_with_proof(Method::GET, URL, &case.token, &proof);
            let verdict = case.api.send(with_headers(request, headers)).await;
            assert_eq!(verdict, expected, "{htu} with {headers:?}");
        }
    }
    // The method is that of the request as well.
    for name in [
        "x-http-method-override",
        "x-method-override",
        "x-forwarded-method",
        "x_http_method_override",
    ] {
        for (htm, expected) in [
            ("GET", Verdict::Admitted),
            ("POST", invalid_proof("proof_htm_mismatch")),
        ] {
            let proof = case.proof().claim("htm", htm).sign();
            let client = &case.api.client;
            let request = client.request_with_proof(Method::GET, URL, &case.token, &proof);
            let request = with_headers(request, &[(name, b"POST")]);
            assert_eq!(case.api.send(request).await, expected, "{name}: {htm}");
        }
    }
}

/// CVE-2024-45410: `Connection` names the headers of one hop, and a proxy removed headers that matter.
pub(super) async fn what_connection_names_counts_all_the_same(way: Way) {
    let case = Case::new(way);
    for connection in [
        "dpop",
        "DPoP, Authorization",
        "authorization",
        "x-forwarded-host, host",
        "close, dpop",
        "keep-alive, dpop, authorization, dpop-nonce",
    ] {
        let named: &[(&str, &[u8])] = &[("connection", connection.as_bytes())];
        let good = case.api.client.get(URL, &case.token);
        let verdict = case.api.send(with_headers(good, named)).await;
        assert_eq!(verdict, Verdict::Admitted, "{connection}");

        // A header that `Connection` names still counts as one of two.
        let twice = case.api.client.get(URL, &case.token);
        let another = case.proof().sign();
        let twice = with_headers(twice, &[("dpop", another.as_bytes())]);
        let verdict = case.api.send(with_headers(twice, named)).await;
        assert_eq!(verdict, invalid_proof("proof_multiple"), "{connection}");

        let mut without = case.api.client.get(URL, &case.token);
        without.headers_mut().remove("dpop");
        let verdict = case.api.send(with_headers(without, named)).await;
        assert_eq!(verdict, invalid_proof("proof_missing"), "{connection}");
    }
}

/// CVE-2026-88011: one server reads an underscore where another reads a hyphen.
pub(super) async fn a_header_of_almost_the_right_name_is_none(way: Way) {
    let case = Case::new(way);
    let missing = Verdict::Rejected {
        status: 401,
        error: "",
        reason: "credentials_missing",
    };
    for (right, reason, others) in [
        (
            "dpop",
            invalid_proof("proof_missing"),
            &[
                "dpop_",
                "dpop.",
                "dpop-",
                "_dpop",
                "d-pop",
                "d_pop",
                "x-dpop",
                "http_dpop",
                "dpop-proof",
                "dpop_proof",
                "dpop-token",
                "proxy-dpop",
            ][..],
        ),
        (
            "authorization",
            missing,
            &[
                "authorization_",
                "authorization.",
                "authorization-",
                "_authorization",
                "x-authorization",
                "http_authorization",
                "proxy-authorization",
                "x-forwarded-authorization",
                "x-original-authorization",
                "x-access-token",
                "authentication",
            ],
        ),
    ] {
        for other in others {
            let mut moved = case.api.client.get(URL, &case.token);
            let value = moved.headers_mut().remove(right).unwrap();
            let moved = with_headers(moved, &[(other, value.as_bytes())]);
            assert_eq!(case.api.send(moved).await, reason, "{other}");

            let beside = case.api.client.get(URL, &case.token);
            let beside = with_headers(beside, &[(other, b"DPoP evil")]);
            assert_eq!(case.api.send(beside).await, Verdict::Admitted, "{other}");
        }
    }
}

/// A proxy that identifies the caller in headers writes a token's claims into them, and has to remove
/// what the client wrote.
pub(super) async fn no_claim_becomes_a_header_and_no_header_a_claim(way: Way) {
    async fn seen(token: BoundToken, headers: HeaderMap) -> String {
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        json!([token.claims().subject(), headers]).to_string()
    }
    // The gateway's output in the same form: the caller, and the headers other than the gateway's own.
    async fn seen_by_headers(mut headers: HeaderMap) -> String {
        let subject = headers["x-dpop-subject"].as_bytes();
        let subject = percent_decode(subject).decode_utf8().unwrap().into_owned();
        for own in ["subject", "client-id", "issuer", "principal", "thumbprint"] {
            assert!(headers.remove(format!("x-dpop-{own}")).is_some(), "{own}");
        }
        assert!(headers.remove("via").is_some());
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        json!([subject, headers]).to_string()
    }
    let api = way.api();
    let of = |handler| Router::new().route("/orders", handler);
    let config = api.config().build().unwrap();
    let router = way.protect(config, of(get(seen)), of(get(seen_by_headers)));
    for subject in [
        "alice",
        "alice\r\nx-user: root",
        "alice\r\n\r\nHTTP/1.1 200 OK",
        "alice\0",
        "alice, root",
        "\u{e4}lice",
    ] {
        let token = api.token().subject(subject).mint();
        let mut request = api.client.get(URL, &token);
        for name in ["x-user", "x_user", "x-sub", "sub", "x-dpop-sub", "x-claims"] {
            let name: HeaderName = name.parse().unwrap();
            request
                .headers_mut()
                .insert(name, HeaderValue::from_static("root"));
        }
        let mut sent = request.headers().clone();
        if matches!(way.over, Over::Proxy(_)) {
            // The gateway withholds the credentials, calls the upstream by another name, and removes
            // everything that looks like its own headers.
            for name in ["authorization", "dpop", "host", "x-dpop-sub"] {
                sent.remove(name);
            }
        }
        let response = way.send(router.clone(), request).await;
        for (name, value) in response.headers() {
            let ordinary = ["content-type", "content-length", "date", "via"];
            assert!(ordinary.contains(&name.as_str()), "{name}: {value:?}");
        }
        let body = to_bytes(response.into_body(), 100_000).await.unwrap();
        let (as_seen, headers): (String, Vec<(String, String)>) =
            serde_json::from_slice(&body).unwrap();
        assert_eq!(as_seen, subject);
        let mut headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                let name: HeaderName = name.parse().unwrap();
                (name, HeaderValue::from_str(value).unwrap())
            })
            .collect();
        if matches!(way.over, Over::Proxy(_)) {
            // What the gateway says about the origin that was called.
            for name in [
                "host",
                "x-forwarded-host",
                "x-forwarded-port",
                "x-forwarded-proto",
            ] {
                assert!(headers.remove(name).is_some(), "{name}");
            }
        }
        assert_eq!(headers, sent, "{subject:?}");
    }
}
