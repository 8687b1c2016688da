use std::{
    future::Future,
    pin::pin,
    sync::Barrier,
    task::{Context, Poll, Waker},
    thread,
};

use super::*;
use crate::{crypto::pure_rust::PureRust, replay::ReplayKey};
use Freshness::{Fresh, Replayed};
use StoreErrorKind::{Full, KeyFull, SubjectFull};

const THREADS: usize = 64;

fn store(capacity: usize, per_client: usize) -> MemoryReplayStore {
    MemoryReplayStore::with_capacity(NonZeroUsize::new(capacity).unwrap())
        .capacity_per_key(NonZeroUsize::new(per_client).unwrap())
}

fn key(client: u8, jti: usize) -> ReplayKey {
    ReplayKey::new([client; 32], &jti.to_string(), &PureRust)
}

fn check(
    store: &MemoryReplayStore,
    key: ReplayKey,
    expires_at: i64,
    now: i64,
) -> Result<Freshness, StoreErrorKind> {
    let used = UsedProof {
        key,
        now: UnixTime::from_secs(now),
        expires_at: UnixTime::from_secs(expires_at),
    };
    let answer = pin!(store.check_and_insert(used));
    match answer.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer.map_err(|error| error.kind()),
        Poll::Pending => panic!("the answer is in memory"),
    }
}

/// Entries that are stored, for proofs and for clients.
fn stored(store: &MemoryReplayStore) -> (usize, usize) {
    let seen = store.seen.each();
    let clients = store.clients.each();
    (
        seen.map(|part| part.len()).sum(),
        clients.map(|part| part.len()).sum(),
    )
}

fn sweep(store: &MemoryReplayStore, now: i64) {
    store.sweep(UnixTime::from_secs(now));
}

