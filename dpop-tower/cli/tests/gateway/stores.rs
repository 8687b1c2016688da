//! Used proofs in a database that several gateways share.

use std::time::Duration;

use dpop_cli::gateway::{
    Gateway, Settings, Shutdown,
    probe::{self, Probe},
};
use dpop_test_servers::{postgres::Postgres, redis::Redis};
use http::{Request, header};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::spawn_blocking};

use super::{ORIGIN, Rig, Wanted, error_of, mirror, send, serve_gateway, soon, text};

/// The secret of the nonces of all gateways, which ends with the value.
struct Secret(TempDir);

impl Secret {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("nonces"), [b'n'; 32]).unwrap();
        Self(folder)
    }

    /// Returns the tables of a gateway with this store.
    fn tables(&self, replay: &str) -> String {
        let file = self.0.path().join("nonces");
        format!(
            "[nonces]\nsecret_file = '{}'\n[replay]\n{replay}\n",
            file.display()
        )
    }
}

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Admitted,
    Replayed,
    NeedsNonce(String),
    Unavailable,
}

/// A client that uses the nonce that it was given.
struct Client<'r> {
    rig: &'r Rig,
    token: String,
    nonce: Option<String>,
}

impl<'r> Client<'r> {
    fn of(rig: &'r Rig) -> Self {
        Self {
            rig,
            token: rig.token(),
            nonce: None,
        }
    }

    fn proof(&self) -> String {
        let proof =
            (self.rig.client.proof("GET", &format!("{ORIGIN}/orders"))).access_token(&self.token);
        match &self.nonce {
            Some(nonce) => proof.nonce(nonce).sign(),
            None => proof.sign(),
        }
    }

    async fn send(&self, address: std::net::SocketAddr, proof: &str) -> Outcome {
        let request = self.rig.with_proof("/orders", &self.token, proof);
        let response = send(address, request).await;
        match (response.status().as_u16(), error_of(&response).as_deref()) {
            (200, _) => Outcome::Admitted,
            (401, Some("invalid_dpop_proof")) => Outcome::Replayed,
            (401, Some("use_dpop_nonce")) => {
                let nonce = response.headers()["dpop-nonce"].to_str().unwrap();
                Outcome::NeedsNonce(nonce.to_owned())
            }
            (503, _) => {
                assert!(response.headers().contains_key(header::RETRY_AFTER));
                Outcome::Unavailable
            }
            other => panic!("{other:?}"),
        }
    }

    /// Sends new proofs until one is admitted, and returns it.
    async fn admitted(&mut self, address: std::net::SocketAddr) -> String {
        soon(async {
            loop {
                let proof = self.proof();
                match self.send(address, &proof).await {
                    Outcome::Admitted => return proof,
                    Outcome::NeedsNonce(nonce) => self.nonce = Some(nonce),
                    Outcome::Unavailable => tokio::time::sleep(Duration::from_millis(50)).await,
                    Outcome::Replayed => panic!("a new proof was taken for a replay"),
                }
            }
        })
        .await
    }
}

async fn probes_of(gateway: &Gateway, settings: &Settings) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = Shutdown {
        signal: std::future::pending(),
        timeout: Duration::ZERO,
    };
    let probe = Probe::new(gateway.clone());
    tokio::spawn(probe::serve(listener, probe, settings.limits(), shutdown));
    address
}

