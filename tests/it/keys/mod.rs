//! Where an issuer's keys come from, how long they are good for, and what happens if they cannot be
//! had.

mod callers;
mod clock;
mod discovery;
mod published;
mod server;
mod sharing;

use std::{path::PathBuf, time::Duration};

use dpop_tower::{
    ConfigError, ConfigErrorKind, DpopConfig, DpopConfigBuilder, Issuer, Policy, PublicOrigin,
    crypto::Algorithm,
    nonce::{NonceSecret, StatelessNonces},
    test_util::TestIssuer,
};
use http::{Request, header};
use serde_json::{Value, json};
use tokio::time::sleep;

use self::{
    published::{api_with_keys, jose_token, present, unusable_keys, with},
    server::{Page, Remote, merged, soon},
};
use crate::{
    robustness::crypto::JoseKey,
    support::{Api, ORIGIN, URL, Verdict, invalid_proof, invalid_token, send, unavailable},
};

const ISSUER: &str = "https://issuer.test";
const OUT_OF_REACH: Verdict = unavailable("keys_unavailable");
const UNKNOWN: Verdict = invalid_token("token_key_unknown");
const WRONG_SIGNATURE: Verdict = invalid_token("token_signature_invalid");

#[tokio::test]
async fn keys_given_in_place_or_in_a_file_are_used() {
    let issuer = TestIssuer::new();
    let path = temporary_file("good", &issuer.jwks());
    for tokens in [
        Issuer::new(ISSUER).jwks(issuer.jwks()),
        Issuer::new(ISSUER).jwks_file(&path),
    ] {
        let api = Api::with(|_| tokens.audience(ORIGIN), |config| config);
        let token = issuer
            .clone()
            .clock(api.clock.clone())
            .token()
            .bound_to(&api.client)
            .mint();
        let proof = api.proof(&token).sign();
        assert_eq!(api.get(&token, &proof).await, Verdict::Admitted);
        let other = api.token().mint();
        let proof = api.proof(&other).sign();
        assert_eq!(api.get(&other, &proof).await, UNKNOWN);
    }
    std::fs::remove_file(path).unwrap();
}

#[tokio::test]
async fn keys_are_fetched_when_they_are_first_needed_and_kept() {
    let remote = Remote::at_url().await;
    let token = remote.token();
    assert_eq!(remote.server.count(), 0);
    remote.expect("first", &token, Verdict::Admitted, 1).await;
    remote.expect("second", &token, Verdict::Admitted, 1).await;
    let another = remote.token();
    remote
        .expect("another token", &another, Verdict::Admitted, 1)
        .await;
    remote.api.advance(299);
    remote
        .expect("before five minutes", &token, Verdict::Admitted, 1)
        .await;
}

#[tokio::test]
async fn many_first_requests_make_one_fetch() {
    let remote = Remote::at_url().await;
    let token = remote.token();
    remote.server.hold(true);
    let mut requests = remote.present_often(50, &token);
    remote.server.wait_for(1).await;
    sleep(Duration::from_millis(20)).await;
    remote.server.hold(false);
    while let Some(verdict) = requests.join_next().await {
        assert_eq!(verdict.unwrap(), Verdict::Admitted);
    }
    assert_eq!(remote.server.count(), 1);
}

#[tokio::test]
async fn many_first_requests_make_one_fetch_if_it_fails_too() {
    let remote = Remote::at_url().await;
    remote.server.put("/jwks", Page::Status(500));
    let token = remote.token();
    remote.server.hold(true);
    let mut requests = remote.present_often(50, &token);
    remote.server.wait_for(1).await;
    sleep(Duration::from_millis(20)).await;
    remote.server.hold(false);
    while let Some(verdict) = requests.join_next().await {
        assert_eq!(verdict.unwrap(), OUT_OF_REACH);
    }
    assert_eq!(remote.server.count(), 1);
}

