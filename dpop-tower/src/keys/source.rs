//! The fetched document of one endpoint, and the attempts to replace it. One attempt runs at a time.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::{ArcSwapOption, Guard};
use tokio::{runtime::Handle, sync::watch, time::Instant};

use super::{
    decision::{Age, Decision, Freshness, Situation},
    error::FetchError,
    intervals::{Failures, Intervals},
};
use crate::{clock::TimeSource, telemetry};

/// The time limit of a whole attempt: both metadata documents, the keys, and repeated requests.
pub(super) const ATTEMPT: Duration = Duration::from_secs(10);

/// An attempt that has not ended this long after its limit will not end, because its runtime is no longer
/// driven.
const GRACE: Duration = Duration::from_secs(1);

/// Fetches documents. [`Source`] decides when.
pub(super) trait Fetch: fmt::Debug + Send + Sync + 'static {
    /// Fetches a JWK Set before the deadline.
    fn fetch(&self, deadline: Instant) -> Fetching<'_>;
}

pub(super) type Fetching<'a> =
    Pin<Box<dyn Future<Output = Result<Fetched, FetchError>> + Send + 'a>>;

/// The result of a successful request.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) text: Vec<u8>,
    /// How long the server says that it is fresh.
    pub(super) fresh_for: Option<Duration>,
}

/// A fetched JWK Set.
#[derive(Debug)]
pub(super) struct Document {
    /// The text, which is shared with the previous document if it is the same.
    pub(super) text: Arc<[u8]>,
    pub(super) freshness: Freshness,
    /// The number of the attempt.
    number: u64,
}

/// The keys that configurations with the same issuer share. Attempts belong to it and not to the request
/// that caused them.
pub(super) struct Source {
    fetch: Box<dyn Fetch>,
    clock: Arc<dyn TimeSource>,
    document: ArcSwapOption<Document>,
    /// The number of the document, which is cheaper to read than the document.
    latest: AtomicU64,
    /// Held while the document is changed.
    attempts: Mutex<Attempts>,
}

#[derive(Default)]
struct Attempts {
    count: u64,
    began: Option<Duration>,
    ended: Option<End>,
    under_way: Option<UnderWay>,
}

/// The end of the last attempt that had a result.
struct End {
    at: Duration,
    /// A random number for the pause, if one follows.
    seed: u64,
    /// The number of failures since the last document.
    failures: u32,
    /// The number of times that the current text was fetched in a row.
    repeats: u32,
    /// The reason of a failure.
    why: Option<Arc<str>>,
}

struct UnderWay {
    number: u64,
    waiting: Waiting,
}

/// The verdict of one configuration on a document. Other configurations may be able to use it.
pub(super) struct Judged<'d> {
    pub(super) intervals: &'d Intervals,
    pub(super) document: Option<&'d Arc<Document>>,
    pub(super) is_usable: bool,
    pub(super) needs_others: bool,
}

pub(super) enum Step {
    Serve,
    Wait(Waiting),
    Reject,
    /// The document was replaced after it was judged.
    JudgeAgain,
}

impl Source {
    pub(super) fn new(fetch: impl Fetch, clock: Arc<dyn TimeSource>) -> Self {
        Self {
            fetch: Box::new(fetch),
            clock,
            document: ArcSwapOption::empty(),
            latest: AtomicU64::new(0),
            attempts: Mutex::default(),
        }
    }

    pub(super) fn document(&self) -> Guard<Option<Arc<Document>>> {
        self.document.load()
    }

    /// Returns whether this document is the current one.
    pub(super) fn is_latest(&self, document: &Document) -> bool {
        self.latest() == document.number
    }

    /// Returns the number of the current document, which differs from those of all before it.
    pub(super) fn latest(&self) -> u64 {
        self.latest.load(Ordering::Acquire)
    }

    pub(super) fn now(&self) -> Duration {
        self.clock.monotonic()
    }

    /// Decides what to do, without doing it.
    pub(super) fn decide(&self, judged: &Judged<'_>) -> Decision {
        self.attempts().situation(judged, self.now()).decide()
    }

