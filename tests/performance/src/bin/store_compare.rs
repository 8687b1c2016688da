//! Two versions of the in-memory replay store, side by side: `store_compare ONE OTHER LIVE CLIENTS [ROUNDS]`.
//!
//! `ONE` and `OTHER` are two builds of `store_batches`, whose batches alternate. See `store_compare.sh`.

use std::{
    env,
    io::{self, BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use dpop_tower_performance::{
    measure::{Batch, side_by_side},
    traffic::BATCH,
};

const ROUNDS: usize = 301;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [one, other, live, clients, rounds @ ..] = &*arguments else {
        panic!("two programs, a number of live entries and one of clients");
    };
    let rounds = rounds
        .first()
        .map_or(ROUNDS, |n| n.parse().expect("a number"));
    let mut both = [one, other].map(|path| Store::start(path, live, clients));
    for store in &mut both {
        assert_eq!(store.read()?, "ready");
    }
    for threads in [1, 2] {
        let mut batches: Vec<Batch<'_>> = Vec::new();
        for store in &mut both {
            batches.push(Box::new(move || store.batch(threads).expect("a time")));
        }
        let calls = u32::try_from(BATCH).expect("it is small") * threads;
        let times = side_by_side(rounds, calls, &mut batches);
        let [one, other] = &*times else {
            panic!("two were measured");
        };
        println!(
            "{live} live, {clients} clients, {threads} thread(s): {:.0} ns ({:.0} to {:.0}) and {:.0} ns \
             ({:.0} to {:.0}), {:.2} x",
            one.median() * 1e3,
            one.quantile(0.1) * 1e3,
            one.quantile(0.9) * 1e3,
            other.median() * 1e3,
            other.quantile(0.1) * 1e3,
            other.quantile(0.9) * 1e3,
            other.median() / one.median(),
        );
    }
    both.into_iter().try_for_each(Store::stop)
}

/// A process with a store.
struct Store {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Store {
    fn start(path: &str, live: &str, clients: &str) -> Self {
        let mut process = Command::new(path)
            .args([live, clients])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        Self {
            input: process.stdin.take().expect("it is piped"),
            output: BufReader::new(process.stdout.take().expect("it is piped")),
            process,
        }
    }

    fn batch(&mut self, threads: u32) -> io::Result<Duration> {
        writeln!(self.input, "{threads}")?;
        let nanoseconds = self.read()?.parse().map_err(io::Error::other)?;
        Ok(Duration::from_nanos(nanoseconds))
    }

    fn read(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    /// The process ends at the end of its input.
    fn stop(mut self) -> io::Result<()> {
        drop(self.input);
        self.process.wait().map(|_| ())
    }
}