#[tokio::test]
async fn a_token_that_is_not_for_this_api_makes_nobody_fetch_keys() {
    let remote = Remote::at_url().await;
    let api = &remote.api;
    for (what, token, reason) in [
        ("junk", "junk".to_owned(), "token_malformed"),
        (
            "another audience",
            api.token().claim("aud", "x").mint(),
            "token_audience_mismatch",
        ),
        (
            "another issuer",
            api.token().claim("iss", "x").mint(),
            "token_issuer_mismatch",
        ),
        (
            "expired",
            api.token().claim("exp", 1).mint(),
            "token_expired",
        ),
        (
            "not signed",
            api.token().header("alg", "none").mint(),
            "token_alg_not_allowed",
        ),
        (
            "another typ",
            api.token().header("typ", "JWT").mint(),
            "token_typ_invalid",
        ),
        (
            "critical",
            api.token().header("crit", json!(["x"])).mint(),
            "token_crit_not_supported",
        ),
        (
            "odd kid",
            api.token().header("kid", 7).mint(),
            "token_malformed",
        ),
    ] {
        remote.expect(what, &token, invalid_token(reason), 0).await;
    }
    // Nor does a request whose proof is not good.
    let token = remote.token();
    let proof = api.proof(&token).claim("htm", "POST").sign();
    assert_ne!(api.get(&token, &proof).await, Verdict::Admitted);
    assert_eq!(remote.server.count(), 0);
    remote
        .expect("a good one", &token, Verdict::Admitted, 1)
        .await;
}

#[tokio::test]
async fn rfc_8725_section_3_10_urls_in_a_token_are_never_fetched() {
    let remote = Remote::at_url().await;
    let (evil, _) = remote.another_key();
    remote.server.put("/evil", Page::Json(evil.jwks()));
    let url = remote.server.url("/evil");
    let kids = [json!(url), json!(evil.token().header_json()), json!("1")];
    for kid in kids {
        for name in ["jku", "x5u", "jwk", "iss", "jwks_uri"] {
            let token = remote
                .api
                .token()
                .header("kid", kid.clone())
                .header(name, url.as_str())
                .signed_by(&evil)
                .mint();
            assert_eq!(remote.present(&token).await, UNKNOWN, "{name}");
        }
    }
    assert_eq!(remote.server.hits(), ["/jwks"]);
}

#[tokio::test]
async fn an_unknown_kid_makes_one_fetch_in_30_seconds() {
    let remote = Remote::at_url().await;
    let token = remote.token();
    let (_, unknown) = remote.another_key();
    remote.expect("first", &unknown, UNKNOWN, 1).await;
    remote.expect("at once", &unknown, UNKNOWN, 1).await;
    remote.api.advance(29);
    remote.expect("after 29 s", &unknown, UNKNOWN, 1).await;
    remote.api.advance(1);
    // A known key needs nothing new.
    remote.expect("known", &token, Verdict::Admitted, 1).await;
    remote.expect("after 30 s", &unknown, UNKNOWN, 2).await;
    for _ in 0..10 {
        let (_, unknown) = remote.another_key();
        remote.expect("and again", &unknown, UNKNOWN, 2).await;
    }
    remote.api.advance(30);
    let mut requests = remote.present_often(50, &unknown);
    while let Some(verdict) = requests.join_next().await {
        assert_eq!(verdict.unwrap(), UNKNOWN);
    }
    assert_eq!(remote.server.count(), 3);
}

/// Some issuers replace a key and keep its `kid`, so a signature that does not verify may be of a key
/// that is not known yet. Anyone can write one.
#[tokio::test]
async fn a_wrong_signature_under_a_known_kid_makes_one_fetch_in_30_seconds() {
    let remote = Remote::at_url().await;
    let token = remote.token();
    let (other, unknown) = remote.another_key();
    let wrong = || remote.api.token().signed_by(&other).mint();
    remote.expect("first", &wrong(), WRONG_SIGNATURE, 1).await;
    remote.expect("good", &token, Verdict::Admitted, 1).await;
    remote.api.advance(29);
    remote
        .expect("after 29 s", &wrong(), WRONG_SIGNATURE, 1)
        .await;
    remote.api.advance(1);
    remote.expect("good", &token, Verdict::Admitted, 1).await;
    remote
        .expect("after 30 s", &wrong(), WRONG_SIGNATURE, 2)
        .await;
    // The limit is one for all reasons.
    remote.expect("unknown", &unknown, UNKNOWN, 2).await;
    for _ in 0..10 {
        remote
            .expect("and again", &wrong(), WRONG_SIGNATURE, 2)
            .await;
    }
    remote.api.advance(30);
    let mut flood = remote.present_often(50, &wrong());
    while let Some(verdict) = flood.join_next().await {
        assert_eq!(verdict.unwrap(), WRONG_SIGNATURE);
    }
    assert_eq!(remote.server.count(), 3);
    remote.expect("unknown", &unknown, UNKNOWN, 3).await;
}

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

