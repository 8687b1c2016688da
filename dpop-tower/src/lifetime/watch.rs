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

use http::HeaderMap;
use http_body::{Body, Frame};

use super::{Ended, TokenLifetime};
use crate::{
    error::BoxError,
    rejection::grpc::{self, is_media_type},
    token::TokenErrorKind,
};

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

/// Ends a body when the token expires.
pub(crate) struct Watch {
    lifetime: TokenLifetime,
    /// Made when the body has to be waited for: most never have.
    ended: Option<Pin<Box<Ended>>>,
    ending: Ending,
    progress: Progress,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// The body was not polled yet, and not asked for its length.
    Unread,
    /// The length was announced: the body is one answer, and not cut.
    Exempt,
    /// A stream that has given nothing. An answer that took longer than its token is given all the
    /// same, if it comes in one piece.
    Nothing,
    Begun,
    /// It has been ended.
    Over,
}

/// How a body ends.
pub(super) enum Ending {
    /// A request: with an error, and the response learns of it.
    #[cfg(any(feature = "axum", feature = "tonic"))]
    Request(Arc<AtomicBool>),
    /// A response of gRPC: with trailers, also in place of what the service made of a request that
    /// was cut.
    Grpc(Option<Arc<AtomicBool>>),
    /// Events, of which there need be no last one: as if there were no more.
    Events,
    /// With an error: it must not look complete.
    Other,
}

impl Watch {
    pub(super) const fn new(lifetime: TokenLifetime, ending: Ending) -> Self {
        Self {
            lifetime,
            ended: None,
            ending,
            progress: Progress::Unread,
        }
    }

    /// Polls `body`, which has to be the same each time, and ends it when it is time to.
    pub(crate) fn poll_frame<B>(
        &mut self,
        body: Pin<&mut B>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        match self.progress {
            Progress::Over => return Poll::Ready(None),
            Progress::Unread if is_stream(&*body) => self.progress = Progress::Nothing,
            Progress::Unread => self.progress = Progress::Exempt,
            Progress::Exempt | Progress::Nothing | Progress::Begun => {}
        }
        let frame = body.poll_frame(cx).map_err(Into::into);
        if self.progress == Progress::Exempt {
            return frame;
        }
        let is_over = match &frame {
            Poll::Pending => self.poll_ended(cx).is_ready(),
            Poll::Ready(Some(Ok(frame))) if frame.is_data() => {
                self.progress == Progress::Begun && self.lifetime.is_over()
            }
            Poll::Ready(Some(Ok(_trailers))) => self.ending.request_was_cut(),
            // The end is near.
            Poll::Ready(_) => false,
        };
        if !is_over {
            if frame.is_ready() {
                self.progress = Progress::Begun;
            }
            return frame;
        }
        tracing::debug!(target: "dpop_tower::lifetime", "ended a stream: its token has expired");
        self.progress = Progress::Over;
        self.ended = None;
        Poll::Ready(self.ending.last_frame())
    }

    fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let ended = || Box::pin(self.lifetime.ended());
        self.ended.get_or_insert_with(ended).as_mut().poll(cx)
    }

    /// Whether the body has been ended.
    pub(crate) fn is_over(&self) -> bool {
        self.progress == Progress::Over
    }

    /// Whether what `body` says of its length cannot be relied on: a stream may be cut off.
    pub(crate) fn may_cut<B: Body>(&self, body: &B) -> bool {
        match self.progress {
            Progress::Unread => is_stream(body),
            Progress::Exempt => false,
            Progress::Nothing | Progress::Begun | Progress::Over => true,
        }
    }
}

pub(super) fn is_stream<B: Body>(body: &B) -> bool {
    body.size_hint().exact().is_none()
}

impl Ending {
    /// That of a response.
    pub(super) fn of(headers: &HeaderMap, request_was_cut: Option<&Arc<AtomicBool>>) -> Self {
        if is_media_type(headers, "application/grpc") {
            Self::Grpc(request_was_cut.cloned())
        } else if is_media_type(headers, "text/event-stream") {
            Self::Events
        } else {
            Self::Other
        }
    }

    /// Where it matters.
    pub(super) fn request_was_cut(&self) -> bool {
        match self {
            Self::Grpc(Some(was_cut)) => was_cut.load(Ordering::Acquire),
            #[cfg(any(feature = "axum", feature = "tonic"))]
            Self::Request(_) => false,
            Self::Grpc(None) | Self::Events | Self::Other => false,
        }
    }

    fn last_frame<D>(&self) -> Option<Result<Frame<D>, BoxError>> {
        match self {
            #[cfg(any(feature = "axum", feature = "tonic"))]
            Self::Request(was_cut) => {
                was_cut.store(true, Ordering::Release);
                Some(Err(TokenExpired.into()))
            }
            Self::Grpc(_) => {
                let kind = TokenErrorKind::Expired;
                let trailers = grpc::status(kind.into(), kind.as_str(), kind.description());
                Some(Ok(Frame::trailers(trailers)))
            }
            Self::Events => None,
            Self::Other => Some(Err(TokenExpired.into())),
        }
    }
}
