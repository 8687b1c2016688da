//! One server that restarts, is replaced, is emptied, hangs or has another time.

use std::time::Duration;

use dpop_test_servers::{
    redis::{Redis, until},
    relay::Relay,
};
use dpop_tower::{
    clock::{ManualClock, SystemClock, TimeSource as _},
    replay::{Freshness, MemoryReplayStore, ReplayStore as _},
};

use super::{Outcome, Service, at, insert, until_ready, used, why};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_passes_twice_when_a_server_without_files_is_killed_and_restarts() {
    let mut server = Redis::start().await;
    let service = Service::start(|| at(&server.url())).await;
    let used = service.used(30).await;
    server.kill();
    service.replay(&used).await;
    for node in 0..3 {
        let outcome = service.send(node, &service.proof("any")).await;
        assert_ne!(outcome, Outcome::Admitted);
    }
    server.restart().await;
    service.replay_until_recovered(&used).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_passes_twice_when_a_server_restarts_unseen_between_two_requests() {
    let mut server = Redis::start().await;
    let relay = Relay::to(server.port()).await;
    let url = format!("redis://127.0.0.1:{}", relay.port());
    let service = Service::start(|| at(&url)).await;
    let used = service.used(10).await;
    server.kill();
    server.restart().await;
    service.replay_until_recovered(&used).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_passes_twice_when_a_server_with_an_append_only_file_is_killed() {
    let mut server = Redis::with(&["--appendonly", "yes", "--appendfsync", "everysec"]).await;
    let service = Service::start(|| at(&server.url())).await;
    let used = service.used(30).await;
    server.kill();
    server.restart().await;
    service.replay_until_recovered(&used).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_passes_twice_when_a_replica_that_lags_is_promoted() {
    let mut master = Redis::start().await;
    let replica = Redis::start().await;
    let replication = Relay::to(master.port()).await;
    replica.replicate(replication.port()).await;
    let clients = Relay::to(master.port()).await;
    let url = format!("redis://127.0.0.1:{}", clients.port());
    let service = Service::start(|| at(&url)).await;
    service.recovered(0).await;
    replication.hang();
    let used = service.used(30).await;
    master.kill();
    replica.promote();
    clients.redirect(replica.port()).await;
    service.replay_until_recovered(&used).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proof_that_no_replica_acknowledges_is_rejected_if_one_has_to() {
    let master = Redis::start().await;
    let replica = Redis::start().await;
    let replication = Relay::to(master.port()).await;
    replica.replicate(replication.port()).await;
    until("the master knows the replica", || {
        master.info("connected_slaves") == "1"
    })
    .await;
    let store = at(&master.url()).wait_for_replicas(1).build().unwrap();
    store.warm_up().await.unwrap();
    for number in 0..20 {
        assert_eq!(insert(&store, number).await, Freshness::Fresh);
        assert_eq!(insert(&store, number).await, Freshness::Replayed);
    }
    replication.hang();
    let reason = why(store.check_and_insert(used(100)).await);
    assert!(reason.contains("0 replicas have acknowledged"), "{reason}");
    replication.resume();
    until_ready(&store, true).await;
    let enough = at(&master.url()).wait_for_replicas(2).build().unwrap();
    let reason = why(enough.warm_up().await);
    assert!(reason.contains("has 1 replicas"), "{reason}");
}

/// The connection stays open all the time, and the marker comes back with the data.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_passes_twice_when_a_master_becomes_a_replica_and_a_master_again() {
    let server = Redis::start().await;
    let other = Redis::start().await;
    let service = Service::start(|| at(&server.url())).await;
    service.recovered(0).await;
    other.replicate(server.port()).await;
    let before = server.info("master_replid");
    // The other server does not get these.
    other.promote();
    let used = service.used(10).await;
    server.replicate(other.port()).await;
    server.promote();
    assert_ne!(server.info("master_replid"), before);
    service.replay_until_recovered(&used).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_passes_twice_when_the_records_are_deleted() {
    let server = Redis::start().await;
    let service = Service::start(|| at(&server.url())).await;
    let used = service.used(30).await;
    server.tell(&["FLUSHALL"]);
    service.replay_until_recovered(&used).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_fails_calls_at_once_after_a_while_and_comes_back() {
    let server = Redis::start().await;
    let store = at(&server.url())
        .time_out(Duration::from_millis(500))
        .build()
        .unwrap();
    store.warm_up().await.unwrap();
    let incarnation = store.incarnation();
    server.pause();
    let reason = why(store.check_and_insert(used(1)).await);
    assert!(
        reason.contains("no answer") || reason.contains("timed out"),
        "{reason}"
    );
    until_ready(&store, false).await;
    for number in 2..100 {
        why(store.check_and_insert(used(number)).await);
    }
    server.resume();
    until_ready(&store, true).await;
    assert_eq!(insert(&store, 200).await, Freshness::Fresh);
    assert_eq!(store.incarnation(), incarnation);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_hangs_or_is_cut_lets_nothing_pass_twice() {
    let server = Redis::start().await;
    let relay = Relay::to(server.port()).await;
    let url = format!("redis://127.0.0.1:{}", relay.port());
    let service = Service::start(|| at(&url).time_out(Duration::from_secs(1))).await;
    let used = service.used(10).await;
    for fault in [Relay::hang, Relay::cut] {
        fault(&relay);
        service.replay(&used[..3]).await;
        relay.resume();
        service.replay_until_recovered(&used).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_off_rejects_and_begins_a_new_incarnation() {
    let server = Redis::start().await;
    let clock = ManualClock::new(SystemClock.now());
    let store = at(&server.url()).clock(clock.clone()).build().unwrap();
    store.warm_up().await.unwrap();
    let incarnation = store.incarnation();
    for seconds in [60, -60] {
        let off = SystemClock.now().as_secs() + seconds;
        clock.set(dpop_tower::clock::UnixTime::from_secs(off));
        until_ready(&store, false).await;
        let reason = why(store.readiness());
        assert!(reason.contains("the clock of the database"), "{reason}");
        clock.set(SystemClock.now());
        until("the clocks agree again", || {
            clock.set(SystemClock.now());
            store.readiness().is_ok()
        })
        .await;
        assert_ne!(store.incarnation(), incarnation);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_stands_in_for_a_server_that_is_out_of_reach() {
    let mut server = Redis::start().await;
    let store = at(&server.url())
        .danger_fall_back_to_memory(MemoryReplayStore::new())
        .build()
        .unwrap();
    assert_eq!(insert(&store, 1).await, Freshness::Fresh);
    server.kill();
    let is_up = || format!("{store:?}").contains("phase: \"up\"");
    until("the store notices", || !is_up()).await;
    assert_eq!(insert(&store, 2).await, Freshness::Fresh);
    assert_eq!(insert(&store, 2).await, Freshness::Replayed);
    server.restart().await;
    until("the store is connected", is_up).await;
    assert_eq!(insert(&store, 2).await, Freshness::Replayed);
}
