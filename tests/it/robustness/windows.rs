//! Configurations with different windows share a replay store: a proof that was used under one is used
//! under the other.

use std::{sync::Arc, time::Duration};

use axum::{Router, routing::get};
use dpop_tower::{
    DpopConfig, DpopLayer,
    clock::UnixTime,
    replay::{MemoryReplayStore, ReplayStore},
};
use http::Method;

use crate::{
    stores::CountingStore,
    support::{Api, URL, Verdict, invalid_proof, send},
};

fn config(api: &Api, store: &Arc<impl ReplayStore>, max_age: u64, leeway: u64) -> DpopConfig {
    api.config()
        .max_age(Duration::from_secs(max_age))
        .leeway(Duration::from_secs(leeway))
        .replay_store(Arc::clone(store))
        .build()
        .unwrap()
}

fn router(config: DpopConfig) -> Router {
    Router::new()
        .route("/orders", get(async || "hello"))
        .layer(DpopLayer::new(config))
}

struct Sent {
    token: String,
    proof: String,
}

impl Sent {
    /// Creates a proof with the current time, and a token with a long lifetime.
    fn new(api: &Api) -> Self {
        let token = api.token().claim("exp", api.now() + 100_000).mint();
        let proof = api.proof(&token).sign();
        Self { token, proof }
    }

    async fn to(&self, api: &Api, router: &Router) -> Verdict {
        let request = api
            .client
            .request_with_proof(Method::GET, URL, &self.token, &self.proof);
        Verdict::of(send(router.clone(), request).await)
    }
}

/// Asserts everything that an honest client may expect of a configuration with this window.
async fn serves(api: &Api, router: &Router, window: u64) {
    for age in [0, window / 2, window] {
        let good = Sent::new(api);
        api.advance(age);
        assert_eq!(good.to(api, router).await, Verdict::Admitted, "{age}");
        let replayed = invalid_proof("proof_replayed");
        assert_eq!(good.to(api, router).await, replayed, "{age}");
    }
}

#[tokio::test]
async fn a_used_proof_is_used_after_the_window_has_grown() {
    let api = Api::new();
    let store = Arc::new(MemoryReplayStore::new());
    let old = router(config(&api, &store, 10, 0));
    let used = Sent::new(&api);
    assert_eq!(used.to(&api, &old).await, Verdict::Admitted);
    api.advance(17);
    assert_eq!(used.to(&api, &old).await, invalid_proof("proof_too_old"));
    let new = router(config(&api, &store, 200, 0));
    drop(old);
    for _ in 0..2 {
        assert_eq!(used.to(&api, &new).await, invalid_proof("proof_replayed"));
        api.advance(183);
    }
    assert_eq!(used.to(&api, &new).await, invalid_proof("proof_too_old"));
    serves(&api, &new, 200).await;
}

#[tokio::test]
async fn a_leeway_that_grows_is_a_window_that_grows() {
    let api = Api::new();
    let store = Arc::new(MemoryReplayStore::new());
    let old = router(config(&api, &store, 10, 0));
    let used = Sent::new(&api);
    assert_eq!(used.to(&api, &old).await, Verdict::Admitted);
    api.advance(20);
    let new = router(config(&api, &store, 10, 60));
    assert_eq!(used.to(&api, &new).await, invalid_proof("proof_replayed"));
    serves(&api, &new, 70).await;
}

#[tokio::test]
async fn a_used_proof_is_used_after_the_window_has_shrunk_and_grown() {
    let api = Api::new();
    let store = Arc::new(MemoryReplayStore::new());
    let mut current = router(config(&api, &store, 200, 0));
    let mut used = vec![Sent::new(&api)];
    assert_eq!(used[0].to(&api, &current).await, Verdict::Admitted);
    for (max_age, leeway) in [(10, 0), (200, 0), (5, 1), (300, 10), (10, 0), (600, 60)] {
        current = router(config(&api, &store, max_age, leeway));
        let next = Sent::new(&api);
        assert_eq!(next.to(&api, &current).await, Verdict::Admitted);
        used.push(next);
        api.advance(17);
        for proof in &used {
            assert_ne!(proof.to(&api, &current).await, Verdict::Admitted);
        }
    }
    let now = api.now();
    for step in 0..12 {
        api.clock.set(UnixTime::from_secs(now + 60 * step));
        for proof in &used {
            assert_ne!(proof.to(&api, &current).await, Verdict::Admitted, "{step}");
        }
    }
    serves(&api, &current, 660).await;
}

#[tokio::test]
async fn a_proof_that_was_used_at_one_of_two_layers_is_used_at_the_other() {
    let api = Api::new();
    let store = Arc::new(MemoryReplayStore::new());
    let short = router(config(&api, &store, 10, 0));
    let long = router(config(&api, &store, 200, 0));
    let (at_short, at_long) = (Sent::new(&api), Sent::new(&api));
    assert_eq!(at_short.to(&api, &short).await, Verdict::Admitted);
    assert_eq!(at_long.to(&api, &long).await, Verdict::Admitted);
    let replayed = invalid_proof("proof_replayed");
    assert_eq!(at_long.to(&api, &short).await, replayed);
    for _ in 0..10 {
        api.advance(20);
        assert_eq!(at_short.to(&api, &long).await, replayed);
        assert_eq!(at_long.to(&api, &long).await, replayed);
        serves_now(&api, &short).await;
        serves_now(&api, &long).await;
    }
}

async fn serves_now(api: &Api, router: &Router) {
    assert_eq!(Sent::new(api).to(api, router).await, Verdict::Admitted);
}

/// A store of the user's own that delegates to another store.
#[tokio::test]
async fn a_store_around_a_store_shares_its_windows() {
    let api = Api::new();
    let store = Arc::new(CountingStore::default());
    let old = router(config(&api, &store, 10, 0));
    let used = Sent::new(&api);
    assert_eq!(used.to(&api, &old).await, Verdict::Admitted);
    api.advance(17);
    let new = router(config(&api, &store, 200, 0));
    assert_eq!(used.to(&api, &new).await, invalid_proof("proof_replayed"));
}

#[tokio::test]
async fn a_configuration_that_remembers_nothing_makes_no_other_remember_longer() {
    let api = Api::new();
    let store = Arc::new(MemoryReplayStore::new());
    let reusing = api
        .config()
        .max_age(Duration::from_secs(500))
        .replay_store(Arc::clone(&store))
        .danger_allow_reuse_within_lifetime()
        .build()
        .unwrap();
    let short = router(config(&api, &store, 10, 0));
    let longest = format!("{:?}", store.windows());
    assert_eq!(longest, "AcceptanceWindows { longest: 10s, .. }");
    serves(&api, &short, 10).await;
    drop(reusing);
}
