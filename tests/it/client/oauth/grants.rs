//! What is sent for each grant, and how the client authenticates.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use dpop_conformance::authorization_server::{Rotation, Settings};
use dpop_tower::{
    client::{
        ClientKey,
        oauth::{ClientSecret, ClientSigningKey, OAuthErrorKind, RefreshToken, TokenRequest},
    },
    crypto::Algorithm,
};

use super::{builder, client, new_key, request, server};

#[tokio::test]
async fn a_nonce_of_the_server_is_sent_with_a_second_proof_and_kept() {
    let server = server(Settings::default()).await;
    let client = client(&server);
    for _ in 0..2 {
        let tokens = client.client_credentials(&request()).await.unwrap();
        assert_eq!(tokens.thumbprint(), Some(client.thumbprint()));
        assert!(tokens.expires_at().is_some() && tokens.refresh_token().is_none());
    }
    server.change_nonce();
    client.client_credentials(&request()).await.unwrap();

    // The first without a nonce, one with it, one with the kept one, and two for the changed one.
    let asked = server.asked();
    assert_eq!(asked.len(), 5);
    let with_nonce: Vec<_> = asked.iter().map(|asked| asked.proof.is_some()).collect();
    assert_eq!(with_nonce, [false, true, true, false, true]);
    let form = &asked[4].form;
    assert_eq!(form["grant_type"], "client_credentials");
    assert_eq!(form["scope"], "orders:read orders:write");
    assert_eq!(form["client_id"], "orders");
}

#[tokio::test]
async fn a_server_that_never_accepts_its_own_nonce_is_asked_twice() {
    let server = server(Settings {
        requires_nonces: false,
        ..Settings::default()
    })
    .await;
    let client = client(&server);
    client.client_credentials(&request()).await.unwrap();
    let fault = dpop_conformance::authorization_server::Fault::Answer(
        http::StatusCode::BAD_REQUEST,
        r#"{"error":"use_dpop_nonce"}"#.to_owned(),
    );
    // Without the header there is nothing to try again with.
    server.fail_next(fault);
    let error = client.client_credentials(&request()).await.unwrap_err();
    assert_eq!(error.code(), Some("use_dpop_nonce"));
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn a_secret_is_sent_in_the_header_or_in_the_form() {
    let server = server(Settings::default()).await;
    let secret = || ClientSecret::new("s3cr:t&").unwrap();
    let basic = builder(&server, new_key()).client_secret_basic(secret());
    basic
        .build()
        .unwrap()
        .client_credentials(&request())
        .await
        .unwrap();
    let post = builder(&server, new_key()).client_secret_post(secret());
    post.build()
        .unwrap()
        .client_credentials(&request())
        .await
        .unwrap();

    let grants = server.grants();
    let expected = format!("Basic {}", STANDARD.encode("orders:s3cr%3At%26"));
    assert_eq!(grants[0].headers["authorization"], expected);
    assert!(!grants[0].form.contains_key("client_id"));
    assert!(!grants[0].form.contains_key("client_secret"));
    assert_eq!(grants[1].headers.get("authorization"), None);
    assert_eq!(grants[1].form["client_secret"], "s3cr:t&");
    assert_eq!(grants[1].form["client_id"], "orders");
}

#[tokio::test]
async fn every_attempt_has_an_assertion_of_its_own() {
    let server = server(Settings::default()).await;
    let key = ClientKey::generate(Algorithm::Es256).unwrap();
    let key = ClientSigningKey::from_jwk(key.to_jwk().unwrap().as_str()).unwrap();
    let client = builder(&server, new_key())
        .private_key_jwt(key)
        .build()
        .unwrap();
    client.client_credentials(&request()).await.unwrap();
    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    let assertions: Vec<_> = asked
        .iter()
        .map(|asked| &asked.form["client_assertion"])
        .collect();
    assert_ne!(assertions[0], assertions[1]);
    let claims = crate::client::proofs::part(assertions[0], 1);
    assert_eq!(claims["aud"], server.issuer);
    assert_eq!(
        (&claims["iss"], &claims["sub"]),
        (&"orders".into(), &"orders".into())
    );
    assert_eq!(
        asked[0].form["client_assertion_type"],
        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    );
}

#[tokio::test]
async fn a_refresh_token_is_replaced_only_if_the_server_rotates() {
    for (rotation, is_replaced) in [(Rotation::Never, false), (Rotation::Strict, true)] {
        let server = server(Settings {
            rotation,
            ..Settings::default()
        })
        .await;
        let client = client(&server);
        let old = server.refresh_token(client.thumbprint());
        let old = RefreshToken::new(old);
        let tokens = client.refresh(&old, &TokenRequest::new()).await.unwrap();
        let new = tokens.refresh_token().unwrap();
        assert_eq!(new.as_str() != old.as_str(), is_replaced);
        let again = client.refresh(&old, &TokenRequest::new()).await;
        assert_eq!(
            again.is_err_and(|error| error.requires_login()),
            is_replaced
        );
        client.refresh(new, &TokenRequest::new()).await.unwrap();
    }
}

#[tokio::test]
async fn a_refresh_token_is_useless_with_another_key() {
    let server = server(Settings::default()).await;
    let token = RefreshToken::new(server.refresh_token(client(&server).thumbprint()));
    let thief = client(&server);
    let error = thief
        .refresh(&token, &TokenRequest::new())
        .await
        .unwrap_err();
    assert!(error.requires_login(), "{error}");
    assert_eq!(error.kind(), OAuthErrorKind::Rejected);
}
