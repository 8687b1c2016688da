//! A fetch belongs to no caller: a caller that hangs up does not end it, and a caller that waits does so
//! once.

use std::time::{Duration, Instant};

use dpop_tower::{DpopConfig, Issuer, PublicOrigin};
use http::header;
use tokio::{runtime, time::sleep};

use super::{
    ISSUER, LONGEST_PAUSE, OUT_OF_REACH, UNKNOWN,
    server::{Remote, Server, all_end_with, soon},
};
use crate::{
    rejection::logging::Log,
    support::{Api, ORIGIN, URL, Verdict, router, send},
};

#[tokio::test]
async fn a_fetch_goes_on_when_all_who_wait_for_it_hang_up() {
    let remote = Remote::at_url().await;
    let token = remote.token();
    remote.server.hold(true);
    let mut callers = remote.present_often(40, &token);
    remote.server.wait_for(1).await;
    sleep(Duration::from_millis(20)).await;
    callers.abort_all();
    while let Some(end) = callers.join_next().await {
        assert!(end.unwrap_err().is_cancelled());
    }
    remote.server.hold(false);
    // It has been patient, and nobody is.
    let verdict = soon(remote.present(&token)).await;
    assert_eq!(verdict, Verdict::Admitted);
    assert_eq!(remote.server.count(), 1);
}

#[tokio::test]
async fn whoever_is_left_gets_the_keys_that_another_began_to_fetch() {
    let remote = Remote::at_url().await;
    let token = remote.token();
    remote.server.hold(true);
    let mut first = remote.present_often(1, &token);
    remote.server.wait_for(1).await;
    let waiting = remote.present_often(20, &token);
    sleep(Duration::from_millis(20)).await;
    first.abort_all();
    assert!(first.join_next().await.unwrap().unwrap_err().is_cancelled());
    remote.server.hold(false);
    soon(all_end_with(Verdict::Admitted, waiting)).await;
    assert_eq!(remote.server.count(), 1);
}

#[tokio::test]
async fn strangers_who_hang_up_make_one_fetch() {
    let remote = Remote::at_url().await;
    let (_, unknown) = remote.another_key();
    remote.server.hold(true);
    remote.hang_up(100, &unknown).await;
    assert_eq!(remote.server.count(), 1);
    remote.server.hold(false);
    let token = remote.token();
    let verdict = soon(remote.present(&token)).await;
    assert_eq!(verdict, Verdict::Admitted);
    remote.hang_up(100, &unknown).await;
    assert_eq!(remote.server.count(), 1);
}

/// The limit is noted when the fetch begins, and not when somebody has seen its end.
#[tokio::test]
async fn strangers_who_hang_up_use_up_the_one_fetch_in_30_seconds() {
    let remote = Remote::at_url().await;
    let token = remote.token();
    remote.expect("before", &token, Verdict::Admitted, 1).await;
    let (other, unknown) = remote.another_key();
    let wrong = remote.api.token().signed_by(&other).mint();
    for (i, stranger) in [&unknown, &wrong].into_iter().enumerate() {
        let hits = 2 + i;
        remote.api.advance(30);
        remote.server.hold(true);
        remote.hang_up(50, stranger).await;
        assert_eq!(remote.server.count(), hits);
        // Nobody else is concerned.
        let verdict = soon(remote.present(&token)).await;
        assert_eq!(verdict, Verdict::Admitted);
        remote.server.hold(false);
        remote.settle().await;
        remote.hang_up(50, stranger).await;
        remote.api.advance(29);
        remote.hang_up(50, stranger).await;
        assert_eq!(remote.server.count(), hits);
        remote.api.advance(1);
    }
}

#[tokio::test]
async fn who_misses_a_key_and_hangs_up_has_it_fetched_for_the_next() {
    let remote = Remote::at_url().await;
    let token = remote.token();
    remote.expect("before", &token, Verdict::Admitted, 1).await;
    let (new, rotated) = remote.another_key();
    remote.server.put_keys(&[&remote.api.issuer, &new]);
    remote.api.advance(30);
    remote.server.hold(true);
    remote.hang_up(10, &rotated).await;
    remote.server.hold(false);
    let verdict = soon(remote.present(&rotated)).await;
    assert_eq!(verdict, Verdict::Admitted);
    assert_eq!(remote.server.count(), 2);
}

