//! Section 11.1: each proof is accepted once, and a rejected one is not used up.

use crate::stores::CountingStore;
use crate::support::{Api, URL, Verdict, Way, invalid_proof, unavailable};
use dpop_tower::{
    clock::UnixTime,
    crypto::AwsLcRs,
    replay::{Freshness, MemoryReplayStore, ReplayKey, ReplayStore as _, UsedProof},
    test_util::TestClient,
};
use http::Method;
use std::{num::NonZeroUsize, sync::Arc, time::Duration};
use tokio::sync::Barrier;

cases! { rfc9449::section_11_1 as section_11_1;
each_way [
    a_proof_passes_once,
    of_64_concurrent_copies_of_a_proof_exactly_one_passes,
    a_jti_counts_once_however_often_its_client_signs_it,
    a_client_cannot_use_up_the_jti_of_another,
    a_proof_is_remembered_for_as_long_as_it_is_acceptable,
    a_proof_is_remembered_five_seconds_longer_than_it_is_acceptable,
    a_clock_that_goes_back_lets_no_proof_pass_twice,
    a_rejected_request_never_gets_to_the_store,
    a_rejected_proof_does_not_use_up_its_jti,
    a_full_store_rejects_what_is_new_and_knows_what_is_old,
    a_full_store_serves_again_when_its_proofs_are_too_old,
    a_client_that_has_used_up_its_share_does_not_lock_out_the_others,
    a_user_with_ten_keys_does_not_lock_out_the_others,
    a_client_that_acts_for_itself_is_a_subject,
]
}

fn size(entries: usize) -> NonZeroUsize {
    NonZeroUsize::new(entries).unwrap()
}

fn api_with(way: Way, store: MemoryReplayStore) -> Api {
    way.api_with(|tokens| tokens, |config| config.replay_store(store))
}

/// Returns the verdict on a fresh request of this client.
async fn fresh(api: &Api, client: &TestClient) -> Verdict {
    let token = api.issuer.token().subject("bob").bound_to(client).mint();
    api.send(client.get(URL, &token)).await
}

async fn a_proof_passes_once(way: Way) {
    let api = way.api();
    let token = api.token().mint();
    let proof = api.proof(&token).sign();
    assert_eq!(api.get(&token, &proof).await, Verdict::Admitted);
    for _ in 0..3 {
        assert_eq!(
            api.get(&token, &proof).await,
            invalid_proof("proof_replayed")
        );
    }
}

async fn of_64_concurrent_copies_of_a_proof_exactly_one_passes(way: Way) {
    const COPIES: usize = 64;
    let api = way.api();
    for _ in 0..5 {
        let token = api.token().mint();
        let proof = api.proof(&token).sign();
        let start = Arc::new(Barrier::new(COPIES));
        let tasks: Vec<_> = (0..COPIES)
            .map(|_| {
                let request = api
                    .client
                    .request_with_proof(Method::GET, URL, &token, &proof);
                let (router, start) = (api.router.clone(), start.clone());
                tokio::spawn(async move {
                    start.wait().await;
                    Verdict::of(way.send(router, request).await)
                })
            })
            .collect();
        let mut admitted = 0;
        for task in tasks {
            match task.await.unwrap() {
                Verdict::Admitted => admitted += 1,
                rejected => assert_eq!(rejected, invalid_proof("proof_replayed")),
            }
        }
        assert_eq!(admitted, 1);
    }
}

async fn a_jti_counts_once_however_often_its_client_signs_it(way: Way) {
    let api = way.api();
    let (one, other) = (api.token().mint(), api.token().scope("x").mint());
    let proof = api.proof(&one).claim("jti", "same").sign();
    assert_eq!(api.get(&one, &proof).await, Verdict::Admitted);
    api.advance(1);
    for resigned in [
        api.proof(&one).claim("jti", "same").sign(),
        api.proof(&one).claim("jti", "same").claim("new", 1).sign(),
    ] {
        assert_eq!(
            api.get(&one, &resigned).await,
            invalid_proof("proof_replayed")
        );
    }
    let for_other_token = api.proof(&other).claim("jti", "same").sign();
    assert_eq!(
        api.get(&other, &for_other_token).await,
        invalid_proof("proof_replayed")
    );
}

async fn a_client_cannot_use_up_the_jti_of_another(way: Way) {
    let api = way.api();
    for _ in 0..3 {
        let client = TestClient::new().clock(api.clock.clone());
        let token = api.issuer.token().subject("bob").bound_to(&client).mint();
        let proof = client
            .proof("GET", URL)
            .access_token(&token)
            .claim("jti", "same")
            .sign();
        assert_eq!(api.get(&token, &proof).await, Verdict::Admitted);
    }
}