/// Runs `work` on all threads at once and gives what each returned.
fn at_once<T: Send>(work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let barrier = Barrier::new(THREADS);
    let (barrier, work) = (&barrier, &work);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|n| {
                scope.spawn(move || {
                    barrier.wait();
                    work(n)
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    })
}

#[test]
fn the_second_use_is_a_replay() {
    let store = MemoryReplayStore::new();
    assert!(store.is_empty());
    assert_eq!(check(&store, key(1, 1), 160, 100), Ok(Fresh));
    assert_eq!(check(&store, key(1, 1), 160, 100), Ok(Replayed));
    assert_eq!(check(&store, key(1, 1), 160, 130), Ok(Replayed));
    assert_eq!(store.len(), 1);
    assert!(!store.is_empty());
}

#[test]
fn a_jti_is_used_up_for_its_own_client_only() {
    let store = MemoryReplayStore::new();
    assert_eq!(check(&store, key(1, 1), 160, 100), Ok(Fresh));
    assert_eq!(check(&store, key(2, 1), 160, 100), Ok(Fresh));
    assert_eq!(check(&store, key(1, 1), 160, 100), Ok(Replayed));
    assert_eq!(stored(&store), (2, 2));
}

#[test]
fn exactly_one_of_many_concurrent_uses_is_fresh() {
    const KEYS: usize = 100;
    let store = MemoryReplayStore::new();
    let together = Barrier::new(THREADS);
    let answers = at_once(|_| -> Vec<_> {
        (0..KEYS)
            .map(|jti| {
                together.wait();
                check(&store, key(1, jti), 160, 100)
            })
            .collect()
    });
    for jti in 0..KEYS {
        let of_key = || answers.iter().map(|of_thread| of_thread[jti]);
        assert_eq!(of_key().filter(|a| *a == Ok(Fresh)).count(), 1);
        assert_eq!(of_key().filter(|a| *a == Ok(Replayed)).count(), THREADS - 1);
    }
    assert_eq!(store.len(), KEYS);
    assert_eq!(stored(&store), (KEYS, 1));
}

#[test]
fn an_entry_lives_through_its_last_second_and_no_longer() {
    let store = store(1, 1);
    assert_eq!(check(&store, key(1, 1), 160, 100), Ok(Fresh));
    assert_eq!(check(&store, key(1, 1), 230, 160), Ok(Replayed));
    assert_eq!(check(&store, key(1, 1), 230, 161), Ok(Fresh));
    assert_eq!((store.len(), stored(&store)), (1, (1, 1)));
    assert_eq!(check(&store, key(1, 1), 230, 161), Ok(Replayed));
    assert_eq!(check(&store, key(1, 2), 230, 161), Err(Full));
    sweep(&store, 231);
    assert_eq!((store.len(), stored(&store)), (0, (0, 0)));
}

#[test]
fn a_replay_does_not_extend_the_entry() {
    let store = MemoryReplayStore::new();
    assert_eq!(check(&store, key(1, 1), 160, 100), Ok(Fresh));
    assert_eq!(check(&store, key(1, 1), 900, 120), Ok(Replayed));
    assert_eq!(check(&store, key(1, 1), 900, 161), Ok(Fresh));
    assert_eq!((store.len(), stored(&store)), (1, (1, 1)));
}

#[test]
fn a_proof_that_is_over_is_never_fresh() {
    let store = MemoryReplayStore::new();
    assert_eq!(check(&store, key(1, 1), 99, 100), Ok(Replayed));
    assert_eq!(check(&store, key(1, 1), i64::MIN, 100), Ok(Replayed));
    assert_eq!((store.len(), stored(&store)), (0, (0, 0)));
}

#[test]
fn a_full_store_rejects_the_new_and_still_knows_the_old() {
    let store = store(100, 100);
    for jti in 0..100 {
        assert_eq!(check(&store, key(1, jti), 160, 100), Ok(Fresh));
    }
    for now in [100, 130, 160] {
        for jti in 0..100 {
            assert_eq!(check(&store, key(2, jti), 220, now), Err(Full));
            assert_eq!(check(&store, key(1, jti), 220, now), Ok(Replayed));
        }
    }
    assert_eq!((store.len(), stored(&store)), (100, (100, 1)));
    for jti in 0..100 {
        assert_eq!(check(&store, key(2, jti), 220, 161), Ok(Fresh));
    }
    assert_eq!(check(&store, key(3, 0), 220, 161), Err(Full));
    assert_eq!((store.len(), stored(&store).0), (100, 100));
}

#[test]
fn a_full_store_finds_the_one_entry_that_expired() {
    let store = store(3000, 3000);
    for jti in 0..3000 {
        let expires_at = if jti == 1234 { 110 } else { 160 };
        assert_eq!(check(&store, key(1, jti), expires_at, 100), Ok(Fresh));
    }
    assert_eq!(check(&store, key(2, 0), 170, 110), Err(Full));
    assert_eq!(check(&store, key(2, 0), 170, 111), Ok(Fresh));
    assert_eq!(check(&store, key(2, 1), 170, 111), Err(Full));
}

#[test]
fn one_client_leaves_room_for_the_others() {
    let store = store(100, 10);
    for jti in 0..10 {
        assert_eq!(check(&store, key(1, jti), 160, 100), Ok(Fresh));
    }
    for now in [100, 160] {
        assert_eq!(check(&store, key(1, 10), 220, now), Err(KeyFull));
        assert_eq!(check(&store, key(1, 9), 220, now), Ok(Replayed));
    }
    assert_eq!(check(&store, key(2, 0), 160, 100), Ok(Fresh));
    assert_eq!((store.len(), stored(&store)), (11, (11, 2)));
}

#[test]
fn a_client_regains_each_place_in_the_second_after_it_expired() {
    let store = store(1000, 6);
    for (jti, expires_at) in [160, 130, 140, 130, 160, 120].into_iter().enumerate() {
        assert_eq!(check(&store, key(1, jti), expires_at, 100), Ok(Fresh));
    }
    let mut jti = 6;
    for (now, regained) in [(120, 0), (121, 1), (130, 0), (131, 2), (141, 1), (161, 2)] {
        for _ in 0..regained {
            assert_eq!(check(&store, key(1, jti), 500, now), Ok(Fresh), "at {now}");
            jti += 1;
        }
        assert_eq!(check(&store, key(1, jti), 500, now), Err(KeyFull));
    }
    for _ in 0..6 {
        assert_eq!(check(&store, key(1, jti), 600, 501), Ok(Fresh));
        jti += 1;
    }
    assert_eq!(check(&store, key(1, jti), 600, 501), Err(KeyFull));
}

#[test]
fn a_rejected_insertion_leaves_no_trace() {
    let store = store(3, 2);
    for (client, jti) in [(1, 0), (1, 1), (2, 0)] {
        assert_eq!(check(&store, key(client, jti), 160, 100), Ok(Fresh));
    }
    for jti in 2..100 {
        assert_eq!(check(&store, key(3, jti), 160, 100), Err(Full));
    }
    assert_eq!((store.len(), stored(&store)), (3, (3, 2)));

    let store = self::store(5, 2);
    for jti in 0..2 {
        assert_eq!(check(&store, key(1, jti), 160, 100), Ok(Fresh));
    }
    for jti in 2..100 {
        assert_eq!(check(&store, key(1, jti), 160, 100), Err(KeyFull));
    }
    assert_eq!((store.len(), stored(&store)), (2, (2, 1)));
    // What was rejected is not on record as used.
    assert_eq!(check(&store, key(1, 2), 221, 161), Ok(Fresh));
    // Rejected, an expired entry with the same key stays as it is.
    assert_eq!(check(&store, key(1, 3), 221, 161), Ok(Fresh));
    assert_eq!(check(&store, key(1, 0), 221, 161), Err(KeyFull));
    assert_eq!(store.len(), stored(&store).0);
}

#[test]
fn concurrent_insertions_keep_to_both_limits() {
    let store = store(1000, 300);
    let fresh: usize = at_once(|n| {
        let client = (n % 8) as u8;
        (0..200)
            .map(|jti| check(&store, key(client, n * 1000 + jti), 160, 100))
            .inspect(|_| assert!(store.len() <= 1000))
            .filter(|answer| *answer == Ok(Fresh))
            .count()
    })
    .into_iter()
    .sum();
    assert_eq!(fresh, 1000);
    assert_eq!((store.len(), stored(&store).0), (1000, 1000));

    let store = self::store(10_000, 300);
    let fresh = at_once(|n| {
        (0..200)
            .filter(|jti| check(&store, key(1, n * 1000 + jti), 160, 100) == Ok(Fresh))
            .count()
    });
    assert_eq!(fresh.into_iter().sum::<usize>(), 300);
    assert_eq!((store.len(), stored(&store)), (300, (300, 1)));
}

#[test]
fn limits_and_counts_hold_while_entries_expire_under_concurrency() {
    let store = store(500, 200);
    at_once(|n| {
        for step in 0..400_usize {
            let now = 100 + step as i64;
            let key = key((n % 16) as u8, n * 1000 + step);
            let expires_at = now + (step % 7) as i64;
            if check(&store, key, expires_at, now) == Ok(Fresh) {
                assert_ne!(check(&store, key, expires_at, now), Ok(Fresh));
            }
            assert!(store.len() <= 500);
        }
    });
    assert_eq!(store.len(), stored(&store).0);
    sweep(&store, 1000);
    assert_eq!((store.len(), stored(&store)), (0, (0, 0)));
}

#[test]
fn expiries_may_come_in_any_order() {
    let store = store(5000, 5000);
    let expiry_of = |jti: usize| 100 + (jti * 7919 % 61) as i64;
    for jti in 0..5000 {
        assert_eq!(check(&store, key(1, jti), expiry_of(jti), 100), Ok(Fresh));
    }
    for now in 101..=161 {
        sweep(&store, now);
        let live = (0..5000).filter(|jti| expiry_of(*jti) >= now);
        assert_eq!(stored(&store).0, live.clone().count());
        for jti in live.step_by(17) {
            assert_eq!(check(&store, key(1, jti), 999, now), Ok(Replayed));
        }
        for part in store.seen.each() {
            let (recorded, actual) = part.earliest();
            assert_eq!(recorded, actual);
        }
    }
    assert_eq!((store.len(), stored(&store)), (0, (0, 0)));
}

#[test]
fn insertions_alone_keep_expired_entries_and_clients_few() {
    let store = store(10_000, 1000);
    for step in 0..50_000_usize {
        let now = 100 + step as i64 / 100;
        let key = ReplayKey::new(*key(1, step / 2).proof(), &step.to_string(), &PureRust);
        assert_eq!(check(&store, key, now + 60, now), Ok(Fresh));
    }
    // 6,100 proofs of 3,050 clients are live, and 16 parts may keep a few more each.
    let (seen, clients) = stored(&store);
    assert_eq!(store.len(), seen);
    assert!(seen < 6_100 * 3 / 2 + 16 * 16, "{seen} of 50,000 left");
    assert!(
        clients < 3_050 * 3 / 2 + 16 * 16,
        "{clients} of 25,000 left"
    );
    sweep(&store, 10_000);
    assert_eq!((store.len(), stored(&store)), (0, (0, 0)));
}

#[test]
fn entries_spread_over_the_parts() {
    let store = store(40_000, 40_000);
    for jti in 0..3_200 {
        assert_eq!(check(&store, key(1, jti), 160, 100), Ok(Fresh));
    }
    let sizes: Vec<usize> = store.seen.each().map(|part| part.len()).collect();
    // A hundred on average in each of 32 parts.
    assert_eq!(sizes.len(), 32);
    assert!(
        sizes.iter().all(|size| (20..=300).contains(size)),
        "{sizes:?}"
    );
}

#[test]
fn a_clock_that_goes_back_lets_no_proof_pass_twice() {
    let store = store(10, 10);
    assert_eq!(check(&store, key(1, 1), 160, 100), Ok(Fresh));
    assert_eq!(check(&store, key(1, 2), 900, 100), Ok(Fresh));
    sweep(&store, 500);
    assert_eq!((store.len(), stored(&store)), (1, (1, 1)));

    assert_eq!(check(&store, key(1, 1), 160, 110), Ok(Replayed));
    assert_eq!(check(&store, key(1, 2), 900, 110), Ok(Replayed));
    // A proof made after the clock was right again.
    assert_eq!(check(&store, key(1, 3), 170, 110), Ok(Fresh));
    assert_eq!(check(&store, key(1, 3), 170, i64::MIN), Ok(Replayed));
    sweep(&store, i64::MAX);
    assert_eq!((store.len(), stored(&store)), (0, (0, 0)));
}

#[test]
fn a_slow_thread_does_not_accept_what_was_just_forgotten() {
    let store = MemoryReplayStore::new();
    assert_eq!(check(&store, key(1, 1), 160, 100), Ok(Fresh));
    sweep(&store, 161);
    assert_eq!(check(&store, key(1, 1), 160, 160), Ok(Replayed));
}

/// As before, but the entries are overwritten and not removed.
#[test]
fn a_slow_thread_does_not_accept_what_was_just_overwritten() {
    let store = store(10_000, 10_000);
    for jti in 0..1000 {
        assert_eq!(check(&store, key(1, jti), 160, 100), Ok(Fresh));
    }
    for jti in 1000..1200 {
        assert_eq!(check(&store, key(1, jti), 230, 161), Ok(Fresh));
    }
    let stored = stored(&store).0;
    assert!(stored < 1200 && store.len() == stored, "{stored}");
    for jti in 0..1000 {
        assert_eq!(check(&store, key(1, jti), 160, 160), Ok(Replayed));
    }
}

#[test]
fn extreme_times_neither_panic_nor_break_the_counts() {
    let store = store(4, 4);
    let ends = [i64::MIN, i64::MIN + 1, -1, 0, i64::MAX - 1, i64::MAX];
    for (jti, (expires_at, now)) in ends
        .iter()
        .flat_map(|e| ends.iter().map(move |n| (*e, *n)))
        .enumerate()
    {
        let answer = check(&store, key(1, jti), expires_at, now);
        assert_ne!(answer, Err(KeyFull));
        assert_eq!(store.len(), stored(&store).0);
    }
    // Nothing expires after the end of time, so such entries stay, and stay bounded.
    for jti in 100..200 {
        let _ = check(&store, key(1, jti), i64::MAX, i64::MAX - 1);
    }
    assert_eq!(store.len(), 4);
}

#[test]
fn a_clock_that_shows_the_end_of_time_clears_nothing() {
    let store = store(40, 40);
    for jti in 0..40 {
        assert_eq!(check(&store, key(1, jti), 160, 100), Ok(Fresh));
    }
    // As many as it takes for any part to be due, and for a full store to look for room.
    for jti in 0..2_000 {
        for expires_at in [160, i64::MAX] {
            let answer = check(&store, key(2, jti), expires_at, i64::MAX);
            assert_eq!(answer, Ok(Replayed));
        }
    }
    assert_eq!((store.len(), stored(&store)), (40, (40, 1)));
    for jti in 0..40 {
        assert_eq!(check(&store, key(1, jti), 160, 101), Ok(Replayed));
    }
    assert_eq!(check(&store, key(3, 0), 230, 161), Ok(Fresh));
}

#[test]
fn a_tenth_of_the_capacity_is_for_one_client_unless_set() {
    let capacity = |n| NonZeroUsize::new(n).unwrap();
    assert_eq!(MemoryReplayStore::default().capacity_per_key, 100_000);
    for (total, share) in [(1, 1), (10, 1), (11, 2), (usize::MAX, usize::MAX / 10 + 1)] {
        let store = MemoryReplayStore::with_capacity(capacity(total));
        assert_eq!(store.capacity_per_key, share);
    }
}

#[test]
fn debug_prints_counts_only() {
    let store = store(10, 5);
    assert_eq!(check(&store, key(171, 1), 160, 100), Ok(Fresh));
    assert_eq!(
        format!("{store:?}"),
        "MemoryReplayStore { len: 1, capacity: 10, capacity_per_key: 5, capacity_per_subject: 5, .. }"
    );
}

fn key_of(subject: u8, client: u8, jti: usize) -> ReplayKey {
    key(client, jti).of_subject([subject; 32])
}

/// Tallies of subjects that are stored.
fn stored_subjects(store: &MemoryReplayStore) -> usize {
    let subjects = store.subjects.each();
    subjects.map(|part| part.len()).sum()
}

#[test]
fn one_subject_with_many_keys_leaves_room_for_the_others() {
    let store = store(100, 20).capacity_per_subject(NonZeroUsize::new(15).unwrap());
    let mut fresh = 0;
    for n in 0..200 {
        let client = (n % 10) as u8;
        match check(&store, key_of(1, client, n), 160, 100) {
            Ok(Fresh) => fresh += 1,
            answer => assert_eq!(answer, Err(SubjectFull)),
        }
    }
    assert_eq!(fresh, 15);
    for now in [100, 160] {
        assert_eq!(check(&store, key_of(1, 99, 0), 220, now), Err(SubjectFull));
        // What was used is known, and others are served, with a key that the first has used, too.
        assert_eq!(check(&store, key_of(1, 0, 0), 220, now), Ok(Replayed));
    }
    assert_eq!(check(&store, key_of(2, 50, 0), 160, 100), Ok(Fresh));
    assert_eq!(check(&store, key_of(3, 0, 777), 160, 100), Ok(Fresh));
    assert_eq!(check(&store, key(60, 0), 160, 100), Ok(Fresh));
    assert_eq!((store.len(), stored_subjects(&store)), (18, 3));
    sweep(&store, 161);
    assert_eq!((store.len(), stored_subjects(&store)), (0, 0));
}

#[test]
fn a_subject_has_the_share_of_a_client_unless_set() {
    let size = |n| NonZeroUsize::new(n).unwrap();
    let limits = |store: &MemoryReplayStore| {
        let limits = store.limits().unwrap();
        (limits.entries, limits.per_client, limits.per_subject)
    };
    let store = MemoryReplayStore::new();
    assert_eq!(limits(&store), (1_000_000, 100_000, 100_000));
    let store = MemoryReplayStore::with_capacity(size(50)).capacity_per_key(size(40));
    assert_eq!(limits(&store), (50, 40, 40));
    let store = store.capacity_per_subject(size(3));
    assert_eq!(limits(&store), (50, 40, 3));
    let store = store.capacity_per_key(size(2));
    assert_eq!(limits(&store), (50, 2, 3));
}

#[test]
fn a_subject_regains_each_place_in_the_second_after_it_expired() {
    let store = store(1000, 6);
    for (jti, expires_at) in [160, 130, 140, 130, 160, 120].into_iter().enumerate() {
        let answer = check(&store, key_of(1, jti as u8, jti), expires_at, 100);
        assert_eq!(answer, Ok(Fresh));
    }
    let mut jti = 6;
    for (now, regained) in [(120, 0), (121, 1), (130, 0), (131, 2), (141, 1), (161, 2)] {
        for _ in 0..regained {
            assert_eq!(
                check(&store, key_of(1, jti as u8, jti), 500, now),
                Ok(Fresh)
            );
            jti += 1;
        }
        let answer = check(&store, key_of(1, jti as u8, jti), 500, now);
        assert_eq!(answer, Err(SubjectFull), "at {now}");
    }
}

#[test]
fn what_is_rejected_for_a_subject_counts_for_no_client_and_leaves_no_trace() {
    let store = store(1000, 2).capacity_per_subject(NonZeroUsize::new(1).unwrap());
    assert_eq!(check(&store, key_of(1, 1, 0), 160, 100), Ok(Fresh));
    for n in 0..200 {
        let answer = check(&store, key_of(1, n as u8, 1000 + n), 160, 100);
        assert_eq!(answer, Err(SubjectFull));
    }
    assert_eq!((store.len(), stored(&store)), (1, (1, 1)));
    // The key still has its second place, for a token of somebody else.
    assert_eq!(check(&store, key_of(2, 1, 1), 160, 100), Ok(Fresh));
    // And a client without room takes none of its subject's.
    for n in 0..50 {
        let answer = check(&store, key_of(3, 1, 2000 + n), 160, 100);
        assert_eq!(answer, Err(KeyFull));
    }
    assert_eq!(stored_subjects(&store), 2);
    assert_eq!(check(&store, key_of(3, 7, 0), 160, 100), Ok(Fresh));
    assert_eq!((store.len(), stored(&store)), (3, (3, 2)));
}

#[test]
fn concurrent_insertions_keep_to_the_limit_of_a_subject() {
    let size = NonZeroUsize::new(300).unwrap();
    let store = store(10_000, 1_000).capacity_per_subject(size);
    let fresh = at_once(|n| {
        (0..100)
            .filter(|jti| {
                let key = key_of(1, (n + jti) as u8, n * 1000 + jti);
                check(&store, key, 160, 100) == Ok(Fresh)
            })
            .count()
    });
    assert_eq!(fresh.into_iter().sum::<usize>(), 300);
    assert_eq!((store.len(), stored(&store).0), (300, 300));

    // Many subjects and keys in every combination, while entries expire.
    let store = self::store(500, 100).capacity_per_subject(NonZeroUsize::new(60).unwrap());
    at_once(|n| {
        for step in 0..400_usize {
            let now = 100 + step as i64;
            let key = key_of((n % 5) as u8, ((n + step) % 7) as u8, n * 1000 + step);
            let expires_at = now + (step % 7) as i64;
            if check(&store, key, expires_at, now) == Ok(Fresh) {
                assert_ne!(check(&store, key, expires_at, now), Ok(Fresh));
            }
        }
    });
    sweep(&store, 1000);
    let left = (store.len(), stored(&store), stored_subjects(&store));
    assert_eq!(left, (0, (0, 0), 0));
}

#[test]
fn insertions_alone_keep_expired_subjects_few() {
    let store = store(10_000, 1000);
    for step in 0..50_000_usize {
        let now = 100 + step as i64 / 100;
        let (client, subject) = (*key(1, step).proof(), *key(2, step / 2).proof());
        let key = ReplayKey::new(client, "", &PureRust).of_subject(subject);
        assert_eq!(check(&store, key, now + 60, now), Ok(Fresh));
    }
    let subjects = stored_subjects(&store);
    assert!(
        subjects < 3_050 * 3 / 2 + 16 * 16,
        "{subjects} of 25,000 left"
    );
}
