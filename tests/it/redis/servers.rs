//! Several servers: sentinels and a cluster.

use dpop_test_servers::redis::{Cluster, Redis, until};
use dpop_tower::replay::{Freshness, ReplayStore as _};

use super::{Service, at, insert, why};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_passes_twice_when_sentinels_replace_the_master() {
    let mut master = Redis::start().await;
    let replica = Redis::start().await;
    replica.replicate(master.port()).await;
    let sentinel = Redis::sentinel(master.port()).await;
    until("the sentinel knows the replica", || {
        sentinel
            .ask(&["SENTINEL", "REPLICAS", "main"])
            .contains(&replica.port().to_string())
    })
    .await;
    let url = format!(
        "redis-sentinel://127.0.0.1:1,127.0.0.1:{}/main",
        sentinel.port()
    );
    let service = Service::start(|| at(&url)).await;
    let used = service.used(20).await;
    master.kill();
    service.replay_until_recovered(&used).await;
    assert_eq!(replica.info("role"), "master");
    let unknown = url.replace("/main", "/other");
    let reason = why(at(&unknown).build().unwrap().warm_up().await);
    assert!(reason.contains("does not know the service"), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_passes_twice_when_slots_of_a_cluster_move_and_a_master_is_replaced() {
    let mut cluster = Cluster::start().await;
    let url = cluster.url();
    let service = Service::start(|| at(&url)).await;
    let used = service.used(60).await;
    service.replay(&used).await;
    let [a, b] = [0, 1].map(|place| cluster.servers[place].ask(&["CLUSTER", "MYID"]));
    let address = format!("127.0.0.1:{}", cluster.servers[0].port());
    // The first half of the slots of the first master.
    let moving = tokio::task::spawn_blocking({
        let command = [
            "--cluster",
            "reshard",
            &address,
            "--cluster-from",
            &a,
            "--cluster-to",
            &b,
            "--cluster-slots",
            "2700",
            "--cluster-yes",
        ]
        .map(str::to_owned);
        let port = cluster.servers[0].port();
        move || {
            let output = std::process::Command::new("redis-cli")
                .args(["-p", &port.to_string()])
                .args(command)
                .output();
            String::from_utf8(output.unwrap().stdout).unwrap()
        }
    });
    while !moving.is_finished() {
        service.replay(&used[..5]).await;
    }
    let answer = moving.await.unwrap();
    assert!(!answer.contains("ERR"), "{answer}");
    service.replay_until_recovered(&used).await;
    let incarnation = service.nodes[0].store.incarnation();
    cluster.servers[2].kill();
    service.replay_until_recovered(&used).await;
    // The failed master held a third of the buckets.
    until("a replica has taken over", || {
        service.nodes[0].store.incarnation() != incarnation
    })
    .await;
    service.replay_until_recovered(&used).await;
}

#[tokio::test]
async fn a_cluster_holds_the_proofs_of_all_buckets_and_the_scheme_has_to_fit() {
    let cluster = Cluster::start().await;
    let stores = [(); 2].map(|()| at(&cluster.url()).build().unwrap());
    for store in &stores {
        store.warm_up().await.unwrap();
    }
    assert_eq!(stores[0].incarnation(), stores[1].incarnation());
    for number in 0..500 {
        assert_eq!(insert(&stores[0], number).await, Freshness::Fresh);
        assert_eq!(insert(&stores[1], number).await, Freshness::Replayed);
    }
    let reason = why(at(&cluster.servers[0].url())
        .build()
        .unwrap()
        .warm_up()
        .await);
    assert!(reason.contains("redis-cluster://"), "{reason}");
}
