//! Opaque tokens, about which the gateway asks the issuer (RFC 7662).

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Json, Router, body::Body, extract::State, http::StatusCode, routing::post};
use dpop_cli::gateway::Settings;
use http::{HeaderMap, Request};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{ORIGIN, Rig, Wanted, error_of, mirror, serve};

/// An issuer's endpoint, which knows one token and one client.
#[derive(Clone)]
struct Endpoint {
    /// The answer about the token `opaque`.
    answer: Arc<std::sync::Mutex<Value>>,
    calls: Arc<AtomicUsize>,
}

impl Endpoint {
    async fn start() -> (Self, String) {
        let endpoint = Self {
            answer: Arc::default(),
            calls: Arc::default(),
        };
        let router = Router::new()
            .route("/introspect", post(answer))
            .with_state(endpoint.clone());
        let url = format!("{}/introspect", serve(router).await);
        (endpoint, url)
    }
}

async fn answer(
    State(endpoint): State<Endpoint>,
    headers: HeaderMap,
    form: String,
) -> Result<Json<Value>, StatusCode> {
    endpoint.calls.fetch_add(1, Ordering::SeqCst);
    // gateway:s3cret
    if headers["authorization"] != "Basic Z2F0ZXdheTpzM2NyZXQ=" {
        return Err(StatusCode::UNAUTHORIZED);
    }
    let is_known = form.split('&').any(|field| field == "token=opaque");
    Ok(Json(if is_known {
        endpoint.answer.lock().unwrap().clone()
    } else {
        json!({ "active": false })
    }))
}

/// The table of the rig's issuer, with this client secret.
fn table(folder: &TempDir, url: &str, secret: &str) -> String {
    let file = folder.path().join("client-secret");
    fs::write(&file, secret).unwrap();
    format!(
        "danger_allow_plain_http = true\n[issuer.introspection]\nurl = '{url}'\nclient_id = 'gateway'\n\
         client_secret_file = '{}'",
        file.display()
    )
}

fn with_token(rig: &Rig, token: &str) -> Request<Body> {
    let request = rig.client.get(&format!("{ORIGIN}/orders"), token);
    request.map(|()| Body::empty())
}

