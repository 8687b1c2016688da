//! The file can change while requests are under way, and no used proof becomes valid again.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, routing::get};
use dpop_cli::gateway::{Settings, watch};
use dpop_tower::test_util::TestIssuer;
use http::Request;
use tokio::sync::mpsc;

use super::{ORIGIN, Rig, Wanted, mirror, soon};
use dpop_conformance::logging::Log;

const OPEN: Wanted<'_> = Wanted {
    head: "mode = 'off'",
    tables: "",
};

fn bare() -> Request<Body> {
    Request::get("/orders").body(Body::empty()).unwrap()
}

/// Waits until a request without a token gets this status.
async fn until_bare_is(rig: &Rig, status: u16) {
    soon(async {
        while rig.status(bare()).await != status {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_proof_that_was_used_before_a_reload_is_used_after_it() {
    let rig = Rig::new(mirror()).await;
    let url = format!("{ORIGIN}/orders");
    let token = rig.token();
    let proof = rig.client.proof("GET", &url).access_token(&token).sign();
    let request = || rig.with_proof("/orders", &token, &proof);
    assert_eq!(rig.status(request()).await, 200);
    for tables in [
        "",
        "[proof]\ndanger_max_age = 3600",
        "[proof]\nmax_age = 30",
        "[replay]\ncapacity = 5",
    ] {
        rig.reload(Wanted::tables(tables));
        assert_eq!(rig.status(request()).await, 401, "{tables}");
        assert_eq!(rig.status(rig.get("/orders")).await, 200, "{tables}");
    }
}

/// The proof is remembered for ten seconds, and sent again after eleven.
#[tokio::test]
async fn a_reload_with_a_longer_life_of_proofs_brings_none_back() {
    let wanted = Wanted::tables("[proof]\nmax_age = 3\nleeway = 2");
    let rig = Rig::with(mirror(), wanted).await;
    let url = format!("{ORIGIN}/orders");
    let token = rig.token();
    let proof = rig.client.proof("GET", &url).access_token(&token).sign();
    let request = || rig.with_proof("/orders", &token, &proof);
    assert_eq!(rig.status(request()).await, 200);
    tokio::time::sleep(Duration::from_secs(11)).await;
    rig.reload(Wanted::tables("[proof]\ndanger_max_age = 3600"));
    assert_eq!(rig.status(request()).await, 401);
}

#[tokio::test]
async fn requests_under_way_finish_with_the_old_file() {
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let (go_on, gate) = tokio::sync::watch::channel(false);
    let upstream = Router::new().route(
        "/slow",
        get(async move || {
            arrived.send(()).unwrap();
            let mut gate = gate.clone();
            gate.wait_for(|open| *open).await.unwrap();
            "of the old upstream"
        }),
    );
    let rig = Rig::new(upstream).await;
    let slow = tokio::spawn(super::send(rig.address, rig.get("/slow")));
    soon(arrivals.recv()).await.unwrap();

    let new = Router::new().fallback(async || "of the new upstream");
    let new = super::serve(new).await;
    let text = super::file(&new, Wanted::default());
    fs::write(rig.path(), text).unwrap();
    rig.gateway
        .replace(Settings::read(&rig.path()).unwrap())
        .unwrap();

    let response = rig.send(rig.get("/slow")).await;
    assert_eq!(super::text(response).await, "of the new upstream");
    go_on.send(true).unwrap();
    let response = soon(slow).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(super::text(response).await, "of the old upstream");
}

#[tokio::test]
async fn a_file_that_changes_is_in_force_soon() {
    let rig = Rig::new(mirror()).await;
    let _watching = tokio::spawn(watch(rig.gateway.clone(), rig.path()));
    assert_eq!(rig.status(bare()).await, 401);
    // Nothing happens until the file is watched, so it is written again and again.
    soon(async {
        while rig.status(bare()).await != 200 {
            rig.write(OPEN);
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    })
    .await;
    // Replaces the file by a new one, as editors do.
    let beside = rig.folder.path().join("gateway.toml.new");
    fs::write(&beside, super::file(&rig.upstream, Wanted::default())).unwrap();
    fs::rename(&beside, rig.path()).unwrap();
    until_bare_is(&rig, 401).await;
}

#[tokio::test]
async fn a_bad_file_is_told_with_its_line_and_the_old_one_stays() {
    let log = Log::listen();
    let rig = Rig::with(mirror(), OPEN).await;
    let _watching = tokio::spawn(watch(rig.gateway.clone(), rig.path()));
    let mut lines = Vec::new();
    let bad = "[[route]]\npath = 'orders'";
    soon(async {
        while !lines
            .iter()
            .any(|line: &String| line.contains("route[0].path"))
        {
            rig.write(Wanted::tables(bad));
            tokio::time::sleep(Duration::from_millis(500)).await;
            lines.extend(log.take());
        }
    })
    .await;
    let told = lines
        .iter()
        .find(|line| line.contains("route[0].path"))
        .unwrap();
    let written = fs::read_to_string(rig.path()).unwrap();
    let line = written
        .lines()
        .position(|line| line.starts_with("path ="))
        .unwrap()
        + 1;
    assert!(told.contains(&format!("gateway.toml:{line}:")), "{told}");
    assert!(told.contains("ERROR") && told.contains("stays"), "{told}");
    assert_eq!(rig.status(bare()).await, 200);
    // A missing file is logged as well, and a valid one is loaded again.
    fs::remove_file(rig.path()).unwrap();
    soon(async {
        while !log
            .take()
            .iter()
            .any(|line| line.contains("cannot be read"))
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(rig.status(bare()).await, 200);
    rig.write(Wanted::default());
    until_bare_is(&rig, 401).await;
}

#[tokio::test]
async fn what_counts_after_a_restart_only_is_told() {
    let log = Log::listen();
    let rig = Rig::new(mirror()).await;
    log.take();
    rig.reload(Wanted {
        head: "shutdown_timeout = 5",
        tables: "[limits]\nconnections = 7\n[replay]\ncapacity = 9",
    });
    let text = fs::read_to_string(rig.path())
        .unwrap()
        .replace("127.0.0.1:0", "127.0.0.1:1");
    rig.gateway
        .replace(Settings::parse(&text, &rig.path()).unwrap())
        .unwrap();
    let lines = log.take();
    for field in ["listen", "shutdown_timeout", "limits", "replay"] {
        let told = format!("the new `{field}` takes effect after a restart");
        assert!(
            lines.iter().any(|line| line.contains(&told)),
            "{field}: {lines:?}"
        );
    }
    assert_eq!(rig.status(rig.get("/orders")).await, 200);
}

/// Otherwise an outage of the issuer would become one of the gateway.
#[tokio::test]
async fn keys_that_were_fetched_stay_over_a_reload() {
    // Two issuers with different keys and the same name.
    let (one, two) = (TestIssuer::new(), TestIssuer::new());
    let in_name = |issuer: TestIssuer| issuer.issuer("https://keys.test");
    let (one, two) = (in_name(one), in_name(two));
    let serve_keys = async |issuer: &TestIssuer| {
        let (count, jwks) = (Arc::new(AtomicUsize::new(0)), issuer.jwks());
        let counted = Arc::clone(&count);
        let router = Router::new().fallback(async move || {
            counted.fetch_add(1, Ordering::Relaxed);
            jwks
        });
        (count, super::serve(router).await)
    };
    let ((first, first_url), (second, second_url)) =
        (serve_keys(&one).await, serve_keys(&two).await);
    let tables = |url: &str, more: &str| {
        format!(
            "[[issuer]]\nurl = 'https://keys.test'\naudiences = ['https://api.test']\n\
             jwks_url = '{url}/jwks'\ndanger_allow_plain_http = true\n{more}"
        )
    };
    let rig = Rig::with(mirror(), Wanted::tables(&tables(&first_url, ""))).await;
    let status = async |issuer: &TestIssuer| {
        let token = issuer.token().bound_to(&rig.client).mint();
        let request = rig.client.get(&format!("{ORIGIN}/orders"), &token);
        rig.status(request.map(|()| Body::empty())).await
    };
    assert_eq!(status(&one).await, 200);
    assert_eq!(first.load(Ordering::Relaxed), 1);
    for more in ["", "[proof]\nmax_age = 30", "[limits]\nconnect_timeout = 3"] {
        rig.reload(Wanted::tables(&tables(&first_url, more)));
        assert_eq!(status(&one).await, 200, "{more}");
    }
    assert_eq!(first.load(Ordering::Relaxed), 1);

    // Keys from another URL are fetched.
    rig.reload(Wanted::tables(&tables(&second_url, "")));
    assert_eq!(status(&two).await, 200);
    assert_eq!(status(&one).await, 401);
    assert!(second.load(Ordering::Relaxed) >= 1);
    assert_eq!(first.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn nonces_stay_good_over_a_reload() {
    let wanted = Wanted::tables("[nonces]\nmode = 'required'");
    let rig = Rig::with(mirror(), wanted).await;
    let response = rig.send(rig.get("/orders")).await;
    let nonce = response.headers()["dpop-nonce"]
        .to_str()
        .unwrap()
        .to_owned();
    rig.reload(wanted);
    let url = format!("{ORIGIN}/orders");
    let token = rig.token();
    let proof = rig
        .client
        .proof("GET", &url)
        .access_token(&token)
        .nonce(&nonce)
        .sign();
    let request = rig.with_proof("/orders", &token, &proof);
    assert_eq!(rig.status(request).await, 200);
}
