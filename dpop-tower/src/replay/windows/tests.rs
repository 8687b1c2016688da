use std::{
    collections::{HashMap, HashSet},
    future::Future as _,
    num::NonZeroUsize,
    pin::pin,
    sync::{RwLock, atomic::AtomicUsize},
    task::{Context, Poll, Waker},
    thread,
};

use proptest::prelude::*;

use super::*;
use crate::crypto::pure_rust::PureRust;
use crate::replay::{
    Freshness::{self, Fresh, Replayed},
    MemoryReplayStore, ReplayKey, ReplayStore as _, UsedProofs,
};

type Store = Arc<MemoryReplayStore>;

fn store() -> Store {
    let size = NonZeroUsize::new(10_000).unwrap();
    Arc::new(MemoryReplayStore::with_capacity(size).capacity_per_key(size))
}

fn config(store: &Store, window: u64) -> UsedProofs {
    UsedProofs::new(Arc::clone(store) as _, Duration::from_secs(window))
}

/// What becomes of a proof that this configuration accepts.
fn send(config: &UsedProofs, proof: &str, made: i64, now: i64) -> Freshness {
    let key = ReplayKey::new([1; 32], proof, &PureRust);
    let (made, now) = (UnixTime::from_secs(made), UnixTime::from_secs(now));
    let answer = pin!(config.check_and_insert(key, made, now));
    match answer.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer.unwrap(),
        Poll::Pending => panic!("the answer is in memory"),
    }
}

/// Has the store forget all that it may.
fn sweep(store: &Store, now: i64) {
    store.sweep(UnixTime::from_secs(now));
}

#[test]
fn a_proof_that_was_used_under_a_short_window_does_not_pass_under_a_longer_one() {
    for drops_the_old in [false, true] {
        let store = store();
        let old = config(&store, 10);
        assert_eq!(send(&old, "used", 1000, 1000), Fresh);
        assert_eq!(send(&old, "ahead", 1010, 1000), Fresh);
        let old = (!drops_the_old).then_some(old);
        let new = config(&store, 200);
        for later in [0, 10, 11, 15, 16, 17, 100, 199, 200] {
            sweep(&store, 1000 + later);
            assert_eq!(send(&new, "used", 1000, 1000 + later), Replayed, "{later}");
            assert_eq!(send(&new, "ahead", 1010, 1010 + later), Replayed, "{later}");
        }
        drop(old);
    }
}

#[test]
fn a_proof_of_before_the_change_keeps_its_window_and_a_later_one_has_the_new() {
    let store = store();
    let old = config(&store, 10);
    assert_eq!(send(&old, "used", 1000, 1000), Fresh);
    let new = config(&store, 200);
    assert_eq!(send(&new, "not used", 1000, 1010), Fresh);
    assert_eq!(send(&new, "not used", 1000, 1010), Replayed);
    assert_eq!(send(&new, "too late", 1000, 1011), Replayed);
    for (proof, made) in [("young", 1001), ("younger", 1100)] {
        assert_eq!(send(&new, proof, made, made + 150), Fresh);
        for later in [150, 199, 200] {
            sweep(&store, made + later);
            assert_eq!(send(&new, proof, made, made + later), Replayed, "{later}");
        }
    }
    assert_eq!(send(&new, "at the end", 1100, 1300), Fresh);
}

#[test]
fn a_window_that_shrinks_and_grows_again_brings_nothing_back() {
    let store = store();
    let first = config(&store, 200);
    assert_eq!(send(&first, "first", 1000, 1000), Fresh);
    let second = config(&store, 10);
    assert_eq!(send(&second, "while both are there", 1001, 1001), Fresh);
    drop(first);
    assert_eq!(send(&second, "second", 1002, 1002), Fresh);
    let third = config(&store, 200);
    drop(second);
    for now in 1003..=1202 {
        if now % 17 == 0 {
            sweep(&store, now);
        }
        assert_eq!(send(&third, "first", 1000, now), Replayed);
        assert_eq!(send(&third, "while both are there", 1001, now), Replayed);
        assert_eq!(send(&third, "second", 1002, now), Replayed);
    }
    assert_eq!(send(&third, "third", 1003, 1203), Fresh);
}

#[test]
fn the_longest_window_counts_for_configurations_side_by_side() {
    let store = store();
    let (short, long) = (config(&store, 10), config(&store, 200));
    assert_eq!(send(&short, "a", 1000, 1000), Fresh);
    assert_eq!(send(&long, "b", 1000, 1000), Fresh);
    for later in [1, 10, 11, 16, 100, 200] {
        sweep(&store, 1000 + later);
        assert_eq!(send(&long, "a", 1000, 1000 + later), Replayed, "{later}");
        assert_eq!(send(&long, "b", 1000, 1000 + later), Replayed, "{later}");
        if later <= 10 {
            assert_eq!(send(&short, "b", 1000, 1000 + later), Replayed);
        }
    }
    // Two of the same window are two, and the longest of what is left counts.
    let again = config(&store, 200);
    drop(long);
    assert_eq!(store.windows().longest(), Duration::from_secs(200));
    drop(again);
    assert_eq!(store.windows().longest(), Duration::from_secs(10));
    drop(short);
}

