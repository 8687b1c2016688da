use std::{
    error::Error,
    fmt,
    future::Future as _,
    pin::Pin,
    sync::{Arc, OnceLock},
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

/// The error of a body that was ended because the access token has expired or is revoked.
///
/// A handler finds it among the sources of the error of a request's body:
///
/// ```
/// use dpop_tower::lifetime::TokenExpired;
/// use std::error::Error;
///
/// fn is_expiry(error: &(dyn Error + 'static)) -> bool {
///     error.is::<TokenExpired>() || error.source().is_some_and(is_expiry)
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenExpired {
    why: TokenErrorKind,
}

impl fmt::Display for TokenExpired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.why.description())
    }
}

impl Error for TokenExpired {}

/// Why the body of a request was ended, once it was.
pub(super) type Cut = OnceLock<TokenErrorKind>;

/// Ends a body when the token expires or is revoked.
pub(crate) struct Watch {
    lifetime: TokenLifetime,
    /// Created when the body is pending for the first time, which most bodies never are.
    ended: Option<Pin<Box<Ended>>>,
    ending: Ending,
    progress: Progress,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// The body has not been polled, and its length is not known yet.
    Unread,
    /// The length is known, so the body is not a stream and is not ended.
    Exempt,
    /// The stream has sent nothing. Its first chunk is sent even if the token has expired.
    Nothing,
    Begun,
    /// The stream has been ended.
    Over,
}

/// The way in which a body is ended.
pub(super) enum Ending {
    /// A request ends with an error, and the flag is set for the response.
    #[cfg(any(feature = "axum", feature = "tonic"))]
    Request(Arc<Cut>),
    /// A gRPC response ends with trailers. They also replace those of a service whose request was ended.
    Grpc(Option<Arc<Cut>>),
    /// Events end as if there were no more of them.
    Events,
    /// Any other body ends with an error, so that it does not look complete.
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

    /// Polls `body`, which has to be the same each time, and ends it when the token has expired.
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
        let over = match &frame {
            Poll::Pending => self.ended(cx),
            Poll::Ready(Some(Ok(frame))) if frame.is_data() => match self.progress {
                Progress::Begun => self.over(cx),
                _ => None,
            },
            Poll::Ready(Some(Ok(_trailers))) => self.ending.request_was_cut(),
            // The body ends by itself.
            Poll::Ready(_) => None,
        };
        let Some(why) = over else {
            if frame.is_ready() {
                self.progress = Progress::Begun;
            }
            return frame;
        };
        let reason = why.as_str();
        tracing::debug!(target: "dpop_tower::lifetime", reason, "ended a stream: its token has expired or is revoked");
        self.progress = Progress::Over;
        self.ended = None;
        Poll::Ready(self.ending.last_frame(why))
    }

    /// Returns why a stream that has another chunk ends, if it does. Such a stream may never be pending.
    fn over(&mut self, cx: &mut Context<'_>) -> Option<TokenErrorKind> {
        if self.lifetime.is_over() {
            return Some(TokenErrorKind::Expired);
        }
        if self.lifetime.can_be_revoked() {
            return self.ended(cx);
        }
        None
    }

    fn ended(&mut self, cx: &mut Context<'_>) -> Option<TokenErrorKind> {
        let new = || Box::pin(self.lifetime.ended());
        let ended = self.ended.get_or_insert_with(new);
        ended.as_mut().poll(cx).is_ready().then(|| ended.why())
    }

    /// Returns whether the body has been ended.
    pub(crate) fn is_over(&self) -> bool {
        self.progress == Progress::Over
    }

    /// Returns whether the size hint of `body` is unreliable, because the body may be ended.
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
    /// Returns the ending of a response with these headers.
    pub(super) fn of(headers: &HeaderMap, request_was_cut: Option<&Arc<Cut>>) -> Self {
        if is_media_type(headers, "application/grpc") {
            Self::Grpc(request_was_cut.cloned())
        } else if is_media_type(headers, "text/event-stream") {
            Self::Events
        } else {
            Self::Other
        }
    }

    /// Returns why the request of a gRPC response was ended, if it was.
    pub(super) fn request_was_cut(&self) -> Option<TokenErrorKind> {
        match self {
            Self::Grpc(Some(was_cut)) => was_cut.get().copied(),
            #[cfg(any(feature = "axum", feature = "tonic"))]
            Self::Request(_) => None,
            Self::Grpc(None) | Self::Events | Self::Other => None,
        }
    }

    fn last_frame<D>(&self, why: TokenErrorKind) -> Option<Result<Frame<D>, BoxError>> {
        match self {
            #[cfg(any(feature = "axum", feature = "tonic"))]
            Self::Request(was_cut) => {
                // A body is ended once.
                let _ = was_cut.set(why);
                Some(Err(TokenExpired { why }.into()))
            }
            Self::Grpc(_) => {
                let trailers = grpc::status(why.into(), why.as_str(), why.description());
                Some(Ok(Frame::trailers(trailers)))
            }
            Self::Events => None,
            Self::Other => Some(Err(TokenExpired { why }.into())),
        }
    }
}
