//! Request bodies that can hold any body, so that a wrapped one keeps its type.

use std::{
    any::Any,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{
    TokenLifetime,
    request::Upload,
    watch::{Ending, Watch, is_stream},
};
use crate::error::BoxError;

/// Replaces the body by one that ends with the token. Returns `None` if its type cannot hold such a body.
pub(super) fn wrapped(body: &mut dyn Any, lifetime: &TokenLifetime) -> Option<Upload> {
    #[cfg(feature = "axum")]
    if let Some(body) = body.downcast_mut() {
        return Some(wrap(body, lifetime, axum::body::Body::new));
    }
    #[cfg(feature = "tonic")]
    if let Some(body) = body.downcast_mut() {
        return Some(wrap(body, lifetime, tonic::body::Body::new));
    }
    None
}

fn wrap<B: Body + Default>(
    body: &mut B,
    lifetime: &TokenLifetime,
    new: impl FnOnce(UntilExpiry<B>) -> B,
) -> Upload {
    if !is_stream(body) {
        return Upload::Finite;
    }
    let was_cut = Arc::default();
    let ending = Ending::Request(Arc::clone(&was_cut));
    *body = new(UntilExpiry {
        body: mem::take(body),
        watch: Watch::new(lifetime.clone(), ending),
    });
    Upload::Wrapped(was_cut)
}

pin_project! {
    struct UntilExpiry<B> {
        #[pin]
        body: B,
        watch: Watch,
    }
}

impl<B> Body for UntilExpiry<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, Self::Error>>> {
        let this = self.project();
        this.watch.poll_frame(this.body, cx).map_err(unwrapped)
    }

    fn is_end_stream(&self) -> bool {
        self.watch.is_over() || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // A stream that may be cut off has no lower bound.
        SizeHint::default()
    }
}

/// Removes a layer of wrapping, since axum's extractors look for a length limit at a fixed depth.
fn unwrapped(error: BoxError) -> BoxError {
    #[cfg(feature = "axum")]
    let error = match error.downcast::<axum::Error>() {
        Ok(error) => error.into_inner(),
        Err(error) => error,
    };
    error
}
