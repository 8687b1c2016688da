//! Proofs that may be used again, with a setting that has `danger` in its name.

use std::sync::Arc;

use dpop_tower::{DpopConfigBuilder, test_util::TestClient};
use http::Method;

use crate::{
    stores::CountingStore,
    support::{Api, URL, Verdict, Way, invalid_proof, invalid_token},
};

cases! { reuse as reuse;
each_way [
    a_proof_can_be_used_again_as_long_as_it_is_acceptable,
    a_proof_that_was_seen_is_checked_as_before_in_everything_else,
    a_proof_that_was_rejected_does_not_count_as_seen,
]
}

fn api(way: Way) -> Api {
    way.api_with(
        |tokens| tokens,
        DpopConfigBuilder::danger_allow_reuse_within_lifetime,
    )
}

async fn a_proof_can_be_used_again_as_long_as_it_is_acceptable(way: Way) {
    let store = Arc::new(CountingStore::default());
    let given = Arc::clone(&store);
    let api = way.api_with(
        |tokens| tokens,
        |config| {
            config
                .replay_store(given)
                .danger_allow_reuse_within_lifetime()
        },
    );
    let token = api.token().mint();
    let proof = api.proof(&token).sign();
    for _ in 0..3 {
        assert_eq!(api.get(&token, &proof).await, Verdict::Admitted);
    }
    api.advance(70);
    assert_eq!(api.get(&token, &proof).await, Verdict::Admitted);
    api.advance(1);
    assert_eq!(
        api.get(&token, &proof).await,
        invalid_proof("proof_too_old")
    );
    assert_eq!(store.asked(), 0);
}

async fn a_proof_that_was_seen_is_checked_as_before_in_everything_else(way: Way) {
    let api = api(way);
    let token = api.token().mint();
    let proof = api.proof(&token).sign();
    assert_eq!(api.get(&token, &proof).await, Verdict::Admitted);

    // The same claims with another signature are another proof.
    let (signed, signature) = proof.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { "B" } else { "A" };
    let forged = format!("{signed}.{other}{}", &signature[1..]);
    let verdict = api.get(&token, &forged).await;
    assert_eq!(verdict, invalid_proof("proof_signature_invalid"));

    let post = api
        .client
        .request_with_proof(Method::POST, URL, &token, &proof);
    assert_eq!(api.send(post).await, invalid_proof("proof_htm_mismatch"));

    let other_token = api.token().subject("bob").mint();
    let verdict = api.get(&other_token, &proof).await;
    assert_eq!(verdict, invalid_proof("proof_ath_mismatch"));

    let other_key = api.issuer.token().bound_to(&TestClient::new()).mint();
    let theirs = api.client.proof("GET", URL).access_token(&other_key).sign();
    for _ in 0..2 {
        let verdict = api.get(&other_key, &theirs).await;
        assert_eq!(verdict, invalid_token("token_binding_mismatch"));
    }
}

async fn a_proof_that_was_rejected_does_not_count_as_seen(way: Way) {
    let api = api(way);
    let token = api.token().mint();
    let forged = api.proof(&token).corrupt_signature().sign();
    for _ in 0..3 {
        let verdict = api.get(&token, &forged).await;
        assert_eq!(verdict, invalid_proof("proof_signature_invalid"));
    }
}
