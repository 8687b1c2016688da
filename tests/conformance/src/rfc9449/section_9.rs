//! Section 9 (with 8.1 and 8.2): nonces of the resource server, turned on and off.

use crate::{
    stores::CountingStore,
    support::{Api, URL, Verdict, Way, invalid_proof, unavailable},
};
use axum::{Router, body::Body};
use dpop_tower::{
    clock::TimeSource as _,
    crypto::AwsLcRs,
    nonce::{NonceContext, NonceSecret, NonceSource as _, StatelessNonces},
};
use http::{Method, Request, Response, header};
use serde_json::json;
use std::{sync::Arc, time::Duration};

cases! { rfc9449::section_9 as section_9;
each_way [
    a_proof_without_nonce_is_challenged_and_passes_with_the_nonce_it_got,
    a_nonce_that_is_not_ours_or_no_longer_is_answered_with_a_good_one,
    a_nonce_that_is_no_string_is_an_invalid_claim,
    a_nonce_may_be_used_with_many_proofs,
    a_nonce_does_not_make_a_proof_pass_twice,
    a_rejected_nonce_does_not_use_up_the_jti,
    a_new_nonce_comes_with_a_response_only_when_the_old_one_is_about_to_retire,
    a_renewed_nonce_replaces_the_headers_of_the_handler,
    a_client_that_uses_the_latest_nonce_once_a_period_sees_one_challenge_in_all,
    every_challenge_brings_a_nonce_that_is_good,
    without_nonces_no_response_has_one,
    a_503_brings_no_nonce,
    who_is_not_admitted_leaves_no_trace,
    nodes_that_share_a_secret_accept_each_others_nonces,
    a_nonce_of_the_old_secret_is_accepted_while_it_is_being_changed,
    a_proof_that_was_signed_ahead_of_time_is_rejected_when_its_time_has_come,
]
each_way_of_the_layer [
    a_challenge_of_an_extractor_brings_a_nonce_too,
]
}

const PERIOD: u64 = 120;

fn nonces(secret: u8) -> StatelessNonces {
    StatelessNonces::new(NonceSecret::new([secret; 32]).unwrap())
        .period(Duration::from_secs(PERIOD))
}

fn api(way: Way) -> Api {
    way.api_with_nonces(nonces(1))
}

const fn use_nonce(reason: &'static str) -> Verdict {
    Verdict::Rejected {
        status: 401,
        error: "use_dpop_nonce",
        reason,
    }
}

fn nonce_of(response: &Response<Body>) -> Option<String> {
    let mut values = response.headers().get_all("dpop-nonce").iter();
    let nonce = values.next()?.to_str().unwrap().to_owned();
    assert!(values.next().is_none(), "two nonces");
    Some(nonce)
}

fn request(api: &Api, nonce: Option<&str>) -> Request<()> {
    let token = api.token().mint();
    let mut proof = api.proof(&token);
    if let Some(nonce) = nonce {
        proof = proof.nonce(nonce);
    }
    api.client
        .request_with_proof(Method::GET, URL, &token, &proof.sign())
}

async fn get(api: &Api, nonce: Option<&str>) -> Response<Body> {
    api.response(request(api, nonce)).await
}

/// Returns the nonce in a challenge.
async fn fetch(api: &Api) -> String {
    nonce_of(&get(api, None).await).unwrap()
}

async fn a_proof_without_nonce_is_challenged_and_passes_with_the_nonce_it_got(way: Way) {
    let api = api(way);
    let response = get(&api, None).await;
    let nonce = nonce_of(&response).unwrap();
    assert_eq!(Verdict::of(response), use_nonce("proof_nonce_missing"));
    assert_eq!(
        Verdict::of(get(&api, Some(&nonce)).await),
        Verdict::Admitted
    );
}

