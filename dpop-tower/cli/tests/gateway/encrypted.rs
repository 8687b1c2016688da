//! Encrypted tokens, whose keys are in a file.

use std::{fs, path::PathBuf};

use axum::body::Body;
use dpop_cli::gateway::watch;
use dpop_conformance::logging::Log;
use http::Request;
use josekit::{
    jwe::{self, ECDH_ES, JweHeader},
    jwk::{
        Jwk,
        alg::ec::{EcCurve, EcKeyPair},
    },
};
use tempfile::TempDir;

use super::{ORIGIN, Rig, Wanted, error_of, mirror, soon};

/// A key of the gateway, which tokens name by this `kid`.
fn key(kid: &str) -> Jwk {
    let mut jwk = EcKeyPair::generate(EcCurve::P256)
        .unwrap()
        .to_jwk_key_pair();
    jwk.set_key_id(kid);
    jwk
}

fn write(folder: &TempDir, keys: &[&Jwk]) -> PathBuf {
    let path = folder.path().join("token-keys.json");
    let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
    // Another program replaces the file as a whole.
    let new = folder.path().join("new");
    fs::write(&new, format!(r#"{{"keys":[{}]}}"#, keys.join(","))).unwrap();
    fs::rename(&new, &path).unwrap();
    path
}

fn encrypted(rig: &Rig, key: &Jwk, token: &str) -> Request<Body> {
    let mut header = JweHeader::new();
    header.set_content_encryption("A128GCM");
    header.set_content_type("JWT");
    header.set_key_id(key.key_id().unwrap());
    let public = key.to_public_key().unwrap();
    let encrypter = ECDH_ES.encrypter_from_jwk(&public).unwrap();
    let token = jwe::serialize_compact(token.as_bytes(), &header, &encrypter).unwrap();
    let request = rig.client.get(&format!("{ORIGIN}/orders"), &token);
    request.map(|()| Body::empty())
}

#[tokio::test]
async fn an_encrypted_token_is_admitted_and_the_upstream_learns_its_subject() {
    let folder = TempDir::new().unwrap();
    let (ours, other) = (key("1"), key("1"));
    let file = write(&folder, &[&ours]);
    let table = format!("jwe_keys_file = '{}'", file.display());
    let rig = Rig::with(mirror(), Wanted::tables(&table)).await;
    let token = rig.token();
    let seen = rig.seen(encrypted(&rig, &ours, &token)).await;
    assert_eq!(seen.header("x-dpop-subject"), Some("alice"));
    assert_eq!(rig.status(rig.get("/orders")).await, 200);
    let response = rig.send(encrypted(&rig, &other, &token)).await;
    assert_eq!(response.status(), 401);
    assert_eq!(error_of(&response).as_deref(), Some("invalid_token"));

    rig.reload(Wanted::tables(&format!(
        "{table}\nrequire_encrypted_tokens = true"
    )));
    assert_eq!(rig.status(encrypted(&rig, &ours, &token)).await, 200);
    assert_eq!(rig.status(rig.get("/orders")).await, 401);
}

#[tokio::test]
async fn new_keys_take_effect_when_their_file_changes() {
    let folder = TempDir::new().unwrap();
    let (old, new) = (key("old"), key("new"));
    let file = write(&folder, &[&old]);
    let table = format!("jwe_keys_file = '{}'", file.display());
    let rig = Rig::with(mirror(), Wanted::tables(&table)).await;
    let log = Log::listen();
    let watching = tokio::spawn(watch(rig.gateway.clone(), rig.path()));
    let token = rig.token();
    let until = async |key: &Jwk, status: u16| {
        soon(async {
            while rig.status(encrypted(&rig, key, &token)).await != status {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        })
        .await;
    };
    until(&old, 200).await;
    write(&folder, &[&new, &old]);
    until(&new, 200).await;
    until(&old, 200).await;
    write(&folder, &[&new]);
    until(&old, 401).await;
    until(&new, 200).await;

    // A mistake changes nothing, and the log names the key.
    let mut unusable = key("bad");
    unusable.set_key_use("sig");
    log.take();
    write(&folder, &[&old, &unusable]);
    let line = soon(async {
        loop {
            let lines = log.take();
            if let Some(line) = lines
                .into_iter()
                .find(|line| line.contains("stays in force"))
            {
                return line;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    assert!(
        line.contains("jwe_keys_file") && line.contains("position 2"),
        "{line}"
    );
    assert_eq!(rig.status(encrypted(&rig, &new, &token)).await, 200);
    assert_eq!(rig.status(encrypted(&rig, &old, &token)).await, 401);
    watching.abort();
}