#[tokio::test]
async fn an_opaque_token_is_admitted_by_what_the_issuer_says_of_it() {
    let folder = TempDir::new().unwrap();
    let (endpoint, url) = Endpoint::start().await;
    let rig = Rig::with(mirror(), Wanted::tables(&table(&folder, &url, "s3cret\n"))).await;
    *endpoint.answer.lock().unwrap() = json!({
        "active": true,
        "token_type": "DPoP",
        "aud": "https://api.test",
        "sub": "bob",
        "scope": "f1:read",
        "cnf": { "jkt": rig.client.thumbprint().to_string() },
    });
    for _ in 0..3 {
        let seen = rig.seen(with_token(&rig, "opaque")).await;
        assert_eq!(seen.header("x-dpop-subject"), Some("bob"));
        assert_eq!(seen.header("x-dpop-scope"), Some("f1:read"));
        assert!(!seen.has_anywhere("opaque"));
    }
    assert_eq!(endpoint.calls.load(Ordering::SeqCst), 1);
    let response = rig.send(with_token(&rig, "unknown")).await;
    assert_eq!(response.status(), 401);
    assert_eq!(error_of(&response).as_deref(), Some("invalid_token"));
    // It is bound to the key of another client.
    let other = dpop_tower::test_util::TestClient::new();
    let stolen = other.get(&format!("{ORIGIN}/orders"), "opaque");
    assert_eq!(rig.status(stolen.map(|()| Body::empty())).await, 401);
    // JWTs of the same issuer are verified as before, and are not sent anywhere.
    assert_eq!(rig.status(rig.get("/orders")).await, 200);
    assert_eq!(endpoint.calls.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_wrong_client_secret_is_the_fault_of_the_operator() {
    let folder = TempDir::new().unwrap();
    let (_, url) = Endpoint::start().await;
    let rig = Rig::with(mirror(), Wanted::tables(&table(&folder, &url, "wrong"))).await;
    let response = rig.send(with_token(&rig, "opaque")).await;
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
}

/// Each mistake with its field, on the line of the table or on its own.
#[test]
fn mistakes_are_told_with_their_field() {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("secret", "s3cret");
    write("empty", "\n");
    write(
        "no-key",
        "{\"kty\":\"oct\",\"k\":\"c2VjcmV0LXRoYXQtbXVzdC1ub3QtYmUtc2hvd24\"}",
    );
    let parse = |lines: &str| {
        let text = format!(
            "listen = '127.0.0.1:0'\nupstream = 'http://127.0.0.1:1'\npublic_origins = ['{ORIGIN}']\n\
             [[issuer]]\nurl = 'https://issuer.test'\naudiences = ['a']\n[issuer.introspection]\n{lines}\n"
        );
        Settings::parse(&text, &folder.path().join("gateway.toml"))
    };
    let good = "client_id = 'gateway'\nclient_secret_file = 'secret'";
    parse(good).unwrap();
    parse(&format!(
        "{good}\nurl = 'https://issuer.test/introspect'\ncache_for = 0\nsigned_responses = true"
    ))
    .unwrap();
    for (lines, field, line, told) in [
        (
            "client_id = 'gateway'",
            "client_id",
            8,
            "set `client_secret_file`",
        ),
        (
            "client_id = 'g'\nclient_secret_file = 'missing'",
            "client_secret_file",
            9,
            "cannot be read",
        ),
        (
            "client_id = 'g'\nclient_secret_file = 'empty'",
            "client_secret_file",
            9,
            "is empty",
        ),
        (
            "client_id = 'g'\nclient_secret_env = 'DPOP_TEST_UNSET'",
            "client_secret_env",
            9,
            "no such variable",
        ),
        (
            "client_id = 'g'\nclient_secret_file = 'secret'\nclient_secret_env = 'HOME'",
            "client_secret_env",
            10,
            "already set",
        ),
        (
            "client_id = 'g'\nclient_secret_file = 'secret'\nclient_key_file = 'no-key'",
            "client_key_file",
            10,
            "already set",
        ),
        (
            "client_id = 'g'\nclient_key_file = 'no-key'",
            "client_key_file",
            9,
            "key",
        ),
        (
            "client_id = 'g'\nclient_secret_file = 'secret'\nurl = 'http://issuer.test/introspect'",
            "url",
            10,
            "https",
        ),
        (
            "client_id = 'g'\nclient_secret_file = 'secret'\nx = 1",
            "x",
            10,
            "unknown field",
        ),
    ] {
        let error = parse(lines).err().unwrap_or_else(|| panic!("{lines}"));
        let expected = format!("issuer[0].introspection.{field}");
        assert_eq!(
            (error.field(), error.line()),
            (expected.as_str(), Some(line)),
            "{error}"
        );
        let text = error.to_string();
        assert!(text.contains(told), "{text}");
        assert!(
            !text.contains("s3cret") && !text.contains("c2VjcmV0"),
            "{text}"
        );
    }
}

#[test]
fn one_issuer_has_opaque_tokens() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("secret"), "s3cret").unwrap();
    let issuer = |url: &str| {
        format!(
            "[[issuer]]\nurl = '{url}'\naudiences = ['a']\n\
             introspection = {{ client_id = 'g', client_secret_file = 'secret' }}\n"
        )
    };
    let text = format!(
        "listen = '127.0.0.1:0'\nupstream = 'http://127.0.0.1:1'\npublic_origins = ['{ORIGIN}']\n{}{}",
        issuer("https://a.test"),
        issuer("https://b.test")
    );
    let error = Settings::parse(&text, &folder.path().join("gateway.toml"))
        .err()
        .unwrap();
    assert_eq!(error.field(), "issuer[1].introspection");
    assert_eq!(error.line(), Some(11));
}
