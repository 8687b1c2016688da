//! One list: the last fetched document, and the attempt under way. There is at most one attempt at a time.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use reqwest::Url;
use tokio::{
    runtime::Handle,
    sync::watch,
    time::{Instant, timeout_at},
};

use super::{StatusVerifier, bits::Statuses};
use crate::clock::UnixTime;

/// The time limit of a whole attempt.
const ATTEMPT: Duration = Duration::from_secs(10);

/// An attempt that has not ended this long after its limit will not end, because its runtime is no longer
/// driven.
const GRACE: Duration = Duration::from_secs(1);

/// No attempt begins for this long after a failure.
const PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct List {
    /// The URI as the tokens write it, which is the `sub` of the list.
    pub(super) uri: String,
    pub(super) url: Url,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    current: Option<Arc<Current>>,
    /// The monotonic time of the last failure, until there is a success.
    failed: Option<Duration>,
    under_way: Option<Waiting>,
}

/// A verified list. All its times except `exp` are monotonic.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) statuses: Statuses,
    /// The `iat`.
    pub(super) issued_at: UnixTime,
    pub(super) due: Duration,
    pub(super) ends: Duration,
    pub(super) expires_at: Option<UnixTime>,
}

pub(super) enum Step {
    Use(Arc<Current>),
    Wait(Waiting),
    Unavailable,
}

impl List {
    pub(super) fn new(uri: &str, url: Url) -> Self {
        Self {
            uri: uri.to_owned(),
            url,
            state: Mutex::default(),
        }
    }

    /// Returns the current list, if it can still be used.
    pub(super) fn usable(&self, verifier: &StatusVerifier) -> Option<Arc<Current>> {
        self.state().usable(verifier)
    }

    /// Decides what a request does, and begins an attempt if one is needed.
    pub(super) fn step(self: &Arc<Self>, verifier: &Arc<StatusVerifier>) -> Step {
        let monotonic = verifier.clock.monotonic();
        let state = self.state();
        let usable = state.usable(verifier);
        if let Some(current) = &usable
            && monotonic < current.due
        {
            return Step::Use(Arc::clone(current));
        }
        let rests = |failed: Duration| monotonic < failed.saturating_add(PAUSE);
        let waiting = match state.under_way() {
            Some(waiting) => Some(waiting),
            None if state.failed.is_some_and(rests) => None,
            None => self.begin(state, verifier, monotonic),
        };
        match (usable, waiting) {
            (Some(current), _) => Step::Use(current),
            (None, Some(waiting)) => Step::Wait(waiting),
            (None, None) => Step::Unavailable,
        }
    }

    fn begin(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State>,
        verifier: &Arc<StatusVerifier>,
        began: Duration,
    ) -> Option<Waiting> {
        let Ok(runtime) = Handle::try_current() else {
            tracing::warn!("to fetch a status list takes a tokio runtime, and there is none");
            return None;
        };
        let (running, ended) = watch::channel(());
        let deadline = Instant::now() + ATTEMPT;
        let waiting = Waiting {
            until: deadline + GRACE,
            ended,
        };
        state.under_way = Some(waiting.clone());
        let attempt = Attempt {
            list: Arc::clone(self),
            verifier: Arc::clone(verifier),
            began,
            result: Err("it was given up with its runtime".to_owned()),
            _running: running,
        };
        // If the runtime accepts no more tasks, the attempt ends at once and takes the lock.
        drop(state);
        drop(runtime.spawn(attempt.run(deadline)));
        Some(waiting)
    }

    /// No code under the lock can leave the state inconsistent, so poisoning is ignored.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn usable(&self, verifier: &StatusVerifier) -> Option<Arc<Current>> {
        let (monotonic, now) = (verifier.clock.monotonic(), verifier.clock.now());
        let current = self.current.as_ref()?;
        let is_good = monotonic < current.ends
            && current.expires_at.is_none_or(|expires_at| now < expires_at);
        is_good.then(|| Arc::clone(current))
    }

    fn under_way(&self) -> Option<Waiting> {
        let waiting = self.under_way.as_ref()?;
        let goes_on = Instant::now() < waiting.until && waiting.ended.has_changed().is_ok();
        goes_on.then(|| waiting.clone())
    }
}

/// The end of an attempt, for the requests that wait for it.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    until: Instant,
    /// Closed when the attempt ends, for whatever reason.
    ended: watch::Receiver<()>,
}

impl Waiting {
    /// Waits for the end, but not longer than an attempt can take.
    pub(super) async fn end(mut self) {
        // In both cases, the caller then looks at the current list.
        let _ = timeout_at(self.until, self.ended.changed()).await;
    }
}

/// An attempt to fetch a list, which runs in a task of its own. It ends when it is dropped.
struct Attempt {
    list: Arc<List>,
    verifier: Arc<StatusVerifier>,
    began: Duration,
    result: Result<Current, String>,
    /// Dropped after [`Drop::drop`], so that woken requests find the result.
    _running: watch::Sender<()>,
}

impl Attempt {
    async fn run(mut self, deadline: Instant) {
        let fetched = timeout_at(deadline, self.verifier.fetch(&self.list, self.began)).await;
        self.result = fetched.unwrap_or_else(|_| Err("no answer in time".to_owned()));
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let mut result = std::mem::replace(&mut self.result, Err(String::new()));
        let mut state = self.list.state();
        if let (Ok(current), Some(old)) = (&result, &state.current)
            && current.issued_at < old.issued_at
        {
            // A copy of an older list would make revoked tokens valid again.
            result = Err("it is older than the list that was fetched before".to_owned());
        }
        match result {
            Ok(current) => {
                let is_newer = |old: &Arc<Current>| old.ends <= current.ends;
                if state.current.as_ref().is_none_or(is_newer) {
                    state.current = Some(Arc::new(current));
                }
                state.failed = None;
            }
            Err(error) => {
                state.failed = Some(self.verifier.clock.monotonic());
                let in_use = state.usable(&self.verifier).is_some();
                drop(state);
                let (origin, path) = (self.list.url.origin(), self.list.url.path());
                let list = format!("{}{path}", origin.ascii_serialization());
                tracing::warn!(%error, list, in_use, "a status list could not be fetched");
            }
        }
    }
}