/// The issuer's key set with another key under the same `kid`, and that key.
fn replaced_under_its_kid(remote: &Remote) -> (String, TestIssuer) {
    let (new, _) = remote.another_key();
    let mut set: Value = serde_json::from_str(&remote.api.issuer.jwks()).unwrap();
    let other: Value = serde_json::from_str(&new.jwks()).unwrap();
    for name in ["x", "y"] {
        set["keys"][0][name] = other["keys"][0][name].clone();
    }
    (set.to_string(), new)
}

#[tokio::test]
async fn wrong_signatures_do_not_make_good_tokens_wait() {
    let remote = Remote::at_url().await;
    let (token, another) = (remote.token(), remote.token());
    remote.expect("before", &token, Verdict::Admitted, 1).await;
    let (other, _) = remote.another_key();
    let wrong = remote.api.token().signed_by(&other).mint();
    remote.api.advance(30);
    remote.server.hold(true);
    let mut flood = remote.present_often(50, &wrong);
    remote.server.wait_for(2).await;
    for token in [&token, &another] {
        let verdict = soon(remote.present(token)).await;
        assert_eq!(verdict, Verdict::Admitted);
    }
    remote.server.hold(false);
    while let Some(verdict) = flood.join_next().await {
        assert_eq!(verdict.unwrap(), WRONG_SIGNATURE);
    }
    assert_eq!(remote.server.count(), 2);
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
    remote.api.advance(1);
    remote
        .expect("after 5 s", &token, Verdict::Admitted, 2)
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
    remote.api.advance(5);
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
    remote.api.advance(1);
    remote.expect_refresh("at 305 s", &token, 3).await;
    remote.api.advance(3599 - 305);
    remote.expect_refresh("at 3599 s", &token, 4).await;
    remote.api.advance(1);
    // A failure was just now.
    remote.expect("at 3600 s", &token, OUT_OF_REACH, 4).await;
    remote.api.advance(4);
    remote.expect("at 3604 s", &token, OUT_OF_REACH, 5).await;
    remote.server.put_keys(&[&remote.api.issuer]);
    remote.api.advance(5);
    remote
        .expect("at 3609 s", &token, Verdict::Admitted, 6)
        .await;
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
        remote.api.advance(5);
        remote.expect(&text, &token, Verdict::Admitted, 2).await;
    }
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
    remote.api.advance(5);
    let token = remote.token();
    remote
        .expect("back again", &token, Verdict::Admitted, 3)
        .await;
}

#[tokio::test]
async fn redirects_are_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let remote = Remote::at_url().await;
        let keys = Page::Json(remote.api.issuer.jwks());
        remote.server.put("/elsewhere", keys);
        remote.server.put(
            "/jwks",
            Page::Redirect(status, remote.server.url("/elsewhere")),
        );
        let token = remote.token();
        assert_eq!(remote.present(&token).await, OUT_OF_REACH, "{status}");
        assert_eq!(remote.server.hits(), ["/jwks"], "{status}");
    }
    let remote = Remote::discovered("").await;
    remote.put_metadata("/elsewhere");
    remote.server.put(
        "/.well-known/oauth-authorization-server",
        Page::Redirect(302, remote.server.url("/elsewhere")),
    );
    let token = remote.token();
    assert_eq!(remote.present(&token).await, OUT_OF_REACH);
    assert!(!remote.server.hits().contains(&"/elsewhere".to_owned()));
}

#[tokio::test]
async fn a_document_has_at_most_512_kib() {
    let remote = Remote::at_url().await;
    let padded = |len: usize| {
        let jwks = remote.api.issuer.jwks();
        let padding = " ".repeat(len - jwks.len());
        Page::Json(jwks + &padding)
    };
    let token = remote.token();
    remote.server.put("/jwks", padded(512 * 1024 + 1));
    remote.expect("too long", &token, OUT_OF_REACH, 1).await;
    remote.api.advance(5);
    remote.server.put("/jwks", padded(16 * 1024 * 1024));
    remote.expect("far too long", &token, OUT_OF_REACH, 2).await;
    remote.api.advance(5);
    remote.server.put("/jwks", padded(512 * 1024));
    remote.expect("long", &token, Verdict::Admitted, 3).await;

    let remote = Remote::discovered("").await;
    let at = "/.well-known/oauth-authorization-server";
    let metadata = remote.api.issuer.metadata(&remote.server.url("/jwks"));
    let padding = " ".repeat(512 * 1024);
    remote.server.put(at, Page::Json(metadata + &padding));
    let token = remote.token();
    remote.expect("metadata", &token, OUT_OF_REACH, 2).await;
    remote.api.advance(5);
    remote.put_metadata(at);
    remote.expect("shorter", &token, Verdict::Admitted, 4).await;
}

