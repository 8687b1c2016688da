//! Traffic for the in-memory replay store: as many entries expire as are inserted.

use std::{
    future::Future as _,
    hint::black_box,
    num::NonZeroUsize,
    ops::Range,
    pin::pin,
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use dpop_tower::{
    clock::UnixTime,
    crypto::AwsLcRs,
    replay::{Freshness, MemoryReplayStore, ReplayKey, ReplayStore as _, UsedProof},
};

use crate::measure::time;

/// How long an entry is live, in seconds of the simulated clock. Its last second counts.
const LIFETIME: u64 = 75;
/// Keys are made ahead, so many at a time.
pub const BATCH: u64 = 10_000;

/// Proofs of `clients` keys. Time goes by so that `live` of them come in a lifetime.
#[derive(Debug)]
pub struct Traffic {
    pub live: u64,
    pub clients: u64,
    next: u64,
}

impl Traffic {
    /// Creates the traffic.
    pub const fn new(live: u64, clients: u64) -> Self {
        Self {
            live,
            clients,
            next: 0,
        }
    }

    /// Returns an empty store that is large enough.
    pub fn store(&self) -> MemoryReplayStore {
        let capacity = usize::try_from(self.live * 8 / 5)
            .ok()
            .and_then(NonZeroUsize::new);
        let capacity = capacity.expect("it is more than nothing");
        MemoryReplayStore::with_capacity(capacity).capacity_per_key(capacity)
    }

    /// Inserts the proofs of this part of a lifetime.
    pub fn insert_lifetimes(&mut self, store: &MemoryReplayStore, lifetimes: f64) {
        for _ in 0..self.batches(lifetimes) {
            insert(store, &self.batch());
        }
    }

    /// Returns the number of batches in this part of a lifetime.
    pub fn batches(&self, lifetimes: f64) -> u64 {
        (self.live as f64 * lifetimes / BATCH as f64) as u64
    }

    /// Returns the number of proofs so far that have not expired.
    pub fn live_entries(&self) -> u64 {
        let now = self.second_of(self.next.saturating_sub(1));
        let is_live = |n: &u64| self.second_of(*n) + LIFETIME >= now;
        // They expire in the order in which they come.
        let oldest = self.next.saturating_sub(self.live + self.live / LIFETIME);
        let expired = (oldest..self.next).step_by(100).find(is_live);
        self.next - expired.unwrap_or(0)
    }

    /// Returns the next proofs.
    pub fn batch(&mut self) -> Vec<UsedProof> {
        let numbers: Range<u64> = self.next..self.next + BATCH;
        self.next = numbers.end;
        numbers.map(|n| self.call(n)).collect()
    }

    /// Inserts the next batch with each of the threads at once, and returns the time that it takes.
    pub fn time(&mut self, store: &MemoryReplayStore, threads: usize) -> Duration {
        let calls: Vec<_> = (0..threads).map(|_| self.batch()).collect();
        if let [calls] = &*calls {
            return time(|| insert(store, calls));
        }
        time(|| {
            thread::scope(|scope| {
                for calls in &calls {
                    scope.spawn(|| insert(store, calls));
                }
            });
        })
    }

    const fn second_of(&self, n: u64) -> u64 {
        n * (LIFETIME + 1) / self.live
    }

    fn call(&self, n: u64) -> UsedProof {
        let mut client = [0; 32];
        client[..8].copy_from_slice(&(n % self.clients).to_le_bytes());
        let now = 1_700_000_000 + self.second_of(n);
        let at = |secs: u64| UnixTime::from_secs(secs.cast_signed());
        UsedProof {
            key: ReplayKey::new(client, &n.to_string(), &AwsLcRs),
            now: at(now),
            expires_at: at(now + LIFETIME),
        }
    }
}

/// Inserts proofs that are new. Has a name of its own for `valgrind --toggle-collect`.
#[inline(never)]
pub fn insert(store: &MemoryReplayStore, calls: &[UsedProof]) {
    let mut context = Context::from_waker(Waker::noop());
    for &call in calls {
        let answer = pin!(store.check_and_insert(call)).poll(&mut context);
        let Poll::Ready(Ok(Freshness::Fresh)) = black_box(answer) else {
            panic!("there is room for what is new");
        };
    }
}
