//! Whatever loses records, no proof that was used before passes afterwards. Each test also shows that the proof passes
//! if the fence is off.

use std::sync::Arc;

use dpop_test_servers::postgres::Postgres;
use dpop_tower::{
    future::MaybeReady,
    replay::{
        AcceptanceWindows, Freshness, Incarnation, PostgresReplayStore, ReplayStore, StoreError,
        UsedProof,
    },
};
use tokio::time::{Instant, sleep};

use super::{Api, PATIENCE, Sent, builder, connected, on, proof, warm};
use crate::support::Verdict;

/// The same store without its fence.
#[derive(Debug)]
struct WithoutFence(Arc<PostgresReplayStore>);

impl ReplayStore for WithoutFence {
    fn check_and_insert(&self, proof: UsedProof) -> MaybeReady<Result<Freshness, StoreError>> {
        self.0.check_and_insert(proof)
    }

    fn windows(&self) -> &AcceptanceWindows {
        self.0.windows()
    }
}

/// Waits until a node has another incarnation than `before`.
async fn changed(store: &PostgresReplayStore, before: Option<Incarnation>) -> Incarnation {
    let begun = Instant::now();
    loop {
        warm(store).await;
        match store.incarnation() {
            Some(incarnation) if before != Some(incarnation) => return incarnation,
            _ => assert!(begun.elapsed() < PATIENCE, "the incarnation stays"),
        }
        sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// Uses proofs with and without a nonce, lets `lose` lose their records, and sends them again.
async fn no_used_proof_passes_after<F>(
    urls: &str,
    stores: [Arc<PostgresReplayStore>; 2],
    lose: impl FnOnce() -> F,
) where
    F: Future<Output = ()>,
{
    let api = Api::new();
    let [one, other] = &stores;
    let before = one.incarnation();
    assert!(before.is_some());
    assert_eq!(before, other.incarnation(), "all nodes agree");
    let nodes = [one, other].map(|store| api.node(Arc::clone(store)));
    let open = api.node(WithoutFence(Arc::clone(one)));
    let mut used: Vec<Sent> = Vec::new();
    for node in &nodes {
        // The first has a nonce of this incarnation.
        used.push(api.recover(node).await);
        for _ in 0..3 {
            let nonce = nonce_of(&api, node).await;
            let sent = [api.sent(Some(&nonce)), api.sent(None)];
            for sent in sent {
                match api.verdict(node, &sent).await {
                    Verdict::Admitted => used.push(sent),
                    // Without a nonce, right after the table was made.
                    verdict => assert_fenced(verdict),
                }
            }
        }
    }
    for (sent, node) in used
        .iter()
        .flat_map(|sent| nodes.iter().map(move |node| (sent, node)))
    {
        assert_ne!(api.verdict(node, sent).await, Verdict::Admitted);
    }

    lose().await;

    // The other node has not noticed yet, and notices with the first request.
    let after = changed(one, before).await;
    for node in &nodes {
        for sent in &used {
            let verdict = api.verdict(node, sent).await;
            assert!(
                matches!(verdict, Verdict::Rejected { .. }),
                "a replay passed"
            );
        }
    }
    assert_eq!(changed(other, before).await, after, "all nodes agree");
    let new = connected(builder(urls)).await;
    assert_eq!(new.incarnation(), Some(after), "a new node agrees");
    for node in &nodes {
        for sent in &used {
            assert_fenced(api.verdict(node, sent).await);
        }
    }
    // A request that met the change may have put its proof on record, though it was rejected.
    let mut without = Vec::new();
    for sent in &used {
        without.push(api.verdict(&open, sent).await);
    }
    assert!(
        without.contains(&Verdict::Admitted),
        "without the fence a replay passes: {without:?}"
    );
    for node in &nodes {
        api.recover(node).await;
    }
}

async fn nonce_of(api: &Api, node: &axum::Router) -> String {
    let begun = Instant::now();
    loop {
        let sent = api.sent(Some("unknown"));
        let response = api.response(node, &sent).await;
        if let Some(nonce) = response.headers().get("dpop-nonce") {
            return nonce.to_str().unwrap().to_owned();
        }
        assert!(begun.elapsed() < PATIENCE);
    }
}

#[track_caller]
fn assert_fenced(verdict: Verdict) {
    let Verdict::Rejected { status, error, .. } = verdict else {
        panic!("admitted");
    };
    assert_eq!((status, error), (401, "use_dpop_nonce"));
}

async fn two_on(server: &Postgres) -> [Arc<PostgresReplayStore>; 2] {
    [on(server).await, on(server).await]
}

async fn unlogged(server: &Postgres) -> [Arc<PostgresReplayStore>; 2] {
    let store = builder(&server.url()).build().unwrap();
    store.create_unlogged_table().await.unwrap();
    let kind = server.sql("SELECT relpersistence FROM pg_class WHERE relname = 'dpop_proofs'");
    assert_eq!(kind, "u");
    two_on(server).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_that_empties_an_unlogged_table() {
    let mut server = Postgres::start();
    let stores = unlogged(&server).await;
    let url = server.url();
    no_used_proof_passes_after(&url, stores, || async {
        server.kill();
        server.restart();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_of_one_process_that_empties_an_unlogged_table() {
    let server = Postgres::start();
    let stores = unlogged(&server).await;
    let started = server.sql("SELECT pg_postmaster_start_time()");
    no_used_proof_passes_after(&server.url(), stores, || async {
        server.crash_backend();
        let begun = Instant::now();
        while !server.try_sql("SELECT 1 FROM dpop_proofs") {
            assert!(begun.elapsed() < PATIENCE);
            sleep(std::time::Duration::from_millis(50)).await;
        }
        assert_eq!(server.sql("SELECT pg_postmaster_start_time()"), started);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_truncated_table() {
    let server = Postgres::start();
    let stores = two_on(&server).await;
    no_used_proof_passes_after(&server.url(), stores, || async {
        server.sql("TRUNCATE dpop_proofs");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_restored_with_an_old_marker() {
    let server = Postgres::start();
    let stores = two_on(&server).await;
    server.sql("CREATE TABLE backup AS SELECT * FROM dpop_proofs");
    no_used_proof_passes_after(&server.url(), stores, || async {
        server.sql(
            "BEGIN; TRUNCATE dpop_proofs; INSERT INTO dpop_proofs SELECT * FROM backup; COMMIT",
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_dropped_and_made_again() {
    let server = Postgres::start();
    let stores = two_on(&server).await;
    server.sql("CREATE TABLE backup AS SELECT * FROM dpop_proofs");
    let again = Arc::clone(&stores[0]);
    no_used_proof_passes_after(&server.url(), stores, || async {
        server.sql("DROP TABLE dpop_proofs");
        again.create_table().await.unwrap();
        server.sql("INSERT INTO dpop_proofs SELECT * FROM backup ON CONFLICT DO NOTHING");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_lags_and_is_promoted() {
    let mut primary = Postgres::start();
    let url = |standby: &Postgres| {
        let ((first, port), (second, standby_port)) = (primary.address(), standby.address());
        format!("postgres://postgres@{first}:{port},{second}:{standby_port}/postgres")
    };
    connected(builder(&primary.url())).await;
    let standby = primary.standby();
    standby.wait_for("SELECT count(*) = 1 FROM dpop_proofs");
    let url = url(&standby);
    let stores = [
        connected(builder(&url)).await,
        connected(builder(&url)).await,
    ];
    standby.stop_receiving();
    no_used_proof_passes_after(&url, stores, || async {
        assert_eq!(
            standby.sql("SELECT count(*) FROM dpop_proofs"),
            "1",
            "the standby lags"
        );
        primary.kill();
        standby.promote();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_in_order_is_fenced_though_no_record_is_lost() {
    let mut server = Postgres::start();
    let [one, other] = two_on(&server).await;
    let before = one.incarnation();
    assert!(one.check_and_insert(proof(0)).await.is_ok());
    server.stop();
    server.restart();
    let after = changed(&one, before).await;
    assert_eq!(changed(&other, before).await, after);
    let answer = one.check_and_insert(proof(0)).await.unwrap();
    assert_eq!(answer, Freshness::Replayed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rewritten_table_costs_a_challenge_and_loses_nothing() {
    let server = Postgres::start();
    let [one, other] = two_on(&server).await;
    let before = one.incarnation();
    assert!(one.check_and_insert(proof(0)).await.is_ok());
    server.sql("VACUUM FULL dpop_proofs");
    let after = changed(&one, before).await;
    assert_eq!(changed(&other, before).await, after);
    assert_eq!(
        other.check_and_insert(proof(0)).await.unwrap(),
        Freshness::Replayed
    );
}