    /// Decides what to do, and begins an attempt if one is needed.
    pub(super) fn step(self: &Arc<Self>, judged: &Judged<'_>) -> Step {
        let now = self.now();
        let mut attempts = self.attempts();
        let current = self.document.load();
        if current.as_ref().map(Arc::as_ptr) != judged.document.map(Arc::as_ptr) {
            return Step::JudgeAgain;
        }
        let is_served = match attempts.situation(judged, now).decide() {
            Decision::Serve => return Step::Serve,
            Decision::Reject => return Step::Reject,
            Decision::ServeAndRefresh => true,
            Decision::Wait => match attempts.under_way() {
                Some(waiting) => return Step::Wait(waiting),
                None => false,
            },
        };
        let in_use = judged.is_usable
            && current.as_ref().is_some_and(|document| {
                document.freshness.age(judged.intervals, now) != Age::TooOld
            });
        let (attempt, waiting) = self.begin(&mut attempts, now, in_use);
        // If the runtime accepts no more tasks, the attempt ends at once and takes the lock.
        drop(attempts);
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(attempt.run())),
            Err(_) => attempt.end(Err(FetchError::NoRuntime)),
        }
        if is_served {
            Step::Serve
        } else {
            Step::Wait(waiting)
        }
    }

    fn begin(
        self: &Arc<Self>,
        attempts: &mut Attempts,
        now: Duration,
        in_use: bool,
    ) -> (Attempt, Waiting) {
        let (running, ended) = watch::channel(());
        let deadline = Instant::now() + ATTEMPT;
        let waiting = Waiting {
            until: deadline + GRACE,
            ended,
        };
        attempts.count += 1;
        attempts.began = Some(now);
        attempts.under_way = Some(UnderWay {
            number: attempts.count,
            waiting: waiting.clone(),
        });
        let attempt = Attempt {
            source: Arc::clone(self),
            number: attempts.count,
            began: now,
            deadline,
            in_use,
            _running: running,
        };
        (attempt, waiting)
    }

    /// Records the end of an attempt. It is ignored if the attempt has ended before, or if another attempt
    /// has replaced it, because the result is outdated then.
    fn end(&self, number: u64, outcome: Outcome) -> Counts {
        let at = self.now();
        let mut attempts = self.attempts();
        let is_this_one = |under_way: &UnderWay| under_way.number == number;
        if !attempts.under_way.as_ref().is_some_and(is_this_one) {
            return Counts(false);
        }
        attempts.under_way = None;
        let (failures, repeats) = match &attempts.ended {
            Some(end) => (end.failures, end.repeats),
            None => (0, 0),
        };
        match &outcome {
            Outcome::Abandoned => {}
            Outcome::Fetched { .. } => telemetry::key_fetch(true),
            Outcome::Failed(_) => telemetry::key_fetch(false),
        }
        let (failures, repeats, why) = match outcome {
            Outcome::Abandoned => return Counts(true),
            Outcome::Failed(why) => (failures.saturating_add(1), repeats, Some(why)),
            Outcome::Fetched { fetched, asked } => {
                let Fetched { text, fresh_for } = fetched;
                let (text, repeats) = match &*self.document.load() {
                    Some(old) if *old.text == *text => {
                        (Arc::clone(&old.text), repeats.saturating_add(1))
                    }
                    _ => (Arc::from(text), 1),
                };
                let document = Document {
                    text,
                    freshness: Freshness { asked, fresh_for },
                    number,
                };
                self.document.store(Some(Arc::new(document)));
                self.latest.store(number, Ordering::Release);
                (0, repeats, None)
            }
        };
        attempts.ended = Some(End {
            at,
            seed: seed(),
            failures,
            repeats,
            why,
        });
        Counts(true)
    }

    /// Returns why the last attempt failed, if it did.
    pub(super) fn last_failure(&self) -> Option<Arc<str>> {
        self.attempts().ended.as_ref()?.why.clone()
    }

    /// Locks the attempts. No code under the lock can leave them inconsistent, so poisoning is ignored.
    fn attempts(&self) -> MutexGuard<'_, Attempts> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempts {
    fn situation(&self, judged: &Judged<'_>, now: Duration) -> Situation {
        let document = judged.document.filter(|_| judged.is_usable);
        // For this configuration, a set that it cannot use is a failure.
        let is_unusable = judged.document.is_some() && !judged.is_usable;
        let failures = self.ended.as_ref().and_then(|end| {
            let of_this_one = if is_unusable { end.repeats } else { 0 };
            let in_a_row = end.failures.max(of_this_one);
            (in_a_row > 0).then_some(Failures {
                at: end.at,
                in_a_row,
                seed: end.seed,
            })
        });
        Situation {
            intervals: *judged.intervals,
            now,
            keys: document.map(|document| document.freshness),
            began: self.began,
            failures,
            is_under_way: self.under_way().is_some(),
            needs_others: judged.needs_others,
        }
    }

    fn under_way(&self) -> Option<Waiting> {
        let waiting = &self.under_way.as_ref()?.waiting;
        (Instant::now() < waiting.until).then(|| waiting.clone())
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("fetch", &self.fetch)
            .finish_non_exhaustive()
    }
}

