//! Answers that are not those of a server that supports DPoP.

use std::net::TcpListener;

use dpop_conformance::authorization_server::{Fault, Settings};
use dpop_tower::client::oauth::{OAuthErrorKind, TokenClient};
use http::StatusCode;
use serde_json::json;

use super::{builder, client, new_key, request, server};

#[tokio::test]
async fn a_bearer_token_is_an_error() {
    for token_type in ["Bearer", "bearer", ""] {
        let server = server(Settings {
            token_type,
            ..Settings::default()
        })
        .await;
        let error = client(&server)
            .client_credentials(&request())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), OAuthErrorKind::Answer);
        assert!(
            error.to_string().contains("does not support DPoP"),
            "{error}"
        );
    }
    let server = server(Settings {
        token_type: "dpop",
        ..Settings::default()
    })
    .await;
    client(&server)
        .client_credentials(&request())
        .await
        .unwrap();
}

#[tokio::test]
async fn an_unusable_answer_is_an_error_that_contains_no_token() {
    let server = server(Settings::default()).await;
    let client = client(&server);
    let long = "x".repeat(300 * 1024);
    for (status, text, kind) in [
        (200, "", OAuthErrorKind::Answer),
        (200, "<html>", OAuthErrorKind::Answer),
        (200, r#"{"access_token":"hunter2"}"#, OAuthErrorKind::Answer),
        (
            200,
            r#"{"access_token":"hunter2 x","token_type":"DPoP"}"#,
            OAuthErrorKind::Answer,
        ),
        (
            200,
            r#"{"access_token":"hunter2","token_type":"DPoP","token_type":"DPoP"}"#,
            OAuthErrorKind::Answer,
        ),
        (200, r#"{"token_type":"DPoP"}"#, OAuthErrorKind::Answer),
        (200, &long, OAuthErrorKind::Answer),
        (302, "", OAuthErrorKind::Answer),
        (404, "", OAuthErrorKind::Answer),
        (429, "", OAuthErrorKind::Unreachable),
        (503, "", OAuthErrorKind::Unreachable),
        (
            400,
            r#"{"error":"invalid_scope"}"#,
            OAuthErrorKind::Rejected,
        ),
        (
            401,
            r#"{"error":"invalid_client"}"#,
            OAuthErrorKind::Rejected,
        ),
    ] {
        server.fail_next(Fault::Answer(
            StatusCode::from_u16(status).unwrap(),
            text.to_owned(),
        ));
        let error = client.client_credentials(&request()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{status} {text:.40}: {error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn the_reason_of_the_server_is_told_without_control_characters() {
    let server = server(Settings::default()).await;
    let text = r#"{"error":"invalid_grant","error_description":"a\u001b[2Jb \"c\"\u202e"}"#;
    server.fail_next(Fault::Answer(StatusCode::BAD_REQUEST, text.to_owned()));
    let error = client(&server)
        .client_credentials(&request())
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some("invalid_grant"));
    assert!(
        error.to_string().ends_with("invalid_grant: a[2Jb c"),
        "{error}"
    );
}

#[tokio::test]
async fn an_answer_that_ends_in_the_middle_is_no_answer() {
    let server = server(Settings::default()).await;
    server.fail_next(Fault::Lost);
    let error = client(&server)
        .client_credentials(&request())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), OAuthErrorKind::Unreachable);
    // It had its effect, so it is not sent again.
    assert_eq!(server.grants().len(), 1);
}

#[tokio::test]
async fn metadata_of_another_issuer_or_with_unusable_endpoints_is_an_error() {
    for (metadata, part) in [
        (
            json!({ "issuer": "https://other.example" }),
            "other.example",
        ),
        (
            json!({ "token_endpoint": "http://192.0.2.1/token" }),
            "192.0.2.1",
        ),
        (json!({ "token_endpoint": null }), "token_endpoint"),
        (
            json!({ "device_authorization_endpoint": "ftp://127.0.0.1/" }),
            "ftp:",
        ),
    ] {
        let server = server(Settings {
            metadata,
            ..Settings::default()
        })
        .await;
        let error = client(&server)
            .client_credentials(&request())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), OAuthErrorKind::Discovery);
        assert!(error.to_string().contains(part), "{error}");
        assert!(server.asked().is_empty());
    }
}

#[tokio::test]
async fn what_the_server_does_not_support_is_said_before_it_is_asked() {
    let server = server(Settings {
        metadata: json!({
            "dpop_signing_alg_values_supported": ["PS256", "Ed25519"],
            "device_authorization_endpoint": null,
        }),
        ..Settings::default()
    })
    .await;
    let error = client(&server)
        .client_credentials(&request())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), OAuthErrorKind::Unsupported);
    assert!(
        error
            .to_string()
            .contains("ES256, only with PS256, Ed25519"),
        "{error}"
    );
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn a_server_that_is_out_of_reach_is_told_from_one_that_rejects() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let issuer = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let client = TokenClient::builder(issuer, "orders", new_key()).danger_allow_plain_http();
    let error = client
        .build()
        .unwrap()
        .client_credentials(&request())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), OAuthErrorKind::Discovery);

    let plain = TokenClient::builder("http://127.0.0.1:1", "orders", new_key());
    assert_eq!(plain.build().unwrap_err().kind(), OAuthErrorKind::Settings);
    let server = server(Settings::default()).await;
    let shown = format!("{:?}", builder(&server, new_key()));
    assert!(!shown.contains("nonce"), "{shown}");
}
