//! When keys are fetched, and when they are not.

use dpop_tower::crypto::Algorithm;
use serde_json::json;

use super::{
    LONGEST_PAUSE, OUT_OF_REACH, UNKNOWN, WRONG_SIGNATURE,
    published::{api_with_keys, jose_token, present, unusable_keys, with},
    server::{Page, Remote, all_end_with, merged},
};
use crate::{
    robustness::crypto::JoseKey,
    support::{Verdict, invalid_token},
};

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
    let requests = remote.present_to_held(&token).await;
    all_end_with(Verdict::Admitted, requests).await;
    assert_eq!(remote.server.count(), 1);
}

#[tokio::test]
async fn many_first_requests_make_one_fetch_if_it_fails_too() {
    let remote = Remote::at_url().await;
    remote.server.put("/jwks", Page::Status(500));
    let token = remote.token();
    let requests = remote.present_to_held(&token).await;
    all_end_with(OUT_OF_REACH, requests).await;
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
    all_end_with(UNKNOWN, remote.present_often(50, &unknown)).await;
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
    all_end_with(WRONG_SIGNATURE, remote.present_often(50, &wrong())).await;
    assert_eq!(remote.server.count(), 3);
    remote.expect("unknown", &unknown, UNKNOWN, 3).await;
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
    remote.api.advance(LONGEST_PAUSE);
    remote.server.put("/jwks", padded(16 * 1024 * 1024));
    remote.expect("far too long", &token, OUT_OF_REACH, 2).await;
    remote.api.advance(LONGEST_PAUSE);
    remote.server.put("/jwks", padded(512 * 1024));
    remote.expect("long", &token, Verdict::Admitted, 3).await;

    let remote = Remote::discovered("").await;
    let at = "/.well-known/oauth-authorization-server";
    let metadata = remote.api.issuer.metadata(&remote.server.url("/jwks"));
    let padding = " ".repeat(512 * 1024);
    remote.server.put(at, Page::Json(metadata + &padding));
    let token = remote.token();
    remote.expect("metadata", &token, OUT_OF_REACH, 2).await;
    remote.api.advance(LONGEST_PAUSE);
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
        remote.api.advance(LONGEST_PAUSE);
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
        remote.api.advance(LONGEST_PAUSE);
    }
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
