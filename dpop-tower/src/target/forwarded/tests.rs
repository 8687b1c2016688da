use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::*;
use crate::error::ConfigErrorKind;

const PROXY: &str = "10.1.2.3";
const STRANGER: &str = "192.0.2.1";

fn origins() -> PublicOrigin {
    PublicOrigin::new("https://api.example")
        .and_then(|origin| origin.with_alias("https://shop.example:8443"))
        .and_then(|origin| origin.with_alias("http://api.example"))
        .and_then(|origin| origin.with_alias("https://[2001:db8::1]:8443"))
        .unwrap()
}

fn x_forwarded() -> ForwardedTarget {
    ForwardedTarget::x_forwarded(origins(), ["10.0.0.0/8", "fd00::/8", "203.0.113.7"])
        .and_then(|target| target.prefixes(["/v1", "/v2/x"]))
        .unwrap()
}

fn forwarded() -> ForwardedTarget {
    ForwardedTarget::forwarded(origins(), ["10.0.0.0/8"]).unwrap()
}

fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    headers
}

fn expected(
    target: &ForwardedTarget,
    peer: Option<&str>,
    lines: &[(&'static str, &'static str)],
) -> String {
    let (uri, headers) = (Uri::from_static("/x"), headers(lines));
    let peer = peer.map(|peer| peer.parse().unwrap());
    let htu = target.expected(TargetRequest::new(&uri, &headers, peer));
    htu.unwrap().as_str().to_owned()
}

#[test]
fn a_trusted_proxy_chooses_among_the_listed_origins_and_prefixes() {
    for (lines, url) in [
        (&[][..], "https://api.example/x"),
        (
            &[("x-forwarded-host", "shop.example:8443")],
            "https://shop.example:8443/x",
        ),
        (
            &[("x-forwarded-host", "SHOP.example:8443")],
            "https://shop.example:8443/x",
        ),
        (
            &[
                ("x-forwarded-host", "shop.example"),
                ("x-forwarded-port", "8443"),
            ],
            "https://shop.example:8443/x",
        ),
        (
            &[
                ("x-forwarded-host", "api.example"),
                ("x-forwarded-proto", "http"),
            ],
            "http://api.example/x",
        ),
        (
            &[
                ("x-forwarded-host", "api.example"),
                ("x-forwarded-proto", "HTTPS"),
            ],
            "https://api.example/x",
        ),
        (&[("x-forwarded-prefix", "/v1")], "https://api.example/v1/x"),
        (
            &[
                ("x-forwarded-host", "shop.example:8443"),
                ("x-forwarded-prefix", "/v2/x"),
            ],
            "https://shop.example:8443/v2/x/x",
        ),
        (
            &[("host", "api.example"), ("x-forwarded-proto", "http")],
            "http://api.example/x",
        ),
        // The host has a port already, or looks as if it had.
        (
            &[
                ("x-forwarded-host", "shop.example:8443"),
                ("x-forwarded-port", "443"),
            ],
            "https://shop.example:8443/x",
        ),
        (
            &[
                ("x-forwarded-host", "[2001:db8::1]"),
                ("x-forwarded-port", "8443"),
            ],
            "https://[2001:db8::1]:8443/x",
        ),
        // The host that the proxy was called under, where it names none.
        (
            &[("host", "shop.example:8443")],
            "https://shop.example:8443/x",
        ),
    ] {
        assert_eq!(
            expected(&x_forwarded(), Some(PROXY), lines),
            url,
            "{lines:?}"
        );
    }
}

