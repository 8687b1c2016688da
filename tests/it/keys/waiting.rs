//! Callers that wait for a fetch, and what happens to a proof and a token meanwhile.

use std::time::Duration;

use dpop_tower::Policy;
use http::{Request, header};
use tokio::time::sleep;

use super::{
    UNKNOWN, WRONG_SIGNATURE,
    server::{Remote, all_end_with, soon},
};
use crate::support::{URL, Verdict, invalid_proof, invalid_token, send};

#[tokio::test]
async fn wrong_signatures_do_not_make_good_tokens_wait() {
    let remote = Remote::at_url().await;
    let (token, another) = (remote.token(), remote.token());
    remote.expect("before", &token, Verdict::Admitted, 1).await;
    let (other, _) = remote.another_key();
    let wrong = remote.api.token().signed_by(&other).mint();
    remote.api.advance(30);
    remote.server.hold(true);
    let flood = remote.present_often(50, &wrong);
    remote.server.wait_for(2).await;
    for token in [&token, &another] {
        let verdict = soon(remote.present(token)).await;
        assert_eq!(verdict, Verdict::Admitted);
    }
    remote.server.hold(false);
    all_end_with(WRONG_SIGNATURE, flood).await;
    assert_eq!(remote.server.count(), 2);
}

#[tokio::test]
async fn while_keys_are_refreshed_the_old_ones_serve() {
    let remote = Remote::at_url().await;
    let (token, another) = (remote.token(), remote.token());
    remote.expect("before", &token, Verdict::Admitted, 1).await;
    let (new, rotated) = remote.another_key();
    remote.server.put_keys(&[&new]);
    remote.api.advance(300);
    remote.server.hold(true);
    // The server answers nothing, and yet:
    for token in [&token, &token, &another, &token] {
        assert_eq!(soon(remote.present(token)).await, Verdict::Admitted);
    }
    remote.server.wait_for(2).await;
    remote.server.hold(false);
    remote.settle().await;
    remote.expect("old", &token, UNKNOWN, 2).await;
    remote.expect("new", &rotated, Verdict::Admitted, 2).await;
}

#[tokio::test]
async fn whoever_misses_a_key_waits_for_the_fetch_that_is_under_way() {
    for age in [30, 300] {
        let remote = Remote::at_url().await;
        let token = remote.token();
        remote.expect("before", &token, Verdict::Admitted, 1).await;
        let (new, rotated) = remote.another_key();
        remote.server.put_keys(&[&remote.api.issuer, &new]);
        remote.api.advance(age);
        remote.server.hold(true);
        let mut first = remote.present_often(1, &rotated);
        remote.server.wait_for(2).await;
        let mut others = remote.present_often(20, &rotated);
        sleep(Duration::from_millis(20)).await;
        remote.server.hold(false);
        assert_eq!(first.join_next().await.unwrap().unwrap(), Verdict::Admitted);
        while let Some(verdict) = others.join_next().await {
            assert_eq!(verdict.unwrap(), Verdict::Admitted, "keys of {age} s");
        }
        assert_eq!(remote.server.count(), 2);
    }
}

#[tokio::test]
async fn a_proof_that_gets_too_old_while_keys_are_fetched_is_rejected() {
    for (secs, expected) in [
        (70, Verdict::Admitted),
        (71, invalid_proof("proof_too_old")),
    ] {
        let remote = Remote::at_url().await;
        let token = remote.token();
        remote.server.hold(true);
        let mut first = remote.present_often(1, &token);
        remote.server.wait_for(1).await;
        remote.api.advance(secs);
        remote.server.hold(false);
        assert_eq!(first.join_next().await.unwrap().unwrap(), expected);
    }
}

#[tokio::test]
async fn a_token_that_expires_while_keys_are_fetched_is_rejected() {
    let remote = Remote::at_url().await;
    let token = remote.api.token();
    let token = token.claim("exp", remote.api.now() + 5).mint();
    remote.server.hold(true);
    let mut first = remote.present_often(1, &token);
    remote.server.wait_for(1).await;
    remote.api.advance(5);
    remote.server.hold(false);
    assert_eq!(
        first.join_next().await.unwrap().unwrap(),
        invalid_token("token_expired")
    );
}

#[tokio::test]
async fn a_bearer_token_that_expires_while_keys_are_fetched_is_rejected() {
    let Remote { api, server, .. } =
        Remote::at_url_with(|config| config.policy(Policy::optional())).await;
    let token = api.issuer.token().claim("exp", api.now() + 5).mint();
    server.hold(true);
    let request = Request::get(URL)
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(())
        .unwrap();
    let router = api.router.clone();
    let verdict = tokio::spawn(async move { Verdict::of(send(router, request).await) });
    server.wait_for(1).await;
    api.advance(5);
    server.hold(false);
    assert_eq!(verdict.await.unwrap(), invalid_token("token_expired"));
}
