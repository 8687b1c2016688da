//! The future that asynchronous traits return, which is either ready or boxed.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

/// The future that asynchronous traits such as [`ReplayStore`](crate::replay::ReplayStore) and
/// [`TokenVerifier`](crate::token::TokenVerifier) return.
///
/// An implementation in memory returns [`MaybeReady::ready`], which does not allocate. An implementation that
/// uses the network boxes its future with [`MaybeReady::pending`]. The traits are object-safe in both cases.
///
/// # Example
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use dpop_tower::future::MaybeReady;
///
/// fn length(text: &'static str) -> MaybeReady<usize> {
///     if text.len() < 10 {
///         return MaybeReady::ready(text.len());
///     }
///     MaybeReady::pending(async move { text.len() })
/// }
///
/// assert_eq!(length("short").await, 5);
/// assert_eq!(length("rather long").await, 11);
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
///
/// Like most futures, it panics if it is polled again after it has completed.
pub struct MaybeReady<T>(State<T>);

enum State<T> {
    Ready(Option<T>),
    Pending(Pin<Box<dyn Future<Output = T> + Send>>),
}

impl<T> MaybeReady<T> {
    /// Returns a future that is ready with `answer`.
    pub const fn ready(answer: T) -> Self {
        Self(State::Ready(Some(answer)))
    }

    /// Boxes a future, whose output becomes the output of this one.
    pub fn pending(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self(State::Pending(Box::pin(future)))
    }
}

impl<T> MaybeReady<T> {
    /// Returns a future with `f` of this one's output. It is ready if this one is.
    #[cfg(feature = "client")]
    pub(crate) fn map<U>(self, f: impl FnOnce(T) -> U + Send + 'static) -> MaybeReady<U>
    where
        T: 'static,
    {
        match self.0 {
            State::Ready(answer) => MaybeReady(State::Ready(answer.map(f))),
            State::Pending(future) => MaybeReady::pending(async move { f(future.await) }),
        }
    }
}

/// Takes the value with which a future completes, which is not there if the future is polled again.
#[expect(
    clippy::expect_used,
    reason = "polling a completed future is a bug in the caller, as documented"
)]
pub(crate) fn taken<T>(value: &mut Option<T>, bug: &str) -> T {
    value.take().expect(bug)
}

// No field is structurally pinned. The value of `Ready` is moved out, and the box pins its content itself.
impl<T> Unpin for MaybeReady<T> {}

impl<T> Future for MaybeReady<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match &mut self.0 {
            State::Ready(answer) => {
                Poll::Ready(taken(answer, "`MaybeReady` polled after completion"))
            }
            State::Pending(future) => future.as_mut().poll(cx),
        }
    }
}

impl<T> fmt::Debug for MaybeReady<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            State::Ready(_) => "MaybeReady::Ready(..)",
            State::Pending(_) => "MaybeReady::Pending(..)",
        })
    }
}
