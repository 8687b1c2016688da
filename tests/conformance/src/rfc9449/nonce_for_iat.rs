//! Section 11.1: the time in a nonce of the server instead of the client's clock.

use std::{sync::Arc, time::Duration};

use axum::{Router, routing::get};
use dpop_tower::{
    ConfigErrorKind, DpopConfigBuilder, DpopLayer, Policy,
    clock::TimeSource as _,
    crypto::AwsLcRs,
    nonce::{NonceContext, NonceSecret, NonceSource, NonceStatus, StatelessNonces},
    replay::MemoryReplayStore,
};
use http::Method;

use crate::support::{Api, URL, Verdict, Way, invalid_proof, send};

cases! { rfc9449::nonce_for_iat as nonce_for_iat;
each_way [
    with_a_good_nonce_a_clients_clock_may_be_off_by_any_amount,
    without_a_good_nonce_the_clocks_have_to_agree,
    a_proof_by_its_nonce_is_good_for_as_long_as_that_and_once,
    the_age_that_a_policy_asks_for_counts_from_the_nonce,
]
once [
    a_proof_that_was_used_by_its_iat_is_used_by_its_nonce_too,
    a_proof_that_was_used_by_its_nonce_is_not_used_again_by_its_iat,
    nonces_that_cannot_stand_in_for_a_clock_are_a_mistake_in_the_configuration,
]
}

const USED: Verdict = invalid_proof("proof_replayed");

const fn use_nonce(reason: &'static str) -> Verdict {
    Verdict::Rejected {
        status: 401,
        error: "use_dpop_nonce",
        reason,
    }
}

/// Nonces with a period of two minutes.
fn nonces() -> StatelessNonces {
    StatelessNonces::new(NonceSecret::new([9; 32]).unwrap())
}

fn by_nonce(config: DpopConfigBuilder) -> DpopConfigBuilder {
    config
        .nonce_source(nonces())
        .require_nonces()
        .accept_nonce_for_iat()
}

fn api(way: Way) -> Api {
    way.api_with(|tokens| tokens, by_nonce)
}

fn nonce(api: &Api) -> String {
    nonces().current(&NonceContext::new(api.clock.now(), &AwsLcRs))
}

/// Returns a token that outlives the test, and a proof whose `iat` is this far from now.
fn request(api: &Api, nonce: &str, offset: i64) -> (String, String) {
    let token = api.token().claim("exp", api.now() + 100_000).mint();
    let iat = api.now().saturating_add(offset);
    let proof = api.proof(&token).claim("iat", iat).nonce(nonce).sign();
    (token, proof)
}

async fn with_a_good_nonce_a_clients_clock_may_be_off_by_any_amount(way: Way) {
    let api = api(way);
    for offset in [0, 11, -71, 3_600, -86_400, i64::MAX, i64::MIN / 2] {
        let (token, proof) = request(&api, &nonce(&api), offset);
        assert_eq!(api.get(&token, &proof).await, Verdict::Admitted, "{offset}");
        assert_eq!(api.get(&token, &proof).await, USED, "{offset}");
    }
    // The claim still has to be present.
    let token = api.token().mint();
    for (proof, reason) in [
        (
            api.proof(&token).without_claim("iat"),
            "proof_missing_claim",
        ),
        (api.proof(&token).claim("iat", "now"), "proof_invalid_claim"),
    ] {
        let proof = proof.nonce(&nonce(&api)).sign();
        assert_eq!(api.get(&token, &proof).await, invalid_proof(reason));
    }
}

async fn without_a_good_nonce_the_clocks_have_to_agree(way: Way) {
    let api = api(way);
    let old = nonce(&api);
    api.advance(240);
    for nonce in [old.as_str(), "AAAAAADYKovr5EB30NLoa5lYi6UjWaIx", "x"] {
        let (token, proof) = request(&api, nonce, 3_600);
        let verdict = api.get(&token, &proof).await;
        assert_eq!(verdict, invalid_proof("proof_from_future"), "{nonce}");
        let (token, proof) = request(&api, nonce, 0);
        let verdict = api.get(&token, &proof).await;
        assert_eq!(verdict, use_nonce("proof_nonce_unknown"), "{nonce}");
    }
    // A nonce does not help unless the setting is on.
    let plain = way.api_with(
        |tokens| tokens,
        |config| config.nonce_source(nonces()).require_nonces(),
    );
    let (token, proof) = request(&plain, &nonce(&plain), 3_600);
    let verdict = plain.get(&token, &proof).await;
    assert_eq!(verdict, invalid_proof("proof_from_future"));
}