#[test]
fn what_is_not_listed_chooses_nothing() {
    for lines in [
        &[("x-forwarded-host", "evil.example")][..],
        &[("x-forwarded-host", "evil.example:8443")],
        &[("x-forwarded-host", "shop.example.evil.example")],
        &[("x-forwarded-host", "evil.shop.example")],
        &[("x-forwarded-host", "shop.example:8443:1")],
        &[("x-forwarded-host", "shop.example:https")],
        &[("x-forwarded-host", "shop.example/")],
        &[("x-forwarded-host", "https://shop.example:8443")],
        &[("x-forwarded-host", "user@shop.example:8443")],
        &[("x-forwarded-host", "2001:db8::1")],
        &[("x-forwarded-host", "[2001:db8::1")],
        &[("x-forwarded-host", "[2001:db8::2]:8443")],
        &[("x-forwarded-host", ":8443")],
        &[("x-forwarded-host", "")],
        &[
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-proto", "http"),
        ],
        &[("x-forwarded-proto", "http"), ("x-forwarded-port", "8443")],
        &[("x-forwarded-prefix", "/v3")],
        &[("x-forwarded-prefix", "/V1")],
        &[("x-forwarded-prefix", "/v1/")],
        &[("x-forwarded-prefix", "v1")],
        &[("x-forwarded-prefix", "/v1/../v2/x")],
        // Another syntax, and names that only look alike.
        &[("forwarded", "host=\"shop.example:8443\"")],
        &[("x_forwarded_host", "shop.example:8443")],
        &[("x-forwarded-host.", "shop.example:8443")],
        &[("x-forwarded-server", "shop.example:8443")],
        &[("x-original-host", "shop.example:8443")],
    ] {
        let url = expected(&x_forwarded(), Some(PROXY), lines);
        assert_eq!(url, "https://api.example/x", "{lines:?}");
    }
}

#[test]
fn a_peer_that_is_not_trusted_or_not_known_chooses_nothing_by_forwarded_headers() {
    let lines = &[
        ("x-forwarded-host", "shop.example:8443"),
        ("x-forwarded-prefix", "/v1"),
        ("forwarded", "host=\"shop.example:8443\""),
    ];
    for peer in [
        None,
        Some(STRANGER),
        Some("11.0.0.1"),
        Some("::1"),
        Some("203.0.113.8"),
    ] {
        for target in [x_forwarded(), forwarded()] {
            let url = expected(&target, peer, lines);
            assert_eq!(url, "https://api.example/x", "{peer:?}");
        }
    }
    for peer in ["10.255.0.1", "::ffff:10.0.0.1", "fd12::1", "203.0.113.7"] {
        let url = expected(&x_forwarded(), Some(peer), lines);
        assert_eq!(url, "https://shop.example:8443/v1/x", "{peer}");
    }
}

#[test]
fn of_several_values_the_last_counts_which_the_nearest_proxy_wrote() {
    let (shop, api) = ("https://shop.example:8443/x", "https://api.example/x");
    for (lines, url) in [
        (
            &[("x-forwarded-host", "evil.example, shop.example:8443")][..],
            shop,
        ),
        (
            &[("x-forwarded-host", "shop.example:8443, evil.example")],
            api,
        ),
        (
            &[("x-forwarded-host", "evil.example,,shop.example:8443 , ,")],
            shop,
        ),
        (
            &[
                ("x-forwarded-host", "shop.example:8443"),
                ("x-forwarded-host", ""),
            ],
            shop,
        ),
        (
            &[
                ("x-forwarded-host", "evil.example"),
                ("x-forwarded-host", "shop.example:8443"),
            ],
            shop,
        ),
        (
            &[
                ("x-forwarded-host", "shop.example:8443"),
                ("x-forwarded-host", "evil.example"),
            ],
            api,
        ),
    ] {
        assert_eq!(
            expected(&x_forwarded(), Some(PROXY), lines),
            url,
            "{lines:?}"
        );
    }
}