async fn readyz(address: std::net::SocketAddr) -> (u16, String) {
    let request = Request::get("/readyz")
        .body(axum::body::Body::empty())
        .unwrap();
    let response = send(address, request).await;
    (response.status().as_u16(), text(response).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_that_share_a_database_accept_a_proof_once() {
    let database = spawn_blocking(Postgres::start).await.unwrap();
    let secret = Secret::new();
    let tables = secret.tables(&format!(
        "store = '{}'
create_table = true",
        database.url()
    ));
    let rig = Rig::with(mirror(), Wanted::tables(&tables)).await;
    rig.gateway.wait_for_replay_store().await;
    let other = serve_gateway(Settings::read(&rig.path()).unwrap()).await;
    let mut client = Client::of(&rig);
    client.admitted(other).await;
    let proof = client.admitted(rig.address).await;
    assert_eq!(client.send(rig.address, &proof).await, Outcome::Replayed);
    assert_eq!(client.send(other, &proof).await, Outcome::Replayed);
    let proof = client.admitted(other).await;
    assert_eq!(client.send(rig.address, &proof).await, Outcome::Replayed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_starts_without_its_store_and_admits_once_it_is_there() {
    let mut database = spawn_blocking(|| {
        let mut database = Postgres::start();
        database.stop();
        database
    })
    .await
    .unwrap();
    let tables = format!(
        "[replay]\nstore = '{}'\ncreate_table = true\n",
        database.url()
    );
    let rig = Rig::with(mirror(), Wanted::tables(&tables)).await;
    let gateway = rig.gateway.clone();
    let waiting = tokio::spawn(async move { gateway.wait_for_replay_store().await });
    let settings = Settings::read(&rig.path()).unwrap();
    let probes = probes_of(&rig.gateway, &settings).await;
    let mut client = Client::of(&rig);
    assert_eq!(
        client.send(rig.address, &client.proof()).await,
        Outcome::Unavailable
    );
    let (status, told) = readyz(probes).await;
    assert_eq!(status, 503);
    assert!(told.contains("replay store is unavailable\n"), "{told}");
    assert!(!told.contains("postgres"), "{told}");

    let database = spawn_blocking(|| {
        database.restart();
        database
    })
    .await
    .unwrap();
    soon(waiting).await.unwrap();
    client.admitted(rig.address).await;
    soon(async {
        while readyz(probes).await.0 != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    drop(database);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_keeps_the_store_and_what_it_knows() {
    let database = spawn_blocking(Postgres::start).await.unwrap();
    let tables = format!(
        "[replay]\nstore = '{}'\ncreate_table = true\n",
        database.url()
    );
    let rig = Rig::with(mirror(), Wanted::tables(&tables)).await;
    rig.gateway.wait_for_replay_store().await;
    let mut client = Client::of(&rig);
    let proof = client.admitted(rig.address).await;
    let connections = || {
        database.sql(
            "SELECT string_agg(pid::text, ',' ORDER BY pid) FROM pg_stat_activity \
             WHERE client_addr IS NOT NULL",
        )
    };
    let before = connections();
    assert!(!before.is_empty());
    rig.reload(Wanted {
        head: "danger_pass_on_credentials = true",
        tables: &tables,
    });
    assert_eq!(client.send(rig.address, &proof).await, Outcome::Replayed);
    let nonce = client.nonce.clone();
    client.admitted(rig.address).await;
    assert_eq!(client.nonce, nonce, "its nonce is still good");
    assert_eq!(connections(), before);

    // Another store would know of no proofs, so it has to wait for a restart.
    rig.reload(Wanted::tables("[replay]\nstore = 'memory'\n"));
    assert_eq!(client.send(rig.address, &proof).await, Outcome::Replayed);
}

#[tokio::test]
async fn a_request_costs_one_round_trip_to_redis() {
    const REQUESTS: u64 = 200;
    let redis = Redis::start().await;
    let tables = format!("[replay]\nstore = '{}'\n", redis.url());
    let rig = Rig::with(mirror(), Wanted::tables(&tables)).await;
    let mut client = Client::of(&rig);
    client.admitted(rig.address).await;
    let count = || {
        let stats = redis.ask(&["INFO", "commandstats"]);
        let (_, calls) = stats.split_once("cmdstat_evalsha:calls=").unwrap();
        let calls: u64 = calls.split(',').next().unwrap().parse().unwrap();
        let reads: u64 = redis.info("total_reads_processed").parse().unwrap();
        (calls, reads)
    };
    let (calls, reads) = count();
    for _ in 0..REQUESTS {
        let outcome = client.send(rig.address, &client.proof()).await;
        assert_eq!(outcome, Outcome::Admitted);
    }
    let (calls, reads) = (count().0 - calls, count().1 - reads);
    assert_eq!(calls, REQUESTS);
    // The server reads once a round trip. It is also asked now and then how it is.
    assert!(
        reads < 2 * REQUESTS,
        "{reads} reads for {REQUESTS} requests"
    );
}

#[tokio::test]
async fn after_redis_was_killed_no_used_proof_passes_and_no_gateway_is_restarted() {
    let mut redis = Redis::start().await;
    let secret = Secret::new();
    let tables = secret.tables(&format!("store = '{}'", redis.url()));
    let rig = Rig::with(mirror(), Wanted::tables(&tables)).await;
    let other = serve_gateway(Settings::read(&rig.path()).unwrap()).await;
    let mut client = Client::of(&rig);
    let mut used = Vec::new();
    for address in [rig.address, other] {
        used.push(client.admitted(address).await);
    }
    redis.kill();
    let down = client.send(rig.address, &client.proof()).await;
    assert_eq!(down, Outcome::Unavailable);
    redis.restart().await;
    for address in [rig.address, other] {
        client.admitted(address).await;
        for proof in &used {
            let outcome = client.send(address, proof).await;
            assert!(matches!(outcome, Outcome::NeedsNonce(_)), "{outcome:?}");
        }
    }
}

/// An operator reads it in the log at once, and nothing is admitted.
#[tokio::test]
async fn a_redis_that_would_remove_used_proofs_is_not_used() {
    let redis = Redis::with(&["--save", "", "--maxmemory-policy", "allkeys-lru"]).await;
    let tables = format!("[replay]\nstore = '{}'\n", redis.url());
    let rig = Rig::with(mirror(), Wanted::tables(&tables)).await;
    let settings = Settings::read(&rig.path()).unwrap();
    let probes = probes_of(&rig.gateway, &settings).await;
    let mut client = Client::of(&rig);
    let outcome = client.send(rig.address, &client.proof()).await;
    assert_eq!(outcome, Outcome::Unavailable);
    assert_eq!(readyz(probes).await.0, 503);
    redis.tell(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    client.admitted(rig.address).await;
    assert_eq!(readyz(probes).await.0, 200);
}
