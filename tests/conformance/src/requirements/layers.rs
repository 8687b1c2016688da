//! Two layers with requirements of their own.

use std::{sync::Arc, time::Duration};

use dpop_tower::{
    DpopLayer, Policy,
    clock::TimeSource as _,
    crypto::Algorithm,
    nonce::{NonceContext, NonceSource as _},
    policy::Draft,
    test_util::{KeyKind, TestClient, TokenBuilder},
};
use http::Method;

use super::{
    bearer, insufficient_scope, nonce_required, nonces, present, protected, step_up, use_nonce,
    with_layer, with_nonce,
};
use crate::{
    stores::CountingStore,
    support::{URL, Verdict, Way, invalid_proof},
};

pub(super) async fn of_two_layers_what_either_asks_for_counts_and_the_proof_is_used_once(way: Way) {
    let api = way.api();
    let now = api.now();
    let too_old = invalid_proof("proof_too_old");
    // (a policy, the outcome of a request that is ten seconds old and whose token has scope `a`, what
    // the request would need to pass)
    type Change = fn(TokenBuilder) -> TokenBuilder;
    let table: [(Policy<Draft>, Verdict, Change); 6] = [
        (
            Policy::strict().require_scope("b"),
            insufficient_scope("policy_scope_missing"),
            |token| token.scope("a b"),
        ),
        (
            Policy::strict().require_claim("x", |x| x == 1),
            insufficient_scope("policy_claim_insufficient"),
            |token| token.claim("x", 1),
        ),
        (
            Policy::strict().require_acr(["high"]),
            step_up("policy_acr_insufficient"),
            |token| token.claim("acr", "high"),
        ),
        (
            Policy::strict().max_auth_age(Duration::from_secs(60)),
            step_up("policy_auth_too_old"),
            |token| token.claim("auth_time", 1_800_000_000),
        ),
        (
            Policy::strict().require_nonce(),
            use_nonce("proof_nonce_missing"),
            |token| token,
        ),
        (
            Policy::strict().proof_algorithms([Algorithm::Ed25519]),
            invalid_proof("proof_alg_not_allowed"),
            |token| token,
        ),
    ];
    for (policy, expected, change) in table {
        for is_outer in [true, false] {
            let store = Arc::new(CountingStore::default());
            let config = api
                .config()
                .nonce_source(nonces())
                .replay_store(Arc::clone(&store));
            let layer = DpopLayer::new(config.build().unwrap());
            let asking = layer.clone().with_policy(policy.clone().build().unwrap());
            let (outer, inner) = match is_outer {
                true => (asking, layer),
                false => (layer, asking),
            };
            let router = with_layer(inner).layer(outer);
            let token = api.token().scope("a").mint();
            let proof = api.proof(&token).claim("iat", now - 10).sign();
            let client = &api.client;
            let request = client.request_with_proof(Method::GET, URL, &token, &proof);
            let verdict = Verdict::of(way.send(router.clone(), request).await);
            assert_eq!(verdict, expected, "{policy:?}, outer: {is_outer}");

            // The client has no key for the other algorithm.
            if expected != invalid_proof("proof_alg_not_allowed") {
                let before = store.asked();
                let token = change(api.token().scope("a")).mint();
                let nonce = nonces().current(&NonceContext::new(
                    api.clock.now(),
                    &dpop_tower::crypto::AwsLcRs,
                ));
                let proof = api.proof(&token).nonce(&nonce).sign();
                let request = client.request_with_proof(Method::GET, URL, &token, &proof);
                let verdict = Verdict::of(way.send(router, request).await);
                assert_eq!(verdict, Verdict::Admitted, "{policy:?}, outer: {is_outer}");
                assert_eq!(store.asked(), before + 1, "{policy:?}");
            }
        }
    }
    // The maximum age of a proof, in either layer.
    for is_outer in [true, false] {
        let layer = DpopLayer::new(api.config().build().unwrap());
        let short = Policy::strict().max_proof_age(Duration::from_secs(5));
        let asking = layer.clone().with_policy(short.build().unwrap());
        let (outer, inner) = match is_outer {
            true => (asking, layer),
            false => (layer, asking),
        };
        let router = with_layer(inner).layer(outer);
        for (age, expected) in [(15, Verdict::Admitted), (16, too_old)] {
            let token = api.token().mint();
            let proof = api.proof(&token).claim("iat", now - age).sign();
            let client = &api.client;
            let request = client.request_with_proof(Method::GET, URL, &token, &proof);
            let verdict = Verdict::of(way.send(router.clone(), request).await);
            assert_eq!(verdict, expected, "{age} s, outer: {is_outer}");
        }
    }
}