async fn a_nonce_that_is_not_ours_or_no_longer_is_answered_with_a_good_one(way: Way) {
    let api = api(way);
    let old = fetch(&api).await;
    api.advance(2 * PERIOD);
    let of_another_secret = nonces(2).current(&NonceContext::new(api.clock.now(), &AwsLcRs));
    for unknown in [
        "",
        "x",
        "a nonce",
        &old,
        &of_another_secret,
        &"A".repeat(32),
        &"n".repeat(4000),
        "\u{fc}",
    ] {
        let response = get(&api, Some(unknown)).await;
        let fresh = nonce_of(&response).unwrap();
        let verdict = Verdict::of(response);
        assert_eq!(verdict, use_nonce("proof_nonce_unknown"), "{unknown:?}");
        assert_eq!(
            Verdict::of(get(&api, Some(&fresh)).await),
            Verdict::Admitted
        );
    }
}

async fn a_nonce_that_is_no_string_is_an_invalid_claim(way: Way) {
    let api = api(way);
    let token = api.token().mint();
    for nonce in [json!(null), json!(7), json!(true), json!([]), json!({})] {
        let proof = api.proof(&token).claim("nonce", nonce.clone()).sign();
        assert_eq!(
            api.get(&token, &proof).await,
            invalid_proof("proof_invalid_claim"),
            "{nonce}"
        );
    }
}

async fn a_nonce_may_be_used_with_many_proofs(way: Way) {
    let api = api(way);
    let nonce = fetch(&api).await;
    for _ in 0..5 {
        assert_eq!(
            Verdict::of(get(&api, Some(&nonce)).await),
            Verdict::Admitted
        );
    }
}

async fn a_nonce_does_not_make_a_proof_pass_twice(way: Way) {
    let api = api(way);
    let nonce = fetch(&api).await;
    let token = api.token().mint();
    let proof = api.proof(&token).nonce(&nonce).sign();
    assert_eq!(api.get(&token, &proof).await, Verdict::Admitted);
    assert_eq!(
        api.get(&token, &proof).await,
        invalid_proof("proof_replayed")
    );
}

async fn a_rejected_nonce_does_not_use_up_the_jti(way: Way) {
    let api = api(way);
    let nonce = fetch(&api).await;
    let token = api.token().mint();
    let proof = || api.proof(&token).claim("jti", "same");
    for rejected in [proof(), proof().nonce("x")] {
        let verdict = api.get(&token, &rejected.sign()).await;
        assert_ne!(verdict, Verdict::Admitted);
    }
    let good = proof().nonce(&nonce).sign();
    assert_eq!(api.get(&token, &good).await, Verdict::Admitted);
}

async fn a_new_nonce_comes_with_a_response_only_when_the_old_one_is_about_to_retire(way: Way) {
    let api = api(way);
    // The beginning of a step, so that the nonce lives exactly as long as documented.
    let into_step = u64::try_from(api.now()).unwrap() % PERIOD;
    api.advance((PERIOD - into_step) % PERIOD);
    let nonce = fetch(&api).await;
    for (secs, is_renewed) in [
        (0, false),
        (PERIOD - 1, false),
        (1, true),
        (PERIOD - 1, true),
    ] {
        api.advance(secs);
        let response = get(&api, Some(&nonce)).await;
        let new = nonce_of(&response);
        let cache = response.headers().get(header::CACHE_CONTROL).cloned();
        assert_eq!(Verdict::of(response), Verdict::Admitted);
        assert_eq!(new.is_some(), is_renewed);
        assert_eq!(
            cache.as_ref().map(http::HeaderValue::as_bytes),
            is_renewed.then_some(&b"no-store"[..]),
        );
        if let Some(new) = new {
            assert_ne!(new, nonce);
            let response = get(&api, Some(&new)).await;
            assert_eq!(nonce_of(&response), None);
            assert_eq!(Verdict::of(response), Verdict::Admitted);
        }
    }
    api.advance(1);
    assert_eq!(
        Verdict::of(get(&api, Some(&nonce)).await),
        use_nonce("proof_nonce_unknown")
    );
}

