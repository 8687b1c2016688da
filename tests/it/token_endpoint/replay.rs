//! A proof is good once, and only clients with a valid grant get one on record.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use dpop_tower::replay::{MemoryReplayStore, StoreError};
use serde_json::Value;

use super::*;
use crate::stores::{CountingStore, Outage};

const USED: (&str, &str) = ("proof_replayed", "invalid_dpop_proof");

#[tokio::test]
async fn rfc_9449_section_11_1_a_proof_is_redeemed_once() {
    let idp = Idp::new();
    let verifier = idp.verifier();
    let proof = idp.proof().sign();
    let (first, second) = (verify(&verifier, &[&proof]), verify(&verifier, &[&proof]));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(why(first.redeem("alice").await), OK);
    assert_eq!(why(second.redeem("alice").await), USED);
    assert_eq!(why(first.clone().redeem("alice").await), USED);
    assert_eq!(why(first.redeem("somebody else").await), USED);
}

#[tokio::test]
async fn of_concurrent_requests_with_one_proof_exactly_one_is_redeemed() {
    let idp = Idp::new();
    let verifier = idp.verifier();
    let proof = idp.proof().sign();
    let redeemed = (0..20).map(|_| {
        let request = verify(&verifier, &[&proof]).unwrap();
        tokio::spawn(async move { request.redeem("alice").await.is_ok() })
    });
    let mut fresh = 0;
    for redeemed in redeemed.collect::<Vec<_>>() {
        fresh += usize::from(redeemed.await.unwrap());
    }
    assert_eq!(fresh, 1);
}

#[tokio::test]
async fn a_stranger_with_valid_proofs_stores_nothing() {
    let idp = Idp::new();
    let store = Arc::new(CountingStore::default());
    let config = idp.config().replay_store(Arc::clone(&store));
    let verifier = Verifier::new(config.build().unwrap());
    for _ in 0..100 {
        let stranger = TestClient::new().clock(idp.clock.clone());
        let request = verify(&verifier, &[&stranger.proof("POST", TOKEN).sign()]).unwrap();
        // No grant of the stranger is valid.
        let bound_to = idp.client.thumbprint();
        assert_eq!(why(request.check_code(Some(&bound_to))).1, "invalid_grant");
        assert_eq!(
            why(request.check_refresh_token(Some(&bound_to))).1,
            "invalid_grant"
        );
    }
    assert_eq!(store.asked(), 0);
    let request = verify(&verifier, &[&idp.proof().sign()]).unwrap();
    assert_eq!(why(request.redeem("alice").await), OK);
    assert_eq!(store.asked(), 1);
}

#[tokio::test]
async fn a_bearer_token_needs_no_record() {
    let idp = Idp::new();
    let config = idp.config().replay_store(Outage::of(StoreError::full));
    let verifier = Verifier::new(config.build().unwrap()).with_policy(Policy::optional());
    let request = verify(&verifier, &[]).unwrap();
    assert_eq!(
        request.redeem("alice").await.unwrap().token_type(),
        "Bearer"
    );
}

#[tokio::test]
async fn one_subject_with_many_keys_cannot_fill_the_store() {
    let idp = Idp::new();
    let store = MemoryReplayStore::with_capacity(NonZeroUsize::new(100_000).unwrap())
        .capacity_per_subject(NonZeroUsize::new(3).unwrap());
    let verifier = Verifier::new(idp.config().replay_store(store).build().unwrap());
    let redeem = async |subject: &str| {
        let client = TestClient::new().clock(idp.clock.clone());
        let request = verify(&verifier, &[&client.proof("POST", TOKEN).sign()]).unwrap();
        request.redeem(subject).await
    };
    for _ in 0..3 {
        assert_eq!(why(redeem("mallory").await), OK);
    }
    let rejection = redeem("mallory").await.unwrap_err();
    assert_eq!(rejection.status(), 503);
    assert_eq!(why(redeem("alice").await), OK);
}

#[tokio::test]
async fn a_store_out_of_reach_is_answered_with_503_and_no_token() {
    let idp = Idp::new();
    for error in [StoreError::full, || StoreError::unavailable("no database")] {
        let config = idp.config().replay_store(Outage::of(error));
        let verifier = Verifier::new(config.build().unwrap());
        let request = verify(&verifier, &[&idp.proof().sign()]).unwrap();
        let rejection = request.redeem("alice").await.unwrap_err();
        assert!(rejection.store_error().is_some());
        let response = rejection.into_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "5");
        assert_eq!(response.headers()["cache-control"], "no-store");
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(body["error"], "temporarily_unavailable");
    }
}

#[tokio::test]
async fn a_proof_that_became_too_old_while_the_client_was_authenticated_is_rejected() {
    let idp = Idp::new();
    let verifier = idp.verifier();
    let (in_time, late) = (
        verify(&verifier, &[&idp.proof().sign()]).unwrap(),
        verify(&verifier, &[&idp.proof().sign()]).unwrap(),
    );
    idp.clock.advance(Duration::from_secs(70));
    assert_eq!(why(in_time.redeem("alice").await), OK);
    idp.clock.advance(Duration::from_secs(1));
    let too_old = ("proof_too_old", "invalid_dpop_proof");
    assert_eq!(why(late.redeem("alice").await), too_old);
}

#[tokio::test]
async fn a_proof_from_before_a_restart_needs_a_nonce_from_after_it() {
    let idp = Idp::new();
    let proof = idp.proof().sign();
    let since = dpop_tower::clock::TimeSource::now(&idp.clock);
    let store = Arc::new(MemoryReplayStore::new().fenced_since(since).unwrap());
    let verifier = Verifier::new(idp.config().replay_store(store).build().unwrap());
    let rejection = verify(&verifier, &[&proof]).unwrap_err();
    assert_eq!(rejection.reason(), "proof_fenced");
    assert_eq!(rejection.error_code(), "use_dpop_nonce");
    let nonce = rejection.headers()["dpop-nonce"]
        .to_str()
        .unwrap()
        .to_owned();
    let request = verify(&verifier, &[&idp.proof().nonce(&nonce).sign()]).unwrap();
    assert_eq!(why(request.redeem("alice").await), OK);
}