#[tokio::test]
async fn half_of_a_document_is_no_key_set() {
    let pages: [fn(String) -> Page; 3] = [Page::CutOff, Page::CutOffInChunks, Page::Halved];
    for page in pages {
        let remote = Remote::at_url().await;
        let (second, _) = remote.another_key();
        let (third, by_third) = remote.another_key();
        // The first key is in the half that arrives.
        let set = merged(&[&remote.api.issuer, &second, &third]);
        let first = remote.api.issuer.jwks();
        let whole_first_key = &first[..first.len() - 2];
        assert!(set[..set.len() / 2].starts_with(whole_first_key));
        remote.server.put("/jwks", page(set));
        let token = remote.token();
        assert_eq!(remote.present(&token).await, OUT_OF_REACH);

        // Nor does it replace the keys there are.
        remote.server.put_keys(&[&remote.api.issuer, &second]);
        remote.api.advance(5);
        assert_eq!(remote.present(&token).await, Verdict::Admitted);
        let set = merged(&[&third, &third, &third]);
        remote.server.put("/jwks", page(set));
        remote.api.advance(300);
        assert_eq!(remote.present(&token).await, Verdict::Admitted);
        assert_eq!(remote.present(&by_third).await, UNKNOWN);
    }
}

#[tokio::test]
async fn white_space_cut_off_is_still_half_a_document() {
    // What arrives is valid JSON with a good key, so only the length can tell.
    let remote = Remote::at_url().await;
    let jwks = remote.api.issuer.jwks();
    let padding = " ".repeat(jwks.len() + 10);
    let token = remote.token();
    for (i, page) in [
        Page::CutOff(jwks.clone() + &padding),
        Page::CutOffInChunks(jwks + &padding),
    ]
    .into_iter()
    .enumerate()
    {
        remote.server.put("/jwks", page);
        assert_eq!(remote.present(&token).await, OUT_OF_REACH, "{i}");
        remote.api.advance(5);
    }
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

#[tokio::test]
async fn rfc_7517_section_5_keys_that_cannot_be_used_are_skipped() {
    let (bad, good) = (
        JoseKey::new(Algorithm::Es256),
        JoseKey::new(Algorithm::Es256),
    );
    let usable = with(good.public(), &[("kid", json!("2"))]);
    let unusable = unusable_keys(&bad);
    for (what, key) in &unusable {
        for keys in [[key.clone(), usable.clone()], [usable.clone(), key.clone()]] {
            let api = api_with_keys(&keys);
            let token = jose_token(&api, &good, Some("2"));
            assert_eq!(present(&api, &token).await, Verdict::Admitted, "{what}");
            let token = jose_token(&api, &bad, Some("1"));
            assert_eq!(present(&api, &token).await, UNKNOWN, "{what}");
        }
    }
    let mut all: Vec<_> = unusable.into_iter().map(|(_, key)| key).collect();
    all.push(usable);
    let api = api_with_keys(&all);
    let token = jose_token(&api, &good, None);
    assert_eq!(present(&api, &token).await, Verdict::Admitted);
    // The key is fine: it is what is said about it.
    let fine = with(bad.public(), &[("kid", json!("1"))]);
    let api = api_with_keys(&[fine]);
    let token = jose_token(&api, &bad, Some("1"));
    assert_eq!(present(&api, &token).await, Verdict::Admitted);
}

fn temporary_file(name: &str, text: &str) -> PathBuf {
    let file = format!("dpop-tower-{}-{name}.json", std::process::id());
    let path = std::env::temp_dir().join(file);
    std::fs::write(&path, text).unwrap();
    path
}

fn config_error(
    tokens: Issuer,
    config: impl FnOnce(DpopConfigBuilder) -> DpopConfigBuilder,
) -> ConfigError {
    let origin = PublicOrigin::new(ORIGIN).unwrap();
    config(DpopConfig::builder(origin, tokens))
        .build()
        .unwrap_err()
}

#[test]
fn mistakes_in_the_settings_of_tokens_are_named() {
    let jwks = || TestIssuer::new().jwks();
    let kind = ConfigErrorKind::AccessTokens;
    for (tokens, text) in [
        (
            Issuer::new(ISSUER).jwks(jwks()),
            "no audience: name this API with `Issuer::audience`",
        ),
        (
            Issuer::new(ISSUER).jwks_url("https://issuer.test/jwks"),
            "no audience: name this API with `Issuer::audience`",
        ),
        (
            Issuer::new(ISSUER).jwks(jwks()).audience(""),
            "an audience is empty",
        ),
        (
            Issuer::new(ISSUER)
                .jwks(jwks())
                .audience(ORIGIN)
                .audience(""),
            "an audience is empty",
        ),
        (
            Issuer::new(ISSUER).audience(ORIGIN),
            "it is not said where the issuer's keys are: give `jwks_url`, `jwks_file` or `jwks` after \
             `Issuer::new`, or begin with `Issuer::discover`",
        ),
        (
            Issuer::new("").jwks(jwks()).audience(ORIGIN),
            "the issuer is empty",
        ),
        (Issuer::discover("").audience(ORIGIN), "the issuer is empty"),
        (
            Issuer::discover("http://issuer.test").audience(ORIGIN),
            "the issuer must be an https URL; for tests, see `Issuer::danger_allow_plain_http`",
        ),
        (
            Issuer::discover("ftp://issuer.test")
                .audience(ORIGIN)
                .danger_allow_plain_http(),
            "the issuer must be an https URL; for tests, see `Issuer::danger_allow_plain_http`",
        ),
        (
            Issuer::discover("issuer.test").audience(ORIGIN),
            "the issuer is not a URL",
        ),
        (
            Issuer::discover("https://issuer.test?tenant=1").audience(ORIGIN),
            "the issuer must not have a query or fragment",
        ),
        (
            Issuer::discover("https://user:secret@issuer.test").audience(ORIGIN),
            "the issuer must not contain credentials",
        ),
        (
            Issuer::new(ISSUER)
                .jwks_url("http://issuer.test/jwks")
                .audience(ORIGIN),
            "the URL of the JWK Set must be an https URL; for tests, see \
             `Issuer::danger_allow_plain_http`",
        ),
        (
            Issuer::new(ISSUER).jwks_url("/jwks").audience(ORIGIN),
            "the URL of the JWK Set is not a URL",
        ),
        (
            Issuer::new(ISSUER)
                .jwks_url("https://user:secret@issuer.test/jwks")
                .audience(ORIGIN),
            "the URL of the JWK Set must not contain credentials",
        ),
    ] {
        let error = config_error(tokens, |config| config);
        assert_eq!((error.kind(), &error.to_string()[..]), (kind, text));
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
}

#[test]
fn what_would_have_every_token_rejected_is_told_at_start() {
    let (issuer, url) = (ConfigErrorKind::Issuer, ConfigErrorKind::AccessTokens);
    let jwks = || TestIssuer::new().jwks();
    let metadata = "https://issuer.test/.well-known/openid-configuration";
    for (tokens, kind, parts) in [
        (
            Issuer::discover(metadata),
            issuer,
            [metadata, "\"https://issuer.test\""],
        ),
        (
            Issuer::new(metadata).jwks(jwks()),
            issuer,
            [metadata, "`iss`"],
        ),
        (
            Issuer::new("https://issuer.test/jwks.json").jwks_url("https://issuer.test/jwks"),
            issuer,
            ["https://issuer.test/jwks.json", "JWK Set"],
        ),
        (
            Issuer::new("https://issuer.test/jwks").jwks_url("https://issuer.test"),
            url,
            ["https://issuer.test/jwks", "swapped"],
        ),
        (
            Issuer::new(ISSUER).jwks_url(metadata),
            url,
            [metadata, "`discover`"],
        ),
    ] {
        let error = config_error(tokens.audience(ORIGIN), |config| config);
        assert_eq!(error.kind(), kind);
        for part in parts {
            assert!(error.to_string().contains(part), "{error}");
        }
    }
    for claim in ["", "aud", "sub", "exp", "cnf"] {
        let tokens = TestIssuer::new().tokens().scope_claim(claim);
        let error = config_error(tokens, |config| config);
        assert_eq!(error.kind(), ConfigErrorKind::ScopeClaim);
        assert!(error.to_string().contains(&format!("{claim:?}")), "{error}");
    }
    for claim in [
        "scope",
        "scp",
        "permissions",
        "roles",
        "https://x.test/roles",
    ] {
        let tokens = TestIssuer::new().tokens().scope_claim(claim);
        let origin = PublicOrigin::new(ORIGIN).unwrap();
        DpopConfig::builder(origin, tokens).build().unwrap();
    }
}

#[test]
fn keys_in_place_have_to_be_usable_at_once() {
    let es384 = Value::Object(JoseKey::new(Algorithm::Es384).public());
    let es256 = JoseKey::new(Algorithm::Es256);
    let unusable: Vec<_> = unusable_keys(&es256)
        .into_iter()
        .map(|(_, key)| json!({"keys": [key]}).to_string())
        .collect();
    let not_a_set =
        "the issuer's JWK Set cannot be used: it is not a JSON object with an array `keys`";
    let empty = "the issuer's JWK Set cannot be used: none of its keys can be used";
    let too_many = "the issuer's JWK Set cannot be used: it has more than 100 keys";
    let twice = format!(r#"{{"keys":[],"keys":[{es384}]}}"#);
    let mut table = vec![
        (String::new(), not_a_set),
        ("{".to_owned(), not_a_set),
        ("null".to_owned(), not_a_set),
        ("[]".to_owned(), not_a_set),
        ("{}".to_owned(), not_a_set),
        (json!({"keys": {}}).to_string(), not_a_set),
        (json!({"keys": "x"}).to_string(), not_a_set),
        (json!({"Keys": [es256.public()]}).to_string(), not_a_set),
        (Value::Object(es256.public()).to_string(), not_a_set),
        (twice, not_a_set),
        (json!({"keys": []}).to_string(), empty),
        // Not an algorithm that is allowed by default.
        (json!({"keys": [es384]}).to_string(), empty),
        (
            json!({"keys": vec![Value::Object(es256.public()); 101]}).to_string(),
            too_many,
        ),
    ];
    table.extend(unusable.into_iter().map(|set| (set, empty)));
    for (set, text) in table {
        let tokens = Issuer::new(ISSUER).jwks(set.as_str()).audience(ORIGIN);
        let error = config_error(tokens, |config| config);
        assert_eq!(
            (error.kind(), &error.to_string()[..]),
            (ConfigErrorKind::Keys, text),
            "{set}"
        );
        // From a file it is the same.
        let path = temporary_file("unusable", &set);
        let tokens = Issuer::new(ISSUER).jwks_file(&path).audience(ORIGIN);
        let error = config_error(tokens, |config| config);
        assert_eq!(error.to_string(), text, "{set}");
        std::fs::remove_file(path).unwrap();
    }
}

#[tokio::test]
async fn a_set_may_have_a_hundred_keys() {
    let key = JoseKey::new(Algorithm::Es256);
    let set: Vec<_> = (0..100)
        .map(|i| with(key.public(), &[("kid", json!(i.to_string()))]))
        .collect();
    let api = api_with_keys(&set);
    let token = jose_token(&api, &key, Some("99"));
    assert_eq!(present(&api, &token).await, Verdict::Admitted);
}

#[test]
fn a_key_file_that_cannot_be_read_is_named() {
    let missing = std::env::temp_dir().join("dpop-tower-there-is-no-such-file.json");
    for path in [missing, std::env::temp_dir()] {
        let tokens = Issuer::new(ISSUER).jwks_file(&path).audience(ORIGIN);
        let error = config_error(tokens, |config| config);
        assert_eq!(error.kind(), ConfigErrorKind::Keys);
        assert_eq!(
            error.to_string(),
            format!(
                "the issuer's JWK Set cannot be read from {}",
                path.display()
            )
        );
        let source = std::error::Error::source(&error).unwrap();
        assert!(source.is::<std::io::Error>(), "{source:?}");
    }
}

#[test]
fn mistakes_in_the_settings_of_proofs_are_named() {
    let tokens = || TestIssuer::new().tokens();
    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }
    let error = |of: fn(DpopConfigBuilder) -> DpopConfigBuilder| {
        let error = config_error(tokens(), of);
        assert_eq!(error.kind(), ConfigErrorKind::Window);
        error.to_string()
    };
    for (told, parts) in [
        (
            error(|config| config.max_age(Duration::ZERO)),
            ["maximum age of a proof is zero", "`max_age`"],
        ),
        (
            error(|config| config.max_age(secs(601))),
            ["maximum age of a proof is 601s", "`danger_max_age`"],
        ),
        (
            error(|config| config.danger_max_age(secs(86_401))),
            ["maximum age of a proof is 86401s", "a day"],
        ),
        (
            error(|config| config.max_age(Duration::from_millis(59_999))),
            ["maximum age of a proof is 59.999s", "fraction"],
        ),
        (
            error(|config| config.leeway(secs(61))),
            ["leeway of proofs is 61s", "`danger_leeway`"],
        ),
        (
            error(|config| config.danger_leeway(secs(3_601))),
            ["leeway of proofs is 3601s", "an hour"],
        ),
        (
            error(|config| config.leeway(Duration::from_millis(1))),
            ["leeway of proofs is 1ms", "fraction"],
        ),
        // The last call counts.
        (
            error(|config| config.danger_max_age(secs(700)).max_age(secs(700))),
            ["maximum age of a proof is 700s", "`danger_max_age`"],
        ),
    ] {
        for part in parts {
            assert!(told.contains(part), "{told:?} does not contain {part:?}");
        }
    }
    for (leeway, part) in [
        (tokens().leeway(secs(61)), "`danger_leeway`"),
        (tokens().danger_leeway(secs(3_601)), "an hour"),
        (tokens().leeway(Duration::from_millis(500)), "fraction"),
    ] {
        let error = config_error(leeway, |config| config);
        assert_eq!(error.kind(), ConfigErrorKind::Window);
        let told = error.to_string();
        assert!(
            told.contains("leeway of access tokens") && told.contains(part),
            "{told}"
        );
    }
    for period in [Duration::ZERO, Duration::from_millis(1500), secs(86_401)] {
        let nonces = StatelessNonces::new(NonceSecret::new([1; 32]).unwrap()).period(period);
        for error in [
            config_error(tokens(), |config| {
                config.nonce_source(nonces.clone()).require_nonces()
            }),
            config_error(tokens(), |config| config.nonce_source(nonces.clone())),
        ] {
            assert_eq!(error.kind(), ConfigErrorKind::Nonces);
            assert!(
                error.to_string().contains(&format!("{period:?}")),
                "{error}"
            );
        }
    }
    let none = "no algorithm is allowed";
    let error = config_error(tokens(), |config| config.algorithms([]));
    assert_eq!(
        (error.kind(), &error.to_string()[..]),
        (ConfigErrorKind::Algorithms, none)
    );
    let error = config_error(tokens().algorithms([]), |config| config);
    assert_eq!(
        (error.kind(), &error.to_string()[..]),
        (ConfigErrorKind::Algorithms, none)
    );
}

#[test]
fn the_widest_settings_that_are_allowed_are_allowed() {
    let origin = PublicOrigin::new(ORIGIN).unwrap();
    let builder = |tokens| DpopConfig::builder(origin.clone(), tokens);
    let tokens = || TestIssuer::new().tokens();
    let secs = Duration::from_secs;
    for (max_age, leeway) in [(1, 0), (600, 60)] {
        builder(tokens().leeway(secs(leeway)))
            .max_age(secs(max_age))
            .leeway(secs(leeway))
            .build()
            .unwrap();
    }
    for (max_age, leeway) in [(1, 0), (601, 61), (86_400, 3_600)] {
        builder(tokens().danger_leeway(secs(leeway)))
            .danger_max_age(secs(max_age))
            .danger_leeway(secs(leeway))
            .build()
            .unwrap();
    }
    for period in [1, 86_400] {
        let nonces = StatelessNonces::new(NonceSecret::new([1; 32]).unwrap());
        builder(tokens())
            .nonce_source(nonces.period(secs(period)))
            .require_nonces()
            .build()
            .unwrap();
    }
}
