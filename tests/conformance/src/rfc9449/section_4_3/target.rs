//! Items 8 and 9: the method and the URI.

use http::{HeaderValue, Method, Request};

use crate::{
    rfc9449::case::Case,
    support::{URL, Verdict, Way, invalid_proof},
};

pub(super) async fn item_8_htm_is_the_method_to_the_letter(way: Way) {
    let case = Case::new(way);
    for htm in [
        "get",
        "Get",
        "POST",
        "HEAD",
        "GET ",
        " GET",
        "GET,POST",
        "*",
        "G\u{112}T",
    ] {
        let proof = case.proof().claim("htm", htm).sign();
        case.reject(htm, &proof, "proof_htm_mismatch").await;
    }
    for (method, htm, expected) in [
        (Method::POST, "POST", Verdict::Admitted),
        (Method::POST, "GET", invalid_proof("proof_htm_mismatch")),
        (Method::POST, "post", invalid_proof("proof_htm_mismatch")),
        // axum answers HEAD with the handler of GET.
        (Method::HEAD, "HEAD", Verdict::Admitted),
        (Method::HEAD, "GET", invalid_proof("proof_htm_mismatch")),
    ] {
        let proof = case.proof().claim("htm", htm).sign();
        let request = case
            .api
            .client
            .request_with_proof(method.clone(), URL, &case.token, &proof);
        assert_eq!(case.api.send(request).await, expected, "{htm} for {method}");
    }
    case.finish().await;
}

pub(super) async fn item_9_equivalent_spellings_of_htu_are_accepted(way: Way) {
    let case = Case::new(way);
    for htu in [
        "HTTPS://api.test/orders",
        "https://API.TEST/orders",
        "https://api.test:443/orders",
        "https://api.test:/orders",
        "https://api.test:0443/orders",
        "https://api.test/%6Frders",
        "https://api.test/%6frders",
        "https://api.test/./orders",
        "https://api.test/a/../orders",
        "https://api.test/../orders",
        "https://api.test/orders?",
        "https://api.test/orders?a=/b&c",
        "https://api.test/orders#fragment",
        "https://api.test/orders?a#b",
        "https://api.test/%2E/orders",
    ] {
        let proof = case.proof().claim("htu", htu).sign();
        case.check(htu, &proof, Verdict::Admitted).await;
    }
}

pub(super) async fn item_9_the_query_of_the_request_is_not_part_of_htu(way: Way) {
    let case = Case::new(way);
    for htu in [
        URL,
        "https://api.test/orders?a=1",
        "https://api.test/orders?b=2",
    ] {
        let proof = case.proof().claim("htu", htu).sign();
        let request: Request<()> = case.api.client.request_with_proof(
            Method::GET,
            "https://api.test/orders?a=1",
            &case.token,
            &proof,
        );
        assert_eq!(case.api.send(request).await, Verdict::Admitted, "{htu}");
    }
}

