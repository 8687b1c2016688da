//! `dpop proof`.

use std::{io::Write as _, process::Stdio};

use dpop_tower::Policy;

use super::{Scene, run, run_with};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_printed_proof_is_admitted_once() {
    let scene = Scene::new(Policy::strict()).await;
    let token = scene.token().mint();
    let url = format!("{}/orders?page=2", scene.url);
    let environment = [("TOKEN", token.as_str())];
    let arguments = [
        "proof",
        "-X",
        "PUT",
        &url,
        "--key",
        &scene.key,
        "--token-env",
        "TOKEN",
    ];
    let proof = run_with(&arguments, &environment).succeeded().stdout;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for expected in [200, 401] {
        let request = http
            .put(&url)
            .header("authorization", format!("DPoP {token}"))
            .header("dpop", proof.trim());
        assert_eq!(request.send().await.unwrap().status(), expected);
    }
}

#[test]
fn a_proof_as_json_is_decoded() {
    let folder = tempfile::TempDir::new().unwrap();
    let key = folder.path().join("key.json");
    let key = key.to_str().unwrap();
    run(&["key", "new", "--out", key]).succeeded();
    let url = "https://API.example.com:443/token?x=y#z";
    let json = run(&[
        "--json", "proof", "-X", "POST", url, "--key", key, "--nonce", "n-1",
    ]);
    let json = json.succeeded().json();
    assert_eq!(json["header"]["typ"], "dpop+jwt");
    assert_eq!(json["header"]["jwk"].get("d"), None);
    assert_eq!(json["claims"]["htm"], "POST");
    assert_eq!(json["claims"]["htu"], "https://api.example.com/token");
    assert_eq!(json["claims"]["nonce"], "n-1");
    assert_eq!(json["claims"].get("ath"), None);
    assert_eq!(json["proof"].as_str().unwrap().split('.').count(), 3);
}

#[test]
fn the_token_can_come_from_the_standard_input() {
    let folder = tempfile::TempDir::new().unwrap();
    let key = folder.path().join("key.json");
    let key = key.to_str().unwrap();
    run(&["key", "new", "--out", key]).succeeded();
    let ath = |input: &str| {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_dpop"))
            .args(["--json", "proof", "https://api.test/", "--key", key])
            .args(["--token-file", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        let json: serde_json::Value =
            serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap();
        json["claims"]["ath"].as_str().unwrap().to_owned()
    };
    // RFC 9449 section 7.1
    let token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
    let expected = "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo";
    assert_eq!(ath(&format!("{token}\n")), expected);
    // What `dpop token --out` writes.
    assert_eq!(ath(&format!(r#"{{"access_token":"{token}"}}"#)), expected);
}

#[test]
fn a_proof_needs_a_key_and_an_absolute_url() {
    let folder = tempfile::TempDir::new().unwrap();
    let key = folder.path().join("key.json");
    let key = key.to_str().unwrap();
    run(&["key", "new", "--out", key]).succeeded();
    run(&["proof", "https://api.test/"]).failed(2, &["--key"]);
    for url in ["/orders", "api.test", "ftp://api.test/", "https://a b/"] {
        run(&["proof", url, "--key", key]).failed(2, &["URL"]);
    }
    run(&["proof", "https://user:hunter2@api.test/", "--key", key]).failed(2, &["user"]);
    let both = [
        "proof",
        "https://api.test/",
        "--key",
        "-",
        "--token-file",
        "-",
    ];
    run(&both).failed(2, &["standard input"]);
    let unset = [
        "proof",
        "https://api.test/",
        "--key",
        key,
        "--token-env",
        "NOT_SET",
    ];
    run(&unset).failed(2, &["NOT_SET"]);
    let odd = run_with(
        &[
            "proof",
            "https://api.test/",
            "--key",
            key,
            "--token-env",
            "T",
        ],
        &[("T", "hunter2 and more")],
    );
    assert!(!odd.failed(2, &["token"]).stderr.contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_folder_with_keys_the_token_selects_its_own() {
    let scene = Scene::new(Policy::strict()).await;
    let token = scene.token().mint();
    let environment = [("TOKEN", token.as_str())];
    let folder = tempfile::TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let keys = folder.path().to_str().unwrap();
    let url = format!("{}/orders", scene.url);
    let request = ["request", &url, "--key", keys, "--token-env", "TOKEN"];

    let nothing = ["no file in", "has a usable key"];
    run(&["proof", &url, "--key", keys]).failed(2, &nothing);
    run(&["key", "new", "--pem", "--out", &path("a.pem")]).succeeded();
    run(&["proof", &url, "--key", keys]).succeeded();
    run_with(&request, &environment).failed(2, &["no key in", "that the token is bound to"]);

    std::fs::copy(&scene.key, path("b.json")).unwrap();
    // What else may be there: a token, and notes.
    std::fs::write(path("token.json"), r#"{"access_token":"x"}"#).unwrap();
    std::fs::write(path("notes.txt"), "no key").unwrap();
    run_with(&request, &environment).succeeded();
    run(&["proof", &url, "--key", keys]).failed(2, &["has several keys", "a.pem", "b.json"]);
}
