//! The answers to probes of an orchestrator, which have an address of their own.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use axum::{Router, body::Body, response::IntoResponse as _};
use dpop_cli::gateway::{
    Gateway, Settings, Shutdown,
    probe::{self, Probe},
};
use dpop_tower::test_util::TestIssuer;
use http::{Method, Request, StatusCode};
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::{Rig, Wanted, mirror, send, serve, text};

/// An issuer's web server that can fail.
struct Idp {
    url: String,
    is_up: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
}

impl Idp {
    async fn start(is_up: bool) -> Self {
        let (is_up, count) = (Arc::new(AtomicBool::new(is_up)), Arc::default());
        let (jwks, up, counted) = (
            TestIssuer::new().jwks(),
            Arc::clone(&is_up),
            Arc::clone(&count),
        );
        let router = Router::new().fallback(async move || {
            AtomicUsize::fetch_add(&counted, 1, Ordering::SeqCst);
            match up.load(Ordering::SeqCst) {
                true => jwks.into_response(),
                false => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            }
        });
        Self {
            url: serve(router).await,
            is_up,
            count,
        }
    }

    fn table(&self, name: &str) -> String {
        format!(
            "[[issuer]]\nurl = '{name}'\naudiences = ['https://api.test']\njwks_url = '{}/jwks'\n\
             danger_allow_plain_http = true\n\
             [issuer.key_fetching]\nmin_retry_delay = 1\nmax_retry_delay = 2\n",
            self.url
        )
    }
}

/// Starts a gateway with these issuers, and returns the address where it answers probes.
async fn gateway(tables: &str) -> (TempDir, SocketAddr) {
    let folder = TempDir::new().unwrap();
    let head = "listen = '127.0.0.1:0'\nupstream = 'http://127.0.0.1:9'\n\
                public_origins = ['https://api.test']\n";
    let file = format!("{head}{tables}[probe]\nlisten = '127.0.0.1:0'\n");
    let path = folder.path().join("gateway.toml");
    std::fs::write(&path, &file).unwrap();
    let settings = Settings::read(&path).unwrap_or_else(|error| panic!("{error}"));
    let listener = TcpListener::bind(settings.probe().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let limits = settings.limits();
    let probe = Probe::new(Gateway::new(settings).unwrap());
    let shutdown = Shutdown {
        signal: std::future::pending(),
        timeout: std::time::Duration::ZERO,
    };
    tokio::spawn(probe::serve(listener, probe, limits, shutdown));
    (folder, address)
}

async fn ask(address: SocketAddr, path: &str) -> (u16, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = send(address, request).await;
    assert_eq!(response.headers()["cache-control"], "no-store");
    (response.status().as_u16(), text(response).await)
}

#[tokio::test]
async fn a_gateway_is_ready_when_it_has_fetched_the_keys() {
    let idp = Idp::start(false).await;
    let (_folder, address) = gateway(&idp.table("https://issuer.test")).await;
    assert_eq!(ask(address, "/livez").await, (200, "live\n".to_owned()));
    assert_eq!(idp.count.load(Ordering::SeqCst), 0);
    let missing = "keys of https://issuer.test: missing\n".to_owned();
    assert_eq!(ask(address, "/readyz").await, (503, missing));
    assert_eq!(ask(address, "/livez").await.0, 200);
    idp.is_up.store(true, Ordering::SeqCst);
    // Probes during the pause after a failure do not fetch.
    super::soon(async {
        while ask(address, "/readyz").await.0 != 200 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await;
    let fresh = "keys of https://issuer.test: fresh\n".to_owned();
    assert_eq!(ask(address, "/readyz").await, (200, fresh));
    assert_eq!(idp.count.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn one_issuer_that_is_down_does_not_take_the_others_with_it() {
    let (up, down) = (Idp::start(true).await, Idp::start(false).await);
    let tables = up.table("https://up.test") + &down.table("https://down.test");
    let (_folder, address) = gateway(&tables).await;
    let (status, told) = ask(address, "/readyz").await;
    assert_eq!(status, 200);
    for line in [
        "keys of https://up.test: fresh\n",
        "keys of https://down.test: missing\n",
    ] {
        assert!(told.contains(line), "{told}");
    }
}

#[tokio::test]
async fn probes_ask_at_two_paths_and_only_read() {
    let (_folder, address) = gateway(&Idp::start(true).await.table("https://issuer.test")).await;
    for path in ["/", "/orders", "/readyz/", "/livez/x", "/healthz"] {
        assert_eq!(ask(address, path).await.0, 404, "{path}");
    }
    for path in ["/livez", "/readyz"] {
        let request = Request::post(path).body(Body::empty()).unwrap();
        assert_eq!(send(address, request).await.status(), 405);
        let request = Request::builder().method(Method::HEAD).uri(path);
        let response = send(address, request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), 200);
    }
}

/// All paths of the service belong to the upstream.
#[tokio::test]
async fn the_gateway_itself_answers_no_probe() {
    let rig = Rig::with(mirror(), Wanted::tables("[probe]\nlisten = '127.0.0.1:0'")).await;
    for path in ["/livez", "/readyz"] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        assert_eq!(rig.status(request).await, 401);
        let seen = rig.seen(rig.get(path)).await;
        assert_eq!(seen.0["uri"], path);
    }
}
