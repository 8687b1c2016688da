//! What happened: counts, times, failures, and one row of the table for each interval.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::Path,
    time::{Duration, Instant},
};

use dpop_tower_performance::load::Error;
use hdrhistogram::Histogram;

use crate::programs::Usage;

/// How many failures are described.
const DESCRIBED: usize = 40;

/// The counts in the columns of the table.
pub const COUNTS: [&str; 20] = [
    "admitted",
    "admitted_tls",
    "admitted_api",
    "challenged",
    "unavailable_in_fault",
    "rejected",
    "replays_rejected",
    "flood_admitted",
    "flood_limited",
    "hostile",
    "hung_up",
    "status_200",
    "status_400",
    "status_401",
    "status_403",
    "status_431",
    "status_501",
    "status_503",
    "status_other",
    "failures",
];

/// One row of the table.
#[derive(Clone, Debug, Default)]
pub struct Row {
    pub seconds: f64,
    pub events: String,
    /// Of the gateway, the gateway with TLS, and the axum service.
    pub usage: [Usage; 3],
    pub redis_entries: Option<u64>,
    pub memory_entries: u64,
    pub api_tasks: u64,
    pub upstream_connections: u64,
    pub upstream_streams: u64,
    pub key_fetches: u64,
    /// In this interval, as [`COUNTS`].
    pub counts: [u64; COUNTS.len()],
    /// Half and 99 % of the good requests took at most so many milliseconds, at the gateway and at the axum service.
    pub latencies: [f64; 4],
}

impl Row {
    fn columns() -> String {
        let mut columns = vec!["seconds".to_owned(), "events".to_owned()];
        for program in ["gateway", "tls", "api"] {
            for what in ["memory_kib", "handles", "threads"] {
                columns.push(format!("{program}_{what}"));
            }
        }
        let rest = [
            "redis_entries",
            "memory_entries",
            "api_tasks",
            "upstream_connections",
            "upstream_streams",
            "key_fetches",
        ];
        let latencies = [
            "gateway_p50_ms",
            "gateway_p99_ms",
            "api_p50_ms",
            "api_p99_ms",
        ];
        columns.extend(
            rest.iter()
                .chain(&COUNTS)
                .chain(&latencies)
                .map(|&name| name.to_owned()),
        );
        columns.join(",")
    }

    fn line(&self) -> String {
        let mut values = vec![format!("{:.0}", self.seconds), self.events.clone()];
        for usage in self.usage {
            values.extend([usage.memory, usage.handles, usage.threads].map(|n| n.to_string()));
        }
        values.push(
            self.redis_entries
                .map_or_else(String::new, |n| n.to_string()),
        );
        let inside = [
            self.memory_entries,
            self.api_tasks,
            self.upstream_connections,
            self.upstream_streams,
            self.key_fetches,
        ];
        values.extend(inside.iter().chain(&self.counts).map(u64::to_string));
        values.extend(self.latencies.iter().map(|ms| format!("{ms:.2}")));
        values.join(",")
    }

    /// Reads the rows of a table.
    pub fn read(path: &Path) -> Result<Vec<Self>, Error> {
        let text = fs::read_to_string(path)?;
        text.lines().skip(1).map(Self::parse).collect()
    }

    fn parse(line: &str) -> Result<Self, Error> {
        let mut values = line.split(',');
        let mut next = || values.next().ok_or("a row is too short");
        let mut row = Self {
            seconds: next()?.parse()?,
            events: next()?.to_owned(),
            ..Self::default()
        };
        for usage in &mut row.usage {
            for value in [&mut usage.memory, &mut usage.handles, &mut usage.threads] {
                *value = next()?.parse()?;
            }
        }
        // Nobody could ask for it during a fault.
        row.redis_entries = next()?.parse().ok();
        let inside = [
            &mut row.memory_entries,
            &mut row.api_tasks,
            &mut row.upstream_connections,
            &mut row.upstream_streams,
            &mut row.key_fetches,
        ];
        for value in inside.into_iter().chain(&mut row.counts) {
            *value = next()?.parse()?;
        }
        for value in &mut row.latencies {
            *value = next()?.parse()?;
        }
        Ok(row)
    }

    /// Returns a count of this interval.
    pub fn count(&self, name: &str) -> u64 {
        let index = COUNTS.iter().position(|column| *column == name);
        index.map_or(0, |index| self.counts[index])
    }
}

