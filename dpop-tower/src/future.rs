//! Futures of asynchronous seams: ready at once, or boxed.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

/// The future that an asynchronous seam such as [`ReplayStore`](crate::replay::ReplayStore) returns.
///
/// A store in memory returns [`MaybeReady::ready`], which does not allocate. A store across the network
/// wraps its future with [`MaybeReady::pending`]. The trait is object-safe in both cases.
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

    /// Boxes a future.
    pub fn pending(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self(State::Pending(Box::pin(future)))
    }
}

// No field is structurally pinned: `Ready` is moved out of, and the box is its own pin.
impl<T> Unpin for MaybeReady<T> {}

impl<T> Future for MaybeReady<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match &mut self.0 {
            State::Ready(answer) =>
            {
                #[expect(
                    clippy::expect_used,
                    reason = "polling a completed future is a bug in the caller, as documented"
                )]
                Poll::Ready(answer.take().expect("`MaybeReady` polled after completion"))
            }
            State::Pending(future) => future.as_mut().poll(cx),
        }
    }
}

impl<T> fmt::Debug for MaybeReady<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            State::Ready(_) => "Check::Ready(..)",
            State::Pending(_) => "Check::Pending(..)",
        })
    }
}
