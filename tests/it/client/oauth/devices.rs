//! The device flow.

use std::time::Duration;

use dpop_conformance::authorization_server::{Fault, Settings};
use dpop_tower::client::oauth::OAuthErrorKind;
use http::StatusCode;

use super::{client, later, request, server};

fn error(code: &str) -> Fault {
    Fault::Answer(StatusCode::BAD_REQUEST, format!(r#"{{"error":"{code}"}}"#))
}

#[tokio::test]
async fn the_device_flow_waits_for_the_user() {
    let server = server(Settings::default()).await;
    let client = client(&server);
    let authorization = client.start_device_authorization(&request()).await.unwrap();
    assert_eq!(authorization.user_code(), "WDJB-MJHT");
    assert!(authorization.verification_uri().ends_with("/device"));
    assert!(!format!("{authorization:?}").contains("device-code"));
    let tokens = client
        .finish_device_authorization(authorization)
        .await
        .unwrap();
    assert!(tokens.refresh_token().is_some());
    let grants = server.grants();
    assert_eq!(grants.len(), 2);
    assert_eq!(grants[1].form["device_code"], "device-code");
    assert_eq!(server.asked()[0].path, "/device");
}

#[tokio::test]
async fn a_server_that_is_asked_too_often_is_asked_more_slowly() {
    let server = server(Settings {
        requires_nonces: false,
        pending: 0,
        ..Settings::default()
    })
    .await;
    let client = client(&server);
    server.fail_next(error("slow_down"));
    let authorization = client.start_device_authorization(&request()).await.unwrap();
    let waiting = tokio::spawn(async move {
        let tokens = client.finish_device_authorization(authorization).await;
        tokens.map(|tokens| tokens.refresh_token().is_some())
    });
    let pause = || tokio::time::sleep(Duration::from_millis(50));
    while server.grants().is_empty() {
        pause().await;
    }
    pause().await;
    // RFC 8628 section 3.5: five seconds more than the interval of one.
    later(Duration::from_millis(5_800)).await;
    pause().await;
    assert_eq!(server.grants().len(), 1);
    while !waiting.is_finished() {
        later(Duration::from_millis(200)).await;
        pause().await;
    }
    assert!(waiting.await.unwrap().unwrap());
    assert_eq!(server.grants().len(), 2);
}

#[tokio::test]
async fn a_user_who_declines_is_told_from_one_who_does_not_come() {
    let server = server(Settings {
        requires_nonces: false,
        ..Settings::default()
    })
    .await;
    let client = client(&server);
    for (code, kind) in [
        ("access_denied", OAuthErrorKind::Rejected),
        ("expired_token", OAuthErrorKind::Expired),
    ] {
        server.fail_next(error(code));
        let authorization = client.start_device_authorization(&request()).await.unwrap();
        let tokens = client.finish_device_authorization(authorization).await;
        assert_eq!(tokens.unwrap_err().kind(), kind, "{code}");
    }
}
