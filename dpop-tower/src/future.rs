//! The future of an asynchronous seam: ready at once, or boxed.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

/// What an asynchronous seam such as [`ReplayStore`](crate::replay::ReplayStore) returns.
///
/// A store in memory answers with [`MaybeReady::ready`], which allocates nothing; a store across the
/// network wraps its future with [`MaybeReady::pending`]. The trait stays object-safe either way.
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
    /// An answer that is known already.
    pub const fn ready(answer: T) -> Self {
        Self(State::Ready(Some(answer)))
    }

    /// An answer that has to be waited for.
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
                Poll::Ready(answer.take().expect("`Check` polled after completion"))
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