/// Returns a random number. It spreads the attempts of many services over time and protects nothing, so it does
/// not matter if the operating system has no randomness to give.
fn seed() -> u64 {
    getrandom::u64().unwrap_or_default()
}

/// The end of an attempt, for the requests that wait for it.
#[derive(Clone)]
pub(super) struct Waiting {
    until: Instant,
    /// Closed when the attempt ends, for whatever reason.
    ended: watch::Receiver<()>,
}

impl Waiting {
    /// Waits for the end, but not longer than an attempt can take.
    pub(super) async fn end(mut self) {
        if self.ended.has_changed().is_err() {
            return;
        }
        if Handle::try_current().is_err() {
            tracing::warn!("{}", FetchError::NoRuntime);
            return;
        }
        let ended = self.ended.changed();
        // In both cases, the caller then looks at the current document.
        let _ = tokio::time::timeout_at(self.until, ended).await;
    }
}

/// Whether the end of an attempt was recorded.
struct Counts(bool);

enum Outcome {
    Fetched {
        fetched: Fetched,
        asked: Duration,
    },
    Failed(Arc<str>),
    /// It was dropped before it ended, which is not the issuer's fault.
    Abandoned,
}

/// An attempt to fetch a document, which runs in a task of its own. It ends when it is dropped.
struct Attempt {
    source: Arc<Source>,
    number: u64,
    began: Duration,
    deadline: Instant,
    /// Whether requests can use the current keys meanwhile, for the log.
    in_use: bool,
    /// Dropped after [`Drop::drop`], so that woken requests find the result.
    _running: watch::Sender<()>,
}

impl Attempt {
    async fn run(self) {
        let result = self.source.fetch.fetch(self.deadline).await;
        self.end(result);
    }

    fn end(self, result: Result<Fetched, FetchError>) {
        let outcome = match result {
            Ok(fetched) => Outcome::Fetched {
                fetched,
                asked: self.began,
            },
            Err(error) => {
                tracing::warn!(
                    %error,
                    in_use = self.in_use,
                    "the issuer's keys could not be fetched"
                );
                Outcome::Failed(error.to_string().into())
            }
        };
        self.source.end(self.number, outcome);
    }
}

impl Drop for Attempt {
    /// Does nothing if the attempt has already ended.
    fn drop(&mut self) {
        // A panic would occur again after each fetch.
        let (outcome, why) = if std::thread::panicking() {
            let why = "the task that fetches the keys panicked";
            (Outcome::Failed(why.into()), "panicked")
        } else {
            (Outcome::Abandoned, "was given up with its runtime")
        };
        let Counts(counts) = self.source.end(self.number, outcome);
        if counts {
            tracing::warn!("the task that fetches the issuer's keys {why}");
        }
    }
}

#[cfg(test)]
mod tests;
