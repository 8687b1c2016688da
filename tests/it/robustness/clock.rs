//! A broken clock shows the end of time, at which nothing is valid any more.

use std::sync::{Arc, Mutex};

use axum::{Router, routing::get};
use dpop_tower::{
    DpopLayer, Policy,
    clock::UnixTime,
    lifetime::TokenLifetime,
    nonce::{NonceSecret, StatelessNonces},
    replay::MemoryReplayStore,
};
use http::Request;
use serde_json::json;

use crate::{
    rejection::logging::Log,
    support::{Api, URL, Verdict, invalid_proof, invalid_token, send},
};

const END: UnixTime = UnixTime::from_secs(i64::MAX);

fn bearer(api: &Api, token: &str) -> Request<()> {
    let mut request = api.client.get(URL, token);
    let headers = request.headers_mut();
    headers.remove("dpop");
    headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

#[tokio::test]
async fn every_token_and_every_proof_is_over_at_the_end_of_time() {
    let api = Api::new();
    let config = api.config().policy(Policy::optional()).build().unwrap();
    let router = Router::new()
        .route("/orders", get(async || "hello"))
        .layer(DpopLayer::new(config));
    let verdict = async |request| Verdict::of(send(router.clone(), request).await);
    let unbound = || api.issuer.token().without_claim("iat");
    let bound = || api.token().without_claim("iat");
    let good = bearer(&api, &unbound().mint());
    assert_eq!(verdict(good).await, Verdict::Admitted);

    let before = api.now();
    for exp in [json!(before + 300), json!(i64::MAX), json!(u64::MAX)] {
        let (unbound, bound) = (
            unbound().claim("exp", exp.clone()).mint(),
            bound().claim("exp", exp.clone()).mint(),
        );
        let made_now = api.client.get(URL, &bound);
        api.clock.set(END);
        let made_then = api.client.get(URL, &bound);
        let expired = invalid_token("token_expired");
        let good_for_all = bearer(&api, &unbound);
        assert_eq!(verdict(good_for_all).await, expired, "{exp}");
        let too_old = invalid_proof("proof_too_old");
        for request in [made_now, made_then] {
            assert_eq!(verdict(request).await, too_old, "{exp}");
        }
        api.clock.set(UnixTime::from_secs(before));
    }
}

#[test]
fn a_broken_clock_is_a_warning_at_start() {
    let log = Log::listen();
    let api = Api::new();
    assert_eq!(log.take(), [""; 0]);
    api.clock.set(END);
    api.config().build().unwrap();
    let lines = log.take();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains(" WARN ") && lines[0].contains("the clock"),
        "{lines:?}"
    );
}

#[tokio::test]
async fn a_broken_clock_clears_no_memory_of_used_proofs_and_retires_no_nonce() {
    let store = Arc::new(MemoryReplayStore::new());
    let nonces = StatelessNonces::new(NonceSecret::new([1; 32]).unwrap());
    let api = Api::with(
        |tokens| tokens,
        |config| {
            config
                .replay_store(Arc::clone(&store))
                .nonce_source(nonces)
                .require_nonces()
        },
    );
    let token = api.token().mint();
    let challenge = api.response(api.client.get(URL, &token)).await;
    let nonce = challenge.headers()["dpop-nonce"].to_str().unwrap();
    let proof = api.proof(&token).nonce(nonce).sign();
    assert_eq!(api.get(&token, &proof).await, Verdict::Admitted);

    let before = api.now();
    api.clock.set(END);
    for _ in 0..100 {
        let made_then = api.proof(&token).nonce(nonce).sign();
        assert_ne!(api.get(&token, &made_then).await, Verdict::Admitted);
        assert_ne!(api.get(&token, &proof).await, Verdict::Admitted);
    }
    assert_eq!(store.len(), 1);

    api.clock.set(UnixTime::from_secs(before));
    let verdict = api.get(&token, &proof).await;
    assert_eq!(verdict, invalid_proof("proof_replayed"));
    let next = api.proof(&token).nonce(nonce).sign();
    assert_eq!(api.get(&token, &next).await, Verdict::Admitted);
}

#[tokio::test]
async fn a_stream_has_ended_at_the_end_of_time() {
    let api = Api::new();
    let seen = Arc::new(Mutex::new(None));
    let handler = {
        let seen = Arc::clone(&seen);
        async move |lifetime: TokenLifetime| *seen.lock().unwrap() = Some(lifetime)
    };
    let config = api.config().build().unwrap();
    let router = Router::new()
        .route("/orders", get(handler))
        .layer(DpopLayer::new(config));
    let token = api.token().claim("exp", u64::MAX).mint();
    let response = send(router, api.client.get(URL, &token)).await;
    assert_eq!(Verdict::of(response), Verdict::Admitted);
    let lifetime = seen.lock().unwrap().take().unwrap();
    assert!(!lifetime.is_over());
    api.clock.set(END);
    assert!(lifetime.is_over());
}
