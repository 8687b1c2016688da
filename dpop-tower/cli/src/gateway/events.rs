//! Receives security events, which revoke tokens, at one path of the gateway's own address.

use std::fmt;

use axum::body::Body;
use dpop_tower::ssf::EventReceiver;
use http::{Request, Response};
use tower::ServiceExt as _;

/// The receiver, and where it is. Clones are the same receiver.
#[derive(Clone)]
pub(crate) struct Events {
    path: String,
    receiver: EventReceiver,
}

impl Events {
    pub(crate) fn new(path: &str, receiver: EventReceiver) -> Self {
        Self {
            path: path.to_owned(),
            receiver,
        }
    }

    /// Returns whether a request is for the receiver. Any other spelling of the path belongs to the upstream, and to
    /// the policies.
    pub(crate) fn is_for<B>(&self, request: &Request<B>) -> bool {
        request.uri().path() == self.path
    }

    pub(crate) async fn answer(&self, request: Request<Body>) -> Response<Body> {
        match self.receiver.clone().oneshot(request).await {
            Ok(response) => response.map(Body::from),
            Err(never) => match never {},
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