#[test]
fn the_next_configuration_is_compared_with_the_last_of_all() {
    let store = store();
    assert_eq!(send(&config(&store, 10), "a", 1000, 1000), Fresh);
    let new = config(&store, 200);
    assert_eq!(send(&new, "a", 1000, 1017), Replayed);
    assert_eq!(send(&new, "b", 1000, 1010), Fresh);
    drop(new);
    // Shorter than the last, so there is nothing to beware of.
    let new = config(&store, 100);
    assert_eq!(send(&new, "c", 1001, 1101), Fresh);
    assert_eq!(store.windows().longest(), Duration::from_secs(100));
}

#[test]
fn where_nothing_was_used_nothing_can_be_forgotten() {
    let store = store();
    let _ten = config(&store, 10);
    let long = config(&store, 200);
    assert_eq!(send(&long, "a", 1000, 1200), Fresh);
    assert_eq!(send(&long, "a", 1000, 1200), Replayed);
}

#[test]
fn changes_without_end_take_no_memory() {
    let store = store();
    let mut config = config(&store, 1);
    for n in 0..2_000_i64 {
        assert_eq!(send(&config, &n.to_string(), n, n), Fresh);
        sweep(&store, n);
        let window = u64::try_from(n % 900).unwrap() + 2;
        let next = self::config(&store, window);
        assert!(store.windows().0.registered().len() <= 2);
        config = next;
    }
    drop(config);
    assert!(store.windows().0.registered().is_empty());
}

#[test]
fn a_clock_that_goes_back_brings_nothing_back_across_a_change() {
    let store = store();
    let old = config(&store, 10);
    assert_eq!(send(&old, "a", 1000, 1000), Fresh);
    sweep(&store, 1020);
    let new = config(&store, 200);
    drop(old);
    for now in [1005, 1010, 1011, 1100, 1200, 990] {
        assert_eq!(send(&new, "a", 1000, now), Replayed, "{now}");
    }
    // The change is known for as long as there is a store, however far ahead the clock was.
    assert_eq!(send(&new, "b", 9_000_000, 9_000_000), Fresh);
    sweep(&store, 9_000_300);
    let newer = config(&store, 300);
    for now in [1005, 1100, 1200, 1300] {
        assert_eq!(send(&newer, "a", 1000, now), Replayed, "{now}");
    }
    for now in [9_000_005, 9_000_200, 9_000_201, 9_000_300] {
        assert_eq!(send(&newer, "b", 9_000_000, now), Replayed, "{now}");
    }
}

#[test]
fn a_change_while_the_clock_is_behind_covers_what_was_used_before() {
    let store = store();
    let old = config(&store, 10);
    assert_eq!(send(&old, "a", 1000, 1000), Fresh);
    // The clock is set back, the configuration is replaced, and the clock is right again.
    assert_eq!(send(&old, "b", 500, 500), Fresh);
    let new = config(&store, 200);
    drop(old);
    sweep(&store, 1016);
    for now in [1016, 1100, 1200] {
        assert_eq!(send(&new, "a", 1000, now), Replayed, "{now}");
    }
}

#[test]
fn a_store_may_remember_for_longer_than_any_configuration_asks() {
    let windows = AcceptanceWindows::at_least(Duration::from_secs(200)).unwrap();
    let short = windows.register(Duration::from_millis(9_001));
    let at = UnixTime::from_secs;
    assert_eq!(short.acceptable_until(at(1000)), at(1200));
    let long = windows.register(Duration::from_secs(300));
    assert_eq!(long.acceptable_until(at(1000)), at(1200));
    assert_eq!(long.acceptable_until(at(1001)), at(1301));
    drop(long);
    assert_eq!(short.acceptable_until(at(1002)), at(1202));
    drop(short);
    assert_eq!(windows.longest(), Duration::from_secs(200));
}

#[test]
fn a_longer_window_is_news_once() {
    let windows = AcceptanceWindows::new();
    assert_eq!(windows.news(), None);
    let of = Duration::from_secs;
    let short = windows.register(of(10));
    assert_eq!((windows.news(), windows.news()), (Some(of(10)), None));
    let same = windows.register(of(10));
    assert_eq!(windows.news(), None);
    let long = windows.register(of(20));
    assert_eq!((windows.news(), windows.news()), (Some(of(20)), None));
    drop(long);
    let _again = windows.register(of(20));
    assert_eq!(windows.news(), None);
    drop((short, same));
}

