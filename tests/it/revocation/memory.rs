//! The limits of the list in memory.

use std::{num::NonZeroUsize, sync::Barrier, thread};

use dpop_tower::{
    clock::{ManualClock, UnixTime},
    revocation::{
        MemoryRevocationList, Revocation, RevocationList, RevocationQuery, RevocationStatus,
    },
    token::VerifiedToken,
};
use serde_json::{Map, Value, json};

const ISSUER: &str = "https://issuer.test";

fn at(secs: i64) -> UnixTime {
    UnixTime::from_secs(secs)
}

fn list(capacity: usize, clock: &ManualClock) -> MemoryRevocationList {
    let capacity = NonZeroUsize::new(capacity).unwrap();
    MemoryRevocationList::with_capacity(capacity).clock(clock.clone())
}

fn jti(jti: &str) -> Revocation<'_> {
    Revocation::Token {
        issuer: ISSUER,
        jti,
    }
}

fn subject(issued_before: i64) -> Revocation<'static> {
    Revocation::Subject {
        issuer: ISSUER,
        subject: "alice",
        issued_before: at(issued_before),
    }
}

async fn is_revoked(list: &MemoryRevocationList, claims: Value, now: i64) -> bool {
    let mut all = Map::from_iter([
        ("iss".to_owned(), json!(ISSUER)),
        ("exp".to_owned(), json!(9_000)),
    ]);
    all.extend(claims.as_object().cloned().unwrap());
    let token = VerifiedToken::new(all).unwrap();
    let status = list.status(RevocationQuery::new(token.claims(), at(now)));
    assert_eq!(format!("{status:?}"), "MaybeReady::Ready(..)");
    status.await.unwrap() == RevocationStatus::Revoked
}

#[tokio::test]
async fn a_full_list_rejects_what_is_new_and_keeps_what_is_live() {
    let clock = ManualClock::new(at(100));
    let list = list(3, &clock);
    for name in ["a", "b", "c"] {
        list.revoke(jti(name), at(200)).unwrap();
    }
    clock.set(at(200));
    assert!(list.revoke(jti("d"), at(300)).is_err());
    assert_eq!(list.len(), 3);
    for name in ["a", "b", "c"] {
        assert!(is_revoked(&list, json!({ "jti": name }), 200).await);
    }
    assert!(!is_revoked(&list, json!({ "jti": "d" }), 200).await);
    // What is on the list can be extended.
    list.revoke(jti("a"), at(300)).unwrap();
    assert!(is_revoked(&list, json!({ "jti": "a" }), 300).await);
}

#[tokio::test]
async fn expired_entries_make_room() {
    let clock = ManualClock::new(at(100));
    let list = list(3, &clock);
    for (name, until) in [("a", 150), ("b", 200), ("c", 250)] {
        list.revoke(jti(name), at(until)).unwrap();
    }
    clock.set(at(201));
    list.revoke(jti("d"), at(300)).unwrap();
    list.revoke(jti("e"), at(300)).unwrap();
    assert!(list.revoke(jti("f"), at(300)).is_err());
    for (name, expected) in [("a", false), ("b", false), ("c", true), ("d", true)] {
        assert_eq!(
            is_revoked(&list, json!({ "jti": name }), 201).await,
            expected
        );
    }
}

/// Memory is bounded by what is live, even if the capacity is never reached.
#[test]
fn a_list_below_its_capacity_also_removes_expired_entries() {
    let clock = ManualClock::new(at(0));
    let list = list(1_000_000, &clock);
    for second in 0..10_000 {
        clock.set(at(second));
        list.revoke(jti(&second.to_string()), at(second + 9))
            .unwrap();
        assert!(list.len() <= 128, "{} at {second}", list.len());
    }
}

#[tokio::test]
async fn revoking_again_never_revokes_less() {
    for (first, second) in [((10, 100), (20, 50)), ((20, 50), (10, 100))] {
        let list = list(9, &ManualClock::new(at(0)));
        for (issued_before, until) in [first, second] {
            list.revoke(subject(issued_before), at(until)).unwrap();
        }
        assert_eq!(list.len(), 1);
        let alice = |iat: i64| json!({ "sub": "alice", "iat": iat });
        assert!(is_revoked(&list, alice(19), 100).await);
        assert!(!is_revoked(&list, alice(20), 100).await);
        assert!(!is_revoked(&list, alice(19), 101).await);
    }
}

#[tokio::test]
async fn an_identifier_that_is_no_text_is_on_no_list() {
    let list = list(9, &ManualClock::new(at(0)));
    list.revoke(jti("7"), at(100)).unwrap();
    list.revoke(jti(""), at(100)).unwrap();
    for value in [json!(7), json!(null), json!(["7"])] {
        assert!(!is_revoked(&list, json!({ "jti": value }), 50).await);
    }
    assert!(is_revoked(&list, json!({ "jti": "" }), 50).await);
}

/// Where an issuer ends and a name begins makes a difference.
#[tokio::test]
async fn issuer_and_name_are_not_run_together() {
    let list = list(9, &ManualClock::new(at(0)));
    let split = |issuer, jti| Revocation::Token { issuer, jti };
    list.revoke(split("https://issuer.tes", "tone"), at(100))
        .unwrap();
    list.revoke(split("https://issuer.testo", "ne"), at(100))
        .unwrap();
    assert!(!is_revoked(&list, json!({ "jti": "one" }), 50).await);
}

#[test]
fn threads_never_put_more_on_the_list_than_it_holds() {
    const THREADS: usize = 4;
    let list = list(100, &ManualClock::new(at(0)));
    let begin = Barrier::new(THREADS);
    let (list, begin) = (&list, &begin);
    let revoked: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn(move || {
                    begin.wait();
                    (0..100)
                        .filter(|i| list.revoke(jti(&format!("{thread}-{i}")), at(9)).is_ok())
                        .count()
                })
            })
            .collect();
        threads.into_iter().map(|it| it.join().unwrap()).sum()
    });
    assert_eq!((revoked, list.len()), (100, 100));
}

#[test]
fn debug_shows_no_identifiers() {
    let list = list(9, &ManualClock::new(at(0)));
    list.revoke(jti("secret"), at(100)).unwrap();
    let claims = Map::from_iter([
        ("exp".to_owned(), json!(9_000)),
        ("jti".to_owned(), json!("secret")),
    ]);
    let token = VerifiedToken::new(claims).unwrap();
    let query = RevocationQuery::new(token.claims(), at(1));
    for text in [
        format!("{:?}", jti("secret")),
        format!("{list:?}"),
        format!("{query:?}"),
    ] {
        assert!(!text.contains("secret"), "{text}");
    }
    assert_eq!(
        RevocationQuery::new(token.claims(), at(1)).jti(),
        Some("secret")
    );
}