/// Behind two proxies, the inner one is called by `http`, and on a port that clients never see.
#[test]
fn a_scheme_or_a_port_that_no_origin_has_is_passed_over() {
    let shop = "https://shop.example:8443/x";
    for (host, proto, port, url) in [
        ("shop.example:8443", "https,http", "", shop),
        ("shop.example:8443", "http", "", shop),
        ("shop.example:8443", "https, http, gopher", "", shop),
        ("shop.example", "https", "8080", shop),
        ("shop.example", "https", "443,8080", shop),
        ("shop.example", "", "", shop),
        ("shop.example:8080", "", "", shop),
        ("shop.example:", "", "8080", shop),
        ("shop.example:8080", "", "8443", shop),
        ("shop.example", "", "99999", shop),
        ("shop.example", "", "https", shop),
        (
            "[2001:DB8::1]",
            "http",
            "8080",
            "https://[2001:db8::1]:8443/x",
        ),
        (
            "[2001:db8:0::1]:8443",
            "",
            "",
            "https://[2001:db8::1]:8443/x",
        ),
        // Where both are listed, the last that one of them has counts.
        ("api.example", "https,http", "", "http://api.example/x"),
        ("api.example", "http,https", "", "https://api.example/x"),
        ("api.example", "http, gopher", "", "http://api.example/x"),
        ("api.example", "http", "8080", "http://api.example/x"),
        ("api.example", "", "80,8080", "http://api.example/x"),
        ("api.example", "", "8080", "https://api.example/x"),
        ("api.example:80", "", "", "http://api.example/x"),
    ] {
        let lines = [
            ("x-forwarded-host", host),
            ("x-forwarded-proto", proto),
            ("x-forwarded-port", port),
        ];
        let lines: Vec<_> = lines.into_iter().filter(|(_, v)| !v.is_empty()).collect();
        assert_eq!(
            expected(&x_forwarded(), Some(PROXY), &lines),
            url,
            "{lines:?}"
        );
    }
}

#[test]
fn a_port_of_an_origin_is_told_from_the_default_one() {
    let origins = PublicOrigin::new("https://a.example:8443")
        .and_then(|origin| origin.with_alias("https://a.example"))
        .unwrap();
    let target = ForwardedTarget::x_forwarded(origins, ["10.0.0.0/8"]).unwrap();
    for (lines, url) in [
        (
            &[("x-forwarded-host", "a.example")][..],
            "https://a.example/x",
        ),
        (
            &[("x-forwarded-host", "a.example:8443")],
            "https://a.example:8443/x",
        ),
        (
            &[
                ("x-forwarded-host", "a.example"),
                ("x-forwarded-port", "8443"),
            ],
            "https://a.example:8443/x",
        ),
        (
            &[
                ("x-forwarded-host", "a.example"),
                ("x-forwarded-port", "8080"),
            ],
            "https://a.example/x",
        ),
    ] {
        assert_eq!(expected(&target, Some(PROXY), lines), url, "{lines:?}");
    }
}

#[test]
fn a_web_socket_is_called_by_the_scheme_of_its_first_request() {
    for (proto, url) in [
        ("wss", "https://api.example/x"),
        ("WSS", "https://api.example/x"),
        ("ws", "http://api.example/x"),
        ("wss,ws", "http://api.example/x"),
        ("\"https\"", "https://api.example/x"),
    ] {
        let lines: &[(&'static str, &'static str)] = &[
            ("x-forwarded-host", "api.example"),
            ("x-forwarded-proto", proto),
        ];
        assert_eq!(expected(&x_forwarded(), Some(PROXY), lines), url, "{proto}");
    }
    let quoted: &[(&'static str, &'static str)] = &[("x-forwarded-host", "\"shop.example:8443\"")];
    let url = expected(&x_forwarded(), Some(PROXY), quoted);
    assert_eq!(url, "https://shop.example:8443/x");
}

#[test]
fn values_of_two_lines_are_those_of_one() {
    let lines: &[(&'static str, &'static str)] = &[
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-host", "api.example"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-proto", "gopher"),
        ("x-forwarded-port", "80"),
        ("x-forwarded-port", "8080"),
        ("x-forwarded-prefix", "/v3"),
        ("x-forwarded-prefix", "/v1"),
    ];
    let url = expected(&x_forwarded(), Some(PROXY), lines);
    assert_eq!(url, "http://api.example/v1/x");
    let lines: &[(&'static str, &'static str)] = &[
        ("forwarded", "host=evil.example;proto=https"),
        ("forwarded", "for=x, host=api.example;proto=http;"),
    ];
    let url = expected(&forwarded(), Some(PROXY), lines);
    assert_eq!(url, "http://api.example/x");
}