async fn a_proof_by_its_nonce_is_good_for_as_long_as_that_and_once(way: Way) {
    let api = api(way);
    // The beginning of a period, so that the nonce lives as long as possible.
    let to_begin = 120 - api.now().rem_euclid(120);
    api.advance(u64::try_from(to_begin).unwrap());
    let (late_token, late) = request(&api, &nonce(&api), -50_000);
    let (token, proof) = request(&api, &nonce(&api), -50_000);
    assert_eq!(api.get(&token, &proof).await, Verdict::Admitted);
    for secs in [60, 60, 60, 59] {
        api.advance(secs);
        assert_eq!(api.get(&token, &proof).await, USED);
    }
    assert_eq!(api.get(&late_token, &late).await, Verdict::Admitted);
    assert_eq!(api.get(&late_token, &late).await, USED);
    api.advance(1);
    // The proof has expired by either clock.
    assert_ne!(api.get(&token, &proof).await, Verdict::Admitted);
    assert_ne!(api.get(&late_token, &late).await, Verdict::Admitted);
}

async fn the_age_that_a_policy_asks_for_counts_from_the_nonce(way: Way) {
    let policy = Policy::strict().max_proof_age(Duration::from_secs(30));
    let api = way.api_with(|tokens| tokens, |config| by_nonce(config).policy(policy));
    let to_begin = 120 - api.now().rem_euclid(120);
    api.advance(u64::try_from(to_begin).unwrap());
    let nonce = nonce(&api);
    for (secs, expected) in [
        (0, Verdict::Admitted),
        (40, Verdict::Admitted),
        (1, invalid_proof("proof_too_old")),
    ] {
        api.advance(secs);
        let (token, proof) = request(&api, &nonce, 9_999);
        assert_eq!(api.get(&token, &proof).await, expected, "{secs}");
    }
}

/// One of them uses `iat`, the other the nonce, and they share the used proofs.
async fn a_proof_that_was_used_by_its_iat_is_used_by_its_nonce_too() {
    let api = Api::new();
    let store = Arc::new(MemoryReplayStore::new());
    let config = || {
        api.config()
            .nonce_source(nonces())
            .require_nonces()
            .replay_store(Arc::clone(&store))
    };
    let router = |config: DpopConfigBuilder| {
        let layer = DpopLayer::new(config.build().unwrap());
        Router::new()
            .route("/orders", get(async || "hello"))
            .layer(layer)
    };
    let (by_iat, by_nonce) = (router(config()), router(config().accept_nonce_for_iat()));
    let to_begin = 120 - api.now().rem_euclid(120);
    api.advance(u64::try_from(to_begin).unwrap());
    // As old as `iat` allows.
    let (token, proof) = request(&api, &nonce(&api), -70);
    let to = async |router: &Router| {
        let request = api
            .client
            .request_with_proof(Method::GET, URL, &token, &proof);
        Verdict::of(send(router.clone(), request).await)
    };
    assert_eq!(to(&by_iat).await, Verdict::Admitted);
    for secs in [0, 10, 100, 100, 29] {
        api.advance(secs);
        assert_eq!(to(&by_nonce).await, USED, "{secs}");
    }
}

/// Nonces stand in for `iat` although none is required. The record of the use is gone when `iat` becomes good.
async fn a_proof_that_was_used_by_its_nonce_is_not_used_again_by_its_iat() {
    let api = Api::with(
        |tokens| tokens,
        |config| config.nonce_source(nonces()).accept_nonce_for_iat(),
    );
    let (token, proof) = request(&api, &nonce(&api), 3_600);
    assert_eq!(api.get(&token, &proof).await, Verdict::Admitted);
    api.advance(3_600);
    let verdict = api.get(&token, &proof).await;
    assert_eq!(verdict, use_nonce("proof_nonce_unknown"));
    // Clients that know no nonces need none.
    let token = api.token().mint();
    let proof = api.proof(&token).sign();
    assert_eq!(api.get(&token, &proof).await, Verdict::Admitted);
}

async fn nonces_that_cannot_stand_in_for_a_clock_are_a_mistake_in_the_configuration() {
    #[derive(Debug)]
    struct Timeless;

    impl NonceSource for Timeless {
        fn current(&self, _: &NonceContext<'_>) -> String {
            "nonce".to_owned()
        }

        fn check(&self, nonce: &str, _: &NonceContext<'_>) -> NonceStatus {
            match nonce {
                "nonce" => NonceStatus::Current,
                _ => NonceStatus::Unknown,
            }
        }
    }

    let api = Api::new();
    let build = |config: DpopConfigBuilder| config.accept_nonce_for_iat().build();
    let error = build(api.config().nonce_source(Timeless).require_nonces()).unwrap_err();
    assert_eq!(error.kind(), ConfigErrorKind::Nonces);
    assert!(error.to_string().contains("NonceSource::life"), "{error}");
    let slow = |secs| nonces().period(Duration::from_secs(secs));
    let error = build(api.config().nonce_source(slow(301)).require_nonces()).unwrap_err();
    assert_eq!(error.kind(), ConfigErrorKind::Nonces);
    assert!(error.to_string().contains("10 minutes"), "{error}");
    assert!(build(api.config().nonce_source(slow(300)).require_nonces()).is_ok());
    assert!(build(api.config()).is_ok());
}
