//! The caller's identity as the upstream learns it, and attempts to forge it.

use axum::body::{Body, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use http_body_util::{BodyExt as _, channel::Channel};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::{ORIGIN, Rig, Wanted, mirror};

pub(super) const OF_THE_GATEWAY: [&str; 6] = [
    "x-dpop-thumbprint",
    "x-dpop-principal",
    "x-dpop-subject",
    "x-dpop-client-id",
    "x-dpop-scope",
    "x-dpop-issuer",
];

#[tokio::test]
async fn the_upstream_learns_who_called_from_the_token() {
    let rig = Rig::new(mirror()).await;
    let seen = rig.seen(rig.get("/orders")).await;
    let thumbprint = rig.client.thumbprint().to_string();
    let expected = [
        thumbprint.as_str(),
        "https://issuer.test alice",
        "alice",
        "test-client",
        "f1:read",
        "https://issuer.test",
    ];
    for (name, value) in OF_THE_GATEWAY.into_iter().zip(expected) {
        assert_eq!(seen.header(name), Some(value), "{name}");
    }
}

#[tokio::test]
async fn the_upstream_gets_no_credentials() {
    let rig = Rig::new(mirror()).await;
    let mut request = rig.get("/orders");
    let headers = request.headers_mut();
    let token = headers[header::AUTHORIZATION].to_str().unwrap().to_owned();
    let proof = headers["dpop"].to_str().unwrap().to_owned();
    // Apart from case, these names have no other spelling: `d_pop` is a different header.
    headers.insert("d_pop", HeaderValue::from_static("another header"));
    let seen = rig.seen(request).await;
    assert_eq!(seen.header("authorization"), None);
    assert_eq!(seen.header("dpop"), None);
    assert_eq!(seen.header("d_pop"), Some("another header"));
    let token = token.strip_prefix("DPoP ").unwrap();
    assert!(!seen.has_anywhere(token) && !seen.has_anywhere(&proof));
}

#[tokio::test]
async fn the_upstream_gets_the_credentials_where_the_file_says_so() {
    let wanted = Wanted::head("danger_pass_on_credentials = true");
    let rig = Rig::with(mirror(), wanted).await;
    let request = rig.get("/orders");
    let sent = request.headers().clone();
    let seen = rig.seen(request).await;
    for name in ["authorization", "dpop"] {
        assert_eq!(seen.header(name), Some(sent[name].to_str().unwrap()));
    }
}

/// Spellings that CGI and its successors read as the same name.
pub(super) fn spellings(name: &str) -> Vec<String> {
    let mut spellings = vec![
        name.to_owned(),
        name.to_uppercase(),
        name.replace('-', "_"),
        name.replace('-', "."),
        name.replacen('-', "_", 1),
        name.replacen('-', ".", 1),
        name.replace('-', "~"),
        name.replacen("x-dpop", "X_DPoP", 1),
    ];
    spellings.sort();
    spellings.dedup();
    spellings
}

#[tokio::test]
async fn no_client_can_write_a_header_of_the_gateway_in_any_spelling() {
    let rig = Rig::new(mirror()).await;
    for name in OF_THE_GATEWAY
        .into_iter()
        .chain(["x-dpop-report", "x-dpop-anything"])
    {
        for spelling in spellings(name) {
            let mut request = rig.get("/orders");
            let header: HeaderName = spelling.parse().unwrap();
            for _ in 0..2 {
                let forged = HeaderValue::from_static("mallory");
                request.headers_mut().append(header.clone(), forged);
            }
            let seen = rig.seen(request).await;
            assert!(!seen.has_anywhere("mallory"), "{spelling}: {seen:?}");
            assert_eq!(seen.header("x-dpop-subject"), Some("alice"));
        }
    }
}

/// A request without a token has no identity, even if it claims one.
#[tokio::test]
async fn where_nothing_is_looked_at_nobody_is_who_they_say() {
    let wanted = Wanted::head("mode = \"off\"");
    let rig = Rig::with(mirror(), wanted).await;
    for name in OF_THE_GATEWAY {
        for spelling in spellings(name) {
            let request = Request::get("/orders").header(spelling, "mallory");
            let seen = rig.seen(request.body(Body::empty()).unwrap()).await;
            assert!(!seen.has_anywhere("mallory"), "{seen:?}");
            assert_eq!(seen.header(name), None);
        }
    }
    // A valid token is not verified either.
    let seen = rig.seen(rig.get("/orders")).await;
    assert_eq!(seen.header("x-dpop-subject"), None);
}

#[tokio::test]
async fn trailers_are_no_way_to_write_what_headers_may_not_have() {
    let rig = Rig::new(trailers()).await;
    let mut trailers = HeaderMap::new();
    for name in [
        "x-dpop-subject",
        "x_dpop_subject",
        "x-forwarded-for",
        "authorization",
        "x-sum",
    ] {
        trailers.insert(HeaderName::from_static(name), HeaderValue::from_static("t"));
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
    let got: Vec<String> =
        serde_json::from_value(super::json(rig.send(request).await).await).unwrap();
    assert_eq!(got, ["x-sum"]);
}

/// An upstream that reports the names of the trailers that it received.
pub(super) fn trailers() -> axum::Router {
    axum::Router::new().fallback(async |request: axum::extract::Request| {
        let body = request.into_body().collect().await.unwrap();
        let names = body.trailers().into_iter().flat_map(HeaderMap::keys);
        axum::Json(json!(names.map(HeaderName::as_str).collect::<Vec<_>>()))
    })
}

/// `Connection` can remove headers of the client, but none that the gateway writes.
#[tokio::test]
async fn connection_cannot_take_off_a_header_of_the_gateway() {
    let rig = Rig::new(mirror()).await;
    let mut request = rig.get("/orders");
    let headers = request.headers_mut();
    let named = "x-dpop-subject, X-DPoP-Thumbprint, x-dpop-scope, x-forwarded-for, x-forwarded-host, \
                 x-forwarded-proto, via, x-mine, authorization, dpop, close";
    headers.insert(header::CONNECTION, HeaderValue::from_static(named));
    headers.insert("x-mine", HeaderValue::from_static("hop by hop"));
    let seen = rig.seen(request).await;
    assert_eq!(seen.header("x-mine"), None);
    assert_eq!(seen.header("connection"), None);
    assert_eq!(seen.header("x-dpop-subject"), Some("alice"));
    assert_eq!(seen.header("x-dpop-scope"), Some("f1:read"));
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-host"), Some("api.test"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
    assert_eq!(seen.header("via"), Some("1.1 dpop-tower-gateway"));
    let thumbprint = rig.client.thumbprint().to_string();
    assert_eq!(seen.header("x-dpop-thumbprint"), Some(thumbprint.as_str()));
}

#[tokio::test]
async fn a_claim_is_one_line_of_visible_ascii_and_decodes_to_what_it_was() {
    let rig = Rig::new(mirror()).await;
    for subject in [
        "alice",
        "alice\r\nX-DPoP-Scope: admin",
        "alice\n",
        "\0",
        "50% of J\u{fc}rgen \u{1f600}",
        " alice ",
        "alice\u{85}\u{2028}",
        "%0a",
        "",
    ] {
        let token = rig
            .issuer
            .token()
            .subject(subject)
            .bound_to(&rig.client)
            .mint();
        let url = format!("{ORIGIN}/orders");
        let request = rig.client.get(&url, &token).map(|()| Body::empty());
        let seen = rig.seen(request).await;
        let value = seen.header("x-dpop-subject").unwrap();
        assert!(
            value.bytes().all(|byte| matches!(byte, b' '..=b'~')),
            "{value:?}"
        );
        let decoded = percent_decode_str(value).decode_utf8().unwrap();
        assert_eq!(decoded, subject);
        assert_eq!(seen.header("x-dpop-scope"), None, "the token has none");
    }
}

#[tokio::test]
async fn a_long_claim_is_not_cut() {
    let rig = Rig::new(mirror()).await;
    let subject = "a".repeat(8000);
    let token = rig
        .issuer
        .token()
        .subject(&subject)
        .bound_to(&rig.client)
        .mint();
    let url = format!("{ORIGIN}/orders");
    let request = rig.client.get(&url, &token).map(|()| Body::empty());
    assert_eq!(
        rig.seen(request).await.header("x-dpop-subject"),
        Some(subject.as_str())
    );
}

#[tokio::test]
async fn claims_go_where_the_file_says() {
    let tables = "\
[identity]
thumbprint = 'X-Key'
[identity.claims]
sub = 'Remote-User'
roles = 'X-Roles'
level = 'X-Level'
nothing = 'X-Nothing'
null = 'X-Null'";
    let wanted = Wanted::tables(tables);
    let rig = Rig::with(mirror(), wanted).await;
    let token = rig.issuer.token().subject("alice").bound_to(&rig.client);
    let token = token
        .claim("roles", json!(["a", "\u{e4}"]))
        .claim("level", 3);
    let token = token.claim("null", Value::Null).mint();
    let mut request = rig
        .client
        .get(&format!("{ORIGIN}/orders"), &token)
        .map(|()| Body::empty());
    // The configured names, and the default names that an upstream may still read.
    for forged in [
        "remote_user",
        "REMOTE.USER",
        "x.key",
        "x-roles",
        "x-nothing",
        "x_null",
        "x-dpop-subject",
    ] {
        let name: HeaderName = forged.parse().unwrap();
        let value = HeaderValue::from_static("mallory");
        request.headers_mut().insert(name, value);
    }
    let seen = rig.seen(request).await;
    assert!(!seen.has_anywhere("mallory"), "{seen:?}");
    let thumbprint = rig.client.thumbprint().to_string();
    for (name, value) in [
        ("x-key", Some(thumbprint.as_str())),
        ("remote-user", Some("alice")),
        ("x-roles", Some("[\"a\",\"%C3%A4\"]")),
        ("x-level", Some("3")),
        ("x-nothing", None),
        ("x-null", None),
        ("x-dpop-subject", None),
        ("x-dpop-issuer", None),
        ("x-dpop-thumbprint", None),
    ] {
        assert_eq!(seen.header(name), value, "{name}");
    }
}

#[tokio::test]
async fn who_comes_with_an_unbound_token_has_no_thumbprint() {
    let wanted = Wanted::head("mode = \"optional\"");
    let rig = Rig::with(mirror(), wanted).await;
    let token = rig.issuer.token().subject("alice").mint();
    let request = Request::get("/orders")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header("x-dpop-thumbprint", rig.client.thumbprint().to_string());
    let seen = rig.seen(request.body(Body::empty()).unwrap()).await;
    assert_eq!(seen.header("x-dpop-subject"), Some("alice"));
    assert_eq!(seen.header("x-dpop-thumbprint"), None);
    assert_eq!(seen.header("authorization"), None);
}

#[tokio::test]
async fn where_the_gateway_only_reports_it_says_what_strict_would_do() {
    let wanted = Wanted::head("mode = \"report_only\"");
    let rig = Rig::with(mirror(), wanted).await;
    let seen = rig.seen(rig.get("/orders")).await;
    assert_eq!(seen.header("x-dpop-report"), Some("admitted"));
    assert_eq!(seen.header("x-dpop-subject"), Some("alice"));
    let nothing = Request::get("/orders").header("x-dpop-report", "admitted");
    let seen = rig.seen(nothing.body(Body::empty()).unwrap()).await;
    assert_eq!(seen.header("x-dpop-report"), Some("credentials_missing"));
    assert_eq!(seen.header("x-dpop-subject"), None);
}