#[test]
fn rfc_7239_the_forwarded_header_is_read_by_its_grammar() {
    let (shop, api) = ("https://shop.example:8443/x", "https://api.example/x");
    for (value, url) in [
        ("host=\"shop.example:8443\"", shop),
        (
            "for=192.0.2.60;proto=https;host=\"shop.example:8443\";by=203.0.113.43",
            shop,
        ),
        (
            "For=\"[2001:db8::1]:4711\";HOST=\"shop.example:8443\"",
            shop,
        ),
        ("host=evil.example, for=x;host=\"shop.example:8443\"", shop),
        ("host=api.example;proto=http", "http://api.example/x"),
        // Section 4: forwarded-element = [ forwarded-pair ] *( ";" [ forwarded-pair ] )
        ("host=api.example;proto=http;", "http://api.example/x"),
        (";;host=api.example;;proto=http;;", "http://api.example/x"),
        ("host=api.example ; proto=http ; ", "http://api.example/x"),
        ("host=api.example\t;\tproto=http", "http://api.example/x"),
        (
            "host=evil.example, , host=api.example;proto=http;, ,",
            "http://api.example/x",
        ),
        // What is not known does not count.
        ("host=\"shop.example:8443\";secret=\"a,b;c\";x", shop),
        ("x;host=\"shop.example:8443\";=;=x", shop),
        ("host=\"shop.example:8443\";proto=http", shop),
        ("host=shop.example;proto=\"HTTPS\"", shop),
        (
            "host=\"[2001:db8::1]\";proto=wss",
            "https://[2001:db8::1]:8443/x",
        ),
        ("host=\"shop.example:8443\", for=192.0.2.1", api),
        ("for=\", host=\\\"\";host=\"shop.example:8443\"", shop),
        ("for=\"a\\\\\";host=\"shop.example:8443\"", shop),
        // Outside of a quoted string a backslash escapes nothing.
        ("for=\\\";host=\"shop.example:8443\"", api),
        ("host=\"shop.example:8443\";host=\"shop.example:8443\"", api),
        ("host=\"shop.example:8443\";Host=evil.example", api),
        ("proto=https;host=\"shop.example:8443\";proto=http", api),
        ("host=\"shop.example:8443\";for=\"", api),
        ("host=\"shop.example:8443", api),
        ("host=\"shop.example\\:8443\"", api),
        ("host", api),
        ("host=", api),
        ("", api),
        (";;;", api),
        ("proto=http", api),
    ] {
        let lines: &[(&'static str, &'static str)] = &[("forwarded", value)];
        assert_eq!(expected(&forwarded(), Some(PROXY), lines), url, "{value}");
    }
}

#[test]
fn a_prefix_cannot_be_climbed_out_of() {
    let uri = Uri::from_static("/../../x");
    let headers = headers(&[("x-forwarded-prefix", "/v1")]);
    let peer = Some(PROXY.parse().unwrap());
    let htu = x_forwarded().expected(TargetRequest::new(&uri, &headers, peer));
    assert_eq!(htu.unwrap().as_str(), "https://api.example/v1/x");
}

