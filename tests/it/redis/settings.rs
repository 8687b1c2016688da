//! Settings of the server and of the store.

use dpop_test_servers::redis::{Redis, until};
use dpop_tower::replay::{Freshness, ReplayStore as _, StoreErrorKind};

use super::{at, insert, until_ready, used, why};

#[tokio::test]
async fn a_server_that_evicts_is_rejected_unless_that_is_allowed() {
    let server = Redis::with(&["--save", "", "--maxmemory-policy", "allkeys-lru"]).await;
    let store = at(&server.url()).build().unwrap();
    let reason = why(store.warm_up().await);
    assert!(
        reason.contains("maxmemory-policy of the server is allkeys-lru"),
        "{reason}"
    );
    let reason = why(store.check_and_insert(used(1)).await);
    assert!(reason.contains("maxmemory-policy"), "{reason}");
    let store = at(&server.url()).danger_allow_eviction().build().unwrap();
    assert_eq!(insert(&store, 1).await, Freshness::Fresh);
}

#[tokio::test]
async fn a_policy_that_is_changed_while_the_store_runs_is_noticed() {
    let server = Redis::start().await;
    let store = at(&server.url()).build().unwrap();
    store.warm_up().await.unwrap();
    server.tell(&["CONFIG", "SET", "maxmemory-policy", "volatile-ttl"]);
    until_ready(&store, false).await;
    why(store.check_and_insert(used(1)).await);
    server.tell(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    until_ready(&store, true).await;
}

#[tokio::test]
async fn evictions_begin_a_new_incarnation() {
    let server = Redis::start().await;
    let store = at(&server.url()).build().unwrap();
    store.warm_up().await.unwrap();
    let incarnation = store.incarnation();
    server.tell(&["CONFIG", "SET", "maxmemory-policy", "volatile-ttl"]);
    // It goes first, and leaves room for the marker.
    server.ask(&["SETRANGE", "victim", "1000000", "x"]);
    server.ask(&["PEXPIRE", "victim", "50000"]);
    let limit = server.info("used_memory").parse::<u64>().unwrap() - 500_000;
    server.tell(&["CONFIG", "SET", "maxmemory", &limit.to_string()]);
    until("something is evicted", || {
        server.info("evicted_keys") != "0"
    })
    .await;
    server.tell(&["CONFIG", "SET", "maxmemory", "0"]);
    server.tell(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    until("the incarnation changes", || {
        store.incarnation() != incarnation
    })
    .await;
}

#[tokio::test]
async fn a_server_without_memory_is_full_and_still_knows_what_was_used() {
    let server = Redis::start().await;
    let store = at(&server.url()).build().unwrap();
    assert_eq!(insert(&store, 1).await, Freshness::Fresh);
    server.tell(&["CONFIG", "SET", "maxmemory", "1"]);
    let error = store.check_and_insert(used(2)).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Full);
    // The session goes on.
    assert!(store.readiness().is_ok());
    assert!(
        store.check_and_insert(used(1)).await.is_err()
            || insert(&store, 1).await == Freshness::Replayed
    );
    server.tell(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(insert(&store, 1).await, Freshness::Replayed);
    assert_eq!(insert(&store, 2).await, Freshness::Fresh);
}

/// The rights are those in the documentation.
#[tokio::test]
async fn a_user_needs_few_rights_and_a_missing_one_is_named() {
    let server = Redis::start().await;
    let rights = [
        "on",
        ">p@s/s:w?rd",
        "resetkeys",
        "resetchannels",
        "~dpop:*",
        "-@all",
    ];
    let needed = [
        "+evalsha",
        "+script|load",
        "+info",
        "+time",
        "+get",
        "+set",
        "+pexpire",
    ];
    server.tell(&[&["ACL", "SETUSER", "dpop"], &rights[..], &needed[..]].concat());
    server.tell(&["ACL", "SETUSER", "default", "off"]);
    let url = format!(
        "redis://dpop:p%40s%2Fs%3Aw%3Frd@127.0.0.1:{}",
        server.port()
    );
    let store = at(&url).build().unwrap();
    assert_eq!(insert(&store, 1).await, Freshness::Fresh);
    assert_eq!(insert(&store, 1).await, Freshness::Replayed);
    let wrong = at(&url.replace("p%40", "x")).build().unwrap();
    let reason = why(wrong.warm_up().await);
    assert!(
        !reason.contains("w?rd") && !reason.contains("127.0.0.1"),
        "{reason}"
    );
}

#[tokio::test]
async fn a_user_who_may_not_ask_for_info_gets_a_clear_error() {
    let server = Redis::start().await;
    server.tell(&[
        "ACL", "SETUSER", "dpop", "on", ">secret", "~*", "+@all", "-info",
    ]);
    let url = format!("redis://dpop:secret@127.0.0.1:{}", server.port());
    let reason = why(at(&url).build().unwrap().warm_up().await);
    assert!(
        reason.contains("lacks a right") && reason.contains("info"),
        "{reason}"
    );
}

#[tokio::test]
async fn a_server_with_tls_is_used_if_its_authority_is_trusted() {
    let server = Redis::with_tls().await;
    let store = at(&server.url())
        .root_certificates(server.authority())
        .build()
        .unwrap();
    assert_eq!(insert(&store, 1).await, Freshness::Fresh);
    assert_eq!(insert(&store, 1).await, Freshness::Replayed);
    // The system does not know the authority.
    let store = at(&server.url()).build().unwrap();
    let reason = why(store.warm_up().await);
    assert!(reason.to_lowercase().contains("certificate"), "{reason}");
}

#[test]
fn wrong_settings_are_errors() {
    for builder in [
        at("redis://host").key_prefix("a{b}"),
        at("redis://host").time_out(std::time::Duration::ZERO),
        at("redis://host").clock_margin(std::time::Duration::from_secs(3601)),
        at("rediss://host").root_certificates("none"),
    ] {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), dpop_tower::ConfigErrorKind::Replay);
    }
    let text = format!("{:?}", at("redis://user:secret@host"));
    assert!(!text.contains("secret"), "{text}");
}