pub(super) async fn an_inner_layer_that_wants_a_nonce_renews_it(way: Way) {
    let api = way.api();
    let config = api.config().nonce_source(nonces());
    let layer = DpopLayer::new(config.build().unwrap());
    let inner = layer.clone().with_policy(nonce_required());
    let router = with_layer(inner).layer(layer);
    let nonce = nonces().current(&NonceContext::new(
        api.clock.now(),
        &dpop_tower::crypto::AwsLcRs,
    ));
    for (secs, is_renewed) in [(0, false), (120, true)] {
        api.advance(secs);
        let response = way
            .send(router.clone(), with_nonce(&api, Some(&nonce)))
            .await;
        let new = response.headers().contains_key("dpop-nonce");
        assert_eq!(Verdict::of(response), Verdict::Admitted);
        assert_eq!(new, is_renewed, "after {secs} s");
    }
}

pub(super) async fn an_inner_layer_asks_of_bearer_tokens_too(way: Way) {
    let api = way.api();
    let layer = DpopLayer::new(api.config().policy(Policy::optional()).build().unwrap());
    let asking = Policy::optional().require_scope("b").build().unwrap();
    let inner = layer.clone().with_policy(asking);
    let router = with_layer(inner).layer(layer);
    for (granted, expected) in [
        ("b", Verdict::Admitted),
        ("a", insufficient_scope("policy_scope_missing")),
    ] {
        let token = api.issuer.token().scope(granted).mint();
        let verdict = Verdict::of(way.send(router.clone(), bearer(&token)).await);
        assert_eq!(verdict, expected, "{granted}");
    }
}

pub(super) async fn a_nonce_that_the_outer_layer_did_not_care_about_has_to_be_good_for_the_inner_one(
    way: Way,
) {
    let api = way.api();
    let config = api.config().nonce_source(nonces());
    let layer = DpopLayer::new(config.build().unwrap());
    let inner = layer.clone().with_policy(nonce_required());
    let router = with_layer(inner).layer(layer);
    let good = nonces().current(&NonceContext::new(
        api.clock.now(),
        &dpop_tower::crypto::AwsLcRs,
    ));
    for (nonce, expected) in [
        (good.as_str(), Verdict::Admitted),
        ("x", use_nonce("proof_nonce_unknown")),
        ("", use_nonce("proof_nonce_unknown")),
    ] {
        let request = with_nonce(&api, Some(nonce));
        let verdict = Verdict::of(way.send(router.clone(), request).await);
        assert_eq!(verdict, expected, "{nonce}");
    }
}

pub(super) async fn asking_twice_takes_nothing_back(way: Way) {
    let api = way.api();
    let secs = Duration::from_secs;
    let twice = |first: u64, second: u64| {
        let policy = Policy::strict()
            .max_proof_age(secs(first))
            .max_proof_age(secs(second));
        policy.max_auth_age(secs(first)).max_auth_age(secs(second))
    };
    for policy in [twice(5, 30), twice(30, 5)] {
        let router = protected(&api, policy);
        for (age, since_login, expected) in [
            (15, 5, Verdict::Admitted),
            (16, 5, invalid_proof("proof_too_old")),
            (15, 6, step_up("policy_auth_too_old")),
        ] {
            let token = api.token().claim("auth_time", api.now() - since_login);
            let token = token.mint();
            let proof = api.proof(&token).claim("iat", api.now() - age).sign();
            let client = &api.client;
            let request = client.request_with_proof(Method::GET, URL, &token, &proof);
            let verdict = Verdict::of(way.send(router.clone(), request).await);
            assert_eq!(verdict, expected, "{age} s, {since_login} s");
        }
    }
    let client = TestClient::with_key(KeyKind::Ed25519).clock(api.clock.clone());
    let (one, two) = (
        vec![Algorithm::Ed25519],
        vec![Algorithm::Es256, Algorithm::Ed25519],
    );
    for (first, second) in [(&one, &two), (&two, &one)] {
        let policy = Policy::strict()
            .proof_algorithms(first.iter().copied())
            .proof_algorithms(second.iter().copied())
            .require_acr(["a", "b"])
            .require_acr(["b", "c"]);
        let router = protected(&api, policy);
        for (acr, expected) in [
            ("b", Verdict::Admitted),
            ("a", step_up("policy_acr_insufficient")),
            ("c", step_up("policy_acr_insufficient")),
        ] {
            let token = api.issuer.token().bound_to(&client).claim("acr", acr);
            let request = client.get(URL, &token.mint());
            let verdict = Verdict::of(way.send(router.clone(), request).await);
            assert_eq!(verdict, expected, "{acr}");
        }
        let verdict = present(&api, &router, &api.token().claim("acr", "b").mint()).await;
        assert_eq!(verdict, invalid_proof("proof_alg_not_allowed"));
    }
}
