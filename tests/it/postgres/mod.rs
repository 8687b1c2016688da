//! The replay store in PostgreSQL, with real servers that are killed, frozen, restarted and promoted.

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Body};
use dpop_test_servers::postgres::Postgres;
use dpop_tower::{
    DpopConfig, PublicOrigin,
    clock::{SystemClock, TimeSource as _},
    crypto::AwsLcRs,
    replay::{
        Freshness, PostgresReplayStore, PostgresReplayStoreBuilder, ReplayKey, ReplayStore,
        UsedProof,
    },
    test_util::{TestClient, TestIssuer},
};
use http::{Method, Response};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::support::{ORIGIN, URL, Verdict, nonces, router, send};

mod connections;
mod contract;
mod fence;
mod outages;
mod upkeep;

/// How long a store may take to recover on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// The acceptance window of a proof with the default settings, with the five seconds of the layer.
const WINDOW: i64 = 75;

fn builder(url: &str) -> PostgresReplayStoreBuilder {
    // Longer than any pause of a busy machine, unless a test waits for it.
    let builder = PostgresReplayStore::builder(url).unwrap();
    builder.time_out(Duration::from_secs(20))
}

/// Returns a store that is connected, with its table.
async fn connected(builder: PostgresReplayStoreBuilder) -> Arc<PostgresReplayStore> {
    let store = builder.build().unwrap();
    store.create_table().await.unwrap();
    warm(&store).await;
    Arc::new(store)
}

async fn on(server: &Postgres) -> Arc<PostgresReplayStore> {
    connected(builder(&server.url())).await
}

/// Waits until a store is ready.
async fn warm(store: &PostgresReplayStore) {
    let begun = Instant::now();
    while let Err(error) = store.warm_up().await {
        assert!(begun.elapsed() < PATIENCE, "{error:?}");
        sleep(Duration::from_millis(100)).await;
    }
}

/// Returns a proof that was not used before, as it is told to the store.
fn proof(number: usize) -> UsedProof {
    let now = SystemClock.now();
    UsedProof {
        key: ReplayKey::new([7; 32], &format!("proof {number}"), &AwsLcRs),
        now,
        expires_at: now.saturating_add(Duration::from_secs(WINDOW.unsigned_abs())),
    }
}

/// What the nodes said about one proof.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Answers {
    fresh: usize,
    replayed: usize,
    errors: usize,
}

/// Sends a proof to every node at one moment.
async fn use_everywhere(nodes: &[Arc<PostgresReplayStore>], proof: UsedProof) -> Answers {
    let calls: JoinSet<_> = (nodes.iter().cloned())
        .map(|node| async move { node.check_and_insert(proof).await })
        .collect();
    let mut answers = Answers::default();
    for answer in calls.join_all().await {
        match answer {
            Ok(Freshness::Fresh) => answers.fresh += 1,
            Ok(Freshness::Replayed) => answers.replayed += 1,
            Err(_) => answers.errors += 1,
        }
    }
    answers
}

/// Does so with many proofs, of which several are on their way at a time.
async fn use_all_everywhere(
    nodes: &[Arc<PostgresReplayStore>],
    numbers: std::ops::Range<usize>,
) -> Vec<Answers> {
    let mut answers = Vec::new();
    for start in numbers.clone().step_by(32) {
        let group: JoinSet<_> = (start..numbers.end.min(start + 32))
            .map(|number| {
                let nodes = nodes.to_vec();
                async move { use_everywhere(&nodes, proof(number)).await }
            })
            .collect();
        answers.extend(group.join_all().await);
    }
    answers
}

/// A client of an API on several nodes.
struct Api {
    issuer: TestIssuer,
    client: TestClient,
    token: String,
}

/// A request that can be sent again.
#[derive(Clone)]
struct Sent {
    token: String,
    proof: String,
}

impl Api {
    fn new() -> Self {
        let issuer = TestIssuer::new();
        let client = TestClient::new();
        let token = (issuer.token().subject("alice"))
            .bound_to(&client)
            .expires_in(Duration::from_secs(3600));
        Self {
            token: token.mint(),
            issuer,
            client,
        }
    }

    /// Returns a node with this store. All nodes have the same secret of nonces.
    fn node(&self, store: impl ReplayStore) -> Router {
        let origin = PublicOrigin::new(ORIGIN).unwrap();
        let config = DpopConfig::builder(origin, self.issuer.tokens())
            .nonce_source(nonces())
            .replay_store(store);
        router(config.build().unwrap())
    }

    fn sent(&self, nonce: Option<&str>) -> Sent {
        let proof = self.client.proof("GET", URL).access_token(&self.token);
        let proof = match nonce {
            Some(nonce) => proof.nonce(nonce),
            None => proof,
        };
        Sent {
            token: self.token.clone(),
            proof: proof.sign(),
        }
    }

    async fn response(&self, node: &Router, sent: &Sent) -> Response<Body> {
        let request = self
            .client
            .request_with_proof(Method::GET, URL, &sent.token, &sent.proof);
        send(node.clone(), request).await
    }

    async fn verdict(&self, node: &Router, sent: &Sent) -> Verdict {
        Verdict::of(self.response(node, sent).await)
    }

    /// Behaves as a client that takes the nonce of each response, until a request passes. Returns that request.
    async fn recover(&self, node: &Router) -> Sent {
        let begun = Instant::now();
        let mut nonce = None;
        loop {
            let sent = self.sent(nonce.as_deref());
            let response = self.response(node, &sent).await;
            let next = response.headers().get("dpop-nonce");
            let next = next.map(|nonce| nonce.to_str().unwrap().to_owned());
            let verdict = Verdict::of(response);
            if verdict == Verdict::Admitted {
                return sent;
            }
            nonce = next.or(nonce);
            assert!(begun.elapsed() < PATIENCE, "{verdict:?}");
            sleep(Duration::from_millis(50)).await;
        }
    }
}
