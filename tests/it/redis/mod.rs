//! Replay stores in real servers of Redis.

mod faults;
mod servers;
mod settings;
mod shared;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use dpop_test_servers::redis::PATIENCE;
use dpop_tower::{
    DpopConfig, Policy, PublicOrigin, RequestHead, Verdict, Verifier,
    clock::{SystemClock, TimeSource as _},
    crypto::AwsLcRs,
    nonce::{NonceSecret, StatelessNonces},
    rejection::ProblemDetails,
    replay::{
        Freshness, RedisReplayStore, RedisReplayStoreBuilder, ReplayKey, ReplayStore, StoreError,
        UsedProof,
    },
    test_util::{TestClient, TestIssuer},
};
use http::Method;

const URI: &str = "https://api.example.com/orders";

/// Nodes of one service, each with a store of its own.
struct Service {
    client: TestClient,
    token: String,
    nodes: Vec<Node>,
}

struct Node {
    verifier: Verifier,
    store: Arc<RedisReplayStore>,
}

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Admitted,
    Rejected {
        reason: &'static str,
        nonce: Option<String>,
    },
}

/// Returns a builder for servers at a URL.
fn at(url: &str) -> RedisReplayStoreBuilder {
    // The limit is for a busy machine.
    RedisReplayStore::builder(url)
        .unwrap()
        .time_out(Duration::from_secs(5))
}

impl Service {
    /// Starts three nodes, whose stores are connected.
    async fn start(store: impl Fn() -> RedisReplayStoreBuilder) -> Self {
        let issuer = TestIssuer::new();
        let client = TestClient::new();
        let token = issuer.token().bound_to(&client).mint();
        let secret = || NonceSecret::new([7; 32]).unwrap();
        let mut nodes = Vec::new();
        for _ in 0..3 {
            let store = Arc::new(store().build().unwrap());
            store.warm_up().await.unwrap();
            let origin = PublicOrigin::new("https://api.example.com").unwrap();
            let config = DpopConfig::builder(origin, issuer.tokens())
                .crypto(AwsLcRs)
                .nonce_source(StatelessNonces::new(secret()))
                .replay_store(Arc::clone(&store))
                .build()
                .unwrap();
            let verifier = Verifier::new(config);
            nodes.push(Node { verifier, store });
        }
        Self {
            client,
            token,
            nodes,
        }
    }

    fn proof(&self, nonce: &str) -> String {
        let proof = self.client.proof("GET", URI).access_token(&self.token);
        proof.nonce(nonce).sign()
    }

    async fn send(&self, node: usize, proof: &str) -> Outcome {
        let request = self
            .client
            .request_with_proof(Method::GET, URI, &self.token, proof);
        let head = RequestHead::new(request.method(), request.uri(), request.headers());
        match self.nodes[node]
            .verifier
            .verify(head, &Policy::strict())
            .await
        {
            Verdict::Admitted(_) => Outcome::Admitted,
            Verdict::Rejected(rejection) => {
                let reason = rejection.reason();
                let response = rejection.into_response(&ProblemDetails);
                let nonce = response.headers().get("dpop-nonce");
                let nonce = nonce.map(|nonce| nonce.to_str().unwrap().to_owned());
                Outcome::Rejected { reason, nonce }
            }
        }
    }

    /// Sends new proofs until one is admitted, as a client that handles nonces does. Returns its nonce.
    async fn recovered(&self, node: usize) -> String {
        let begun = Instant::now();
        let mut current = String::from("none");
        loop {
            match self.send(node, &self.proof(&current)).await {
                Outcome::Admitted => return current,
                Outcome::Rejected {
                    nonce: Some(nonce), ..
                } => current = nonce,
                other @ Outcome::Rejected { .. } => {
                    let readiness = self.nodes[node].store.readiness();
                    assert!(begun.elapsed() < PATIENCE, "{other:?} {readiness:?}");
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Uses proofs, which are admitted, and returns them.
    async fn used(&self, count: usize) -> Vec<String> {
        let mut used = Vec::new();
        let mut nonce = self.recovered(0).await;
        while used.len() < count {
            let proof = self.proof(&nonce);
            match self.send(used.len() % 3, &proof).await {
                Outcome::Admitted => used.push(proof),
                _ => nonce = self.recovered(used.len() % 3).await,
            }
        }
        used
    }

    /// Sends proofs that were used to every node. None is admitted.
    async fn replay(&self, used: &[String]) {
        for proof in used {
            for node in 0..self.nodes.len() {
                assert_ne!(self.send(node, proof).await, Outcome::Admitted);
            }
        }
    }

    /// Replays proofs until every node admits new ones, and once more after that.
    async fn replay_until_recovered(&self, used: &[String]) {
        self.replay(used).await;
        for node in 0..self.nodes.len() {
            self.recovered(node).await;
            self.replay(used).await;
        }
    }
}

/// Returns a proof that was made now.
fn used(number: u64) -> UsedProof {
    let now = SystemClock.now();
    UsedProof {
        key: ReplayKey::new([7; 32], &number.to_string(), &AwsLcRs),
        now,
        expires_at: now.saturating_add(Duration::from_secs(75)),
    }
}

/// Returns why a call failed.
fn why<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    let error = result.unwrap_err();
    let source = std::error::Error::source(&error);
    source.map_or_else(|| error.to_string(), ToString::to_string)
}

/// Waits until the readiness of a store is as wanted.
async fn until_ready(store: &RedisReplayStore, is_ready: bool) {
    dpop_test_servers::redis::until("the readiness changes", || {
        store.readiness().is_ok() == is_ready
    })
    .await;
}

/// Records a proof, which is not an error.
async fn insert(store: &RedisReplayStore, number: u64) -> Freshness {
    store.check_and_insert(used(number)).await.unwrap()
}