#[test]
fn extreme_times_and_windows_do_not_overflow() {
    let windows = AcceptanceWindows::new();
    let at = UnixTime::from_secs;
    let short = windows.register(Duration::ZERO);
    assert_eq!(short.acceptable_until(at(i64::MIN)), at(i64::MIN));
    let long = windows.register(Duration::MAX);
    assert_eq!(long.acceptable_until(at(i64::MAX)), at(i64::MAX));
    assert_eq!(long.acceptable_until(at(0)), at(i64::MAX));
}

#[test]
fn debug_tells_the_longest_window() {
    let windows = AcceptanceWindows::at_least(Duration::from_secs(70)).unwrap();
    assert_eq!(
        format!("{windows:?}"),
        "AcceptanceWindows { longest: 70s, .. }"
    );
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Build(u64),
    Drop(usize),
    Clock(i64),
    /// With this configuration, a proof of this age and name.
    Use(usize, i64, u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => (1_u64..60).prop_map(Step::Build),
        1 => any::<usize>().prop_map(Step::Drop),
        2 => (-40_i64..90).prop_map(Step::Clock),
        6 => (any::<usize>(), -5_i64..60, 0_u8..3).prop_map(|(c, age, name)| Step::Use(c, age, name)),
    ]
}

proptest! {
    /// Whatever is built and dropped, and wherever the clock goes: of all uses of a proof, one passes.
    #[test]
    fn no_proof_passes_twice_whatever_changes(steps in prop::collection::vec(step(), 1..200)) {
        let store = store();
        let mut now = 1_000_000_i64;
        let mut live: Vec<(u64, UsedProofs)> = vec![(10, config(&store, 10))];
        let mut used = HashSet::new();
        for step in steps {
            match step {
                Step::Build(window) => live.push((window, config(&store, window))),
                Step::Drop(n) if live.len() > 1 => drop(live.swap_remove(n % live.len())),
                Step::Drop(_) => {}
                Step::Clock(by) => {
                    now += by;
                    sweep(&store, now);
                }
                Step::Use(n, age, name) => {
                    let (window, config) = &live[n % live.len()];
                    let made = now - age;
                    // What a configuration does not accept does not get to the store.
                    if age <= i64::try_from(*window).unwrap()
                        && send(config, &format!("{made} {name}"), made, now) == Fresh
                    {
                        prop_assert!(used.insert((made, name)), "{made} {name} at {now}");
                    }
                }
            }
        }
    }

    /// With one window and a clock that goes on, every proof passes once.
    #[test]
    fn every_proof_passes_once_where_nothing_changes(
        uses in prop::collection::vec((0_i64..5, 0_i64..60, 0_u8..3), 1..100),
    ) {
        let store = store();
        let config = config(&store, 59);
        let (mut now, mut used) = (1_000_000, HashSet::new());
        for (by, age, name) in uses {
            now += by;
            let made = now - age;
            let answer = send(&config, &format!("{made} {name}"), made, now);
            prop_assert_eq!(answer == Fresh, used.insert((made, name)));
        }
    }
}

/// Configurations are replaced while others use proofs. Each proof is used by all threads, at all times.
#[test]
fn no_proof_passes_twice_while_configurations_are_replaced() {
    const USERS: usize = 4;
    let store = store();
    let clock = AtomicI64::new(1_000_000);
    let live = RwLock::new(Arc::new((10, config(&store, 10))));
    let done = AtomicUsize::new(0);
    let fresh: Vec<HashMap<i64, usize>> = thread::scope(|scope| {
        let users: Vec<_> = (0..USERS)
            .map(|_| {
                scope.spawn(|| {
                    let mut fresh = HashMap::new();
                    for n in 0..20_000_i64 {
                        let current = Arc::clone(&live.read().unwrap());
                        let (window, config) = &*current;
                        let now = clock.load(SeqCst);
                        let made = now - n % window;
                        if send(config, &made.to_string(), made, now) == Fresh {
                            *fresh.entry(made).or_default() += 1;
                        }
                    }
                    done.fetch_add(1, SeqCst);
                    fresh
                })
            })
            .collect();
        scope.spawn(|| {
            for n in 0.. {
                let window = [10, 40, 20, 80, 10, 15][n % 6];
                let new = config(&store, u64::try_from(window).unwrap());
                *live.write().unwrap() = Arc::new((window, new));
                let now = clock.fetch_add(1 + i64::try_from(n % 3).unwrap() * 7, SeqCst);
                sweep(&store, now);
                if done.load(SeqCst) == USERS {
                    return;
                }
                thread::yield_now();
            }
        });
        users.into_iter().map(|user| user.join().unwrap()).collect()
    });
    let mut total: HashMap<i64, usize> = HashMap::new();
    for (made, times) in fresh.into_iter().flatten() {
        *total.entry(made).or_default() += times;
    }
    assert!(total.len() > 10, "{} proofs", total.len());
    for (made, times) in total {
        assert_eq!(times, 1, "{made}");
    }
}
