//! The cost of the in-memory replay store when it is large and as many entries expire as are inserted:
//! `store [LIVE ENTRIES [CLIENTS]]`.

use std::{
    env, fs,
    future::Future as _,
    hint::black_box,
    num::NonZeroUsize,
    ops::Range,
    pin::pin,
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use dpop_tower::{
    clock::UnixTime,
    crypto::AwsLcRs,
    replay::{Freshness, MemoryReplayStore, ReplayKey, ReplayStore as _, UsedProof},
};
use dpop_tower_performance::measure::{Samples, time};

/// How long an entry is live, in seconds of the simulated clock. Its last second counts.
const LIFETIME: u64 = 75;
/// Keys are made ahead, so many at a time.
const BATCH: u64 = 10_000;

fn main() {
    let mut numbers = env::args().skip(1).map(|n| n.parse().expect("a number"));
    let live = numbers.next().unwrap_or(10_000_000);
    let clients = numbers.next();
    for clients in clients.map_or_else(|| vec![100, live], |clients| vec![clients]) {
        println!("--- {live} live entries, {clients} clients");
        let traffic = Traffic { live, clients };
        traffic.measure();
    }
}

struct Traffic {
    live: u64,
    clients: u64,
}

impl Traffic {
    fn measure(&self) {
        let capacity = usize::try_from(self.live * 8 / 5)
            .ok()
            .and_then(NonZeroUsize::new);
        let capacity = capacity.expect("it is more than nothing");
        let store = MemoryReplayStore::with_capacity(capacity).capacity_per_key(capacity);
        let begin = Instant::now();
        // After the first lifetime nothing has expired yet; after two, each part was cleared.
        let mut next = 0;
        for _ in 0..self.batches(2 * self.live) {
            insert(&store, &self.batch(&mut next));
        }
        println!(
            "{:36} {:8.1} s, {} entries, {:.0} MB",
            "filled",
            begin.elapsed().as_secs_f64(),
            store.len(),
            resident_megabytes(),
        );
        self.one_thread(&store, &mut next);
        self.single_calls(&store, &mut next);
        self.two_threads(&store, &mut next);
    }

    fn batches(&self, calls: u64) -> u64 {
        calls / BATCH
    }

    /// The next proofs. Time goes by so that `live` of them come in a lifetime.
    fn batch(&self, next: &mut u64) -> Vec<UsedProof> {
        let numbers: Range<u64> = *next..*next + BATCH;
        *next = numbers.end;
        numbers.map(|n| self.call(n)).collect()
    }

    fn call(&self, n: u64) -> UsedProof {
        let mut client = [0; 32];
        client[..8].copy_from_slice(&(n % self.clients).to_le_bytes());
        let now = 1_700_000_000 + n * (LIFETIME + 1) / self.live;
        let at = |secs: u64| UnixTime::from_secs(secs.cast_signed());
        UsedProof {
            key: ReplayKey::new(client, &n.to_string(), &AwsLcRs),
            now: at(now),
            expires_at: at(now + LIFETIME),
        }
    }

    fn one_thread(&self, store: &MemoryReplayStore, next: &mut u64) {
        let (mut wall, mut cpu) = (Vec::new(), Vec::new());
        for _ in 0..self.batches(self.live / 2) {
            let calls = self.batch(next);
            let before = time_on_processor();
            wall.push(time(|| insert(store, &calls)));
            cpu.push(time_on_processor() - before);
        }
        print_rate("one thread", 1, wall);
        print_rate("one thread, while it runs", 1, cpu);
    }

    fn two_threads(&self, store: &MemoryReplayStore, next: &mut u64) {
        let mut wall = Vec::new();
        for _ in 0..self.batches(self.live / 4) {
            let (left, right) = (self.batch(next), self.batch(next));
            wall.push(time(|| {
                thread::scope(|scope| {
                    scope.spawn(|| insert(store, &left));
                    insert(store, &right);
                });
            }));
        }
        print_rate("two threads", 2, wall);
    }

    /// Each call by itself, with what it takes to read the clock.
    fn single_calls(&self, store: &MemoryReplayStore, next: &mut u64) {
        let mut times = Vec::new();
        for _ in 0..self.batches(self.live / 2) {
            for call in self.batch(next) {
                times.push(time(|| insert(store, &[call])));
            }
        }
        let times = Samples::new(times);
        for (name, quantile) in [("50", 0.5), ("99", 0.99), ("99.9", 0.999), ("100", 1.0)] {
            println!(
                "{:36} {:8.2} us",
                format!("{name} % within"),
                times.quantile(quantile)
            );
        }
    }
}

/// Has a name of its own for `valgrind --toggle-collect`.
#[inline(never)]
fn insert(store: &MemoryReplayStore, calls: &[UsedProof]) {
    let mut context = Context::from_waker(Waker::noop());
    for &call in calls {
        let answer = pin!(store.check_and_insert(call)).poll(&mut context);
        let Poll::Ready(Ok(Freshness::Fresh)) = black_box(answer) else {
            panic!("there is room for what is new");
        };
    }
}

fn print_rate(what: &str, threads: u64, batches: Vec<Duration>) {
    let rate = |time: f64| (threads * BATCH) as f64 / time;
    let batches = Samples::new(batches);
    println!(
        "{what:36} {:8.2} M/s  (10 %: {:.2}, 90 %: {:.2})",
        rate(batches.median()),
        rate(batches.quantile(0.9)),
        rate(batches.quantile(0.1)),
    );
}

/// How long this thread has run so far; the processor may be others' in between.
fn time_on_processor() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("this is Linux");
    let nanoseconds = text.split(' ').next().and_then(|n| n.parse().ok());
    Duration::from_nanos(nanoseconds.expect("it begins with a number"))
}

fn resident_megabytes() -> f64 {
    let text = fs::read_to_string("/proc/self/statm").expect("this is Linux");
    let pages: Option<f64> = text.split(' ').nth(1).and_then(|n| n.parse().ok());
    pages.expect("it has numbers") * 4096.0 / 1e6
}
