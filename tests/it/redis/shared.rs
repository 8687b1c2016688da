//! Several nodes with one server.

use std::{sync::Arc, time::Duration};

use dpop_test_servers::redis::Redis;
use dpop_tower::{
    clock::UnixTime,
    replay::{Freshness, ReplayStore as _, UsedProof},
};
use tokio::task::JoinSet;

use super::{Outcome, Service, at, insert, used};

/// The proofs are not verified here, because a debug build takes minutes for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_ten_thousand_proofs_is_fresh_on_one_of_three_nodes() {
    let server = Redis::start().await;
    let stores = [(); 3].map(|()| Arc::new(at(&server.url()).build().unwrap()));
    for store in &stores {
        store.warm_up().await.unwrap();
    }
    for group in 0..100 {
        let mut calls = JoinSet::new();
        for number in group * 100..(group + 1) * 100 {
            for store in &stores {
                let store = Arc::clone(store);
                calls.spawn(async move { (number, insert(&store, number).await) });
            }
        }
        let mut fresh: Vec<u64> = calls
            .join_all()
            .await
            .into_iter()
            .filter(|(_, freshness)| *freshness == Freshness::Fresh)
            .map(|(number, _)| number)
            .collect();
        fresh.sort_unstable();
        let expected: Vec<u64> = (group * 100..(group + 1) * 100).collect();
        assert_eq!(fresh, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proof_that_reaches_all_nodes_at_once_is_admitted_once() {
    let server = Redis::start().await;
    let service = Service::start(|| at(&server.url())).await;
    let mut nonce = service.recovered(0).await;
    for number in 0..200 {
        if number % 50 == 0 {
            nonce = service.recovered(0).await;
        }
        let proof = service.proof(&nonce);
        let (a, b, c) = tokio::join!(
            service.send(0, &proof),
            service.send(1, &proof),
            service.send(2, &proof)
        );
        let outcomes = [a, b, c];
        let admitted = outcomes
            .iter()
            .filter(|outcome| **outcome == Outcome::Admitted);
        assert_eq!(admitted.count(), 1, "{outcomes:?}");
    }
}

#[tokio::test]
async fn a_record_stays_for_the_life_of_the_proof_and_twice_the_margin() {
    let server = Redis::start().await;
    let store = at(&server.url()).key_prefix("p:").build().unwrap();
    let proof = UsedProof {
        expires_at: used(1).now.saturating_add(Duration::from_secs(100)),
        ..used(1)
    };
    assert_eq!(
        store.check_and_insert(proof).await.unwrap(),
        Freshness::Fresh
    );
    let keys = server.ask(&[
        "EVAL",
        "return redis.call('PTTL', redis.call('KEYS', 'p:????????????????????????????????')[1])",
        "0",
    ]);
    let left: i64 = keys.parse().unwrap_or_else(|_| panic!("{keys}"));
    assert!((100_000..=111_000).contains(&left), "{left}");
}

#[tokio::test]
async fn an_expired_proof_is_never_fresh_and_nothing_is_recorded_for_it() {
    let server = Redis::start().await;
    let store = at(&server.url()).build().unwrap();
    store.warm_up().await.unwrap();
    let before = server.ask(&["DBSIZE"]);
    let proof = used(1);
    for ago in [1, 1_000] {
        let expires_at = UnixTime::from_secs(proof.now.as_secs() - ago);
        let expired = UsedProof {
            expires_at,
            ..proof
        };
        assert_eq!(
            store.check_and_insert(expired).await.unwrap(),
            Freshness::Replayed
        );
    }
    assert_eq!(server.ask(&["DBSIZE"]), before);
}

#[tokio::test]
async fn stores_with_two_prefixes_do_not_share_proofs() {
    let server = Redis::start().await;
    let [one, other] =
        ["a:", "b:"].map(|prefix| at(&server.url()).key_prefix(prefix).build().unwrap());
    assert_eq!(insert(&one, 1).await, Freshness::Fresh);
    assert_eq!(insert(&other, 1).await, Freshness::Fresh);
    assert_ne!(one.incarnation(), other.incarnation());
}

#[tokio::test]
async fn all_nodes_agree_on_the_incarnation() {
    let server = Redis::start().await;
    let stores = [(); 3].map(|()| at(&server.url()).build().unwrap());
    let (a, b, c) = tokio::join!(
        stores[0].warm_up(),
        stores[1].warm_up(),
        stores[2].warm_up()
    );
    for ready in [a, b, c] {
        ready.unwrap();
    }
    let incarnations = stores.each_ref().map(|store| store.incarnation().unwrap());
    assert_eq!(incarnations[0], incarnations[1]);
    assert_eq!(incarnations[0], incarnations[2]);
    let ahead = incarnations[0].since().seconds_since(used(1).now);
    assert!((1..=7).contains(&ahead), "{ahead}");
}