/// One attempt takes ten seconds at most, whatever it consists of, and nobody waits for another.
#[tokio::test]
async fn an_issuer_that_hangs_makes_everybody_wait_for_one_attempt() {
    let at_url = Remote::at_url().await;
    at_url.server.hold(true);
    let hanging = Remote::discovered("").await;
    hanging.server.hold(true);
    let halting = Remote::discovered("").await;
    halting.put_metadata("/.well-known/openid-configuration");
    let first = "/.well-known/oauth-authorization-server";
    halting.server.hold_only(&[first, "/jwks"]);
    let began = Instant::now();
    tokio::join!(
        wait_for_one_attempt(&at_url, 1),
        wait_for_one_attempt(&hanging, 2),
        wait_for_one_attempt(&halting, 3),
    );
    assert!(began.elapsed() < Duration::from_secs(19), "one attempt");
    hanging.put_metadata(first);
    for remote in [at_url, hanging, halting] {
        assert_eq!(remote.present(&remote.token()).await, Verdict::Admitted);
    }
}

async fn wait_for_one_attempt(remote: &Remote, hits: usize) {
    let token = remote.token();
    let callers = remote.present_often(5, &token);
    sleep(Duration::from_secs(2)).await;
    let more = remote.present_often(5, &token);
    all_end_with(OUT_OF_REACH, callers).await;
    all_end_with(OUT_OF_REACH, more).await;
    assert_eq!(remote.server.count(), hits);
    // The pause begins with the end, so these are answered at once.
    let end = Instant::now();
    for _ in 0..5 {
        let request = remote.api.client.get(URL, &token);
        let response = send(remote.api.router.clone(), request).await;
        assert_eq!(response.headers()[header::RETRY_AFTER], "5");
        assert_eq!(Verdict::of(response), OUT_OF_REACH);
    }
    assert!(end.elapsed() < Duration::from_secs(5));
    assert_eq!(remote.server.count(), hits);
    // Then there is another chance.
    remote.server.hold(false);
    remote.api.advance(LONGEST_PAUSE);
}

/// The keys' host says nothing, and the first place of metadata neither: both are asked in time.
#[tokio::test]
async fn a_first_document_that_does_not_come_leaves_time_for_the_second() {
    let remote = Remote::discovered("").await;
    remote.put_metadata("/.well-known/openid-configuration");
    let first = "/.well-known/oauth-authorization-server";
    remote.server.hold_only(&[first]);
    let token = remote.token();
    assert_eq!(soon(remote.present(&token)).await, Verdict::Admitted);
    assert_eq!(remote.server.count(), 3);
}

