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
    /// The body of the responses of a [`Dpop`](crate::Dpop) or [`RequireScope`](crate::RequireScope)
    /// service.
    ///
    /// It is the body of the inner service or of a rejection. It implements [`Body`] if the inner body
    /// does, and if the data of that body can be made of [`Bytes`]. The bodies of axum, hyper, tonic and
    /// tower-http satisfy this.
    ///
    /// axum and tonic accept any body. If something else needs the type of the inner body, convert it:
    ///
    /// ```
    /// # #[cfg(all(feature = "axum", feature = "test-util"))] {
    /// use axum::body::Body;
    /// use dpop_tower::{DpopConfig, DpopLayer, PublicOrigin, ResponseBody};
    /// # use dpop_tower::test_util::TestIssuer;
    /// use http::{Request, Response};
    /// use tower::{ServiceBuilder, service_fn};
    ///
    /// # let origin = PublicOrigin::new("https://api.example.com")?;
    /// # let config = DpopConfig::builder(origin, TestIssuer::new().tokens()).build()?;
    /// let service = ServiceBuilder::new()
    ///     .map_response(|response: Response<ResponseBody<Body>>| response.map(Body::new))
    ///     .layer(DpopLayer::new(config))
    ///     .service(service_fn(async |_: Request<Body>| {
    ///         Ok::<_, std::io::Error>(Response::new(Body::from("hello")))
    ///     }));
    /// # fn takes(_: impl tower::Service<Request<Body>, Response = Response<Body>>) {}
    /// # takes(service);
    /// # }
    /// # Ok::<(), dpop_tower::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Errors of the inner body are boxed. With
    /// [`end_streams_at_expiry`](crate::DpopLayer#method.end_streams_at_expiry), the error can also be
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
        // The part that has not been read yet.
        Rejection {
            bytes: Bytes,
        },
    }
}

impl<B> ResponseBody<B> {
    /// Returns the body of the inner service.
    pub(super) const fn inner(body: B) -> Self {
        Self {
            source: Source::Inner { body },
            watch: None,
        }
    }

    /// Returns the body of the inner service, which ends when the token expires.
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
            // A stream that may be cut off has no lower bound.
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
