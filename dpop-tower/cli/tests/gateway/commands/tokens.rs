//! `dpop token` without a user.

use std::{fs, net::TcpListener};

use dpop_conformance::authorization_server::{AuthorizationServer, Fault, Rotation, Settings};
use dpop_tower::Policy;
use http::StatusCode;
use serde_json::{Value, json};

use super::{Ran, Scene, run, write_secret};

/// A service, and the authorization server of its tokens.
pub(super) struct Both {
    pub(super) scene: Scene,
    pub(super) server: AuthorizationServer,
}

impl Both {
    pub(super) async fn new(settings: Settings) -> Self {
        let scene = Scene::new(Policy::strict().require_nonce()).await;
        let server = AuthorizationServer::start(scene.issuer.clone(), settings).await;
        Self { scene, server }
    }

    pub(super) fn arguments<'a>(&'a self, further: &[&'a str]) -> Vec<&'a str> {
        let mut arguments = vec!["token", "--issuer", &self.server.issuer];
        arguments.extend(["--client-id", "orders", "--key", &self.scene.key]);
        arguments.extend(further);
        arguments
    }

    async fn token(&self, further: &[&str]) -> Ran {
        self.scene.run(&self.arguments(further)).await
    }

    /// Writes a file beside the key and returns its path.
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.scene.folder.path().join(name);
        write_secret(&path, text);
        path.to_str().unwrap().to_owned()
    }

