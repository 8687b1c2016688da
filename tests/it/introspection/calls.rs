//! What is sent to the endpoint, and what of its answers is read.

use std::time::Duration;

use axum::body::{Body, Bytes};
use dpop_tower::token::{ClientSecret, Introspection};
use http::{Method, header};

use super::{
    ISSUER, OUT_OF_REACH, Opaque, by_secret, fresh,
    server::{Idp, answer, status},
};
use crate::{
    rejection::logging::Log,
    support::{ORIGIN, Verdict},
};

#[tokio::test]
async fn rfc_7662_section_2_1_the_token_is_in_the_body_of_a_post() {
    let api = Opaque::new().await;
    let token = "a.b-c~d/e+f==";
    assert_eq!(api.present(token).await, Verdict::Admitted);
    let calls = api.idp.each(|seen| {
        assert_eq!(seen.head.method, Method::POST);
        assert_eq!(seen.head.uri, "/introspect");
        let headers = &seen.head.headers;
        assert_eq!(
            headers[header::CONTENT_TYPE],
            "application/x-www-form-urlencoded"
        );
        assert_eq!(headers[header::ACCEPT], "application/json");
        for (name, value) in headers {
            assert!(!value.to_str().unwrap().contains(token), "{name}");
        }
        seen.form()
    });
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let form = vec![
        pair("token", token),
        pair("token_type_hint", "access_token"),
    ];
    assert_eq!(calls, [form]);
}

#[tokio::test]
async fn connections_are_kept() {
    let api = Opaque::new().await;
    for _ in 0..5 {
        assert_eq!(api.present(&fresh()).await, Verdict::Admitted);
    }
    let peers = api.idp.each(|seen| seen.peer);
    assert_eq!(peers.len(), 5);
    assert!(peers.iter().all(|peer| *peer == peers[0]), "{peers:?}");
}

/// RFC 6749 appendix B: form-encoded as UTF-8, and then HTTP Basic.
#[tokio::test]
async fn rfc_6749_section_2_3_1_id_and_secret_are_form_encoded_before_base64() {
    for (id, secret, expected) in [
        ("orders-api", "hush", "orders-api:hush"),
        ("a:b", "c:d%e+f", "a%3Ab:c%3Ad%25e%2Bf"),
        (
            "https://api.test/x?y=z",
            "a b&c=d",
            "https%3A%2F%2Fapi.test%2Fx%3Fy%3Dz:a+b%26c%3Dd",
        ),
        // The example of appendix B.
        ("x", " %&+\u{a3}\u{20ac}", "x:+%25%26%2B%C2%A3%E2%82%AC"),
        ("x", "~!*'()._-", "x:%7E%21*%27%28%29._-"),
    ] {
        let idp = Idp::start().await;
        let tokens = Introspection::new(ISSUER)
            .endpoint(idp.url("/introspect"))
            .client_secret_basic(id, ClientSecret::new(secret).unwrap())
            .audience(ORIGIN)
            .danger_allow_plain_http();
        let api = Opaque::of(idp, tokens);
        api.idp.answer_json(&api.active());
        assert_eq!(api.present(&fresh()).await, Verdict::Admitted);
        let sent = api.idp.each(|seen| {
            assert!(seen.value("client_id").is_none() && seen.value("client_secret").is_none());
            let value = seen.head.headers[header::AUTHORIZATION].to_str().unwrap();
            let credentials = value.strip_prefix("Basic ").unwrap();
            String::from_utf8(openssl::base64::decode_block(credentials).unwrap()).unwrap()
        });
        assert_eq!(sent, [expected]);
    }
}

