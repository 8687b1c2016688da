//! Tokens that were accepted before.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::body::to_bytes;
use dpop_tower::{
    Policy,
    crypto::{
        Algorithm, CryptoProvider, InvalidKey, InvalidSignature, Josekit, PreparedKey, VerifyingKey,
    },
    jwk::PublicJwk,
    test_util::TestClient,
};

use super::Present as _;
use crate::{
    crypto::base64url,
    support::{URL, Way, invalid_proof, invalid_token},
};

/// liboauth2 (CWE-613): a cached verdict must not outlive its token.
pub(super) async fn a_token_that_was_accepted_before_ends_at_exp_all_the_same(way: Way) {
    let api = way.api();
    let token = api.token().mint();
    for _ in 0..2 {
        api.accept("fresh", &token).await;
    }
    api.advance(299);
    api.accept("in its last second", &token).await;
    api.advance(1);
    for _ in 0..2 {
        api.reject("at exp", &token, "token_expired").await;
    }
    // A clock that goes back does not restore a verdict that was dropped.
    api.clock
        .set(dpop_tower::clock::UnixTime::from_secs(api.now() - 1));
    api.accept("before exp", &token).await;
}

/// `exp` is checked again before the proof's signature, the other times only with the verdict.
pub(super) async fn a_token_that_was_accepted_before_begins_at_nbf_all_the_same(way: Way) {
    let api = way.api();
    let token = api.token().claim("nbf", api.now()).mint();
    api.accept("at nbf", &token).await;
    api.clock
        .set(dpop_tower::clock::UnixTime::from_secs(api.now() - 100));
    api.reject("before nbf", &token, "token_not_yet_valid")
        .await;
}

/// The default backend, which counts its operations.
#[derive(Clone, Debug, Default)]
struct Counting {
    prepared: Arc<AtomicUsize>,
    verified: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct CountingKey(PreparedKey, Arc<AtomicUsize>);

impl CryptoProvider for Counting {
    fn supports(&self, algorithm: Algorithm) -> bool {
        Josekit.supports(algorithm)
    }

    fn prepare(&self, key: &PublicJwk, algorithm: Algorithm) -> Result<PreparedKey, InvalidKey> {
        self.prepared.fetch_add(1, Ordering::SeqCst);
        let key = Josekit.prepare(key, algorithm)?;
        Ok(Arc::new(CountingKey(key, Arc::clone(&self.verified))))
    }

    fn sha256(&self, parts: &[&[u8]]) -> [u8; 32] {
        Josekit.sha256(parts)
    }

    fn hmac_sha256(&self, key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
        Josekit.hmac_sha256(key, parts)
    }
}

impl VerifyingKey for CountingKey {
    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.verify(message, signature)
    }
}

pub(super) async fn a_token_and_a_key_that_were_accepted_before_cost_less(way: Way) {
    let counting = Counting::default();
    let backend = counting.clone();
    let api = way.api_with(|tokens| tokens, |config| config.crypto(backend));
    let spent =
        || [&counting.prepared, &counting.verified].map(|count| count.swap(0, Ordering::SeqCst));
    assert_eq!(spent(), [1, 0], "the issuer's key");
    let token = api.token().mint();
    api.accept("first", &token).await;
    assert_eq!(spent(), [1, 2], "token and proof");
    api.accept("second", &token).await;
    assert_eq!(spent(), [0, 1], "the proof");
    api.accept("another token", &api.token().mint()).await;
    assert_eq!(spent(), [0, 2], "token and proof, with a known key");

    // Nothing is cached for strangers: neither an invalid token nor a key that proved nothing.
    let forged = api.token().corrupt_signature().mint();
    let stranger = TestClient::new().clock(api.clock.clone());
    let theirs = api.issuer.token().bound_to(&stranger).mint();
    for _ in 0..2 {
        api.reject("forged", &forged, "token_signature_invalid")
            .await;
        assert_eq!(spent(), [0, 1]);
        let unproved = stranger.proof("GET", URL).access_token(&theirs);
        assert_eq!(
            api.get(&theirs, &unproved.corrupt_signature().sign()).await,
            invalid_proof("proof_signature_invalid")
        );
        let [prepared, _] = spent();
        assert_eq!(prepared, 1);
    }
}

pub(super) async fn a_token_that_was_accepted_before_still_needs_its_key(way: Way) {
    let api = way.api();
    let token = api.token().mint();
    api.accept("the client", &token).await;
    let thief = TestClient::new().clock(api.clock.clone());
    for _ in 0..2 {
        let proof = thief.proof("GET", URL).access_token(&token).sign();
        assert_eq!(
            api.get(&token, &proof).await,
            invalid_token("token_binding_mismatch")
        );
        // With the client's key in the header, but not signed by it.
        let proof = api.proof(&token).signed_by(&thief).sign();
        assert_eq!(
            api.get(&token, &proof).await,
            invalid_proof("proof_signature_invalid")
        );
    }
    api.accept("the client", &token).await;
}

pub(super) async fn a_token_that_was_accepted_before_is_still_no_bearer_token(way: Way) {
    let api = way.api_with(|tokens| tokens, |config| config.policy(Policy::optional()));
    let token = api.token().mint();
    api.accept("the client", &token).await;
    let mut request = api.client.get(URL, &token);
    let bearer = format!("Bearer {token}").parse().unwrap();
    request.headers_mut().insert("authorization", bearer);
    assert_eq!(
        api.send(request).await,
        invalid_token("token_bound_as_bearer")
    );
}

pub(super) async fn a_changed_token_gains_nothing_from_the_original_being_known(way: Way) {
    let api = way.api();
    let token = api.token().mint();
    api.accept("the original", &token).await;
    let (input, signature) = token.rsplit_once('.').unwrap();
    let (header, _) = input.split_once('.').unwrap();
    let root = base64url(api.token().subject("root").payload_json());
    for (what, changed) in [
        ("payload", format!("{header}.{root}.{signature}")),
        (
            "signature",
            format!("{input}.{}", "A".repeat(signature.len())),
        ),
    ] {
        api.reject(what, &changed, "token_signature_invalid").await;
    }
    api.reject("padding", &format!("{token}="), "token_malformed")
        .await;
}

pub(super) async fn tokens_are_not_mixed_up_however_small_the_cache_is(way: Way) {
    for capacity in [0, 1, 2, 10_000] {
        let api = way.api_with(|tokens| tokens.cache_capacity(capacity), |config| config);
        let other = TestClient::new().clock(api.clock.clone());
        let tokens: Vec<_> = ["alice", "bob", "carol"]
            .into_iter()
            .map(|subject| (subject, api.token().subject(subject).mint(), &api.client))
            .chain([(
                "dave",
                api.issuer.token().subject("dave").bound_to(&other).mint(),
                &other,
            )])
            .collect();
        for _ in 0..3 {
            for (subject, token, client) in &tokens {
                let request = client.get(URL, token);
                let response = api.response(request).await;
                let body = to_bytes(response.into_body(), 100).await.unwrap();
                assert_eq!(body, subject.as_bytes(), "capacity {capacity}");
            }
        }
    }
}
