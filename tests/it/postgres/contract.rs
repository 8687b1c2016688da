//! The rules of `ReplayStore`.

use std::{sync::Arc, time::Duration};

use dpop_test_servers::postgres::Postgres;
use dpop_tower::{
    clock::{ManualClock, SystemClock, TimeSource as _},
    replay::{Freshness, PostgresReplayStore, ReplayStore, StoreErrorKind, UsedProof},
};
use tokio::task::JoinSet;

use super::{Answers, builder, connected, on, proof, use_all_everywhere, use_everywhere};

/// Three nodes on one server.
async fn three_nodes(server: &Postgres) -> [Arc<PostgresReplayStore>; 3] {
    [on(server).await, on(server).await, on(server).await]
}

const ONCE: Answers = Answers {
    fresh: 1,
    replayed: 2,
    errors: 0,
};

/// Returns the row of a proof in the form that the server writes bytes in.
fn row(proof: &UsedProof) -> String {
    let hex: String = (proof.key.proof().iter())
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("'\\x{hex}'::bytea")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_ten_thousand_proofs_passes_once_though_all_nodes_get_it_at_one_moment() {
    let server = Postgres::start();
    let nodes = three_nodes(&server).await;
    let answers = use_all_everywhere(&nodes, 0..10_000).await;
    assert_eq!(answers.len(), 10_000);
    assert_eq!(answers.iter().find(|answers| **answers != ONCE), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_that_find_an_expired_row_one_replaces_it() {
    let server = Postgres::start();
    let nodes = three_nodes(&server).await;
    for number in 0..40 {
        let row = row(&proof(number));
        server.sql(&format!(
            "INSERT INTO dpop_proofs (proof, expires_at) VALUES ({row}, now() - interval '1 minute')"
        ));
        assert_eq!(use_everywhere(&nodes, proof(number)).await, ONCE);
        assert_eq!(use_everywhere(&nodes, proof(number)).await.replayed, 3);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_that_wait_for_a_third_neither_passes_if_the_third_is_committed() {
    let server = Postgres::start();
    // The calls wait longer than with the default margin.
    let node = || connected(builder(&server.url()).clock_margin(Duration::from_secs(60)));
    let nodes = [node().await, node().await, node().await];
    for (expired, end, expected) in [
        (false, "COMMIT", 0),
        (false, "ROLLBACK", 1),
        (true, "COMMIT", 0),
        (true, "ROLLBACK", 1),
    ] {
        let number = usize::from(expired) * 2 + usize::from(end == "COMMIT");
        let row = row(&proof(number));
        let other = match expired {
            false => format!(
                "INSERT INTO dpop_proofs (proof, expires_at) VALUES ({row}, now() + interval '1 minute')"
            ),
            true => format!(
                "UPDATE dpop_proofs SET expires_at = now() + interval '1 minute' WHERE proof = {row}"
            ),
        };
        if expired {
            // It is locked before it can be removed.
            server.sql(&format!(
                "BEGIN; INSERT INTO dpop_proofs (proof, expires_at) \
                 VALUES ({row}, clock_timestamp() + interval '4 seconds'); COMMIT"
            ));
        }
        let server = &server;
        let answers = tokio::task::block_in_place(|| {
            std::thread::scope(|scope| {
                let transaction = scope.spawn(move || {
                    server.sql(&format!("BEGIN; {other}; SELECT pg_sleep(8); {end}"))
                });
                server.wait_for(
                    "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(8)%' \
                     AND wait_event = 'PgSleep' AND pid <> pg_backend_pid()",
                );
                if expired {
                    std::thread::sleep(Duration::from_millis(4100));
                }
                let calls = use_everywhere(&nodes, proof(number));
                let answers = tokio::runtime::Handle::current().block_on(calls);
                transaction.join().unwrap();
                answers
            })
        });
        assert_eq!(answers.errors, 0);
        assert_eq!(answers.fresh, expected, "{expired} {end}");
    }
}

#[tokio::test]
async fn a_record_is_kept_for_the_window_and_twice_the_margin_and_no_replay_changes_that() {
    let server = Postgres::start();
    let margin = Duration::from_secs(7);
    let store = connected(builder(&server.url()).clock_margin(margin)).await;
    let proof = proof(0);
    assert_eq!(
        store.check_and_insert(proof).await.unwrap(),
        Freshness::Fresh
    );
    let left = format!(
        "SELECT extract(epoch FROM expires_at) - {} FROM dpop_proofs WHERE proof = {}",
        proof.expires_at.as_secs(),
        row(&proof)
    );
    let before: f64 = server.sql(&left).parse().unwrap();
    assert!(before >= 2.0 * 7.0, "{before}");
    let later = UsedProof {
        expires_at: proof.expires_at.saturating_add(Duration::from_secs(100)),
        ..proof
    };
    for again in [proof, later] {
        assert_eq!(
            store.check_and_insert(again).await.unwrap(),
            Freshness::Replayed
        );
    }
    let after: f64 = server.sql(&left).parse().unwrap();
    assert_eq!(before.to_bits(), after.to_bits());
}

#[tokio::test]
async fn an_expired_proof_is_not_fresh_and_leaves_no_row() {
    let server = Postgres::start();
    let store = on(&server).await;
    let now = SystemClock.now();
    for behind in [1, 3600] {
        let expired = UsedProof {
            now,
            expires_at: now.saturating_sub(Duration::from_secs(behind)),
            ..proof(0)
        };
        assert_eq!(
            store.check_and_insert(expired).await.unwrap(),
            Freshness::Replayed
        );
    }
    assert_eq!(server.sql("SELECT count(*) FROM dpop_proofs"), "1");
    let last_second = UsedProof {
        now,
        expires_at: now,
        ..proof(0)
    };
    assert_eq!(
        store.check_and_insert(last_second).await.unwrap(),
        Freshness::Fresh
    );
    assert_eq!(
        store.check_and_insert(last_second).await.unwrap(),
        Freshness::Replayed
    );
}

#[tokio::test]
async fn a_proof_whose_record_may_have_been_removed_is_not_fresh() {
    let server = Postgres::start();
    let store = on(&server).await;
    // The clocks of server and nodes were ahead, rows were removed, and the clocks were set back.
    server.sql("UPDATE dpop_proofs SET removed_until = now() + interval '1 hour' WHERE proof = ''");
    assert_eq!(
        store.check_and_insert(proof(0)).await.unwrap(),
        Freshness::Replayed
    );
    let later = UsedProof {
        expires_at: proof(0)
            .expires_at
            .saturating_add(Duration::from_secs(3600)),
        ..proof(0)
    };
    assert_eq!(
        store.check_and_insert(later).await.unwrap(),
        Freshness::Fresh
    );
}

#[tokio::test]
async fn a_node_whose_clock_is_off_by_more_than_the_margin_rejects_and_says_so() {
    let server = Postgres::start();
    let good = on(&server).await;
    for offset in [-3600, -9, 9, 3600] {
        let clock = ManualClock::starting_now();
        clock.set(offset_by(clock.now(), offset));
        let store = builder(&server.url()).clock(clock).build().unwrap();
        let error = store.warm_up().await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert!(
            format!("{error:?}").contains("clock"),
            "{offset}: {error:?}"
        );
        assert!(store.readiness().is_err(), "{offset}");
        assert!(store.check_and_insert(proof(0)).await.is_err(), "{offset}");
    }
    // The caller's clock went wrong after the node had connected.
    let used = proof(1);
    let wrong = UsedProof {
        now: offset_by(used.now, -60),
        ..used
    };
    assert!(good.check_and_insert(wrong).await.is_err());
    assert_eq!(
        good.check_and_insert(proof(2)).await.unwrap(),
        Freshness::Fresh
    );
}

fn offset_by(time: dpop_tower::clock::UnixTime, seconds: i64) -> dpop_tower::clock::UnixTime {
    dpop_tower::clock::UnixTime::from_secs(time.as_secs() + seconds)
}

#[tokio::test]
async fn a_call_that_is_given_up_does_not_disturb_the_next_ones() {
    let server = Postgres::start();
    let store = connected(builder(&server.url()).max_connections(1)).await;
    for number in 0..50 {
        let call = store.check_and_insert(proof(number));
        let _ = tokio::time::timeout(Duration::from_micros(300 * number as u64 % 3000), call).await;
    }
    let calls: JoinSet<_> = (100..120)
        .map(|number| {
            let store = Arc::clone(&store);
            async move { store.check_and_insert(proof(number)).await.unwrap() }
        })
        .collect();
    assert!(
        calls
            .join_all()
            .await
            .iter()
            .all(|answer| *answer == Freshness::Fresh)
    );
    assert_eq!(
        store.check_and_insert(proof(100)).await.unwrap(),
        Freshness::Replayed
    );
}
