//! The program: standard input and files, exit codes, JSON, and the keys of an issuer.

use std::{
    fs,
    io::Write as _,
    process::{Command, Output, Stdio},
    time::Duration,
};

use axum::{Json, Router, routing::get};
use dpop_tower::test_util::{TestClient, TestIssuer};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Parties, URL, raw};
use crate::serve;

/// Runs `dpop inspect` with this standard input.
fn run(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_dpop"))
        .arg("inspect")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Fails if the program ends before it has read everything.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

#[test]
fn the_exit_code_says_whether_it_is_valid() {
    let client = TestClient::new();
    let good = client.proof("GET", URL).sign();
    let bad = client.proof("GET", URL).corrupt_signature().sign();
    for (arguments, input, expected, told) in [
        (&[][..], &good, 0, "valid as far as it was checked\n"),
        (&["-"], &good, 0, "✓ the proof's signature"),
        (
            &["-X", "POST"],
            &good,
            1,
            "rejected: proof_htm_mismatch (RFC 9449 section 4.3 item 8)",
        ),
        (&[], &bad, 1, "✗ the proof's signature"),
        (
            &["--url", URL, "--method", "GET", "--now", "1000"],
            &good,
            1,
            "rejected: proof_from_future",
        ),
    ] {
        let output = run(arguments, input.as_bytes());
        assert_eq!(
            code(&output),
            Some(expected),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
        let printed = text(&output.stdout);
        assert!(printed.contains(told), "{printed}");
        // The output is not a terminal.
        assert!(!printed.contains('\u{1b}'));
        assert_eq!(text(&output.stderr).is_empty(), expected == 0);
    }
    for (arguments, input) in [
        (&[][..], "hello there"),
        (&["no-such-file"], ""),
        (&["--now", "tomorrow"], &good),
        (&["--max-age", "0"], &good),
        (&["--url", "/orders"], &good),
        (&["--token-file", "no-such-file"], &good),
        (&["--jwks", "no-such-file"], &good),
        (&["--issuer", "no url"], &good),
    ] {
        let output = run(arguments, input.as_bytes());
        assert_eq!(code(&output), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty());
    }
    // Nothing listens there.
    let output = run(&["--jwks", "http://127.0.0.1:1/jwks"], good.as_bytes());
    assert_eq!(code(&output), Some(3));
    assert!(text(&output.stderr).contains("cannot fetch http://127.0.0.1:1/jwks"));
}

#[test]
fn json_has_the_reason_its_clause_and_the_checks() {
    let proof = TestClient::new().proof("GET", URL).claim("typ", 1).sign();
    let output = run(&["--json", "-X", "POST"], proof.as_bytes());
    assert_eq!(code(&output), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["input"], "proof");
    assert_eq!(report["valid"], false);
    assert_eq!(report["reason"], "proof_htm_mismatch");
    assert_eq!(report["clause"], "RFC 9449 section 4.3 item 8");
    let checks = report["items"][0]["checks"].as_array().unwrap();
    let htm = checks
        .iter()
        .find(|check| check["reason"] == "proof_htm_mismatch");
    let htm = htm.unwrap();
    assert_eq!(htm["outcome"], "failed");
    assert_eq!(htm["clause"], report["clause"]);
    assert!(htm["fix"].as_str().unwrap().contains("new proof"));
    assert!(checks.iter().any(|check| check["outcome"] == "passed"));
    assert!(checks.iter().any(|check| check["outcome"] == "not_checked"));
    assert_eq!(report["items"][0]["decoded"][0]["claims"]["htm"], "GET");
}

#[test]
fn a_token_comes_from_a_file_and_is_not_printed() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("token");
    let parties = Parties::new();
    let token = parties.token();
    fs::write(&file, format!("{token}\n")).unwrap();
    let proof = parties.client.proof("GET", URL).access_token(&token).sign();
    let arguments = [
        "--now",
        "2027-01-15T08:00:00Z",
        "--token-file",
        file.to_str().unwrap(),
    ];
    let output = run(&arguments, proof.as_bytes());
    assert_eq!(code(&output), Some(0), "{}", text(&output.stderr));
    let printed = text(&output.stdout) + &text(&output.stderr);
    for secret in [&token, &proof] {
        let signature = secret.rsplit('.').next().unwrap();
        assert!(!printed.contains(signature));
    }
    fs::write(&file, "Authorization: DPoP a.b.c").unwrap();
    let output = run(&arguments, proof.as_bytes());
    assert_eq!(code(&output), Some(2));
    assert!(text(&output.stderr).contains("the token alone"));
}

/// Serves the metadata and the keys of an issuer, and returns its URL.
async fn serve_issuer(issuer: &TestIssuer, path: &'static str, named: Option<&str>) -> String {
    let keys: Value = serde_json::from_str(&issuer.jwks()).unwrap();
    let router = Router::new().route("/keys", get(async move || Json(keys.clone())));
    let base = serve(router).await;
    let jwks_uri = format!("{base}/keys");
    let named = named.map(str::to_owned);
    let metadata = async move |host: http::HeaderMap| {
        let own = format!("http://{}", host["host"].to_str().unwrap());
        Json(json!({"issuer": named.unwrap_or(own), "jwks_uri": jwks_uri}))
    };
    serve(Router::new().route(path, get(metadata))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keys_of_the_issuer_verify_the_signature() {
    let parties = Parties::new();
    let now = ["--now", "1800000000"];
    for path in [
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
    ] {
        let url = serve_issuer(&parties.issuer, path, None).await;
        let token = |issuer: &TestIssuer| {
            let token = parties
                .issuer
                .token()
                .claim("iss", url.as_str())
                .bound_to(&parties.client);
            token
                .signed_by(issuer)
                .expires_in(Duration::from_secs(60))
                .mint()
        };
        let arguments = [&now[..], &["--issuer", &url]].concat();
        let request = raw(&parties.client.get(URL, &token(&parties.issuer)));
        let output = run(&arguments, &request);
        assert_eq!(code(&output), Some(0), "{}", text(&output.stderr));
        let told = text(&output.stdout);
        assert!(
            told.contains("✓ the token's signature") && told.contains("✓ iss is"),
            "{told}"
        );

        let request = raw(&parties.client.get(URL, &token(&TestIssuer::new())));
        let output = run(&arguments, &request);
        assert_eq!(code(&output), Some(1));
        assert!(text(&output.stderr).contains("token_signature_invalid"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_of_another_issuer_is_not_used() {
    let parties = Parties::new();
    let path = "/.well-known/openid-configuration";
    let url = serve_issuer(&parties.issuer, path, Some("https://other.test")).await;
    let output = run(&["--issuer", &url], parties.token().as_bytes());
    assert_ne!(code(&output), Some(0));
    assert!(output.stdout.is_empty());
    let told = text(&output.stderr);
    assert!(told.contains("is of another issuer"), "{told}");
    // Plain http is for this machine only.
    let output = run(
        &["--issuer", "http://issuer.test"],
        parties.token().as_bytes(),
    );
    assert_eq!(code(&output), Some(2));
    assert!(text(&output.stderr).contains("is not https"));
}
