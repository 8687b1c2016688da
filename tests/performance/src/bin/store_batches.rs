//! Insertions into the in-memory replay store, on demand: `store_batches LIVE CLIENTS`.
//!
//! It fills a store and prints `ready`. For each line of the input, which is a number of threads, it inserts a batch
//! with each of them at once, and prints the nanoseconds.

use std::{
    env,
    io::{self, BufRead as _, Write as _},
};

use dpop_tower_performance::traffic::Traffic;

fn main() -> io::Result<()> {
    let mut numbers = env::args().skip(1).map(|n| n.parse().expect("a number"));
    let (Some(live), Some(clients)) = (numbers.next(), numbers.next()) else {
        panic!("a number of live entries and one of clients");
    };
    let mut traffic = Traffic::new(live, clients);
    let store = traffic.store();
    traffic.insert_lifetimes(&store, 2.5);
    let mut output = io::stdout().lock();
    writeln!(output, "ready")?;
    for line in io::stdin().lock().lines() {
        let threads = line?.parse().expect("a number of threads");
        writeln!(output, "{}", traffic.time(&store, threads).as_nanos())?;
    }
    Ok(())
}