pub(super) async fn item_9_another_htu_is_rejected(way: Way) {
    let case = Case::new(way);
    let (mismatch, invalid) = ("proof_htu_mismatch", "proof_htu_invalid");
    for (htu, reason) in [
        ("http://api.test/orders", mismatch),
        ("http://api.test:443/orders", mismatch),
        ("https://api.test:80/orders", mismatch),
        ("https://api.test:8443/orders", mismatch),
        ("https://api.test./orders", mismatch),
        ("https://api.test.evil.test/orders", mismatch),
        ("https://evil.test/orders", mismatch),
        ("https://evil.test/https://api.test/orders", mismatch),
        ("https://www.api.test/orders", mismatch),
        ("https://127.0.0.1/orders", mismatch),
        ("https://api.test", mismatch),
        ("https://api.test/", mismatch),
        ("https://api.test?/orders", mismatch),
        ("https://api.test/Orders", mismatch),
        ("https://api.test/ORDERS", mismatch),
        ("https://api.test/orders/", mismatch),
        ("https://api.test//orders", mismatch),
        ("https://api.test/orders//", mismatch),
        ("https://api.test/a//../orders", mismatch),
        ("https://api.test/%2Forders", mismatch),
        ("https://api.test/orders%2F", mismatch),
        ("https://api.test/orders%3F", mismatch),
        ("https://api.test/orders%00", mismatch),
        ("https://api.test/%4Frders", mismatch),
        ("https://api.test/%256Frders", mismatch),
        ("https://api.test/orders;v=1", mismatch),
        ("https://api.test/orders/7", mismatch),
        ("https://api.test/order", mismatch),
        ("https://api.test/v1/orders", mismatch),
        ("https://user@api.test/orders", invalid),
        ("https://api.test@evil.test/orders", invalid),
        ("https://api.test:x/orders", invalid),
        ("https://api.test:70000/orders", invalid),
        ("https://api.test/%zz", invalid),
        ("https://api.test/orders ", invalid),
        (" https://api.test/orders", invalid),
        ("https:/api.test/orders", invalid),
        ("https:api.test/orders", invalid),
        ("//api.test/orders", invalid),
        ("api.test/orders", invalid),
        ("/orders", invalid),
        ("orders", invalid),
        ("*", invalid),
        ("https://", invalid),
        ("https:///orders", invalid),
        ("ftp://api.test/orders", invalid),
        ("wss://api.test/orders", invalid),
        ("https://\u{430}pi.test/orders", invalid),
        ("https://api.test\\orders", invalid),
    ] {
        let proof = case.proof().claim("htu", htu).sign();
        case.reject(htu, &proof, reason).await;
    }
    case.finish().await;
}

pub(super) async fn item_9_a_proof_does_not_fit_a_request_for_another_spelling(way: Way) {
    let case = Case::new(way);
    for path in [
        "/Orders",
        "/orders/",
        "//orders",
        "/orders//",
        "/%2Forders",
        "/orders%2F",
        "/orders;v=1",
        "/",
    ] {
        let mut request = case.api.client.get(URL, &case.token);
        *request.uri_mut() = path.parse().unwrap();
        assert_eq!(
            case.api.send(request).await,
            invalid_proof("proof_htu_mismatch"),
            "{path}"
        );
    }
    case.finish().await;
}

/// A malicious API cannot forward a proof that was made for it.
pub(super) async fn item_9_nothing_that_the_caller_says_moves_the_expected_htu(way: Way) {
    let case = Case::new(way);
    for (uri, headers) in [
        ("/orders", &[("host", "evil.test")][..]),
        ("/orders", &[("x-forwarded-host", "evil.test")]),
        (
            "/orders",
            &[
                ("host", "evil.test"),
                ("x-forwarded-host", "evil.test"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-port", "443"),
            ],
        ),
        ("/orders", &[("forwarded", "host=evil.test;proto=https")]),
        ("/orders", &[("x-original-host", "evil.test")]),
        ("/orders", &[("x-original-url", "https://evil.test/orders")]),
        ("/orders", &[("x-rewrite-url", "https://evil.test/orders")]),
        ("http://evil.test/orders", &[]),
        ("https://evil.test/orders", &[("host", "evil.test")]),
        ("https://evil.test:443/orders", &[("host", "api.test")]),
    ] {
        for (htu, expected) in [
            (
                "https://evil.test/orders",
                invalid_proof("proof_htu_mismatch"),
            ),
            (URL, Verdict::Admitted),
        ] {
            let proof = case.proof().claim("htu", htu).sign();
            let client = &case.api.client;
            let mut request = client.request_with_proof(Method::GET, URL, &case.token, &proof);
            *request.uri_mut() = uri.parse().unwrap();
            for (name, value) in headers {
                let value = HeaderValue::from_static(value);
                request.headers_mut().insert(*name, value);
            }
            let verdict = case.api.send(request).await;
            assert_eq!(verdict, expected, "{htu} for {uri} with {headers:?}");
        }
    }
}