#[tokio::test]
async fn only_status_200_has_a_verdict() {
    let api = Opaque::new().await;
    let good = api.active().to_string();
    for code in [
        201, 202, 203, 206, 301, 400, 401, 403, 404, 405, 429, 500, 502, 503,
    ] {
        let good = good.clone();
        api.idp.answer(move |_| {
            let mut response = answer("application/json", good.clone());
            *response.status_mut() = status(code).status();
            response
        });
        assert_eq!(api.present(&fresh()).await, OUT_OF_REACH, "{code}");
        api.clock.advance(Duration::from_secs(120));
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let api = Opaque::new().await;
    api.idp.put("/elsewhere", api.active().to_string());
    for code in [301, 302, 303, 307, 308] {
        let to = api.idp.url("/elsewhere");
        api.idp.answer(move |_| {
            let mut response = status(code);
            response
                .headers_mut()
                .insert(header::LOCATION, to.parse().unwrap());
            response
        });
        assert_eq!(api.present(&fresh()).await, OUT_OF_REACH, "{code}");
        api.clock.advance(Duration::from_secs(120));
    }
    assert!(api.idp.fetched().is_empty());
}

#[tokio::test]
async fn an_answer_has_the_content_type_that_was_asked_for() {
    let api = Opaque::new().await;
    let good = api.active().to_string();
    for content_type in [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
    ] {
        api.idp.answer_text(content_type, good.as_str());
        assert_eq!(
            api.present(&fresh()).await,
            Verdict::Admitted,
            "{content_type}"
        );
    }
    for content_type in [
        "text/html",
        "text/plain",
        "text/json",
        "application/jsonp",
        "application/token-introspection+jwt",
        "application/json, text/html",
    ] {
        api.idp.answer_text(content_type, good.as_str());
        assert_eq!(api.present(&fresh()).await, OUT_OF_REACH, "{content_type}");
        api.clock.advance(Duration::from_secs(120));
    }
    let text = good.clone();
    api.idp
        .answer(move |_| http::Response::new(Body::from(text.clone())));
    assert_eq!(api.present(&fresh()).await, OUT_OF_REACH);
    api.idp.answer(move |_| {
        let mut response = answer("application/json", good.clone());
        let other = "text/html".parse().unwrap();
        response.headers_mut().append(header::CONTENT_TYPE, other);
        response
    });
    assert_eq!(api.present(&fresh()).await, OUT_OF_REACH);
}

#[tokio::test]
async fn an_answer_has_64_kib_at_most() {
    let api = Opaque::new().await;
    let good = api.active().to_string();
    let padded = |len: usize| format!("{good}{}", " ".repeat(len - good.len()));
    api.idp.answer_text("application/json", padded(64 * 1024));
    assert_eq!(api.present(&fresh()).await, Verdict::Admitted);
    api.idp
        .answer_text("application/json", padded(64 * 1024 + 1));
    assert_eq!(api.present(&fresh()).await, OUT_OF_REACH);
    // 100 MB in pieces, of which only the first are read.
    api.idp.answer(|_| {
        let piece = Bytes::from(vec![b' '; 1 << 20]);
        let pieces = (0..100).map(move |_| Ok::<_, std::io::Error>(piece.clone()));
        let body = Body::from_stream(tokio_stream::iter(pieces));
        let mut response = http::Response::new(body);
        let json = "application/json".parse().unwrap();
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
    });
    assert_eq!(api.present(&fresh()).await, OUT_OF_REACH);
}

#[tokio::test]
async fn an_endpoint_that_rejects_this_api_is_an_error_once_a_minute_and_503_for_clients() {
    let log = Log::listen();
    let errors = || {
        let lines = log.take();
        lines.iter().filter(|line| line.contains("ERROR")).count()
    };
    for code in [400, 401, 403] {
        let api = Opaque::new().await;
        api.idp.answer_status(code);
        for _ in 0..3 {
            assert_eq!(api.present(&fresh()).await, OUT_OF_REACH);
        }
        assert_eq!(errors(), 1, "{code}");
        api.clock.advance(Duration::from_secs(59));
        assert_eq!(api.present(&fresh()).await, OUT_OF_REACH);
        assert_eq!(errors(), 0, "{code}");
        api.clock.advance(Duration::from_secs(1));
        assert_eq!(api.present(&fresh()).await, OUT_OF_REACH);
        assert_eq!(errors(), 1, "{code}");
    }
}

#[tokio::test]
async fn neither_the_token_nor_the_secret_is_logged() {
    let log = Log::listen();
    let idp = Idp::start().await;
    let secret = ClientSecret::new("f8kX2mPq").unwrap();
    let tokens = by_secret(&idp).client_secret_basic("orders-api", secret);
    let shown = format!("{tokens:?}");
    let api = Opaque::of(idp, tokens);
    let token = "tok9Zr4LwB";
    for code in [200, 400, 401, 500, 302] {
        api.idp.answer_status(code);
        api.present(token).await;
        api.clock.advance(Duration::from_secs(10));
    }
    api.idp.answer_json(&api.active());
    assert_eq!(api.present(token).await, Verdict::Admitted);
    let lines = log.take().concat() + &shown;
    // hyper and reqwest log at trace; what they log is their own.
    assert!(lines.contains("ERROR"), "{lines}");
    for secret in [
        token,
        "f8kX2mPq",
        &openssl::base64::encode_block(b"orders-api:f8kX2mPq"),
    ] {
        assert!(!lines.contains(secret), "{secret} is in {lines}");
    }
}