/// A runtime of one thread, as programs have them that start one for each.
fn small_runtime() -> runtime::Runtime {
    runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn a_fetch_that_ends_with_its_runtime_is_begun_anew_on_another() {
    let servers = small_runtime();
    let remote = servers.block_on(Remote::at_url());
    let driven = std::thread::spawn({
        let server = remote.server.clone();
        move || {
            servers.block_on(async {
                server.wait_for(2).await;
                server.hold(false);
                sleep(Duration::from_secs(1)).await;
            });
        }
    });
    remote.server.hold(true);
    let token = remote.token();
    let (first, second) = (small_runtime(), small_runtime());
    let mut callers = first.block_on(async {
        let callers = remote.present_often(1, &token);
        remote.server.wait_for(1).await;
        callers
    });
    let waiting = std::thread::spawn({
        let request = remote.api.client.get(URL, &token);
        let router = remote.api.router.clone();
        move || {
            let verdict = async { Verdict::of(send(router, request).await) };
            small_runtime().block_on(soon(verdict))
        }
    });
    // It waits for a fetch on a runtime that nobody drives, and then for none.
    std::thread::sleep(Duration::from_millis(100));
    drop(first);
    assert_eq!(waiting.join().unwrap(), OUT_OF_REACH);
    second.block_on(async {
        assert!(callers.join_next().await.unwrap().is_err());
        assert_eq!(soon(remote.present(&token)).await, Verdict::Admitted);
        // The keys are everybody's.
        assert_eq!(remote.present(&remote.token()).await, Verdict::Admitted);
    });
    assert_eq!(remote.server.count(), 2);
    let third = small_runtime();
    drop(second);
    third.block_on(async {
        assert_eq!(remote.present(&remote.token()).await, Verdict::Admitted);
    });
    driven.join().unwrap();
}

/// Nothing tells that a runtime is not driven any more, so waiting has an end.
#[tokio::test(start_paused = true)]
async fn a_fetch_on_a_runtime_that_stands_still_is_given_up() {
    let server = Server::start().await;
    let url = server.url("/jwks");
    let api = Api::with(
        |_| {
            Issuer::new(ISSUER)
                .jwks_url(url)
                .audience(ORIGIN)
                .danger_allow_plain_http()
        },
        |config| config,
    );
    server.put_keys(&[&api.issuer]);
    let token = api.token().mint();
    let stalled = small_runtime();
    let begin = {
        let (router, request) = (api.router.clone(), api.client.get(URL, &token));
        async move { Verdict::of(send(router, request).await) }
    };
    // The request is looked at once on that runtime, which is not driven again.
    let mut begin = Box::pin(begin);
    {
        let _entered = stalled.enter();
        let waker = std::task::Waker::noop();
        let mut context = std::task::Context::from_waker(waker);
        assert!(begin.as_mut().poll(&mut context).is_pending());
    }
    let verdict = api.get(&token, &api.proof(&token).sign()).await;
    assert_eq!(verdict, OUT_OF_REACH);
    assert_eq!(server.count(), 0);
    tokio::time::resume();
    let verdict = soon(api.get(&token, &api.proof(&token).sign())).await;
    assert_eq!(verdict, Verdict::Admitted);
    assert_eq!(server.count(), 1);
    std::thread::spawn(move || drop(stalled)).join().unwrap();
}

/// A future of an ordinary executor has nobody to fetch for it.
#[test]
fn without_a_runtime_a_request_gets_503_and_the_log_says_why() {
    let log = Log::listen();
    let api = Api::new();
    let tokens = Issuer::new(ISSUER)
        .jwks_url("http://127.0.0.1:9/jwks")
        .audience(ORIGIN)
        .danger_allow_plain_http();
    let origin = PublicOrigin::new(ORIGIN).unwrap();
    let config = DpopConfig::builder(origin, tokens).clock(api.clock.clone());
    let router = router(config.build().unwrap());
    for round in 0..3 {
        let request = api.client.get(URL, &api.token().mint());
        let mut answer = Box::pin(send(router.clone(), request));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let std::task::Poll::Ready(response) = answer.as_mut().poll(&mut context) else {
            panic!("nobody waits for what does not come");
        };
        assert_eq!(Verdict::of(response), OUT_OF_REACH);
        let mut lines = log.take();
        lines.retain(|line| line.contains("takes a tokio runtime, and there is none"));
        // The pause after a failure is a pause of the log, too.
        assert_eq!(lines.len(), usize::from(round != 1), "{lines:#?}");
        if round == 1 {
            api.advance(LONGEST_PAUSE);
        }
    }
}

#[tokio::test]
async fn a_random_kid_in_every_request_is_not_a_way_to_make_us_fetch() {
    let remote = Remote::at_url().await;
    let token = remote.token();
    remote.expect("before", &token, Verdict::Admitted, 1).await;
    remote.api.advance(30);
    remote.server.hold(true);
    let mut floods = Vec::new();
    for i in 0..100 {
        let stranger = remote
            .api
            .token()
            .header("kid", format!("random-{i}"))
            .mint();
        floods.push(remote.present_often(1, &stranger));
    }
    remote.server.wait_for(2).await;
    remote.server.hold(false);
    for mut flood in floods {
        let verdict = soon(flood.join_next()).await;
        assert_eq!(verdict.unwrap().unwrap(), UNKNOWN);
    }
    for i in 0..100 {
        let stranger = remote.api.token().header("kid", format!("late-{i}")).mint();
        assert_eq!(remote.present(&stranger).await, UNKNOWN);
    }
    assert_eq!(remote.server.count(), 2);
}
