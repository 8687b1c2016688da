//! An issuer that is unreachable, or has no usable key.

use dpop_tower::crypto::Algorithm;
use http::header;
use serde_json::{Value, json};

use super::{
    LONGEST_PAUSE, OUT_OF_REACH, UNKNOWN,
    server::{Page, Remote},
};
use crate::{
    observability::Recorded,
    robustness::crypto::JoseKey,
    support::{URL, Verdict, send},
};

#[tokio::test]
async fn without_keys_requests_get_503_and_soon_another_chance() {
    let remote = Remote::at_url().await;
    let token = remote.token();
    remote.server.put("/jwks", Page::Status(500));
    let response = send(
        remote.api.router.clone(),
        remote.api.client.get(URL, &token),
    )
    .await;
    assert_eq!(response.headers()[header::RETRY_AFTER], "5");
    assert_eq!(Verdict::of(response), OUT_OF_REACH);
    assert_eq!(remote.server.count(), 1);

    remote.server.put_keys(&[&remote.api.issuer]);
    remote.expect("at once", &token, OUT_OF_REACH, 1).await;
    remote.api.advance(4);
    remote.expect("after 4 s", &token, OUT_OF_REACH, 1).await;
    remote.api.advance(6);
    remote
        .expect("after 10 s", &token, Verdict::Admitted, 2)
        .await;
}

#[tokio::test]
async fn a_proof_that_met_an_outage_is_not_used_up() {
    let remote = Remote::at_url().await;
    let token = remote.token();
    remote.server.put("/jwks", Page::HangUp);
    let proof = remote.api.proof(&token).sign();
    assert_eq!(remote.api.get(&token, &proof).await, OUT_OF_REACH);
    remote.server.put_keys(&[&remote.api.issuer]);
    remote.api.advance(10);
    assert_eq!(remote.api.get(&token, &proof).await, Verdict::Admitted);
}

#[tokio::test]
async fn keys_survive_an_outage_of_less_than_an_hour() {
    let remote = Remote::at_url().await;
    let (token, another) = (remote.token(), remote.token());
    remote.expect("before", &token, Verdict::Admitted, 1).await;
    remote.server.put("/jwks", Page::Status(500));
    remote.api.advance(300);
    remote.expect_refresh("at 300 s", &token, 2).await;
    // It is tried again after a pause, not by every request.
    remote
        .expect("another token", &another, Verdict::Admitted, 2)
        .await;
    remote.api.advance(4);
    remote.expect_refresh("at 304 s", &token, 2).await;
    remote.api.advance(6);
    remote.expect_refresh("at 310 s", &token, 3).await;
    remote.api.advance(3599 - 310);
    remote.expect_refresh("at 3599 s", &token, 4).await;
    remote.api.advance(1);
    // A failure was just now.
    remote.expect("at 3600 s", &token, OUT_OF_REACH, 4).await;
    remote.api.advance(LONGEST_PAUSE - 1);
    remote.expect("at 3659 s", &token, OUT_OF_REACH, 5).await;
    remote.server.put_keys(&[&remote.api.issuer]);
    remote.api.advance(LONGEST_PAUSE);
    remote
        .expect("at 3719 s", &token, Verdict::Admitted, 6)
        .await;
}

/// The pauses last 5 to 10 s, 10 to 20 s, 20 to 40 s, and then 30 to 60 s.
#[tokio::test]
async fn while_the_issuer_is_down_attempts_grow_apart() {
    let remote = Remote::at_url().await;
    let (_, unknown) = remote.another_key();
    let token = remote.token();
    remote.server.put("/jwks", Page::Status(500));
    let down = |what: &'static str, hits| remote.expect(what, &token, OUT_OF_REACH, hits);
    down("first", 1).await;
    let mut hits = 1;
    for (not_before, at_the_latest) in [(5, 10), (10, 20), (20, 40), (30, 60), (30, 60)] {
        remote.api.advance(not_before - 1);
        down("too early", hits).await;
        // Nor is a token that no key verifies a way to have the issuer asked.
        remote.expect("unknown", &unknown, OUT_OF_REACH, hits).await;
        remote.api.advance(at_the_latest - not_before + 1);
        hits += 1;
        down("after the pause", hits).await;
    }
    // One success ends it.
    remote.server.put_keys(&[&remote.api.issuer]);
    remote.api.advance(LONGEST_PAUSE);
    hits += 1;
    remote.expect("up", &token, Verdict::Admitted, hits).await;
    remote.server.put("/jwks", Page::Status(500));
    remote.api.advance(300);
    hits += 1;
    remote.expect_refresh("down again", &token, hits).await;
    remote.api.advance(4);
    remote.expect_refresh("a pause", &token, hits).await;
    remote.api.advance(6);
    remote.expect_refresh("a short one", &token, hits + 1).await;
}

#[tokio::test]
async fn an_outage_does_not_make_an_unknown_key_an_error_of_ours() {
    let remote = Remote::at_url().await;
    let token = remote.token();
    remote.expect("before", &token, Verdict::Admitted, 1).await;
    remote.server.put("/jwks", Page::Status(500));
    remote.api.advance(30);
    let (_, unknown) = remote.another_key();
    remote.expect("unknown", &unknown, UNKNOWN, 2).await;
    remote.expect("known", &token, Verdict::Admitted, 2).await;
}

#[tokio::test]
async fn a_set_without_a_usable_key_counts_as_an_outage() {
    let private = Value::Object(JoseKey::new(Algorithm::Es256).private());
    for text in [
        String::new(),
        "null".to_owned(),
        "{}".to_owned(),
        "[]".to_owned(),
        json!({"keys": []}).to_string(),
        json!({"keys": {}}).to_string(),
        json!({"keys": null}).to_string(),
        json!({"keys": [private]}).to_string(),
        "<html>".to_owned(),
    ] {
        let remote = Remote::at_url().await;
        remote.server.put("/jwks", Page::Json(text.clone()));
        let token = remote.token();
        remote.expect(&text, &token, OUT_OF_REACH, 1).await;
        remote.server.put_keys(&[&remote.api.issuer]);
        remote.api.advance(LONGEST_PAUSE);
        remote.expect(&text, &token, Verdict::Admitted, 2).await;
    }
}

#[test]
fn fetches_are_counted_by_their_outcome() {
    let recorded = Recorded::by(async || {
        let remote = Remote::at_url().await;
        let token = remote.token();
        remote.expect("first", &token, Verdict::Admitted, 1).await;
        remote.server.put("/jwks", Page::Status(500));
        remote.api.advance(300);
        remote.expect_refresh("at 300 s", &token, 2).await;
    });
    for outcome in ["success", "failure"] {
        let series = format!("dpop_key_fetches_total {outcome}");
        assert_eq!(recorded.values(&series), [1.0], "{outcome}");
    }
}
