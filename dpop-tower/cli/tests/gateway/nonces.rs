//! Several gateways share their nonces, or keep them apart.

use std::{fs, time::Duration};

use axum::body::Body;
use dpop_cli::gateway::{Settings, watch};
use dpop_conformance::logging::Log;
use http::Request;

use super::{ORIGIN, Rig, Wanted, mirror, soon};

/// Sends a proof with this nonce, or without one, and returns the status and the nonce of the response.
async fn with_nonce(rig: &Rig, nonce: Option<&str>) -> (u16, Option<String>) {
    let token = rig.token();
    let url = format!("{ORIGIN}/orders");
    let proof = rig.client.proof("GET", &url).access_token(&token);
    let proof = match nonce {
        Some(nonce) => proof.nonce(nonce),
        None => proof,
    };
    let response = rig
        .send(rig.with_proof("/orders", &token, &proof.sign()))
        .await;
    let nonce = response.headers().get("dpop-nonce");
    let nonce = nonce.map(|nonce| nonce.to_str().unwrap().to_owned());
    (response.status().as_u16(), nonce)
}

#[tokio::test]
async fn two_gateways_change_their_nonce_secrets_at_different_moments() {
    const OLD: &str = "current = b2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xk\n";
    const ANNOUNCED: &str = "current = b2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xk\n\
                             next = bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3\n";
    const USED: &str = "previous = b2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xk\n\
                        current = bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3\n";
    const NEW: &str = "current = bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3\n";
    let folder = tempfile::TempDir::new().unwrap();
    let files = ["one", "other"].map(|name| folder.path().join(name));
    let rigs = files.each_ref().map(|file| async move {
        fs::write(file, OLD).unwrap();
        let tables = format!(
            "[nonces]\nmode = 'required'\nsecrets_file = '{}'\nperiod = 3600",
            file.display()
        );
        let rig = Rig::with(mirror(), Wanted::tables(&tables)).await;
        let watching = tokio::spawn(watch(rig.gateway.clone(), rig.path()));
        (rig, watching)
    });
    let [one, other] = rigs;
    let [(one, _watching_one), (other, _watching_other)] = [one.await, other.await];
    let (status, nonce) = with_nonce(&one, None).await;
    assert_eq!(status, 401);
    let first = nonce.unwrap();
    let mut steps = [OLD; 2];
    for (node, secrets) in [
        (0, ANNOUNCED),
        (1, ANNOUNCED),
        (1, USED),
        (0, USED),
        (0, NEW),
        (1, NEW),
    ] {
        fs::write(&files[node], secrets).unwrap();
        steps[node] = secrets;
        // The nonce in a challenge is made with the current secret, which shows when the new file is in force. A
        // gateway that only announces a secret makes the same nonces as before.
        if secrets != ANNOUNCED {
            let rig = [&one, &other][node];
            soon(async {
                while with_nonce(rig, None).await.1.as_deref() == Some(&first) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            })
            .await;
        }
        if steps.contains(&NEW) && steps.contains(&USED) {
            continue;
        }
        // Each gateway accepts the nonces of the other.
        for (issuer, checker) in [(&one, &other), (&other, &one)] {
            let nonce = with_nonce(issuer, None).await.1.unwrap();
            soon(async {
                while with_nonce(checker, Some(&nonce)).await.0 != 200 {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            })
            .await;
        }
    }
    // The old secret is retired.
    for rig in [&one, &other] {
        soon(async {
            while with_nonce(rig, Some(&first)).await.0 != 401 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_broken_file_with_nonce_secrets_leaves_the_old_ones_in_force() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("secrets");
    fs::write(
        &file,
        "current = b2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xk",
    )
    .unwrap();
    let tables = format!(
        "[nonces]\nmode = 'required'\nsecrets_file = '{}'",
        file.display()
    );
    let wanted = Wanted::tables(&tables);
    let rig = Rig::with(mirror(), wanted).await;
    let nonce = with_nonce(&rig, None).await.1.unwrap();
    let log = Log::listen();
    let _watching = tokio::spawn(watch(rig.gateway.clone(), rig.path()));
    let mut lines = Vec::new();
    let is_told = |line: &String| line.contains("nonces.secrets_file");
    soon(async {
        while !lines.iter().any(is_told) {
            // A change that comes before the watch does is not seen, so there is one after it as well.
            let change = "\n".repeat(lines.len() % 7);
            fs::write(&file, format!("current = c2hvcnQ={change}")).unwrap();
            tokio::time::sleep(Duration::from_millis(500)).await;
            lines.extend(log.take());
        }
    })
    .await;
    let line = lines.iter().find(|line| is_told(line)).unwrap();
    assert!(line.contains("fewer than 32 bytes"), "{line}");
    assert!(!line.contains("c2hvcnQ"), "{line}");
    assert_eq!(with_nonce(&rig, Some(&nonce)).await.0, 200);
}

#[tokio::test]
async fn gateways_of_two_regions_reject_the_nonces_of_each_other() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    fs::write(secret.path(), "a secret that both regions share").unwrap();
    let region = |name: &str| {
        let tables = format!(
            "[nonces]\nmode = 'required'\npartition = '{name}'\nsecret_file = '{}'",
            secret.path().display()
        );
        async move { Rig::with(mirror(), Wanted::tables(&tables)).await }
    };
    let (east, west) = (region("east").await, region("west").await);
    let nonce = with_nonce(&east, None).await.1.unwrap();
    assert_eq!(with_nonce(&east, Some(&nonce)).await.0, 200);
    let (status, own) = with_nonce(&west, Some(&nonce)).await;
    assert_eq!(status, 401);
    assert_eq!(with_nonce(&west, own.as_deref()).await.0, 200);
}

#[tokio::test]
async fn a_gateway_binds_nonces_to_the_key_of_the_client() {
    let wanted = Wanted::tables("[nonces]\nmode = 'required'\nbind_to_key = true");
    let rig = Rig::with(mirror(), wanted).await;
    let bare = Request::get("/orders").body(Body::empty()).unwrap();
    let response = rig.send(bare).await;
    assert!(!response.headers().contains_key("dpop-nonce"));
    let nonce = with_nonce(&rig, None).await.1.unwrap();
    assert_eq!(with_nonce(&rig, Some(&nonce)).await.0, 200);
}

#[tokio::test]
async fn a_region_without_a_name_is_an_error() {
    let rig = Rig::new(mirror()).await;
    for name in [String::new(), "e".repeat(256)] {
        let tables = format!("[nonces]\npartition = '{name}'");
        rig.write(Wanted::tables(&tables));
        let error = Settings::read(&rig.path()).unwrap_err().to_string();
        assert!(error.contains("nonces.partition"), "{error}");
        assert!(error.contains("from 1 to 255 bytes"), "{error}");
    }
}