async fn a_proof_is_remembered_for_as_long_as_it_is_acceptable(way: Way) {
    // (maximum age, leeway, iat of the proof minus the clock of the server)
    for (max_age, leeway, ahead) in [
        (60, 10, 10),
        (60, 10, 0),
        (60, 10, -70),
        (1, 0, 0),
        (5, 30, 30),
    ] {
        let api = way.api_with(
            |tokens| tokens,
            |config| {
                config
                    .max_age(Duration::from_secs(max_age))
                    .leeway(Duration::from_secs(leeway))
            },
        );
        let token = api.token().mint();
        let iat = api.now() + ahead;
        let proof = api.proof(&token).claim("iat", iat).sign();
        assert_eq!(api.get(&token, &proof).await, Verdict::Admitted);
        let last = iat + i64::try_from(max_age + leeway).unwrap();
        api.clock.set(UnixTime::from_secs(last));
        assert_eq!(
            api.get(&token, &proof).await,
            invalid_proof("proof_replayed"),
            "{max_age} {leeway} {ahead}"
        );
        api.advance(1);
        assert_eq!(
            api.get(&token, &proof).await,
            invalid_proof("proof_too_old"),
            "{max_age} {leeway} {ahead}"
        );
    }
}

async fn a_proof_is_remembered_five_seconds_longer_than_it_is_acceptable(way: Way) {
    let store = Arc::new(MemoryReplayStore::new());
    let api = way.api_with(
        |tokens| tokens,
        |config| config.replay_store(Arc::clone(&store)),
    );
    let token = api.token().mint();
    let proof = api.proof(&token).claim("jti", "once").sign();
    assert_eq!(api.get(&token, &proof).await, Verdict::Admitted);
    let key = ReplayKey::new(*api.client.thumbprint().as_bytes(), "once", &AwsLcRs);
    for (after_iat, expected) in [(75, Freshness::Replayed), (76, Freshness::Fresh)] {
        let now = UnixTime::from_secs(api.now() + after_iat);
        let used = UsedProof {
            key,
            now,
            expires_at: now,
        };
        let answer = store.check_and_insert(used).await.unwrap();
        assert_eq!(answer, expected, "{after_iat}");
    }
}

async fn a_clock_that_goes_back_lets_no_proof_pass_twice(way: Way) {
    let api = way.api();
    let token = api.token().mint();
    let proof = api.proof(&token).sign();
    assert_eq!(api.get(&token, &proof).await, Verdict::Admitted);
    api.clock.set(UnixTime::from_secs(api.now() - 10));
    assert_eq!(
        api.get(&token, &proof).await,
        invalid_proof("proof_replayed")
    );
}

async fn a_rejected_request_never_gets_to_the_store(way: Way) {
    let store = Arc::new(CountingStore::default());
    let api = way.api_with(
        |tokens| tokens,
        |config| config.replay_store(Arc::clone(&store)),
    );
    let stranger = TestClient::new().clock(api.clock.clone());
    let token = api.token().mint();
    let unbound = api.issuer.token().mint();
    let expired = api.token().claim("exp", api.now() - 60).mint();
    let forged = api.token().corrupt_signature().mint();
    let proof = || api.proof(&token);
    for (what, token, proof) in [
        ("htu", &token, proof().claim("htu", "https://evil.test/")),
        ("htm", &token, proof().claim("htm", "POST")),
        ("ath", &token, proof().access_token("other")),
        ("old", &token, proof().claim("iat", api.now() - 71)),
        ("jti", &token, proof().claim("jti", "")),
        ("signature", &token, proof().corrupt_signature()),
        ("no signature", &token, proof().empty_signature()),
        ("other's signature", &token, proof().signed_by(&stranger)),
        (
            "other's key",
            &token,
            stranger.proof("GET", URL).access_token(&token),
        ),
        ("unbound token", &unbound, api.proof(&unbound)),
        ("expired token", &expired, api.proof(&expired)),
        ("forged token", &forged, api.proof(&forged)),
    ] {
        let verdict = api.get(token, &proof.sign()).await;
        assert_ne!(verdict, Verdict::Admitted, "{what}");
        assert_eq!(store.asked(), 0, "{what}");
    }
    assert_eq!(
        api.get(&token, &proof().sign()).await,
        Verdict::Admitted,
        "the store is there at all"
    );
    assert_eq!((store.asked(), store.store.len()), (1, 1));
}

async fn a_rejected_proof_does_not_use_up_its_jti(way: Way) {
    let api = way.api();
    let token = api.token().mint();
    let same = || api.proof(&token).claim("jti", "same");
    for (broken, reason) in [
        (
            same().claim("htu", "https://api.test/other"),
            "proof_htu_mismatch",
        ),
        (same().access_token("other"), "proof_ath_mismatch"),
        (same().corrupt_signature(), "proof_signature_invalid"),
    ] {
        assert_eq!(api.get(&token, &broken.sign()).await, invalid_proof(reason));
    }
    assert_eq!(api.get(&token, &same().sign()).await, Verdict::Admitted);
}

