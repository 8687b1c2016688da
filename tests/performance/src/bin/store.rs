//! The cost of the in-memory replay store when it is large and as many entries expire as are inserted:
//! `store [LIVE ENTRIES [CLIENTS]]`.

use std::{
    env, fs,
    time::{Duration, Instant},
};

use allocation_counter::measure;
use dpop_tower::replay::MemoryReplayStore;
use dpop_tower_performance::{
    measure::{Samples, time},
    traffic::{BATCH, Traffic, insert},
};

fn main() {
    let mut numbers = env::args().skip(1).map(|n| n.parse().expect("a number"));
    let live = numbers.next().unwrap_or(10_000_000);
    let clients = numbers.next();
    for clients in clients.map_or_else(|| vec![100, live], |clients| vec![clients]) {
        println!("--- {live} live entries, {clients} clients");
        let mut traffic = Traffic::new(live, clients);
        let store = fill(&mut traffic);
        one_thread(&mut traffic, &store);
        single_calls(&mut traffic, &store);
        two_threads(&mut traffic, &store);
    }
}

/// Fills a store for three lifetimes, and prints its memory. After one, nothing has expired yet; after two, each part
/// was cleared.
fn fill(traffic: &mut Traffic) -> MemoryReplayStore {
    const STEPS: u32 = 20;
    let begin = Instant::now();
    let mut store = None;
    let mut bytes = measure(|| store = Some(traffic.store())).bytes_current;
    let store = store.expect("it was made");
    for lifetime in 1..=3 {
        let mut of_entry = Vec::new();
        for _ in 0..STEPS {
            let step = || traffic.insert_lifetimes(&store, 1.0 / f64::from(STEPS));
            bytes += measure(step).bytes_current;
            of_entry.push(bytes as f64 / traffic.live_entries() as f64);
        }
        let (least, most) = (of_entry.iter()).fold((f64::MAX, 0.0_f64), |(least, most), bytes| {
            (least.min(*bytes), most.max(*bytes))
        });
        println!(
            "{:36} {least:8.1} to {most:.1} bytes for each live entry, by the allocator",
            format!("lifetime {lifetime}")
        );
    }
    println!(
        "{:36} {:8.1} s, {} entries, {} live, {:.0} MB by the allocator, {:.0} MB of the process",
        "filled",
        begin.elapsed().as_secs_f64(),
        store.len(),
        traffic.live_entries(),
        bytes as f64 / 1e6,
        resident_megabytes(),
    );
    store
}

fn one_thread(traffic: &mut Traffic, store: &MemoryReplayStore) {
    let (mut wall, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..traffic.batches(0.5) {
        let calls = traffic.batch();
        let before = time_on_processor();
        wall.push(time(|| insert(store, &calls)));
        cpu.push(time_on_processor() - before);
    }
    print_rate("one thread", 1, wall);
    print_rate("one thread, while it runs", 1, cpu);
}

fn two_threads(traffic: &mut Traffic, store: &MemoryReplayStore) {
    let times = (0..traffic.batches(0.25)).map(|_| traffic.time(store, 2));
    print_rate("two threads", 2, times.collect());
}

/// Each call by itself, with what it takes to read the clock.
fn single_calls(traffic: &mut Traffic, store: &MemoryReplayStore) {
    let mut times = Vec::new();
    for _ in 0..traffic.batches(0.5) {
        for call in traffic.batch() {
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
