//! Measures the time of one thing next to another.

use std::time::{Duration, Instant};

/// Times per call. Several things are measured in alternating batches, so that other load on the machine
/// affects all of them alike.
#[derive(Clone, Debug)]
pub struct Samples {
    /// The time per call in seconds, one for each batch, sorted.
    batches: Vec<f64>,
}

impl Samples {
    /// Creates samples from calls that were measured one by one.
    pub fn new(calls: Vec<Duration>) -> Self {
        let mut batches: Vec<f64> = calls.iter().map(Duration::as_secs_f64).collect();
        batches.sort_by(f64::total_cmp);
        Self { batches }
    }

    /// Returns the median in microseconds.
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// Returns a quantile in microseconds.
    pub fn quantile(&self, quantile: f64) -> f64 {
        let last = self.batches.len() - 1;
        let index = (quantile * last as f64).round() as usize;
        self.batches[index] * 1e6
    }
}

/// Runs one batch and returns its total time.
pub type Batch<'a> = Box<dyn FnMut() -> Duration + 'a>;

/// Runs `rounds` batches of each, and divides by the number of calls in a batch.
pub fn side_by_side(rounds: usize, calls: u32, batches: &mut [Batch<'_>]) -> Vec<Samples> {
    let mut times = vec![Vec::with_capacity(rounds); batches.len()];
    for round in 0..rounds {
        for offset in 0..batches.len() {
            // Rotates the order, so that no batch always follows the same other one.
            let index = (round + offset) % batches.len();
            let time = batches[index]();
            times[index].push(time.as_secs_f64() / f64::from(calls));
        }
    }
    times
        .into_iter()
        .map(|mut batches| {
            batches.sort_by(f64::total_cmp);
            Samples { batches }
        })
        .collect()
}

/// Returns the time that an action takes.
pub fn time(action: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    action();
    begin.elapsed()
}
