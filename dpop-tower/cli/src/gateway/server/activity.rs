//! Tracks the requests of a connection, and tells when it has been idle for too long.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, sleep_until};

/// The activity of one connection. Clones share its state.
#[derive(Clone)]
pub(crate) struct Activity(Arc<Mutex<State>>);

struct State {
    under_way: usize,
    has_begun: bool,
    /// The time when the last request ended. Before the first, the time when the connection was opened.
    since: Instant,
}

/// Counts a request as under way until it is dropped.
pub(crate) struct UnderWay(Activity);

impl Activity {
    /// Starts to track a connection that was opened now.
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            under_way: 0,
            has_begun: false,
            since: Instant::now(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn begin(&self) -> UnderWay {
        let mut state = self.state();
        state.under_way = state.under_way.saturating_add(1);
        state.has_begun = true;
        drop(state);
        UnderWay(self.clone())
    }

    /// Returns whether any request has begun.
    pub(super) fn has_begun(&self) -> bool {
        self.state().has_begun
    }

    /// Completes when no request has been under way for `patience`, counted from `from` at the earliest.
    ///
    /// Without any request, it completes when `first` has passed since the connection was opened.
    pub(super) async fn quiet(&self, from: Instant, first: Duration, patience: Duration) {
        loop {
            let now = Instant::now();
            let deadline = {
                let state = self.state();
                match (state.has_begun, state.under_way) {
                    (false, _) => state.since + first,
                    (true, 0) => state.since.max(from) + patience,
                    (true, _) => now + patience,
                }
            };
            if deadline <= now {
                return;
            }
            // A sleep takes `patience` at most. So if a request ends meanwhile, the new deadline is computed
            // before it is due.
            sleep_until(deadline.min(now + patience)).await;
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.under_way = state.under_way.saturating_sub(1);
        state.since = Instant::now();
    }
}

impl fmt::Debug for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Activity").finish_non_exhaustive()
    }
}

/// The body of a response, which keeps its request under way until it is dropped.
pub(crate) struct Ending<B> {
    pub(crate) body: B,
    #[expect(dead_code, reason = "it is there to be dropped")]
    pub(crate) under_way: Option<UnderWay>,
}

impl<B: Body + Unpin> Body for Ending<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(40);
    const IDLE: Duration = Duration::from_millis(100);

    #[tokio::test]
    async fn a_connection_without_a_request_is_quiet_after_the_time_for_the_first() {
        let activity = Activity::new();
        let opened = Instant::now();
        activity
            .quiet(opened, FIRST, Duration::from_secs(3600))
            .await;
        assert!(opened.elapsed() >= FIRST);
        assert!(!activity.has_begun());
    }

    #[tokio::test]
    async fn a_connection_is_quiet_a_while_after_its_last_request() {
        let activity = Activity::new();
        let opened = Instant::now();
        let requests = async {
            let long = activity.begin();
            drop(activity.begin());
            tokio::time::sleep(3 * IDLE).await;
            drop(long);
            tokio::time::sleep(IDLE / 2).await;
            drop(activity.begin());
            Instant::now()
        };
        let ((), ended) = tokio::join!(activity.quiet(opened, FIRST, IDLE), requests);
        assert!(ended.elapsed() >= IDLE);
        // Counted from a later moment, the connection has the same time again.
        let later = Instant::now();
        activity.quiet(later, FIRST, IDLE).await;
        assert!(later.elapsed() >= IDLE);
    }
}
