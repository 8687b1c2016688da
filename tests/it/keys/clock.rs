//! The age of keys and the intervals between fetches do not depend on the wall clock.

use dpop_tower::clock::{TimeSource as _, UnixTime};

use super::{
    OUT_OF_REACH, UNKNOWN,
    server::{Page, Remote},
};
use crate::support::Verdict;

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// Someone sets the clock, which takes no time.
fn set(remote: &Remote, by: i64) {
    let now = remote.api.clock.now().as_secs();
    remote.api.clock.set(UnixTime::from_secs(now + by));
}

#[tokio::test]
async fn keys_that_were_fetched_with_the_clock_ahead_age_like_all_others() {
    for ahead in [HOUR, DAY] {
        let remote = Remote::at_url().await;
        let (new, rotated) = remote.another_key();
        set(&remote, ahead);
        let early = remote.token();
        remote.expect("ahead", &early, Verdict::Admitted, 1).await;
        set(&remote, -ahead);
        let token = remote.token();
        remote
            .expect("set back", &token, Verdict::Admitted, 1)
            .await;
        remote.server.put_keys(&[&new]);
        remote.api.advance(29);
        remote.expect("29 s", &rotated, UNKNOWN, 1).await;
        remote.api.advance(1);
        remote
            .expect("new key", &rotated, Verdict::Admitted, 2)
            .await;
        remote.expect("withdrawn", &token, UNKNOWN, 2).await;
    }
}

#[tokio::test]
async fn keys_are_refreshed_after_five_minutes_and_given_up_after_an_hour_of_any_clock() {
    for by in [-DAY, -HOUR, HOUR, DAY] {
        let remote = Remote::at_url().await;
        let token = || {
            // Good for as long as the test, whatever the clock says.
            let token = remote.api.token();
            let exp = remote.api.now() + 2 * DAY;
            token.claim("exp", exp).claim("iat", 1).mint()
        };
        remote
            .expect("before", &token(), Verdict::Admitted, 1)
            .await;
        set(&remote, by);
        remote.expect("set", &token(), Verdict::Admitted, 1).await;
        remote.api.advance(299);
        remote.expect("299 s", &token(), Verdict::Admitted, 1).await;
        remote.server.put("/jwks", Page::Status(500));
        remote.api.advance(1);
        remote.expect_refresh("300 s", &token(), 2).await;
        set(&remote, -by);
        remote.api.advance(3_299);
        remote.expect_refresh("3599 s", &token(), 3).await;
        set(&remote, by);
        remote
            .expect("in the pause", &token(), Verdict::Admitted, 3)
            .await;
        remote.api.advance(1);
        remote.expect("3600 s", &token(), OUT_OF_REACH, 3).await;
    }
}

#[tokio::test]
async fn the_pause_after_a_failure_is_five_to_ten_seconds_of_any_clock() {
    for by in [-DAY, -HOUR, HOUR, DAY] {
        let remote = Remote::at_url().await;
        remote.server.put("/jwks", Page::Status(500));
        remote
            .expect("before", &remote.token(), OUT_OF_REACH, 1)
            .await;
        remote.server.put_keys(&[&remote.api.issuer]);
        set(&remote, by);
        let token = remote.token();
        remote.expect("set", &token, OUT_OF_REACH, 1).await;
        remote.api.advance(4);
        remote.expect("4 s", &token, OUT_OF_REACH, 1).await;
        remote.api.advance(6);
        remote.expect("10 s", &token, Verdict::Admitted, 2).await;
    }
}

#[tokio::test]
async fn an_unknown_kid_makes_one_fetch_in_30_seconds_of_any_clock() {
    for by in [-DAY, -HOUR, HOUR, DAY] {
        let remote = Remote::at_url().await;
        let unknown = || {
            let (_, token) = remote.another_key();
            token
        };
        remote.expect("before", &unknown(), UNKNOWN, 1).await;
        set(&remote, by);
        remote.expect("set", &unknown(), UNKNOWN, 1).await;
        remote.api.advance(29);
        remote.expect("29 s", &unknown(), UNKNOWN, 1).await;
        remote.api.advance(1);
        remote.expect("30 s", &unknown(), UNKNOWN, 2).await;
    }
}
