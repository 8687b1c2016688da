//! A server that is killed, frozen, promoted, full or slow.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use dpop_test_servers::postgres::Postgres;
use dpop_tower::replay::{Freshness, PostgresReplayStore, ReplayStore, StoreErrorKind};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{Api, PATIENCE, Sent, builder, connected, on, proof, warm};
use crate::support::Verdict;

/// Sends proofs to three nodes at one moment each while `fault` happens, and all of them again afterwards.
async fn no_proof_passes_twice_while<F>(
    nodes: [Arc<PostgresReplayStore>; 3],
    fault: impl FnOnce() -> F,
) where
    F: Future<Output = ()>,
{
    let api = Arc::new(Api::new());
    let nodes = nodes.map(|store| api.node(store));
    for node in &nodes {
        api.recover(node).await;
    }
    let (stop, sent_so_far) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let clients: JoinSet<_> = (0..4)
        .map(|_| {
            let (api, nodes, stop) = (Arc::clone(&api), nodes.clone(), Arc::clone(&stop));
            let sent_so_far = Arc::clone(&sent_so_far);
            async move {
                let (mut all, mut nonce) = (Vec::new(), None);
                while !stop.load(Ordering::SeqCst) {
                    let sent = api.sent(nonce.as_deref());
                    let answers = everywhere(&api, &nodes, &sent).await;
                    nonce = answers.nonce.or(nonce);
                    all.push((sent, answers.admitted));
                    sent_so_far.fetch_add(1, Ordering::SeqCst);
                }
                all
            }
        })
        .collect();
    let more = async |count: usize| {
        let (begun, from) = (Instant::now(), sent_so_far.load(Ordering::SeqCst));
        while sent_so_far.load(Ordering::SeqCst) < from + count {
            assert!(begun.elapsed() < PATIENCE, "the clients stand still");
            sleep(Duration::from_millis(20)).await;
        }
    };
    more(100).await;
    fault().await;
    more(40).await;
    for node in &nodes {
        // Recovery needs no restart of the nodes.
        api.recover(node).await;
    }
    more(40).await;
    stop.store(true, Ordering::SeqCst);
    let all: Vec<(Sent, usize)> = clients.join_all().await.into_iter().flatten().collect();
    let different: HashSet<&str> = all.iter().map(|(sent, _)| &*sent.proof).collect();
    assert_eq!(different.len(), all.len());
    assert_eq!(
        all.iter().find(|(_, admitted)| *admitted > 1).map(|_| ()),
        None
    );
    let once = all.iter().filter(|(_, admitted)| *admitted == 1).count();
    assert!(once > 50, "{once} of {} passed", all.len());
    for (sent, admitted) in &all {
        let again = everywhere(&api, &nodes, sent).await.admitted;
        assert!(admitted + again <= 1, "a replay passed after the fault");
    }
}

struct Everywhere {
    admitted: usize,
    nonce: Option<String>,
}

/// Sends a request to all nodes at one moment. Every rejection is one that the client can act on.
async fn everywhere(api: &Arc<Api>, nodes: &[axum::Router], sent: &Sent) -> Everywhere {
    let calls: JoinSet<_> = (nodes.iter().cloned())
        .map(|node| {
            let (api, sent) = (Arc::clone(api), sent.clone());
            async move {
                let response = api.response(&node, &sent).await;
                let nonce = response.headers().get("dpop-nonce");
                let nonce = nonce.map(|nonce| nonce.to_str().unwrap().to_owned());
                (Verdict::of(response), nonce)
            }
        })
        .collect();
    let mut result = Everywhere {
        admitted: 0,
        nonce: None,
    };
    for (verdict, nonce) in calls.join_all().await {
        result.nonce = nonce.or(result.nonce);
        match verdict {
            Verdict::Admitted => result.admitted += 1,
            Verdict::Rejected { status: 503, .. }
            | Verdict::Rejected {
                error: "use_dpop_nonce" | "invalid_dpop_proof",
                ..
            } => {}
            verdict => panic!("{verdict:?}"),
        }
    }
    result
}

