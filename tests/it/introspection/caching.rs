//! How often the issuer is asked.

use std::time::Duration;

use dpop_tower::clock::UnixTime;
use serde_json::json;

use super::{
    OUT_OF_REACH, Opaque, fresh,
    server::{answer, soon, status},
    with,
};
use crate::support::{Verdict, invalid_token};

const INACTIVE: Verdict = invalid_token("token_inactive");

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[tokio::test]
async fn a_verdict_counts_for_its_time_and_then_the_issuer_is_asked_again() {
    for (configured, lasts) in [(None, 60), (Some(7), 7), (Some(600), 600)] {
        let api = Opaque::with(|tokens| match configured {
            None => tokens,
            Some(time) => tokens.cache_for(secs(time)),
        })
        .await;
        let token = fresh();
        for round in 1..=3 {
            assert_eq!(api.present(&token).await, Verdict::Admitted);
            api.clock.advance(secs(lasts - 1));
            assert_eq!(api.present(&token).await, Verdict::Admitted);
            assert_eq!(api.idp.calls(), round);
            api.clock.advance(secs(1));
        }
    }
}

#[tokio::test]
async fn a_revoked_token_is_rejected_when_its_verdict_ends() {
    let api = Opaque::new().await;
    let token = fresh();
    assert_eq!(api.present(&token).await, Verdict::Admitted);
    api.idp.answer_json(&json!({ "active": false }));
    api.clock.advance(secs(59));
    assert_eq!(api.present(&token).await, Verdict::Admitted);
    api.clock.advance(secs(1));
    assert_eq!(api.present(&token).await, INACTIVE);
    assert_eq!(api.idp.calls(), 2);
}

#[tokio::test]
async fn without_a_cache_each_request_asks() {
    let api = Opaque::with(|tokens| tokens.cache_for(secs(0)).cache_rejections_for(secs(0))).await;
    let token = fresh();
    for calls in 1..=3 {
        assert_eq!(api.present(&token).await, Verdict::Admitted);
        assert_eq!(api.idp.calls(), calls);
    }
    api.idp.answer_json(&json!({ "active": false }));
    for calls in 4..=5 {
        assert_eq!(api.present(&token).await, INACTIVE);
        assert_eq!(api.idp.calls(), calls);
    }
}

/// Known bugs of others: a verdict that outlives `exp`, and one whose time is negative.
#[tokio::test]
async fn a_cached_verdict_ends_with_exp() {
    let api = Opaque::new().await;
    api.idp
        .answer_json(&with(&api.active(), "exp", api.now() + 20));
    let token = fresh();
    assert_eq!(api.present(&token).await, Verdict::Admitted);
    api.clock.advance(secs(19));
    assert_eq!(api.present(&token).await, Verdict::Admitted);
    api.clock.advance(secs(1));
    assert_eq!(api.present(&token).await, invalid_token("token_expired"));
    assert_eq!(api.idp.calls(), 1);
    api.idp.answer_json(&with(&api.active(), "exp", -1));
    for _ in 0..2 {
        assert_eq!(
            api.judge(&with(&api.active(), "exp", -1)).await,
            invalid_token("token_expired")
        );
    }
}

/// A clock that was set back makes a token one of the future again.
#[tokio::test]
async fn a_cached_verdict_does_not_count_before_nbf_and_iat() {
    for name in ["nbf", "iat"] {
        let api = Opaque::new().await;
        let start = api.now();
        api.idp.answer_json(&with(&api.active(), name, start));
        let token = fresh();
        assert_eq!(api.present(&token).await, Verdict::Admitted);
        for (back, expected) in [
            (10, Verdict::Admitted),
            (11, invalid_token("token_not_yet_valid")),
            (0, Verdict::Admitted),
        ] {
            api.clock.set(UnixTime::from_secs(start - back));
            assert_eq!(api.present(&token).await, expected, "{name} {back}");
        }
        assert_eq!(api.idp.calls(), 1, "{name}");
    }
}

#[tokio::test]
async fn a_rejection_counts_briefly() {
    let api = Opaque::new().await;
    let good = api.active();
    for answer in [
        json!({ "active": false }),
        with(&good, "aud", "other"),
        with(&good, "cnf", 7),
    ] {
        let calls = api.idp.calls();
        api.idp.answer_json(&answer);
        let token = fresh();
        let verdict = api.present(&token).await;
        assert_ne!(verdict, Verdict::Admitted);
        api.idp.answer_json(&good);
        api.clock.advance(secs(4));
        assert_eq!(api.present(&token).await, verdict);
        assert_eq!(api.idp.calls(), calls + 1);
        api.clock.advance(secs(1));
        assert_eq!(api.present(&token).await, Verdict::Admitted);
    }
}

