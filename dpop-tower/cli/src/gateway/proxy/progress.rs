//! A request body on its way, and how long nothing has happened to it.

use std::{
    future::Future,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::body::Body;
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use tokio::time::{Instant, timeout_at};

use super::headers::clean_trailers;
use crate::gateway::identity::Identity;

/// When a part of the request last went to the upstream.
pub(super) struct Progress(Arc<Mutex<Instant>>);

/// The body, with what its trailers may not have taken out of them: upstreams may read them as they
/// read headers.
pub(super) fn watched(body: Body, identity: Arc<Identity>) -> (Body, Progress) {
    let last = Arc::new(Mutex::new(Instant::now()));
    let progress = Progress(Arc::clone(&last));
    // A body whose length is known is not watched frame by frame for nothing.
    if hyper::body::Body::is_end_stream(&body) {
        return (body, progress);
    }
    let body = body.map_frame(move |frame| {
        *last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        match frame.into_trailers() {
            Ok(mut trailers) => {
                clean_trailers(&mut trailers, &identity);
                Frame::trailers(trailers)
            }
            Err(frame) => frame,
        }
    });
    (Body::new(body), progress)
}

impl Progress {
    /// What `future` gives, or nothing if the body has stood still for `patience`.
    pub(super) async fn within<F: Future>(
        self,
        patience: Duration,
        future: F,
    ) -> Option<F::Output> {
        let mut future = pin!(future);
        loop {
            let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Ok(output) = timeout_at(last + patience, &mut future).await {
                return Some(output);
            }
            if *self.0.lock().unwrap_or_else(PoisonError::into_inner) == last {
                return None;
            }
        }
    }
}
