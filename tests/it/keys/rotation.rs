//! Keys that are replaced or withdrawn.

use serde_json::json;

use super::{
    LONGEST_PAUSE, OUT_OF_REACH, UNKNOWN, WRONG_SIGNATURE, replaced_under_its_kid,
    server::{Page, Remote},
};
use crate::support::Verdict;

#[tokio::test]
async fn a_key_that_is_replaced_under_its_kid_is_found() {
    let remote = Remote::at_url().await;
    let token = remote.token();
    remote.expect("before", &token, Verdict::Admitted, 1).await;
    let (jwks, new) = replaced_under_its_kid(&remote);
    let by_new = remote.api.token().signed_by(&new).mint();
    remote.server.put("/jwks", Page::Json(jwks));
    remote
        .expect("too early", &by_new, WRONG_SIGNATURE, 1)
        .await;
    remote.api.advance(30);
    remote
        .expect("new key", &by_new, Verdict::Admitted, 2)
        .await;
    // And as soon as that is known, the old one is good for nothing.
    remote.expect("old key", &token, WRONG_SIGNATURE, 2).await;
}

#[tokio::test]
async fn a_rotated_key_is_found() {
    let remote = Remote::at_url().await;
    let token = remote.token();
    remote.expect("old key", &token, Verdict::Admitted, 1).await;
    let (new, rotated) = remote.another_key();
    remote.server.put_keys(&[&remote.api.issuer, &new]);
    remote.expect("too early", &rotated, UNKNOWN, 1).await;
    remote.api.advance(30);
    remote
        .expect("new key", &rotated, Verdict::Admitted, 2)
        .await;
    remote.expect("old key", &token, Verdict::Admitted, 2).await;
}

/// CVE-2025-22149 and like it: a verdict that is kept must not outlive the key.
#[tokio::test]
async fn a_withdrawn_key_stops_working_for_tokens_that_were_accepted_before() {
    let remote = Remote::at_url().await;
    let token = remote.token();
    let (new, rotated) = remote.another_key();
    remote.expect("before", &token, Verdict::Admitted, 1).await;
    remote.server.put_keys(&[&new]);
    remote.api.advance(299);
    remote
        .expect("at 299 s", &token, Verdict::Admitted, 1)
        .await;
    remote.api.advance(1);
    // It is what has the keys refreshed, and does not wait for that.
    remote.expect_refresh("at 300 s", &token, 2).await;
    remote.expect("after it", &token, UNKNOWN, 2).await;
    remote.expect("again", &token, UNKNOWN, 2).await;
    remote
        .expect("its successor", &rotated, Verdict::Admitted, 2)
        .await;
}

#[tokio::test]
async fn a_withdrawn_key_stops_working_as_soon_as_that_is_known() {
    let remote = Remote::at_url().await;
    let token = remote.token();
    let (new, rotated) = remote.another_key();
    remote.expect("before", &token, Verdict::Admitted, 1).await;
    remote.server.put_keys(&[&new]);
    remote.api.advance(30);
    remote
        .expect("unknown", &rotated, Verdict::Admitted, 2)
        .await;
    remote.expect("withdrawn", &token, UNKNOWN, 2).await;
}

#[tokio::test]
async fn a_key_that_is_replaced_under_its_kid_stops_working() {
    let remote = Remote::at_url().await;
    let token = remote.token();
    remote.expect("before", &token, Verdict::Admitted, 1).await;
    let (jwks, _) = replaced_under_its_kid(&remote);
    remote.server.put("/jwks", Page::Json(jwks));
    remote.api.advance(300);
    remote.expect_refresh("due", &token, 2).await;
    remote.expect("after", &token, WRONG_SIGNATURE, 2).await;
}

#[tokio::test]
async fn an_issuer_that_withdraws_every_key_is_believed_at_once() {
    let remote = Remote::at_url().await;
    let token = remote.token();
    remote.expect("before", &token, Verdict::Admitted, 1).await;
    remote
        .server
        .put("/jwks", Page::Json(json!({"keys": []}).to_string()));
    remote.api.advance(300);
    remote.expect_refresh("due", &token, 2).await;
    remote.expect("withdrawn", &token, OUT_OF_REACH, 2).await;
    remote.expect("and still", &token, OUT_OF_REACH, 2).await;
    remote.server.put_keys(&[&remote.api.issuer]);
    remote.api.advance(LONGEST_PAUSE);
    let token = remote.token();
    remote
        .expect("back again", &token, Verdict::Admitted, 3)
        .await;
}
