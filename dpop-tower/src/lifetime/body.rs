use std::{
    error::Error,
    fmt,
    future::Future as _,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{Ended, TokenLifetime};
use crate::{rejection::RejectionKind, token::TokenErrorKind};

/// Why a body ended before its time: the access token has expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenExpired;

impl fmt::Display for TokenExpired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(TokenErrorKind::Expired.description())
    }
}

impl Error for TokenExpired {}

pin_project! {
    /// A body that ends when the token expires.
    ///
    /// Its errors are those of the body inside, or [`TokenExpired`].
    pub struct UntilExpiry<B> {
        #[pin]
        body: B,
        #[pin]
        watch: Option<Watch>,
    }
}

pin_project! {
    struct Watch {
        #[pin]
        ended: Ended,
        ending: Ending,
        progress: Progress,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// An answer that took longer than its token is given all the same, if it comes in one piece.
    Nothing,
    Begun,
    /// It has been ended, or is at its end by itself.
    Over,
}

/// How a body ends.
pub(super) enum Ending {
    /// A request: with an error, and the response learns of it.
    Request(Arc<AtomicBool>),
    /// A response of gRPC: with trailers, also in place of what the service made of a request that
    /// was cut.
    Grpc(Arc<AtomicBool>),
    /// Events, of which there need be no last one: as if there were no more.
    Events,
    /// With an error: it must not look complete.
    Other,
}

impl<B: Body> UntilExpiry<B> {
    pub(super) fn new(body: B, lifetime: &TokenLifetime, ending: Ending) -> Self {
        let is_stream = body.size_hint().exact().is_none();
        let watch = (is_stream && lifetime.expires_at().is_some()).then(|| Watch {
            ended: lifetime.ended(),
            ending,
            progress: Progress::Nothing,
        });
        Self { body, watch }
    }
}

impl<B> UntilExpiry<B> {
    /// A body that is left alone.
    pub(super) const fn unlimited(body: B) -> Self {
        Self { body, watch: None }
    }
}

impl<B> Body for UntilExpiry<B>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = B::Data;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, Self::Error>>> {
        let this = self.project();
        let Some(watch) = this.watch.as_pin_mut() else {
            return this.body.poll_frame(cx).map_err(Into::into);
        };
        let watch = watch.project();
        if *watch.progress == Progress::Over {
            return Poll::Ready(None);
        }
        let frame = this.body.poll_frame(cx).map_err(Into::into);
        let is_over = match &frame {
            Poll::Pending => watch.ended.poll(cx).is_ready(),
            Poll::Ready(Some(Ok(frame))) if frame.is_data() => {
                *watch.progress == Progress::Begun && watch.ended.lifetime().is_over()
            }
            Poll::Ready(Some(Ok(_trailers))) => watch.ending.request_was_cut(),
            // The end is near.
            Poll::Ready(_) => false,
        };
        if !is_over {
            if frame.is_ready() {
                *watch.progress = Progress::Begun;
            }
            return frame;
        }
        tracing::debug!(target: "dpop_tower::lifetime", "ended a stream: its token has expired");
        *watch.progress = Progress::Over;
        Poll::Ready(watch.ending.last_frame())
    }

    fn is_end_stream(&self) -> bool {
        let over = |watch: &Watch| watch.progress == Progress::Over;
        self.watch.as_ref().is_some_and(over) || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // A lower bound of a stream that may be cut off is none.
        match self.watch {
            Some(_) => SizeHint::default(),
            None => self.body.size_hint(),
        }
    }
}

impl Ending {
    /// Where it matters.
    pub(super) fn request_was_cut(&self) -> bool {
        match self {
            Self::Grpc(was_cut) => was_cut.load(Ordering::Acquire),
            Self::Request(_) | Self::Events | Self::Other => false,
        }
    }

    fn last_frame<D>(&self) -> Option<Result<Frame<D>, Box<dyn Error + Send + Sync>>> {
        match self {
            Self::Request(was_cut) => {
                was_cut.store(true, Ordering::Release);
                Some(Err(TokenExpired.into()))
            }
            Self::Grpc(_) => Some(Ok(Frame::trailers(grpc_trailers()))),
            Self::Events => None,
            Self::Other => Some(Err(TokenExpired.into())),
        }
    }
}

/// The status that a client of any language reads.
pub(super) fn grpc_trailers() -> HeaderMap {
    let status = RejectionKind::from(TokenErrorKind::Expired).grpc_status();
    let mut trailers = HeaderMap::with_capacity(2);
    trailers.insert("grpc-status", u64::from(status).into());
    let message = TokenErrorKind::Expired.description();
    trailers.insert("grpc-message", HeaderValue::from_static(message));
    trailers
}

impl<B: Default> Default for UntilExpiry<B> {
    fn default() -> Self {
        Self::unlimited(B::default())
    }
}

impl<B: fmt::Debug> fmt::Debug for UntilExpiry<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lifetime = self.watch.as_ref().map(|watch| watch.ended.lifetime());
        f.debug_struct("UntilExpiry")
            .field("body", &self.body)
            .field("lifetime", &lifetime)
            .finish()
    }
}
