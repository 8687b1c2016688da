use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

#[cfg(not(feature = "lifetime"))]
use super::unlimited::Watch;
use crate::error::BoxError;
#[cfg(feature = "lifetime")]
use crate::lifetime::Watch;

pin_project! {
    /// The body of a response that has come through a [`Dpop`](crate::Dpop) service or a
    /// [`RequireScopeLayer`](crate::RequireScopeLayer) layer: that of the inner service, or that of a rejection.
    ///
    /// It is a [`Body`] if the inner one is, and if that one's data can be made of [`Bytes`], as that of
    /// axum, hyper, tonic and tower-http is [`Bytes`]. Errors are those of the inner body, boxed. With
    /// [`end_streams_at_expiry`](crate::DpopLayer#method.end_streams_at_expiry) there may also be
    /// `TokenExpired`.
    pub struct ResponseBody<B> {
        #[pin]
        source: Source<B>,
        watch: Option<Watch>,
    }
}

pin_project! {
    #[project = SourceProj]
    enum Source<B> {
        Inner {
            #[pin]
            body: B,
        },
        // What is left of it.
        Rejection {
            bytes: Bytes,
        },
    }
}

impl<B> ResponseBody<B> {
    /// That of the inner service.
    pub(super) const fn inner(body: B) -> Self {
        Self {
            source: Source::Inner { body },
            watch: None,
        }
    }

    /// The same, but it ends when the token expires.
    pub(super) const fn watched(body: B, watch: Watch) -> Self {
        Self {
            source: Source::Inner { body },
            watch: Some(watch),
        }
    }

    pub(super) const fn rejection(bytes: Bytes) -> Self {
        Self {
            source: Source::Rejection { bytes },
            watch: None,
        }
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body,
    B::Data: From<Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, Self::Error>>> {
        let this = self.project();
        match (this.source.project(), this.watch) {
            (SourceProj::Inner { body }, None) => body.poll_frame(cx).map_err(Into::into),
            (SourceProj::Inner { body }, Some(watch)) => watch.poll_frame(body, cx),
            (SourceProj::Rejection { bytes }, _) => {
                let bytes = mem::take(bytes);
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes.into()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Inner { body } => {
                self.watch.as_ref().is_some_and(Watch::is_over) || body.is_end_stream()
            }
            Source::Rejection { bytes } => bytes.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.source, &self.watch) {
            // A lower bound of a stream that may be cut off is none.
            (Source::Inner { body }, Some(watch)) if watch.may_cut(body) => SizeHint::default(),
            (Source::Inner { body }, _) => body.size_hint(),
            (Source::Rejection { bytes }, _) => {
                SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
            }
        }
    }
}

impl<B: Default> Default for ResponseBody<B> {
    fn default() -> Self {
        Self::inner(B::default())
    }
}

impl<B: fmt::Debug> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::Inner { body } => f.debug_tuple("ResponseBody").field(body).finish(),
            Source::Rejection { bytes } => f.debug_tuple("ResponseBody").field(bytes).finish(),
        }
    }
}