async fn a_full_store_rejects_what_is_new_and_knows_what_is_old(way: Way) {
    let api = api_with(
        way,
        MemoryReplayStore::with_capacity(size(3)).capacity_per_key(size(3)),
    );
    let token = api.token().mint();
    let proofs: Vec<_> = (0..3).map(|_| api.proof(&token).sign()).collect();
    for proof in &proofs {
        assert_eq!(api.get(&token, proof).await, Verdict::Admitted);
    }
    for _ in 0..10 {
        let new = api.proof(&token).sign();
        assert_eq!(api.get(&token, &new).await, unavailable("store_full"));
    }
    for proof in &proofs {
        assert_eq!(
            api.get(&token, proof).await,
            invalid_proof("proof_replayed")
        );
    }
}

async fn a_full_store_serves_again_when_its_proofs_are_too_old(way: Way) {
    let api = api_with(way, MemoryReplayStore::with_capacity(size(1)));
    assert_eq!(fresh(&api, &api.client).await, Verdict::Admitted);
    let other = TestClient::new().clock(api.clock.clone());
    api.advance(70);
    assert_eq!(fresh(&api, &other).await, unavailable("store_full"));
    // Long enough for any margin that the layer adds.
    api.advance(30);
    assert_eq!(fresh(&api, &other).await, Verdict::Admitted);
}

async fn a_client_that_has_used_up_its_share_does_not_lock_out_the_others(way: Way) {
    let api = api_with(
        way,
        MemoryReplayStore::with_capacity(size(100)).capacity_per_key(size(2)),
    );
    for _ in 0..2 {
        assert_eq!(fresh(&api, &api.client).await, Verdict::Admitted);
    }
    for _ in 0..200 {
        assert_eq!(fresh(&api, &api.client).await, unavailable("key_full"));
    }
    let other = TestClient::new().clock(api.clock.clone());
    let token = api.issuer.token().subject("carol").bound_to(&other).mint();
    let verdict = api.send(other.get(URL, &token)).await;
    assert_eq!(verdict, Verdict::Admitted);
    api.advance(100);
    assert_eq!(fresh(&api, &api.client).await, Verdict::Admitted);
}

async fn a_user_with_ten_keys_does_not_lock_out_the_others(way: Way) {
    let store = MemoryReplayStore::with_capacity(size(100)).capacity_per_key(size(5));
    let api = api_with(way, store);
    let keys: Vec<_> = (0..10)
        .map(|_| TestClient::new().clock(api.clock.clone()))
        .collect();
    let mut admitted = 0;
    for n in 0..100 {
        let key = &keys[n % keys.len()];
        // Other clients, scopes and sessions do not make another subject.
        let token = api.issuer.token().subject("mallory").bound_to(key);
        let token = token.claim("client_id", format!("client {n}")).mint();
        match api.send(key.get(URL, &token)).await {
            Verdict::Admitted => admitted += 1,
            rejected => assert_eq!(rejected, unavailable("subject_full")),
        }
    }
    assert_eq!(admitted, 5);
    // Others are admitted, one of them with the same key.
    let carol = |key| api.issuer.token().subject("carol").bound_to(key).mint();
    for key in [&keys[0], &api.client] {
        let verdict = api.send(key.get(URL, &carol(key))).await;
        assert_eq!(verdict, Verdict::Admitted);
    }
    api.advance(100);
    let token = api
        .issuer
        .token()
        .subject("mallory")
        .bound_to(&keys[0])
        .mint();
    let verdict = api.send(keys[0].get(URL, &token)).await;
    assert_eq!(verdict, Verdict::Admitted);
}

/// RFC 9068 section 2.2 requires a `sub` in every token, but not every issuer includes one.
async fn a_client_that_acts_for_itself_is_a_subject(way: Way) {
    let api = way.api();
    let hello = || axum::Router::new().route("/orders", axum::routing::get(async || "hello"));
    let store = MemoryReplayStore::with_capacity(size(100)).capacity_per_subject(size(2));
    let config = api.config().replay_store(store.capacity_per_key(size(50)));
    let router = way.protect(config.build().unwrap(), hello(), hello());
    let send = async |client_id: serde_json::Value, sub: serde_json::Value| {
        let key = TestClient::new().clock(api.clock.clone());
        let token = api
            .issuer
            .token()
            .bound_to(&key)
            .claim("client_id", client_id);
        let token = token.claim("sub", sub).mint();
        Verdict::of(way.send(router.clone(), key.get(URL, &token)).await)
    };
    let nobody = serde_json::Value::Null;
    for sub in [nobody.clone(), 7.into()] {
        assert_eq!(send("batch".into(), sub).await, Verdict::Admitted);
    }
    let full = unavailable("subject_full");
    assert_eq!(send("batch".into(), nobody.clone()).await, full);
    assert_eq!(
        send("other".into(), nobody.clone()).await,
        Verdict::Admitted
    );
    // A user with the same name as the client is another subject.
    assert_eq!(
        send("batch".into(), "batch".into()).await,
        Verdict::Admitted
    );
    // Without a claim that names the subject, only keys count.
    for _ in 0..5 {
        let verdict = send(nobody.clone(), nobody.clone()).await;
        assert_eq!(verdict, Verdict::Admitted);
    }
}
