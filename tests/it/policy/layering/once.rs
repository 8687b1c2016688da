//! How often nested layers use up a proof.

use std::sync::Arc;

use axum::{Router, routing::get};
use dpop_tower::{BoundToken, DpopConfig, DpopLayer, Policy, PublicOrigin};
use http_body_util::BodyExt as _;
use serde_json::json;

use super::modes::{Kind, OFF, OPTIONAL, REPORT, STRICT, answer, pair, request, table};
use crate::{
    frameworks::layer::AnyToken,
    stores::CountingStore,
    support::{Api, Backend, ORIGIN, URL, Verdict, invalid_proof, send},
};

dpop_conformance::each_backend!(
    the_store_is_asked_once_by_each_configuration_that_looks,
    a_proof_that_came_through_one_pair_is_used_at_every_other,
    of_two_configurations_the_inner_one_gives_the_token,
    a_configuration_between_two_layers_of_another_has_these_take_a_proof_for_a_replay,
    two_configurations_with_one_store_take_every_proof_for_its_own_replay,
);

/// The outer policy, the inner policy, how often one configuration queries its store for a valid
/// request, and how often each of two does.
type Case = (fn() -> Policy, fn() -> Policy, usize, [usize; 2]);

async fn the_store_is_asked_once_by_each_configuration_that_looks(backend: Backend) {
    let cases: [Case; 16] = [
        (STRICT, STRICT, 1, [1, 1]),
        (STRICT, OPTIONAL, 1, [1, 1]),
        (STRICT, REPORT, 1, [1, 1]),
        (STRICT, OFF, 1, [1, 0]),
        (OPTIONAL, STRICT, 1, [1, 1]),
        (OPTIONAL, OPTIONAL, 1, [1, 1]),
        (OPTIONAL, REPORT, 1, [1, 1]),
        (OPTIONAL, OFF, 1, [1, 0]),
        (REPORT, STRICT, 1, [1, 1]),
        (REPORT, OPTIONAL, 1, [1, 1]),
        (REPORT, REPORT, 1, [1, 1]),
        (REPORT, OFF, 1, [1, 0]),
        (OFF, STRICT, 1, [0, 1]),
        (OFF, OPTIONAL, 1, [0, 1]),
        (OFF, REPORT, 1, [0, 1]),
        (OFF, OFF, 0, [0, 0]),
    ];
    let api = backend.api();
    for (outer, inner, by_one, by_each) in cases {
        let modes = (outer().mode(), inner().mode());
        let stores = [(); 3].map(|()| Arc::new(CountingStore::default()));
        let [shared, first, second] = stores.each_ref().map(|store| {
            let config = api.config().replay_store(Arc::clone(store));
            DpopLayer::new(config.build().unwrap())
        });
        let calls = Arc::default();
        for (outer_layer, inner_layer) in [(shared.clone(), shared), (first, second)] {
            let service = pair(
                &outer_layer.with_policy(outer()),
                &inner_layer.with_policy(inner()),
                &calls,
            );
            // One of these requests has a proof.
            for kind in [Kind::Bound, Kind::Bearer, Kind::Nothing] {
                answer(request(&api, kind), service.clone(), &calls).await;
            }
        }
        let asked = stores.map(|store| store.asked());
        assert_eq!(asked, [by_one, by_each[0], by_each[1]], "{modes:?}");
    }
}

async fn a_proof_that_came_through_one_pair_is_used_at_every_other(backend: Backend) {
    let api = backend.api();
    let layer = DpopLayer::new(api.config().build().unwrap());
    let calls = Arc::default();
    for (outer, inner, row) in table() {
        for (other_outer, other_inner, other_row) in table() {
            let through = |outer: fn() -> Policy, inner: fn() -> Policy| {
                let layers = (
                    layer.clone().with_policy(outer()),
                    layer.clone().with_policy(inner()),
                );
                pair(&layers.0, &layers.1, &calls)
            };
            let proof = request(&api, Kind::Bound);
            let first = answer(proof.clone(), through(outer, inner), &calls).await;
            let second = answer(proof, through(other_outer, other_inner), &calls).await;
            let what = format!(
                "{:?} and {:?}, then {:?} and {:?}",
                outer().mode(),
                inner().mode(),
                other_outer().mode(),
                other_inner().mode()
            );
            assert_eq!(first, row[Kind::Bound as usize], "{what}");
            let looked_at = (outer, inner) != (OFF, OFF);
            let expected = if looked_at {
                Kind::Replayed
            } else {
                Kind::Bound
            };
            assert_eq!(second, other_row[expected as usize], "{what}");
        }
    }
}

/// A layer of another configuration, which accepts every token as its own.
fn another(api: &Api) -> DpopLayer {
    let claims = json!({
        "sub": "seen by another",
        "exp": api.now() + 60,
        "cnf": { "jkt": api.client.thumbprint().to_string() },
    });
    let origin = PublicOrigin::new(ORIGIN).unwrap();
    let config = DpopConfig::builder(origin, Arc::new(AnyToken { claims }));
    DpopLayer::new(config.clock(api.clock.clone()).build().unwrap())
}

async fn of_two_configurations_the_inner_one_gives_the_token(backend: Backend) {
    let api = backend.api();
    let (one, other) = (DpopLayer::new(api.config().build().unwrap()), another(&api));
    let subject = |token: BoundToken| async move { token.claims().subject().unwrap().to_owned() };
    for (inner, outer, expected) in [
        (other.clone(), one.clone(), "seen by another"),
        (one, other, "alice"),
    ] {
        let router = Router::new().route("/orders", get(subject));
        let router = router.layer(inner).layer(outer);
        let request = api.client.get(URL, &api.token().mint());
        let response = send(router.clone(), request.clone()).await;
        assert_eq!(response.status(), 200, "{expected}");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, expected);
        let again = Verdict::of(send(router, request).await);
        assert_eq!(again, invalid_proof("proof_replayed"));
    }
}

/// A trap: the innermost layer finds the proof that the outermost one has used, since the verdict of the
/// layer between them is the closest. The log says so; see `logging`.
async fn a_configuration_between_two_layers_of_another_has_these_take_a_proof_for_a_replay(
    backend: Backend,
) {
    let api = backend.api();
    let around = DpopLayer::new(api.config().build().unwrap());
    let router = Router::new()
        .route("/orders", get(|| async {}))
        .layer(around.clone())
        .layer(another(&api))
        .layer(around);
    let verdict = Verdict::of(send(router, api.client.get(URL, &api.token().mint())).await);
    assert_eq!(verdict, invalid_proof("proof_replayed"));
}

/// A trap: one finds the proof that the other has recorded.
async fn two_configurations_with_one_store_take_every_proof_for_its_own_replay(backend: Backend) {
    let api = backend.api();
    let store = Arc::new(CountingStore::default());
    let layer = || {
        let config = api.config().replay_store(Arc::clone(&store));
        DpopLayer::new(config.build().unwrap())
    };
    let router = Router::new()
        .route("/orders", get(|| async {}))
        .layer(layer())
        .layer(layer());
    let verdict = Verdict::of(send(router, api.client.get(URL, &api.token().mint())).await);
    assert_eq!(verdict, invalid_proof("proof_replayed"));
}
