//! The authorization code flow.

use dpop_conformance::authorization_server::{AuthorizationServer, Settings};
use dpop_tower::client::oauth::{AuthorizationRequest, OAuthErrorKind, TokenRequest};
use http::header;
use serde_json::json;

use super::{client, request, server};

const REDIRECT: &str = "http://127.0.0.1:49152/callback";

/// Returns the query with which the browser comes back.
async fn visit(request: &AuthorizationRequest) -> String {
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy();
    let response = http
        .build()
        .unwrap()
        .get(request.url())
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 302);
    let location = response.headers()[header::LOCATION].to_str().unwrap();
    let (target, query) = location.split_once('?').unwrap();
    assert_eq!(target, REDIRECT);
    query.to_owned()
}

async fn started(server: &AuthorizationServer) -> AuthorizationRequest {
    let client = client(server);
    client
        .start_authorization(REDIRECT, &request())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_code_is_bound_to_the_key_and_to_the_verifier() {
    let server = server(Settings::default()).await;
    let client = client(&server);
    let request = TokenRequest::new()
        .scope("a")
        .resource("https://api.test")
        .audience("api");
    let request = client
        .start_authorization(REDIRECT, &request)
        .await
        .unwrap();
    for part in [
        "response_type=code",
        "code_challenge_method=S256",
        "client_id=orders",
        "resource=https%3A%2F%2Fapi.test",
        "audience=api",
        "scope=a",
        &format!("dpop_jkt={}", client.thumbprint()),
    ] {
        assert!(request.url().contains(part), "{part} in {}", request.url());
    }
    let query = visit(&request).await;
    let tokens = client.finish_authorization(request, &query).await.unwrap();
    assert!(tokens.refresh_token().is_some());
    let grants = server.grants();
    let form = &grants[0].form;
    assert_eq!(form["redirect_uri"], REDIRECT);
    assert_eq!(form["code_verifier"].len(), 43);

    // A thief who has the code, and even the verifier, does not have the key.
    let thief = super::client(&server);
    let request = client
        .start_authorization(REDIRECT, &super::request())
        .await
        .unwrap();
    let query = visit(&request).await;
    let error = thief
        .finish_authorization(request, &query)
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some("invalid_grant"));
}

#[tokio::test]
async fn a_request_is_pushed_if_the_server_requires_that() {
    let server = server(Settings {
        requires_pushed_requests: true,
        ..Settings::default()
    })
    .await;
    let client = client(&server);
    let request = client
        .start_authorization(REDIRECT, &request())
        .await
        .unwrap();
    assert!(request.url().contains("request_uri=urn"));
    assert!(!request.url().contains("code_challenge"));
    let query = visit(&request).await;
    client.finish_authorization(request, &query).await.unwrap();
    let asked = server.asked();
    let pushed = asked.iter().rfind(|asked| asked.path == "/par").unwrap();
    assert_eq!(pushed.form["dpop_jkt"], client.thumbprint().to_string());
    assert!(pushed.proof.is_some());
}

#[tokio::test]
async fn a_redirect_that_does_not_belong_to_the_request_is_rejected() {
    let server = server(Settings::default()).await;
    let client = client(&server);
    let replaced = |query: &str, name: &str, with: Option<&str>| {
        let rest = query
            .split('&')
            .filter(|part| !part.starts_with(&format!("{name}=")));
        let mut parts: Vec<String> = rest.map(str::to_owned).collect();
        parts.extend(with.map(|value| format!("{name}={value}")));
        parts.join("&")
    };
    for (name, with) in [
        ("state", None),
        ("state", Some("")),
        ("state", Some("other")),
        ("iss", None),
        ("iss", Some("https%3A%2F%2Fother.example")),
        ("code", None),
        ("code", Some("")),
    ] {
        let request = started(&server).await;
        let query = replaced(&visit(&request).await, name, with);
        let error = client
            .finish_authorization(request, &query)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), OAuthErrorKind::Callback, "{name} {with:?}");
    }
    for name in ["state", "code", "iss"] {
        let request = started(&server).await;
        let query = visit(&request).await;
        let value = query
            .split('&')
            .find(|part| part.starts_with(name))
            .unwrap();
        let twice = format!("{query}&{value}");
        let error = client
            .finish_authorization(request, &twice)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), OAuthErrorKind::Callback, "{name}");
    }
    assert!(server.grants().is_empty());
}

#[tokio::test]
async fn a_user_who_declines_is_told_from_a_foreign_redirect() {
    let server = server(Settings {
        metadata: json!({ "authorization_response_iss_parameter_supported": false }),
        ..Settings::default()
    })
    .await;
    let client = client(&server);
    let request = client
        .start_authorization(REDIRECT, &request())
        .await
        .unwrap();
    let (_, state) = request.url().split_once("state=").unwrap();
    let state = state.split('&').next().unwrap().to_owned();
    assert!(!client.belongs_to(&request, "error=access_denied"));
    let query = format!("?error=access_denied&error_description=no&state={state}");
    assert!(client.belongs_to(&request, &query));
    let error = client
        .finish_authorization(request, &query)
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some("access_denied"));
    assert_eq!(error.kind(), OAuthErrorKind::Rejected);
}
