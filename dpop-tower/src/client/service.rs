use std::{
    mem,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{DpopClientLayer, RequestBody, ResponseFuture};
use crate::error::BoxError;

/// The service of a [`DpopClientLayer`].
///
/// It is ready when the inner service is. Each call clones the inner service, so that should be cheap to clone,
/// as HTTP clients and tonic's channels are. Its error is a [`ClientError`](super::ClientError), or the error
/// of the inner service.
#[derive(Clone, Debug)]
pub struct DpopClientService<S> {
    inner: S,
    layer: DpopClientLayer,
}

impl<S> DpopClientService<S> {
    pub(super) const fn new(inner: S, layer: DpopClientLayer) -> Self {
        Self { inner, layer }
    }

    /// Returns a reference to the inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns the inner service, whose requests have no token and no proof.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for DpopClientService<S>
where
    S: Service<Request<RequestBody<ReqBody>>, Response = Response<ResBody>> + Clone,
    S::Error: Into<BoxError>,
    ReqBody: Body,
{
    type Response = Response<ResBody>;
    type Error = BoxError;
    type Future = ResponseFuture<S, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        // The service that was polled ready makes the call, and leaves a clone in its place.
        let clone = self.inner.clone();
        let inner = mem::replace(&mut self.inner, clone);
        ResponseFuture::new(inner, &self.layer, request)
    }
}
