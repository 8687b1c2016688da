//! Tokens with a `kid` that nobody has, however many there are.

use dpop_tower::test_util::TestIssuer;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{
    UNKNOWN, WRONG_SIGNATURE,
    server::{Remote, soon},
};
use crate::{
    robustness::crypto::base64url,
    support::{URL, Verdict, send},
};

/// So many that a cache of their `kid`s would have to forget some.
const MANY: usize = 10_000;

/// A token with another `kid`. Nobody needs its signature to be good.
fn with_kid(remote: &Remote, token: &str, kid: &str) -> String {
    let header: Value = serde_json::from_str(&remote.api.token().header_json()).unwrap();
    let header = json!({"typ": "at+jwt", "alg": header["alg"], "kid": kid}).to_string();
    let (_, rest) = token.split_once('.').unwrap();
    format!("{}.{rest}", base64url(header.as_bytes()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_random_kids_one_after_another_make_one_fetch_in_a_cool_down() {
    let remote = Remote::at_url().await;
    let token = remote.token();
    remote.expect("before", &token, Verdict::Admitted, 1).await;
    for (round, hits) in [(0, 1), (29, 1), (1, 2)] {
        remote.api.advance(round);
        for i in 0..MANY / 3 {
            let stranger = with_kid(&remote, &token, &format!("{hits}-{round}-{i}"));
            assert_eq!(remote.present(&stranger).await, UNKNOWN);
        }
        assert_eq!(remote.server.count(), hits, "after {round} s more");
    }
    remote.expect("good", &token, Verdict::Admitted, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_random_kids_at_a_time_make_one_fetch_in_a_cool_down() {
    let remote = Remote::at_url().await;
    let token = remote.token();
    remote.expect("before", &token, Verdict::Admitted, 1).await;
    remote.api.advance(30);
    remote.server.hold(true);
    let mut flood = JoinSet::new();
    for i in 0..MANY {
        let stranger = with_kid(&remote, &token, &format!("random-{i}"));
        let request = remote.api.client.get(URL, &stranger);
        let router = remote.api.router.clone();
        flood.spawn(async move { Verdict::of(send(router, request).await) });
    }
    remote.server.wait_for(2).await;
    // The flood waits, and others do not.
    let verdict = soon(remote.present(&token)).await;
    assert_eq!(verdict, Verdict::Admitted);
    remote.server.hold(false);
    while let Some(verdict) = flood.join_next().await {
        assert_eq!(verdict.unwrap(), UNKNOWN);
    }
    for i in 0..100 {
        let late = with_kid(&remote, &token, &format!("late-{i}"));
        assert_eq!(remote.present(&late).await, UNKNOWN);
    }
    assert_eq!(remote.server.count(), 2);
    remote.expect("good", &token, Verdict::Admitted, 2).await;
}

/// One key is replaced by another, and then by a third, while requests are under way:
/// those of keys that the issuer has are admitted, and those of a key that it has withdrawn are not, once
/// that must be known.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_good_request_is_rejected_while_keys_rotate_twice() {
    const IN_FLIGHT: usize = 500;
    let remote = Remote::at_url().await;
    let first = remote.api.issuer.clone();
    let by_first = remote.token();
    let (second, by_second) = remote.another_key();
    let (third, by_third) = remote.another_key();
    remote
        .expect("first", &by_first, Verdict::Admitted, 1)
        .await;
    let rotations: [([&TestIssuer; 2], [&str; 2]); 2] = [
        ([&first, &second], [&by_first, &by_second]),
        ([&second, &third], [&by_second, &by_third]),
    ];
    for (hits, (keys, [by_old, by_new])) in (2..).zip(rotations) {
        remote.server.put_keys(&keys);
        remote.api.advance(30);
        remote.server.hold(true);
        let mut of_new = remote.present_often(IN_FLIGHT, by_new);
        remote.server.wait_for(hits).await;
        let mut of_old = remote.present_often(IN_FLIGHT, by_old);
        // They do not wait for the issuer, which says nothing.
        while let Some(verdict) = soon(of_old.join_next()).await {
            assert_eq!(verdict.unwrap(), Verdict::Admitted);
        }
        remote.server.hold(false);
        while let Some(verdict) = soon(of_new.join_next()).await {
            assert_eq!(verdict.unwrap(), Verdict::Admitted);
        }
        assert_eq!(remote.server.count(), hits);
    }
    let withdrawn = async |token: &str| {
        let mut requests = remote.present_often(IN_FLIGHT, token);
        while let Some(verdict) = soon(requests.join_next()).await {
            assert_eq!(verdict.unwrap(), UNKNOWN);
        }
    };
    // It became known with the second fetch, at once for verdicts that were cached.
    withdrawn(&by_first).await;
    // Nothing makes the next withdrawal known before five minutes are over.
    remote.server.put_keys(&[&third]);
    remote.api.advance(299);
    remote
        .expect("299 s", &by_second, Verdict::Admitted, 3)
        .await;
    remote.api.advance(1);
    remote.expect_refresh("300 s", &by_third, 4).await;
    withdrawn(&by_second).await;
    remote
        .expect("third", &by_third, Verdict::Admitted, 4)
        .await;
}

/// Neither an issuer that is down nor time without requests lets a withdrawn key live longer.
#[tokio::test]
async fn a_withdrawn_key_stops_verifying_after_an_hour_whatever_happens() {
    let remote = Remote::at_url().await;
    let (token, another) = (remote.token(), remote.token());
    let (new, by_new) = remote.another_key();
    remote.expect("before", &token, Verdict::Admitted, 1).await;
    remote.server.put_keys(&[&new]);
    remote.server.stop().await;
    remote.api.advance(3_599);
    remote.expect_refresh("down", &token, 1).await;
    remote.api.advance(1);
    for token in [&token, &another, &by_new] {
        assert_ne!(remote.present(token).await, Verdict::Admitted);
    }
    remote.server.restart().await;
    remote.api.advance(60);
    remote.expect("cached", &token, UNKNOWN, 2).await;
    remote.expect("not cached", &another, UNKNOWN, 2).await;
    remote.expect("new", &by_new, Verdict::Admitted, 2).await;

    let remote = Remote::at_url().await;
    let token = remote.token();
    let (jwks, _) = super::replaced_under_its_kid(&remote);
    remote.expect("before", &token, Verdict::Admitted, 1).await;
    remote.server.put("/jwks", super::server::Page::Json(jwks));
    remote.api.advance(3_600);
    remote.expect("idle", &token, WRONG_SIGNATURE, 2).await;
}