async fn nodes(url: &str) -> [Arc<PostgresReplayStore>; 3] {
    let node = || connected(builder(url).time_out(Duration::from_secs(2)));
    [node().await, node().await, node().await]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_proof_passes_twice_while_the_server_is_killed_and_restarted() {
    let mut server = Postgres::start();
    let nodes = nodes(&server.url()).await;
    no_proof_passes_twice_while(nodes, || async {
        for _ in 0..2 {
            server.kill();
            sleep(Duration::from_millis(500)).await;
            server.restart();
            sleep(Duration::from_millis(1500)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_proof_passes_twice_while_the_server_with_an_unlogged_table_is_killed_and_restarted() {
    let mut server = Postgres::start();
    let store = builder(&server.url()).build().unwrap();
    store.create_unlogged_table().await.unwrap();
    let nodes = nodes(&server.url()).await;
    no_proof_passes_twice_while(nodes, || async {
        server.kill();
        server.restart();
        sleep(Duration::from_millis(1500)).await;
        server.stop_immediately();
        server.restart();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_proof_passes_twice_while_a_standby_that_lags_is_promoted() {
    let mut primary = Postgres::start();
    on(&primary).await;
    let standby = primary.standby();
    let ((first, port), (second, standby_port)) = (primary.address(), standby.address());
    let url = format!("postgres://postgres@{first}:{port},{second}:{standby_port}/postgres");
    standby.wait_for("SELECT count(*) = 1 FROM dpop_proofs");
    standby.stop_receiving();
    let nodes = nodes(&url).await;
    no_proof_passes_twice_while(nodes, || async {
        primary.kill();
        standby.promote();
    })
    .await;
    assert_eq!(standby.sql("SELECT pg_is_in_recovery()"), "f");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_proof_passes_twice_while_connections_hang() {
    let server = Postgres::start();
    let nodes = nodes(&server.url()).await;
    no_proof_passes_twice_while(nodes, || async {
        let frozen = server.freeze();
        sleep(Duration::from_secs(6)).await;
        drop(frozen);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_an_error_after_the_time_out_and_then_at_once() {
    let server = Postgres::start();
    let time_out = Duration::from_millis(300);
    let store = connected(builder(&server.url()).time_out(time_out)).await;
    let frozen = server.freeze();
    let begun = Instant::now();
    while store.readiness().is_ok() {
        let error = store.check_and_insert(proof(0)).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert!(begun.elapsed() < PATIENCE);
    }
    // Calls no longer wait for the server.
    let begun = Instant::now();
    for number in 0..1000 {
        assert!(store.check_and_insert(proof(number)).await.is_err());
    }
    assert!(begun.elapsed() < time_out * 100, "{:?}", begun.elapsed());
    drop(frozen);
    warm(&store).await;
    assert!(store.readiness().is_ok());
    assert_eq!(
        store.check_and_insert(proof(2000)).await.unwrap(),
        Freshness::Fresh
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_with_a_synchronous_standby() {
    let mut primary = Postgres::start();
    let store = on(&primary).await;
    let standby = primary.standby();
    primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'");
    primary.sql("SELECT pg_reload_conf()");
    primary.wait_for("SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'");
    let answers: JoinSet<_> = (0..300)
        .map(|number| {
            let store = Arc::clone(&store);
            async move { store.check_and_insert(proof(number)).await.unwrap() }
        })
        .collect();
    assert!(
        answers
            .join_all()
            .await
            .iter()
            .all(|answer| *answer == Freshness::Fresh)
    );
    primary.kill();
    standby.promote();
    assert_eq!(
        standby.sql("SELECT count(*) FROM dpop_proofs WHERE proof <> ''"),
        "300"
    );
    // A standby that is promoted has no standby of its own.
    standby.sql("ALTER SYSTEM SET synchronous_standby_names = ''");
    standby.sql("SELECT pg_reload_conf()");
    let next = on(&standby).await;
    for number in 0..300 {
        let answer = next.check_and_insert(proof(number)).await.unwrap();
        assert_eq!(answer, Freshness::Replayed, "{number}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_passes_while_a_synchronous_standby_is_away() {
    let primary = Postgres::start();
    on(&primary).await;
    let standby = primary.standby();
    let time_out = Duration::from_millis(500);
    let store = connected(builder(&primary.url()).time_out(time_out)).await;
    primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'");
    primary.sql("SELECT pg_reload_conf()");
    primary.wait_for("SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'");
    drop(standby);
    primary.wait_for("SELECT count(*) = 0 FROM pg_stat_replication");
    for number in 0..5 {
        let error = store.check_and_insert(proof(number)).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    }
}

#[tokio::test]
async fn a_standby_is_an_error_that_says_so() {
    let primary = Postgres::start();
    on(&primary).await;
    let standby = primary.standby();
    let store = builder(&standby.url()).build().unwrap();
    let error = store.warm_up().await.unwrap_err();
    assert!(format!("{error:?}").contains("allow writes"), "{error:?}");
    assert!(store.check_and_insert(proof(0)).await.is_err());
    assert!(store.readiness().is_err());
}

/// Makes each insertion of a proof run this.
fn at_insertion(server: &Postgres, code: &str) {
    server.sql(&format!(
        "CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {code}; RETURN new; END $$; \
         CREATE TRIGGER fault BEFORE INSERT ON dpop_proofs FOR EACH ROW EXECUTE FUNCTION fault()"
    ));
}

#[tokio::test]
async fn a_full_disk_is_a_full_store() {
    let server = Postgres::start();
    let store = on(&server).await;
    at_insertion(
        &server,
        "RAISE EXCEPTION 'no space left' USING ERRCODE = 'disk_full'",
    );
    for number in 0..10 {
        let error = store.check_and_insert(proof(number)).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Full, "{error:?}");
    }
    server.sql("DROP TRIGGER fault ON dpop_proofs");
    warm(&store).await;
    assert_eq!(
        store.check_and_insert(proof(0)).await.unwrap(),
        Freshness::Fresh
    );
}

#[tokio::test]
async fn a_slow_disk_is_an_error_after_the_time_out() {
    let server = Postgres::start();
    let time_out = Duration::from_millis(300);
    let store = connected(builder(&server.url()).time_out(time_out)).await;
    at_insertion(&server, "PERFORM pg_sleep(3600)");
    let error = store.check_and_insert(proof(0)).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    server
        .sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
    server.sql("DROP TRIGGER fault ON dpop_proofs");
    warm(&store).await;
    let begun = Instant::now();
    while store.check_and_insert(proof(1)).await.is_err() {
        assert!(begun.elapsed() < PATIENCE);
        sleep(Duration::from_millis(50)).await;
    }
}