async fn a_renewed_nonce_replaces_the_headers_of_the_handler(way: Way) {
    async fn handler() -> [(header::HeaderName, &'static str); 2] {
        [
            (header::CACHE_CONTROL, "public, max-age=60"),
            (header::HeaderName::from_static("dpop-nonce"), "of-handler"),
        ]
    }
    let api = way.api();
    let origin = dpop_tower::PublicOrigin::new(crate::support::ORIGIN).unwrap();
    let config = dpop_tower::DpopConfig::builder(origin, api.issuer.tokens())
        .clock(api.clock.clone())
        .nonce_source(nonces(1))
        .require_nonces();
    let handlers = Router::new().route("/orders", axum::routing::get(handler));
    let router = way.protect(config.build().unwrap(), handlers.clone(), handlers);
    let nonce = nonces(1).current(&NonceContext::new(api.clock.now(), &AwsLcRs));
    api.advance(PERIOD);
    let response = way.send(router, request(&api, Some(&nonce))).await;
    assert_eq!(response.status(), 200);
    let expected = nonces(1).current(&NonceContext::new(api.clock.now(), &AwsLcRs));
    assert_eq!(nonce_of(&response), Some(expected));
    let cache = response.headers().get_all(header::CACHE_CONTROL);
    assert_eq!(cache.iter().collect::<Vec<_>>(), ["no-store"]);
}

async fn a_client_that_uses_the_latest_nonce_once_a_period_sees_one_challenge_in_all(way: Way) {
    let api = api(way);
    let mut nonce = fetch(&api).await;
    for call in 0..50 {
        let response = get(&api, Some(&nonce)).await;
        if let Some(new) = nonce_of(&response) {
            nonce = new;
        }
        assert_eq!(Verdict::of(response), Verdict::Admitted, "call {call}");
        api.advance(PERIOD);
    }
}

/// Returns requests that are rejected with 400 or 401 by every configuration.
fn rejected(api: &Api) -> Vec<(&'static str, Request<()>)> {
    let token = api.token().mint();
    let with = |proof: dpop_tower::test_util::ProofBuilder| {
        let nonce = nonces(1).current(&NonceContext::new(api.clock.now(), &AwsLcRs));
        let proof = proof.nonce(&nonce).sign();
        api.client
            .request_with_proof(Method::GET, URL, &token, &proof)
    };
    let authorization = |value: &str| {
        Request::get("/orders")
            .header(header::AUTHORIZATION, value)
            .body(())
            .unwrap()
    };
    vec![
        (
            "credentials_missing",
            Request::get("/orders").body(()).unwrap(),
        ),
        ("credentials_malformed", authorization("DPoP")),
        (
            "token_scheme_not_accepted",
            authorization(&format!("Bearer {token}")),
        ),
        ("proof_missing", authorization(&format!("DPoP {token}"))),
        (
            "proof_too_old",
            with(api.proof(&token).claim("iat", api.now() - 100)),
        ),
        (
            "proof_signature_invalid",
            with(api.proof(&token).corrupt_signature()),
        ),
        ("token_not_bound", {
            let token = api.issuer.token().mint();
            let nonce = nonces(1).current(&NonceContext::new(api.clock.now(), &AwsLcRs));
            let proof = api.proof(&token).nonce(&nonce).sign();
            api.client
                .request_with_proof(Method::GET, URL, &token, &proof)
        }),
    ]
}

async fn every_challenge_brings_a_nonce_that_is_good(way: Way) {
    let api = api(way);
    for (reason, request) in rejected(&api) {
        let response = api.response(request).await;
        let nonce = nonce_of(&response);
        let Verdict::Rejected { reason: found, .. } = Verdict::of(response) else {
            panic!("{reason}");
        };
        assert_eq!(found, reason);
        let nonce = nonce.unwrap_or_else(|| panic!("{reason}: no nonce"));
        let verdict = Verdict::of(get(&api, Some(&nonce)).await);
        assert_eq!(verdict, Verdict::Admitted, "{reason}");
    }
}

async fn a_challenge_of_an_extractor_brings_a_nonce_too(way: Way) {
    let api = way.api_with(
        |tokens| tokens,
        |config| {
            config
                .nonce_source(nonces(1))
                .require_nonces()
                .policy(dpop_tower::Policy::optional())
        },
    );
    let bearer = Request::get("/orders").header(
        "authorization",
        format!("Bearer {}", api.issuer.token().mint()),
    );
    let response = api.response(bearer.body(()).unwrap()).await;
    assert_eq!(response.status(), 401);
    let nonce = nonce_of(&response).expect("a nonce");
    let verdict = Verdict::of(get(&api, Some(&nonce)).await);
    assert_eq!(verdict, Verdict::Admitted);
}

async fn without_nonces_no_response_has_one(way: Way) {
    let api = way.api();
    let passed = get(&api, Some("some nonce")).await;
    assert_eq!(nonce_of(&passed), None);
    assert_eq!(passed.headers().get(header::CACHE_CONTROL), None);
    assert_eq!(Verdict::of(passed), Verdict::Admitted);
    for (reason, request) in rejected(&api) {
        let response = api.response(request).await;
        assert_eq!(nonce_of(&response), None, "{reason}");
        assert_ne!(Verdict::of(response), Verdict::Admitted, "{reason}");
    }
}

async fn a_503_brings_no_nonce(way: Way) {
    let one = std::num::NonZeroUsize::MIN;
    let api = way.api_with(
        |tokens| tokens,
        |config| {
            config
                .nonce_source(nonces(1))
                .require_nonces()
                .replay_store(dpop_tower::replay::MemoryReplayStore::with_capacity(one))
        },
    );
    let nonce = fetch(&api).await;
    assert_eq!(
        Verdict::of(get(&api, Some(&nonce)).await),
        Verdict::Admitted
    );
    let response = get(&api, Some(&nonce)).await;
    assert_eq!(nonce_of(&response), None);
    assert_eq!(Verdict::of(response), unavailable("store_full"));
}

async fn who_is_not_admitted_leaves_no_trace(way: Way) {
    let store = Arc::new(CountingStore::default());
    let api = way.api_with(
        |tokens| tokens,
        |config| {
            config
                .nonce_source(nonces(1))
                .require_nonces()
                .replay_store(Arc::clone(&store))
        },
    );
    for _ in 0..20 {
        for (_, request) in rejected(&api) {
            api.response(request).await;
        }
        fetch(&api).await;
        get(&api, Some("x")).await;
    }
    assert_eq!((store.asked(), store.store.len()), (0, 0));
    let nonce = fetch(&api).await;
    get(&api, Some(&nonce)).await;
    assert_eq!((store.asked(), store.store.len()), (1, 1));
}

async fn nodes_that_share_a_secret_accept_each_others_nonces(way: Way) {
    let (one, two) = (api(way), api(way));
    let nonce = fetch(&one).await;
    assert_eq!(
        Verdict::of(get(&two, Some(&nonce)).await),
        Verdict::Admitted
    );
}

async fn a_nonce_of_the_old_secret_is_accepted_while_it_is_being_changed(way: Way) {
    let change = nonces(2).also_accept(NonceSecret::new([1; 32]).unwrap());
    let api = way.api_with(
        |tokens| tokens,
        |config| config.nonce_source(change).require_nonces(),
    );
    let old = nonces(1).current(&NonceContext::new(api.clock.now(), &AwsLcRs));
    assert_eq!(Verdict::of(get(&api, Some(&old)).await), Verdict::Admitted);
    let new = nonces(2).current(&NonceContext::new(api.clock.now(), &AwsLcRs));
    assert_eq!(fetch(&api).await, new);
}

/// The purpose of nonces (RFC 9449 section 11.2).
async fn a_proof_that_was_signed_ahead_of_time_is_rejected_when_its_time_has_come(way: Way) {
    let api = api(way);
    let later = api.now() + 3 * i64::try_from(PERIOD).unwrap();
    let token = api.token().claim("exp", later + 60).mint();
    let nonce = fetch(&api).await;
    let ahead = api.proof(&token).nonce(&nonce).claim("iat", later).sign();
    api.advance(3 * PERIOD);
    assert_eq!(
        api.get(&token, &ahead).await,
        use_nonce("proof_nonce_unknown")
    );
}
