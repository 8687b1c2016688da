//! The documents of one endpoint: the one at hand, and the one attempt at a time to fetch another.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arc_swap::{ArcSwapOption, Guard};
use tokio::{runtime::Handle, sync::watch, time::Instant};

use super::{
    decision::{Decision, MAX_AGE, Situation},
    error::FetchError,
};
use crate::time::TimeSource;

/// A whole attempt ends within this: both documents of metadata, the keys, and what is sent twice.
pub(super) const ATTEMPT: Duration = Duration::from_secs(10);

/// An attempt that has not ended this long after its time will not end: the runtime that it was begun
/// on is not driven any more.
const GRACE: Duration = Duration::from_secs(1);

/// What fetches, apart from when.
pub(super) trait Fetch: fmt::Debug + Send + Sync + 'static {
    /// Fetches a JWK Set, by the deadline.
    fn fetch(&self, deadline: Instant) -> Fetching<'_>;
}

pub(super) type Fetching<'a> =
    Pin<Box<dyn Future<Output = Result<Vec<u8>, FetchError>> + Send + 'a>>;

/// A JWK Set as it was fetched.
#[derive(Debug)]
pub(super) struct Document {
    /// The same one as before if the issuer said the same.
    pub(super) text: Arc<[u8]>,
    /// When the attempt that fetched it began.
    pub(super) asked: Duration,
}

/// What configurations with the same issuer share. Attempts belong to it and not to the request that
/// was the first to need one.
pub(super) struct Source {
    fetch: Box<dyn Fetch>,
    clock: Arc<dyn TimeSource>,
    document: ArcSwapOption<Document>,
    /// Whoever changes the document holds this.
    attempts: Mutex<Attempts>,
}

#[derive(Default)]
struct Attempts {
    count: u64,
    began: Option<Duration>,
    ended: Option<End>,
    under_way: Option<UnderWay>,
}

#[derive(Clone, Copy)]
struct End {
    at: Duration,
    has_failed: bool,
}

struct UnderWay {
    number: u64,
    waiting: Waiting,
}

/// What a configuration makes of a document: others may be able to use it.
pub(super) struct Judged<'d> {
    pub(super) document: Option<&'d Arc<Document>>,
    pub(super) is_usable: bool,
    pub(super) needs_others: bool,
}

pub(super) enum Step {
    Serve,
    Wait(Waiting),
    Reject,
    /// Another document has come since this one was judged.
    JudgeAgain,
}

impl Source {
    pub(super) fn new(fetch: impl Fetch, clock: Arc<dyn TimeSource>) -> Self {
        Self {
            fetch: Box::new(fetch),
            clock,
            document: ArcSwapOption::empty(),
            attempts: Mutex::default(),
        }
    }

    pub(super) fn document(&self) -> Guard<Option<Arc<Document>>> {
        self.document.load()
    }

    pub(super) fn now(&self) -> Duration {
        self.clock.monotonic()
    }

    /// What is to be done. Nothing is done yet.
    pub(super) fn decide(&self, judged: &Judged<'_>) -> Decision {
        self.attempts().situation(judged, self.now()).decide()
    }

    /// Decides, and begins an attempt where that takes one.
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
        let (attempt, waiting) = self.begin(&mut attempts, now);
        // If the runtime takes no more tasks, the attempt ends at once, and takes the lock to say so.
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

    fn begin(self: &Arc<Self>, attempts: &mut Attempts, now: Duration) -> (Attempt, Waiting) {
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
            _running: running,
        };
        (attempt, waiting)
    }

    /// Notes the end of an attempt. It does not count if it ended before, or if another one is under
    /// way in its place: then its result is too old.
    fn end(&self, number: u64, outcome: Outcome) -> Counts {
        let at = self.now();
        let mut attempts = self.attempts();
        let is_this_one = |under_way: &UnderWay| under_way.number == number;
        if !attempts.under_way.as_ref().is_some_and(is_this_one) {
            return Counts(false);
        }
        attempts.under_way = None;
        let has_failed = match outcome {
            Outcome::Abandoned => return Counts(true),
            Outcome::Failed => true,
            Outcome::Fetched { text, asked } => {
                let text = match &*self.document.load() {
                    Some(old) if *old.text == *text => Arc::clone(&old.text),
                    _ => Arc::from(text),
                };
                self.document
                    .store(Some(Arc::new(Document { text, asked })));
                false
            }
        };
        attempts.ended = Some(End { at, has_failed });
        Counts(true)
    }

    /// Whether there are keys that may be used, to somebody's configuration.
    fn has_document(&self) -> bool {
        let now = self.now();
        let is_good = |document: &Arc<Document>| now.saturating_sub(document.asked) < MAX_AGE;
        self.document.load().as_ref().is_some_and(is_good)
    }

    /// Nothing that runs under the lock can leave it half done.
    fn attempts(&self) -> MutexGuard<'_, Attempts> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempts {
    fn situation(&self, judged: &Judged<'_>, now: Duration) -> Situation {
        let document = judged.document.filter(|_| judged.is_usable);
        // To this configuration, a set that it cannot use is a failure.
        let is_unusable = judged.document.is_some() && !judged.is_usable;
        let failed = self.ended.filter(|end| end.has_failed || is_unusable);
        Situation {
            now,
            asked: document.map(|document| document.asked),
            began: self.began,
            failed: failed.map(|end| end.at),
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

/// The end of an attempt, for those who wait for it.
#[derive(Clone)]
pub(super) struct Waiting {
    until: Instant,
    /// Closed when the attempt ends, however that may be.
    ended: watch::Receiver<()>,
}

impl Waiting {
    /// Waits for the end, and no longer than an attempt can take.
    pub(super) async fn end(mut self) {
        if self.ended.has_changed().is_err() {
            return;
        }
        if Handle::try_current().is_err() {
            tracing::warn!("{}", FetchError::NoRuntime);
            return;
        }
        let ended = self.ended.changed();
        // Either way, whoever waited looks at what there is now.
        let _ = tokio::time::timeout_at(self.until, ended).await;
    }
}

/// Whether the end of an attempt made a difference.
struct Counts(bool);

enum Outcome {
    Fetched {
        text: Vec<u8>,
        asked: Duration,
    },
    Failed,
    /// It has not come to an end, which is nobody's fault.
    Abandoned,
}

/// An attempt to fetch a document: a task that belongs to nobody. If it is dropped, that is its end.
struct Attempt {
    source: Arc<Source>,
    number: u64,
    began: Duration,
    deadline: Instant,
    /// Dropped after [`Drop::drop`], so that who is woken finds the result.
    _running: watch::Sender<()>,
}

impl Attempt {
    async fn run(self) {
        let result = self.source.fetch.fetch(self.deadline).await;
        self.end(result);
    }

    fn end(self, result: Result<Vec<u8>, FetchError>) {
        let outcome = match result {
            Ok(text) => Outcome::Fetched {
                text,
                asked: self.began,
            },
            Err(error) => {
                tracing::warn!(
                    %error,
                    in_use = self.source.has_document(),
                    "the issuer's keys could not be fetched"
                );
                Outcome::Failed
            }
        };
        self.source.end(self.number, outcome);
    }
}

impl Drop for Attempt {
    /// Does nothing for an attempt that has ended in another way.
    fn drop(&mut self) {
        // A panic would come again, and each time after a fetch.
        let (outcome, why) = if std::thread::panicking() {
            (Outcome::Failed, "panicked")
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
