//! `dpop request` against services behind the layer.

use std::{fs, net::TcpListener, time::Duration};

use dpop_tower::{Policy, test_util::TestClient};
use serde_json::Value;

use super::{Scene, run, run_with};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nonce_that_the_service_wants_is_sent_with_a_second_proof() {
    let scene = Scene::new(Policy::strict().require_nonce()).await;
    let quiet = scene.request("/orders?page=2", &[]).await.succeeded();
    assert_eq!(quiet.stderr, "");
    assert_eq!(quiet.json()["uri"], "/orders?page=2");

    let verbose = scene.request("/orders", &["-v"]).await.succeeded();
    let told = &verbose.stderr;
    for part in [
        "> GET http://127.0.0.1:",
        "[the access token, ",
        r#""htm":"GET""#,
        "< HTTP/1.1 401 Unauthorized",
        r#"error="use_dpop_nonce""#,
        "again with a new proof",
        r#""nonce":""#,
        "< HTTP/1.1 200 OK",
    ] {
        assert!(told.contains(part), "{part:?} in {told}");
    }
    let token = fs::read_to_string(scene.token_file()).unwrap();
    assert!(!told.contains(&token));
    // No whole proof either: a header and claims, but no signature.
    assert!(!told.contains("eyJ"), "{told}");
    assert_eq!(told.matches(r#""jti":""#).count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_and_headers_arrive_and_the_response_goes_where_it_is_wanted() {
    let scene = Scene::new(Policy::strict().require_nonce()).await;
    let file = scene.folder.path().join("body.json");
    fs::write(&file, "{\"n\":1}\n").unwrap();
    let data = format!("@{}", file.display());
    let header = "Content-Type: application/json";
    let ran = scene
        .request("/orders", &["-d", &data, "-H", header, "-i"])
        .await
        .succeeded();
    let (head, body) = ran.stdout.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    let seen: Value = serde_json::from_str(body).unwrap();
    assert_eq!(seen["method"], "POST");
    assert_eq!(seen["body"], "{\"n\":1}\n");
    assert!(
        seen["headers"]
            .to_string()
            .contains(r#"["content-type","application/json"]"#)
    );

    let out = scene.folder.path().join("out");
    let arguments = ["-X", "PATCH", "-d", "a=b", "-o", out.to_str().unwrap()];
    let ran = scene.request("/orders", &arguments).await.succeeded();
    assert_eq!(ran.stdout, "");
    let seen: Value = serde_json::from_str(&fs::read_to_string(&out).unwrap()).unwrap();
    assert_eq!(
        (&seen["method"], &seen["body"]),
        (&"PATCH".into(), &"a=b".into())
    );

    let json = scene
        .request("/orders", &["--json"])
        .await
        .succeeded()
        .json();
    assert_eq!(json["status"], 200);
    assert_eq!(json["body"]["method"], "GET");
    assert_eq!(json["headers"]["content-type"][0], "application/json");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejection_is_exit_code_1_with_the_next_step() {
    let scene = Scene::new(Policy::strict().require_scope("f1:read")).await;
    let other = TestClient::new();
    let past = Duration::from_secs(0);
    let unbound = scene.issuer.token().scope("f1:read");
    let cases = [
        (
            scene.token().scope("f1:none").mint(),
            "403",
            "--scope \"f1:read\"",
        ),
        (
            scene.token().bound_to(&other).mint(),
            "401",
            "is bound to the key",
        ),
        (scene.token().claim("exp", 1_000).mint(), "401", "expired"),
        (unbound.mint(), "401", "not bound to a key"),
        (scene.token().expires_in(past).mint(), "401", "dpop token"),
        ("no.jwt.token".to_owned(), "401", "dpop token"),
    ];
    for (token, status, next_step) in cases {
        scene.write_token(&token);
        let ran = scene
            .request("/", &[])
            .await
            .failed(1, &[status, next_step]);
        assert!(!ran.stderr.contains(&token), "{ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_without_dpop_is_told_from_one_that_rejects_the_proof() {
    use axum::{Router, http::StatusCode, response::IntoResponse, routing::get};

    let bearer = async || {
        (
            StatusCode::UNAUTHORIZED,
            [("www-authenticate", "Bearer realm=\"x\"")],
        )
    };
    let proof = async || {
        let challenge = r#"DPoP error="invalid_dpop_proof", error_description="\u009b odd""#;
        let headers = [
            ("www-authenticate", challenge),
            ("date", "Fri, 01 Jan 2021 00:00:00 GMT"),
        ];
        (StatusCode::UNAUTHORIZED, headers)
    };
    let loop_of_nonces = async || {
        let headers = [
            ("www-authenticate", r#"Bearer, DPoP error="use_dpop_nonce""#),
            ("dpop-nonce", "n"),
        ];
        (StatusCode::UNAUTHORIZED, headers)
    };
    let router = Router::new()
        .route("/bearer", get(bearer))
        .route("/proof", get(proof))
        .route("/nonces", get(loop_of_nonces))
        .route(
            "/missing",
            get(async || StatusCode::NOT_FOUND.into_response()),
        );
    let scene = Scene::with(Policy::off(), router).await;
    scene
        .request("/bearer", &[])
        .await
        .failed(1, &["401", "Bearer"]);
    scene
        .request("/proof", &[])
        .await
        .failed(1, &["invalid_dpop_proof", "ahead of the server's"]);
    scene
        .request("/nonces", &[])
        .await
        .failed(1, &["use_dpop_nonce", "nonce secrets"]);
    scene.request("/missing", &[]).await.succeeded();
    scene
        .request("/missing", &["--fail"])
        .await
        .failed(1, &["404"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_out_of_reach_is_exit_code_3() {
    let mut scene = Scene::new(Policy::strict()).await;
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    scene.url = format!("http://{}", closed.local_addr().unwrap());
    // It accepts connections, and never answers.
    scene
        .request("/", &["--timeout", "1"])
        .await
        .failed(3, &["within 1 s"]);
    drop(closed);
    scene
        .request("/", &[])
        .await
        .failed(3, &["no answer from 127.0.0.1:"]);
}

#[test]
fn what_would_give_the_token_away_is_wrong_use() {
    let folder = tempfile::TempDir::new().unwrap();
    let key = folder.path().join("key.json");
    let key = key.to_str().unwrap();
    run(&["key", "new", "--out", key]).succeeded();
    let environment = [("TOKEN", "hunter2")];
    let request = |url: &str, further: &[&str]| {
        let mut arguments = vec!["request", url, "--key", key, "--token-env", "TOKEN"];
        arguments.extend(further);
        let ran = run_with(&arguments, &environment);
        assert!(!ran.stderr.contains("hunter2"), "{ran:?}");
        ran
    };
    request("http://192.0.2.1/", &[]).failed(2, &["unencrypted", "--danger-allow-plain-http"]);
    for header in ["Authorization: x", "dpop: x"] {
        request("https://api.test/", &["-H", header]).failed(2, &["--token-file"]);
    }
    request("https://api.test/", &["-H", "no colon"]).failed(2, &["Accept: "]);
    request("https://api.test/", &["-d", "@/no/such/file"]).failed(2, &["/no/such/file"]);
    run(&["request", "https://api.test/", "--key", key]).failed(2, &["dpop token"]);
}