#[test]
fn the_hint_names_the_likely_cause() {
    let hint = |target: &dyn TargetUri, peer: Option<&str>, lines| {
        let (uri, headers) = (Uri::from_static("/x"), headers(lines));
        let peer = peer.map(|peer| peer.parse().unwrap());
        target
            .hint(TargetRequest::new(&uri, &headers, peer))
            .unwrap_or_default()
    };
    let lines: &[(&'static str, &'static str)] = &[("x-forwarded-host", "evil.example")];
    let (plain, target) = (origins(), x_forwarded());
    assert_eq!(hint(&plain, None, &[]), "");
    assert!(hint(&plain, None, lines).contains("do not count"));
    assert_eq!(hint(&target, None, &[]), "");
    assert!(hint(&target, None, lines).contains("peer is not known"));
    assert!(hint(&target, Some(STRANGER), lines).contains("none of the trusted"));
    assert!(hint(&target, Some(PROXY), lines).contains("none of the public origins"));
    let good: &[(&'static str, &'static str)] = &[("x-forwarded-host", "api.example")];
    assert_eq!(hint(&target, Some(PROXY), good), "");
    let inner: &[(&'static str, &'static str)] = &[
        ("x-forwarded-host", "shop.example"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-port", "8080"),
    ];
    assert_eq!(hint(&target, Some(PROXY), inner), "");
    let port: &[(&'static str, &'static str)] = &[("x-forwarded-port", "8443")];
    assert!(hint(&plain, None, port).contains("do not count"));
}

#[test]
fn a_header_that_cannot_be_read_is_told_by_its_name_and_chooses_nothing() {
    let of = |target: &ForwardedTarget, lines: &[(&'static str, &[u8])]| {
        let uri = Uri::from_static("/x");
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let value = HeaderValue::from_bytes(value).unwrap();
            headers.append(HeaderName::from_static(name), value);
        }
        let request = TargetRequest::new(&uri, &headers, Some(PROXY.parse().unwrap()));
        let url = target.expected(request).unwrap().as_str().to_owned();
        (url, target.hint(request).unwrap_or_default())
    };
    let (shop, api) = ("https://shop.example:8443/x", "https://api.example/x");
    let shop_host: (&'static str, &[u8]) = ("x-forwarded-host", b"shop.example");
    for (lines, url, told) in [
        (
            &[("x-forwarded-host", &b"shop.example\xff"[..])][..],
            api,
            "`X-Forwarded-Host`",
        ),
        (
            &[("x-forwarded-host", b"\"shop.example")],
            api,
            "`X-Forwarded-Host`",
        ),
        (
            &[("x-forwarded-host", b"shop.example:8443:1")],
            api,
            "`X-Forwarded-Host`",
        ),
        (
            &[("x-forwarded-host", b"evil, shop.example:x")],
            api,
            "`X-Forwarded-Host`",
        ),
        (
            &[shop_host, ("x-forwarded-host", b"\xe9")],
            api,
            "`X-Forwarded-Host`",
        ),
        (
            &[shop_host, ("x-forwarded-proto", b"\xe9")],
            shop,
            "`X-Forwarded-Proto`",
        ),
        (
            &[shop_host, ("x-forwarded-port", b"\xe9")],
            shop,
            "`X-Forwarded-Port`",
        ),
        (
            &[shop_host, ("x-forwarded-prefix", b"/\xe9")],
            shop,
            "`X-Forwarded-Prefix`",
        ),
        // Whatever stands before an element that cannot be read may be anybody's.
        (
            &[
                ("x-forwarded-host", b"api.example"),
                ("x-forwarded-proto", b"http"),
                ("x-forwarded-proto", b"\xe9"),
                ("x-forwarded-proto", b"gopher"),
            ],
            api,
            "",
        ),
        // An earlier element does not hide a later one.
        (&[("x-forwarded-host", b"\xe9"), shop_host], shop, ""),
        (&[shop_host, ("x-forwarded-proto", b"gopher")], shop, ""),
    ] {
        let (got, hint) = of(&x_forwarded(), lines);
        assert_eq!(got, url, "{lines:?}");
        assert!(
            hint.contains(told) && hint.is_empty() == told.is_empty(),
            "{hint:?}"
        );
    }
    for value in [
        &b"host=\"shop.example:8443\";x=\xff"[..],
        b"host=\"shop.example:8443",
        b"host=\"shop.example:8443\";host=x",
        b"host=:8443",
        b"host=",
    ] {
        let (got, hint) = of(&forwarded(), &[("forwarded", value)]);
        assert_eq!(got, api);
        assert!(hint.contains("`Forwarded`"), "{hint:?}");
    }
}

#[test]
fn networks_and_prefixes_are_checked() {
    for wrong in [
        "",
        "10.0.0.0/33",
        "10.0.0",
        "proxy.example",
        "10.0.0.1:80",
        "::/129",
    ] {
        let error = ForwardedTarget::x_forwarded(origins(), [wrong]).unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::Target, "{wrong}");
    }
    assert!(ForwardedTarget::x_forwarded(origins(), []).is_err());
    for wrong in ["", "/", "v1", "/v1/", "/%zz"] {
        assert!(x_forwarded().prefixes([wrong]).is_err(), "{wrong}");
    }
}
