//! `dpop idp` as a program.

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::program::{Running, dpop, text};

/// Returns what the program prints at start, with `--json`.
fn started(program: &Running) -> Value {
    serde_json::from_str(&program.line_with("\"issuer\"")).unwrap()
}

#[tokio::test]
async fn it_needs_no_configuration_and_ends_on_sigterm() {
    let mut program = Running::start(&["idp", "--listen", "127.0.0.1:0", "--json"]);
    let value = started(&program);
    let url = value["issuer"].as_str().unwrap();
    let address: SocketAddr = url.strip_prefix("http://").unwrap().parse().unwrap();
    assert_eq!(value["clients"][0], json!({ "client_id": "app" }));
    let secret = value["clients"][1]["client_secret"].as_str().unwrap();
    let mut request = Request::post("/token")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::HOST, address.to_string())
        .body(axum::body::Body::from(format!(
            "grant_type=client_credentials&client_id=service&client_secret={secret}"
        )))
        .unwrap();
    let client = TestClient::new();
    let proof = client.proof("POST", &format!("{url}/token"));
    proof.sign_into(request.headers_mut());
    let token = crate::json(send(address, request).await).await;
    assert_eq!(token["token_type"], "DPoP");
    program.signal("TERM");
    assert!(program.wait().success());
}

#[test]
fn it_says_that_it_is_for_development_and_what_to_do_next() {
    let program = Running::start(&["idp", "--listen", "127.0.0.1:0"]);
    // The two streams come in any order.
    let mut lines = String::new();
    while !(lines.contains("development") && lines.contains("curl ")) {
        lines += &program.line_with("");
    }
    assert!(
        lines.contains("Issuer::discover(\"http://127.0.0.1:"),
        "{lines}"
    );
}

#[test]
fn an_address_that_others_can_reach_needs_a_flag_with_danger_in_its_name() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let output = dpop(&["idp", "--listen", address]);
        assert_eq!(output.status.code(), Some(2));
        let said = text(&output.stderr);
        assert!(said.contains("--danger-listen-beyond-loopback"), "{said}");
    }
    let danger = "--danger-listen-beyond-loopback";
    let arguments = [
        "idp",
        "--listen",
        "0.0.0.0:0",
        danger,
        "--json",
        "--issuer",
        "http://idp.test",
    ];
    let program = Running::start(&arguments);
    assert_eq!(started(&program)["issuer"], "http://idp.test");
}

#[test]
fn a_wrong_file_is_wrong_use_and_says_where() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("idp.json");
    fs::write(&path, "{ \"users\": [{ \"subject\": 7 }] }").unwrap();
    let path = path.to_str().unwrap();
    for (file, said) in [
        (path, "users[0].subject"),
        ("/nowhere/idp.json", "cannot be read"),
    ] {
        let output = dpop(&["idp", "--config", file]);
        assert_eq!(output.status.code(), Some(2));
        let stderr = text(&output.stderr);
        assert!(stderr.contains(said), "{stderr}");
    }
}