/// What happened so far.
#[derive(Debug)]
pub struct Record {
    begun: Instant,
    counts: [u64; COUNTS.len()],
    before: [u64; COUNTS.len()],
    /// How often each kind of request ended with each reason.
    pub reasons: BTreeMap<(&'static str, String), u64>,
    pub failures: Vec<String>,
    latencies: [Histogram<u64>; 2],
    /// Of the whole run.
    all_latencies: [Histogram<u64>; 2],
    events: VecDeque<String>,
    pub event_counts: BTreeMap<String, u64>,
    pub rows: Vec<Row>,
    csv: BufWriter<File>,
}

impl Record {
    /// Begins a table.
    pub fn new(path: &Path) -> Result<Self, Error> {
        let mut csv = BufWriter::new(File::create(path)?);
        writeln!(csv, "{}", Row::columns())?;
        let histogram = || Histogram::new_with_bounds(1, 60_000_000, 3);
        Ok(Self {
            begun: Instant::now(),
            counts: Default::default(),
            before: Default::default(),
            reasons: BTreeMap::new(),
            failures: Vec::new(),
            latencies: [histogram()?, histogram()?],
            all_latencies: [histogram()?, histogram()?],
            events: VecDeque::new(),
            event_counts: BTreeMap::new(),
            rows: Vec::new(),
            csv,
        })
    }

    /// Returns the time since the beginning.
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Counts something.
    pub fn count(&mut self, name: &str) {
        let index = COUNTS.iter().position(|column| *column == name);
        self.counts[index.expect("it is a column")] += 1;
    }

    /// Returns a count of the whole run.
    pub fn total(&self, name: &str) -> u64 {
        let index = COUNTS.iter().position(|column| *column == name);
        index.map_or(0, |index| self.counts[index])
    }

    /// Counts a status.
    pub fn status(&mut self, status: u16) {
        match status {
            200 => self.count("status_200"),
            400 => self.count("status_400"),
            401 => self.count("status_401"),
            403 => self.count("status_403"),
            431 => self.count("status_431"),
            501 => self.count("status_501"),
            503 => self.count("status_503"),
            _ => self.count("status_other"),
        }
    }

    /// Counts how a kind of request ended.
    pub fn reason(&mut self, kind: &'static str, reason: impl Into<String>) {
        *self.reasons.entry((kind, reason.into())).or_default() += 1;
    }

    /// Records the time of a good request.
    pub fn latency(&mut self, api: bool, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.latencies[usize::from(api)].saturating_record(micros);
        self.all_latencies[usize::from(api)].saturating_record(micros);
    }

    /// Returns a quantile of the whole run in milliseconds.
    pub fn quantile(&self, api: bool, quantile: f64) -> f64 {
        self.all_latencies[usize::from(api)].value_at_quantile(quantile) as f64 / 1000.0
    }

    /// Records what fails the run.
    pub fn fail(&mut self, what: impl Into<String>) {
        self.count("failures");
        let seconds = self.elapsed().as_secs_f64();
        let what = format!("{seconds:.1} s: {}", what.into());
        if self.failures.len() < DESCRIBED {
            eprintln!("FAILED: {what}");
            self.failures.push(what);
        }
    }

    /// Records what this program did to the others.
    pub fn event(&mut self, name: &str) {
        println!("{:7.1} s  {name}", self.elapsed().as_secs_f64());
        *self.event_counts.entry(name.to_owned()).or_default() += 1;
        self.events.push_back(name.to_owned());
    }

    /// Completes the row of this interval, and begins the next one.
    pub fn row(&mut self, mut row: Row) -> Result<(), Error> {
        row.seconds = self.elapsed().as_secs_f64();
        row.events = self.events.drain(..).collect::<Vec<_>>().join(" + ");
        for (index, count) in row.counts.iter_mut().enumerate() {
            *count = self.counts[index] - self.before[index];
        }
        self.before = self.counts;
        for (index, latencies) in self.latencies.iter_mut().enumerate() {
            let ms = |quantile| latencies.value_at_quantile(quantile) as f64 / 1000.0;
            row.latencies[2 * index] = ms(0.5);
            row.latencies[2 * index + 1] = ms(0.99);
            latencies.reset();
        }
        writeln!(self.csv, "{}", row.line())?;
        self.csv.flush()?;
        self.rows.push(row);
        Ok(())
    }
}
