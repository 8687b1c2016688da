//! The task that opens sessions and checks them.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
    time::timeout,
};

use super::{Engine, Failure, supervised::Inner};

/// The time between two checks of a session.
const TICK: Duration = Duration::from_secs(1);
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// A task that has not come around for this time, besides the time that its calls may take, does not run any more.
const STALLED: Duration = Duration::from_secs(10);

/// The task of a store, of which there is at most one that counts.
pub(super) struct Task {
    begun: Instant,
    /// The number of the current task, and zero if there is none.
    current: Mutex<u64>,
    /// When the current task last came around, in milliseconds. The largest number means that there is no task.
    beat: AtomicU64,
    stalled: Duration,
    /// Ends the pause of the task.
    wake: Arc<Notify>,
    /// Counts the attempts to open a session that have ended.
    attempts: watch::Sender<u64>,
}

const NONE: u64 = u64::MAX;

impl Task {
    /// Describes a task that is not running yet and whose calls take at most `longest`.
    pub(super) fn new(longest: Duration) -> Self {
        Self {
            begun: Instant::now(),
            current: Mutex::default(),
            beat: AtomicU64::new(NONE),
            stalled: STALLED.saturating_add(longest),
            wake: Arc::default(),
            attempts: watch::Sender::new(0),
        }
    }

    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    pub(super) fn attempts(&self) -> watch::Receiver<u64> {
        self.attempts.subscribe()
    }

    fn elapsed(&self) -> u64 {
        let elapsed = self.begun.elapsed().as_millis();
        u64::try_from(elapsed).unwrap_or(NONE - 1)
    }

    fn is_running(&self) -> bool {
        let beat = self.beat.load(Ordering::Acquire);
        let age = self.elapsed().saturating_sub(beat);
        beat != NONE && Duration::from_millis(age) < self.stalled
    }

    /// Notes that the task `number` has come around. Returns whether it is the current one.
    fn beats(&self, number: u64) -> bool {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = *current == number;
        if counts {
            self.beat.store(self.elapsed(), Ordering::Release);
        }
        counts
    }
}

/// Starts the task unless it runs.
pub(super) fn ensure<E: Engine>(inner: &Arc<Inner<E>>) -> Result<(), Failure> {
    let task = &inner.task;
    if task.is_running() {
        return Ok(());
    }
    let Ok(runtime) = Handle::try_current() else {
        return Err(Failure::session(
            "the replay store needs a tokio runtime, and there is none",
        ));
    };
    let number = {
        let mut current = task.current.lock().unwrap_or_else(PoisonError::into_inner);
        if task.is_running() {
            return Ok(());
        }
        *current += 1;
        task.beat.store(task.elapsed(), Ordering::Release);
        // The connections of the last session belong to a runtime that has ended or is no longer driven.
        inner.current.begin();
        *current
    };
    let ended = Ended {
        inner: Arc::downgrade(inner),
        number,
    };
    let wake = Arc::clone(&task.wake);
    drop(runtime.spawn(supervise(ended, wake)));
    Ok(())
}

async fn supervise<E: Engine>(this: Ended<E>, wake: Arc<Notify>) {
    let mut pauses = pauses();
    loop {
        let Some(inner) = this.inner.upgrade() else {
            return;
        };
        if !inner.task.beats(this.number) {
            return;
        }
        let pause = step(&inner, this.number, &mut pauses).await;
        // The store ends with its last user, also during the pause.
        drop(inner);
        let _ = timeout(pause, wake.notified()).await;
    }
}

/// Opens a session or checks the one in use, and returns the pause that follows.
async fn step<E: Engine>(
    inner: &Inner<E>,
    number: u64,
    pauses: &mut ExponentialBackoff,
) -> Duration {
    if let Some(up) = inner.current.up() {
        let checked = timeout(inner.time_out, inner.engine.check(&up.session)).await;
        let checked = checked.unwrap_or_else(|_| Err(timed_out("check", inner.time_out)));
        return match checked {
            Ok(()) => {
                *pauses = self::pauses();
                TICK
            }
            Err(failure) if inner.current.fails(&up, &failure) => Duration::ZERO,
            Err(_) => TICK,
        };
    }
    let opened = timeout(
        inner.open_time_out,
        inner.engine.open(inner.current.opening()),
    )
    .await;
    let opened = opened.unwrap_or_else(|_| Err(timed_out("connection", inner.open_time_out)));
    if !inner.task.beats(number) {
        // Another task has replaced this one, and publishes its own session.
        return Duration::ZERO;
    }
    let pause = match opened {
        Ok((session, incarnation)) => {
            inner.current.opened(session, incarnation);
            TICK
        }
        Err(failure) => {
            inner.current.not_opened(&failure);
            pauses.next().unwrap_or(LONGEST_PAUSE)
        }
    };
    inner.task.attempts.send_modify(|count| *count += 1);
    pause
}

pub(super) fn timed_out(what: &str, after: Duration) -> Failure {
    Failure::call(format!("no answer to a {what} within {after:?}"))
}

fn pauses() -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(SHORTEST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .with_factor(2.0)
        .without_max_times()
        .with_jitter()
        // Without randomness, the pauses are the same in each process, which does no harm.
        .with_jitter_seed(getrandom::u64().unwrap_or_default())
        .build()
}

/// Notices the end of the task, which comes with the end of its runtime.
struct Ended<E: Engine> {
    inner: Weak<Inner<E>>,
    number: u64,
}

impl<E: Engine> Drop for Ended<E> {
    fn drop(&mut self) {
        let Some(inner) = self.inner.upgrade() else {
            return;
        };
        let task = &inner.task;
        let current = task.current.lock().unwrap_or_else(PoisonError::into_inner);
        if *current == self.number {
            inner
                .current
                .end("the runtime of the replay store has ended");
            task.beat.store(NONE, Ordering::Release);
            task.attempts.send_modify(|count| *count += 1);
        }
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("is_running", &self.is_running())
            .finish_non_exhaustive()
    }
}
