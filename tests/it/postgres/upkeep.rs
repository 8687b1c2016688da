//! Expired rows are removed, live ones are not, and the table does not grow.

use std::{sync::Arc, time::Duration};

use dpop_test_servers::postgres::Postgres;
use dpop_tower::replay::{Freshness, PostgresReplayStore, ReplayStore, UsedProof};
use tokio::task::JoinSet;

use super::{builder, connected, on, proof};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_rows_are_removed_and_live_ones_stay() {
    let server = Postgres::start();
    let store = on(&server).await;
    assert_eq!(
        store.check_and_insert(proof(0)).await.unwrap(),
        Freshness::Fresh
    );
    server.sql(
        "INSERT INTO dpop_proofs (proof, expires_at) \
         SELECT decode(md5(n::text), 'hex'), now() - interval '1 second' FROM generate_series(1, 5000) n",
    );
    server.wait_for("SELECT count(*) = 2 FROM dpop_proofs");
    let marked =
        "SELECT removed_until > now() - interval '1 minute' FROM dpop_proofs WHERE proof = ''";
    assert_eq!(server.sql(marked), "t");
    assert_eq!(
        store.check_and_insert(proof(0)).await.unwrap(),
        Freshness::Replayed
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_another_transaction_holds_holds_up_nothing() {
    let server = Postgres::start();
    let store = on(&server).await;
    server.sql(
        "INSERT INTO dpop_proofs (proof, expires_at) VALUES ('held', now() + interval '4 seconds')",
    );
    let server = &server;
    std::thread::scope(|scope| {
        let holder = scope.spawn(move || {
            server.sql(
                "BEGIN; SELECT FROM dpop_proofs WHERE proof = 'held' FOR UPDATE; SELECT pg_sleep(12); ROLLBACK",
            )
        });
        server.wait_for(
            "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND pid <> pg_backend_pid()",
        );
        server.sql(
            "INSERT INTO dpop_proofs (proof, expires_at) \
             SELECT decode(md5(n::text), 'hex'), now() + interval '5 seconds' FROM generate_series(1, 3000) n",
        );
        server.wait_for("SELECT count(*) = 2 FROM dpop_proofs");
        assert_eq!(
            server.sql("SELECT count(*) FROM dpop_proofs WHERE proof = 'held'"),
            "1"
        );
        holder.join().unwrap();
    });
    server.wait_for("SELECT count(*) = 1 FROM dpop_proofs");
    assert_eq!(
        store.check_and_insert(proof(0)).await.unwrap(),
        Freshness::Fresh
    );
}

/// Records 3000 proofs that expire soon.
async fn record(store: &Arc<PostgresReplayStore>, round: usize) {
    for group in 0..30 {
        let calls: JoinSet<_> = (0..100)
            .map(|number| {
                let store = Arc::clone(store);
                async move {
                    let proof = proof(round * 3000 + group * 100 + number);
                    let short = UsedProof {
                        expires_at: proof.now,
                        ..proof
                    };
                    store.check_and_insert(short).await.unwrap()
                }
            })
            .collect();
        let answers = calls.join_all().await;
        assert!(answers.iter().all(|answer| *answer == Freshness::Fresh));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_table_does_not_grow_under_a_constant_load() {
    let server = Postgres::start();
    let margin = Duration::from_secs(4);
    let store = connected(builder(&server.url()).clock_margin(margin)).await;
    let mut sizes: Vec<u64> = Vec::new();
    for round in 0..6 {
        record(&store, round).await;
        server.wait_for("SELECT count(*) = 1 FROM dpop_proofs");
        // The server's own upkeep makes the room of removed rows usable, as the settings of the table ask for.
        server.wait_for(
            "SELECT n_dead_tup < 300 AND autovacuum_count > 0 FROM pg_stat_user_tables WHERE relname = 'dpop_proofs'",
        );
        sizes.push(
            server
                .sql("SELECT pg_total_relation_size('dpop_proofs')")
                .parse()
                .unwrap(),
        );
    }
    // Six times as many rows as in the first round.
    assert!(sizes[5] < sizes[0] * 2, "{sizes:?}");
}