    /// Returns the path of the file for tokens.
    pub(super) fn out(&self) -> String {
        self.scene.token_file().to_str().unwrap().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_for_a_service_is_admitted_with_the_same_key() {
    let both = Both::new(Settings::default()).await;
    let secret = both.file("secret", "s3cret\n");
    let out = both.out();
    let arguments = [
        "--client-secret-file",
        &secret,
        "--scope",
        "f1:read",
        "--out",
        &out,
    ];
    let ran = both.token(&arguments).await.succeeded();
    assert!(
        ran.stdout.contains("expires in 2") || ran.stdout.contains("expires in 300"),
        "{ran:?}"
    );
    assert!(!ran.stdout.contains("eyJ"), "{ran:?}");
    let stored: Value = serde_json::from_str(&fs::read_to_string(&out).unwrap()).unwrap();
    assert_eq!(stored["token_type"], "DPoP");
    assert_eq!(stored["jkt"], both.scene.thumbprint.to_string());
    let grants = both.server.grants();
    assert_eq!(grants[0].form["grant_type"], "client_credentials");
    assert_eq!(grants[0].form["scope"], "f1:read");

    both.scene.request("/orders", &[]).await.succeeded();
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_with_tokens_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let both = Both::new(Settings::default()).await;
    let out = both.out();
    fs::set_permissions(&out, fs::Permissions::from_mode(0o644)).unwrap();
    let arguments = ["--grant", "client_credentials", "--out", &out];
    both.token(&arguments).await.succeeded();
    assert_eq!(
        fs::metadata(&out).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_printed_alone_or_as_json() {
    let both = Both::new(Settings::default()).await;
    let arguments = [
        "--grant",
        "client_credentials",
        "--resource",
        "https://api.test",
    ];
    let ran = both.token(&arguments).await.succeeded();
    assert_eq!(ran.stdout.trim().split('.').count(), 3);
    assert_eq!(ran.stderr, "");
    assert_eq!(both.server.grants()[0].form["resource"], "https://api.test");
    let arguments = ["--json", "--grant", "client_credentials"];
    let json = both.token(&arguments).await.succeeded().json();
    assert!(json["access_token"].is_string() && json["expires_at"].is_i64());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_can_authenticate_with_a_key_of_its_own() {
    let both = Both::new(Settings::default()).await;
    let key = both.scene.folder.path().join("client.pem");
    let key = key.to_str().unwrap();
    run(&["key", "new", "--pem", "--out", key]).succeeded();
    both.token(&["--client-key-file", key]).await.succeeded();
    assert!(
        both.server.grants()[0]
            .form
            .contains_key("client_assertion")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_refresh_token_replaces_the_old_one_in_the_file() {
    let both = Both::new(Settings {
        rotation: Rotation::Strict,
        ..Settings::default()
    })
    .await;
    let refresh_token = both.server.refresh_token(both.scene.thumbprint);
    let file = both.file("refresh", &format!("{refresh_token}\n"));
    let out = both.out();
    let refresh = ["--grant", "refresh_token", "--out", &out];
    let with_file = [&refresh[..], &["--refresh-token-file", &file]].concat();
    both.token(&with_file).await.succeeded();
    for _ in 0..2 {
        both.token(&refresh).await.succeeded();
    }
    let used: Vec<_> = both
        .server
        .grants()
        .iter()
        .map(|asked| asked.form["refresh_token"].clone())
        .collect();
    assert_eq!(used.len(), 3);
    assert!(used[0] == refresh_token && used[0] != used[1] && used[1] != used[2]);

    // The first one is dead by now.
    both.token(&with_file)
        .await
        .failed(1, &["invalid_grant", "log in again"]);
    let other = both.scene.folder.path().join("other.json");
    let other = other.to_str().unwrap();
    run(&["key", "new", "--out", other]).succeeded();
    let mut arguments = both.arguments(&refresh);
    let key = arguments
        .iter()
        .position(|argument| *argument == "--key")
        .unwrap();
    arguments[key + 1] = other;
    both.scene.run(&arguments).await.failed(2, &["another key"]);
    both.token(&["--grant", "refresh_token"])
        .await
        .failed(2, &["--refresh-token-file"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_says_becomes_an_exit_code_and_a_next_step() {
    let both = Both::new(Settings::default()).await;
    for (status, body, code, parts) in [
        (
            400,
            r#"{"error":"invalid_scope"}"#,
            1,
            &["invalid_scope", "--scope"][..],
        ),
        (
            401,
            r#"{"error":"invalid_client"}"#,
            1,
            &["invalid_client", "--client-id"],
        ),
        (
            200,
            r#"{"access_token":"hunter2","token_type":"Bearer"}"#,
            1,
            &["does not support DPoP"],
        ),
        (503, "", 3, &["503"]),
    ] {
        let status = StatusCode::from_u16(status).unwrap();
        both.server
            .fail_next(Fault::Answer(status, body.to_owned()));
        let ran = both
            .token(&["--grant", "client_credentials"])
            .await
            .failed(code, parts);
        assert!(
            !ran.stderr.contains("hunter2") && ran.stdout.is_empty(),
            "{ran:?}"
        );
    }
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let issuer = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let arguments = [
        "token",
        "--issuer",
        &issuer,
        "--client-id",
        "x",
        "--key",
        &both.scene.key,
    ];
    both.scene.run(&arguments).await.failed(3, &["--issuer"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_of_another_issuer_is_not_used() {
    let both = Both::new(Settings {
        metadata: json!({ "issuer": "https://other.example" }),
        ..Settings::default()
    })
    .await;
    let ran = both.token(&["--grant", "client_credentials"]).await;
    ran.failed(3, &["https://other.example", "--issuer"]);
    assert!(both.server.asked().is_empty());
}

#[test]
fn a_secret_is_never_an_argument_and_plain_http_is_for_this_machine() {
    let folder = tempfile::TempDir::new().unwrap();
    let key = folder.path().join("key.json");
    let key = key.to_str().unwrap();
    run(&["key", "new", "--out", key]).succeeded();
    let token = |further: &[&str]| {
        let mut arguments = vec!["token", "--client-id", "x", "--key", key];
        arguments.extend(further);
        run(&arguments)
    };
    let local = ["--issuer", "http://127.0.0.1:1"];
    token(&[&local[..], &["--client-secret", "hunter2"]].concat()).failed(2, &["--client-secret"]);
    token(&[&local[..], &["--client-secret-env", "NOT_SET"]].concat()).failed(2, &["NOT_SET"]);
    token(&["--issuer", "http://192.0.2.1"]).failed(2, &["https"]);
    let uri = ["--redirect-uri", "https://example.com:1/callback"];
    token(&[&local[..], &uri].concat()).failed(2, &["127.0.0.1:9876"]);
}
