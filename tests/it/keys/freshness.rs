//! What the issuer says about caching, and what is configured.

use std::time::Duration;

use dpop_tower::token::KeyFetching;

use super::{
    OUT_OF_REACH, UNKNOWN,
    server::{Page, Remote},
};
use crate::support::Verdict;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Keys that were fetched with these lines in the response are refreshed at this age and not earlier.
async fn expect_due(remote: &Remote, lines: &'static str, due: u64) {
    remote
        .server
        .put("/jwks", Page::Headed(lines, remote.api.issuer.jwks()));
    let token = remote.token();
    remote.expect(lines, &token, Verdict::Admitted, 1).await;
    remote.api.advance(due - 1);
    remote.expect(lines, &token, Verdict::Admitted, 1).await;
    remote.api.advance(1);
    remote.expect_refresh(lines, &token, 2).await;
}

#[tokio::test]
async fn rfc_9111_section_4_2_keys_are_refreshed_when_the_issuer_says_within_bounds() {
    let wide = || {
        KeyFetching::new()
            .min_refresh_after(secs(30))
            .max_refresh_after(secs(1_800))
    };
    for (lines, by_default, in_wide_bounds) in [
        ("", 300, 300),
        ("cache-control: public\r\n", 300, 300),
        ("cache-control: max-age=120\r\n", 120, 120),
        ("cache-control: max-age=120\r\nage: 20\r\n", 100, 100),
        ("cache-control: max-age=3\r\n", 60, 30),
        ("Cache-Control: No-Store\r\n", 60, 30),
        ("cache-control: no-cache, max-age=900\r\n", 60, 30),
        ("cache-control: max-age=900\r\n", 300, 900),
        ("cache-control: public, max-age=86400\r\n", 300, 1_800),
        ("cache-control: s-maxage=120\r\n", 300, 300),
        (
            "date: Sun, 06 Nov 1994 08:49:37 GMT\r\nexpires: Sun, 06 Nov 1994 08:51:37 GMT\r\n",
            120,
            120,
        ),
        ("expires: 0\r\n", 60, 30),
    ] {
        expect_due(&Remote::at_url().await, lines, by_default).await;
        expect_due(&Remote::fetching(wide()).await, lines, in_wide_bounds).await;
    }
}

/// An issuer cannot have its keys used for longer than is configured, or have them fetched all the time.
#[tokio::test]
async fn what_the_issuer_says_does_not_lengthen_the_life_of_keys() {
    let fetching = KeyFetching::new()
        .max_refresh_after(secs(3_600))
        .max_key_age(secs(3_601));
    let remote = Remote::fetching(fetching).await;
    let keys = remote.api.issuer.jwks();
    let page = Page::Headed("cache-control: max-age=999999999\r\n", keys);
    remote.server.put("/jwks", page);
    let token = remote.token();
    remote.expect("before", &token, Verdict::Admitted, 1).await;
    remote.server.put("/jwks", Page::Status(500));
    remote.api.advance(3_600);
    remote.expect_refresh("3600 s", &token, 2).await;
    remote.api.advance(1);
    remote.expect("3601 s", &token, OUT_OF_REACH, 2).await;
}

#[tokio::test]
async fn the_times_of_fetches_are_those_of_the_settings() {
    let fetching = KeyFetching::new()
        .refresh_after(secs(20))
        .max_key_age(secs(100))
        .unknown_key_cool_down(secs(3))
        .min_retry_delay(secs(1))
        .max_retry_delay(secs(2));
    let remote = Remote::fetching(fetching).await;
    let (token, (_, unknown)) = (remote.token(), remote.another_key());
    remote.expect("first", &token, Verdict::Admitted, 1).await;
    remote.expect("unknown", &unknown, UNKNOWN, 1).await;
    remote.api.advance(3);
    remote.expect("3 s later", &unknown, UNKNOWN, 2).await;
    remote.api.advance(19);
    remote.expect("19 s", &token, Verdict::Admitted, 2).await;
    remote.server.put("/jwks", Page::Status(500));
    remote.api.advance(1);
    remote.expect_refresh("20 s", &token, 3).await;
    remote.api.advance(2);
    remote.expect_refresh("22 s", &token, 4).await;
    remote.api.advance(77);
    remote.expect_refresh("99 s", &token, 5).await;
    remote.api.advance(1);
    remote.expect("100 s", &token, OUT_OF_REACH, 5).await;
    remote.server.put_keys(&[&remote.api.issuer]);
    remote.api.advance(1);
    remote
        .expect("up again", &token, Verdict::Admitted, 6)
        .await;
}
