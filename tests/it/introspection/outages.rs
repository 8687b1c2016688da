//! An endpoint that does not work.

use std::{sync::Arc, time::Duration};

use http::header;

use super::{
    OUT_OF_REACH, Opaque, by_secret, fresh,
    server::{Idp, soon, status},
};
use crate::{observability::Recorded, support::Verdict};

async fn retry_after(api: &Opaque, token: &str) -> u64 {
    let response = api.response(token).await;
    let after = response.headers()[header::RETRY_AFTER]
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(Verdict::of(response), OUT_OF_REACH);
    after.parse().unwrap()
}

/// Five failures in a row.
async fn break_down(api: &Opaque) {
    api.idp.answer_status(500);
    for _ in 0..5 {
        assert_eq!(retry_after(api, &fresh()).await, 5);
    }
}

#[tokio::test]
async fn an_endpoint_that_is_down_or_hangs_is_503() {
    let down = Idp::start().await;
    let nobody = format!(
        "http://127.0.0.1:{}/introspect",
        dpop_test_servers::free_port()
    );
    let api = Opaque::of(down.clone(), by_secret(&down).endpoint(nobody));
    assert_eq!(soon(api.present(&fresh())).await, OUT_OF_REACH);

    let api = Opaque::with(|tokens| tokens.timeout(Duration::from_millis(200))).await;
    api.idp.hold(true);
    let token = fresh();
    assert_eq!(soon(api.present(&token)).await, OUT_OF_REACH);
    api.idp.hold(false);
    assert_eq!(soon(api.present(&token)).await, Verdict::Admitted);
}

#[tokio::test]
async fn an_answer_that_stops_in_the_middle_is_503() {
    let api = Opaque::with(|tokens| tokens.timeout(Duration::from_millis(200))).await;
    let half = api.active().to_string()[..20].to_owned();
    api.idp.answer(move |_| {
        let first = half.clone();
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        tokio::spawn(async move {
            let piece = Ok::<_, std::io::Error>(axum::body::Bytes::from(first));
            let _ = sender.send(piece).await;
            sender.closed().await;
        });
        let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
        let mut response = http::Response::new(axum::body::Body::from_stream(stream));
        let json = "application/json".parse().unwrap();
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
    });
    assert_eq!(soon(api.present(&fresh())).await, OUT_OF_REACH);
}

#[tokio::test]
async fn after_five_failures_calls_are_suspended_and_clients_learn_for_how_long() {
    let api = Opaque::new().await;
    break_down(&api).await;
    for _ in 0..5 {
        let after = retry_after(&api, &fresh()).await;
        assert!((1..=2).contains(&after), "{after}");
    }
    assert_eq!(api.idp.calls(), 5);
    // One call is tried, and its failure suspends calls for longer.
    api.clock.advance(Duration::from_secs(2));
    assert_eq!(retry_after(&api, &fresh()).await, 5);
    let after = retry_after(&api, &fresh()).await;
    assert!((2..=4).contains(&after), "{after}");
    assert_eq!(api.idp.calls(), 6);
    // Its success ends that.
    api.clock.advance(Duration::from_secs(4));
    api.idp.answer_json(&api.active());
    for calls in 7..10 {
        assert_eq!(api.present(&fresh()).await, Verdict::Admitted);
        assert_eq!(api.idp.calls(), calls);
    }
}

#[tokio::test]
async fn while_one_call_is_tried_others_are_not_made() {
    let api = Opaque::new().await;
    break_down(&api).await;
    api.clock.advance(Duration::from_secs(2));
    api.idp.answer_json(&api.active());
    api.idp.hold(true);
    let mut probe = api.present_often(1, &fresh());
    api.idp.wait_for(6).await;
    for _ in 0..3 {
        assert_eq!(retry_after(&api, &fresh()).await, 1);
    }
    api.idp.hold(false);
    let verdict = soon(probe.join_next()).await;
    assert_eq!(verdict.unwrap().unwrap(), Verdict::Admitted);
    assert_eq!(api.idp.calls(), 6);
    assert_eq!(api.present(&fresh()).await, Verdict::Admitted);
}

#[tokio::test]
async fn a_cached_verdict_survives_an_outage_for_its_time() {
    let api = Opaque::new().await;
    let token = fresh();
    assert_eq!(api.present(&token).await, Verdict::Admitted);
    break_down(&api).await;
    assert_eq!(api.present(&token).await, Verdict::Admitted);
    api.clock.advance(Duration::from_secs(59));
    assert_eq!(api.present(&token).await, Verdict::Admitted);
    api.clock.advance(Duration::from_secs(1));
    assert_eq!(api.present(&token).await, OUT_OF_REACH);
}

/// A stranger chooses the token, and must not be able to suspend calls with one that the endpoint rejects.
#[tokio::test]
async fn a_call_that_is_rejected_for_its_token_suspends_nothing() {
    let api = Opaque::new().await;
    api.idp.answer(|_| status(400));
    for _ in 0..20 {
        assert_eq!(api.present(&fresh()).await, OUT_OF_REACH);
    }
    api.idp.answer_text("application/json", "{}");
    for _ in 0..20 {
        assert_eq!(api.present(&fresh()).await, OUT_OF_REACH);
    }
    api.idp.answer_json(&api.active());
    assert_eq!(api.present(&fresh()).await, Verdict::Admitted);
}

#[test]
fn a_call_that_ends_with_its_runtime_is_made_anew_on_another() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let servers = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let api = Arc::new(servers.block_on(Opaque::new()));
    let token = fresh();
    api.idp.hold(true);
    let first = runtime();
    let left = first.block_on(async {
        let callers = api.present_often(1, &token);
        api.idp.wait_for(1).await;
        callers
    });
    drop(first);
    drop(left);
    api.idp.hold(false);
    for _ in 0..2 {
        let verdict = runtime().block_on(soon(api.present(&token)));
        assert_eq!(verdict, Verdict::Admitted);
        // Pooled connections have ended with their runtime, too.
        let verdict = runtime().block_on(soon(api.present(&fresh())));
        assert_eq!(verdict, Verdict::Admitted);
    }
}

#[test]
fn calls_and_lookups_are_counted_by_their_outcome() {
    let recorded = Recorded::by(async || {
        let api = Opaque::new().await;
        let token = fresh();
        for _ in 0..3 {
            assert_eq!(soon(api.present(&token)).await, Verdict::Admitted);
        }
        api.idp.answer_status(500);
        assert_eq!(soon(api.present(&fresh())).await, OUT_OF_REACH);
    });
    for (series, count) in [
        ("dpop_introspections_total success", 1.0),
        ("dpop_introspections_total failure", 1.0),
        ("dpop_cache_lookups_total introspection hit", 2.0),
        ("dpop_cache_lookups_total introspection miss", 2.0),
    ] {
        assert_eq!(recorded.values(series), [count], "{series}");
    }
}