#[tokio::test]
async fn tokens_that_strangers_invent_push_out_no_good_one() {
    let api = Opaque::with(|tokens| tokens.cache_capacity(10)).await;
    let good = api.active().to_string();
    api.idp
        .answer(move |seen| match seen.value("token").unwrap() {
            token if token.starts_with("good-") => answer("application/json", good.clone()),
            _ => answer("application/json", r#"{"active":false}"#),
        });
    let tokens: Vec<String> = (0..5).map(|i| format!("good-{i}")).collect();
    for token in &tokens {
        assert_eq!(api.present(token).await, Verdict::Admitted);
    }
    for _ in 0..300 {
        assert_eq!(api.present(&fresh()).await, INACTIVE);
    }
    for token in &tokens {
        assert_eq!(api.present(token).await, Verdict::Admitted);
    }
    assert_eq!(api.idp.calls(), 305);
}

#[tokio::test]
async fn a_thousand_requests_with_one_token_cause_one_call() {
    let api = Opaque::new().await;
    let token = fresh();
    api.idp.hold(true);
    let mut requests = api.present_often(1_000, &token);
    api.idp.wait_for(1).await;
    // All of them have been polled by the time that this one has been.
    tokio::task::yield_now().await;
    api.idp.hold(false);
    soon(async {
        while let Some(verdict) = requests.join_next().await {
            assert_eq!(verdict.unwrap(), Verdict::Admitted);
        }
    })
    .await;
    assert_eq!(api.idp.calls(), 1);
}

#[tokio::test]
async fn a_call_goes_on_when_all_who_wait_for_it_hang_up() {
    let api = Opaque::new().await;
    let token = fresh();
    api.idp.hold(true);
    let mut callers = api.present_often(20, &token);
    api.idp.wait_for(1).await;
    callers.abort_all();
    while let Some(end) = callers.join_next().await {
        assert!(end.unwrap_err().is_cancelled());
    }
    // They join the call that the others have left.
    let mut late = api.present_often(5, &token);
    tokio::task::yield_now().await;
    api.idp.hold(false);
    while let Some(verdict) = soon(late.join_next()).await {
        assert_eq!(verdict.unwrap(), Verdict::Admitted);
    }
    assert_eq!(api.idp.calls(), 1);
}

#[tokio::test]
async fn one_token_that_hangs_does_not_hold_up_another() {
    let api = Opaque::new().await;
    api.idp.hold(true);
    let mut slow = api.present_often(1, &fresh());
    api.idp.wait_for(1).await;
    let mut other = api.present_often(1, &fresh());
    api.idp.wait_for(2).await;
    api.idp.hold(false);
    for requests in [&mut slow, &mut other] {
        let verdict = soon(requests.join_next()).await;
        assert_eq!(verdict.unwrap().unwrap(), Verdict::Admitted);
    }
}

#[tokio::test]
async fn calls_at_a_time_are_bounded_and_waiting_is_too() {
    let api = Opaque::with(|tokens| tokens.max_calls(2).timeout(secs(30))).await;
    api.idp.hold(true);
    let mut requests = Vec::new();
    for _ in 0..2 {
        requests.push(api.present_often(1, &fresh()));
    }
    api.idp.wait_for(2).await;
    // Thirty wait for their turn, and give up after a second.
    let mut waiting: Vec<_> = (0..30).map(|_| api.present_often(1, &fresh())).collect();
    tokio::task::yield_now().await;
    // There is no room for more, so these do not even wait.
    let mut beyond: Vec<_> = (0..10).map(|_| api.present_often(1, &fresh())).collect();
    for request in beyond.iter_mut().chain(&mut waiting) {
        let verdict = soon(request.join_next()).await;
        assert_eq!(verdict.unwrap().unwrap(), OUT_OF_REACH);
    }
    assert_eq!(api.idp.calls(), 2);
    api.idp.hold(false);
    for request in &mut requests {
        let verdict = soon(request.join_next()).await;
        assert_eq!(verdict.unwrap().unwrap(), Verdict::Admitted);
    }
    // A crowd is no failure of the endpoint.
    assert_eq!(api.present(&fresh()).await, Verdict::Admitted);
}

/// Otherwise a stranger could make a call with each request.
#[tokio::test]
async fn a_token_that_the_endpoint_cannot_read_is_not_asked_for_again_at_once() {
    let api = Opaque::new().await;
    let token = fresh();
    api.idp.answer(|_| status(400));
    for _ in 0..3 {
        assert_eq!(api.present(&token).await, OUT_OF_REACH);
    }
    assert_eq!(api.idp.calls(), 1);
}
