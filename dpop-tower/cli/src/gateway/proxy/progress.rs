//! The progress of a request body to the upstream.

use std::{
    future::Future,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::body::Body;
use http::HeaderMap;
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use tokio::time::{Instant, timeout_at};

/// The time at which part of the request last went to the upstream.
pub(super) struct Progress(Arc<Mutex<Instant>>);

/// Watches a body, and cleans its trailers.
pub(super) fn watched(
    body: Body,
    clean: impl Fn(&mut HeaderMap) + Send + 'static,
) -> (Body, Progress) {
    let last = Arc::new(Mutex::new(Instant::now()));
    let progress = Progress(Arc::clone(&last));
    // An empty body has no frames to watch.
    if hyper::body::Body::is_end_stream(&body) {
        return (body, progress);
    }
    let body = body.map_frame(move |frame| {
        *last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        match frame.into_trailers() {
            Ok(mut trailers) => {
                clean(&mut trailers);
                Frame::trailers(trailers)
            }
            Err(frame) => frame,
        }
    });
    (Body::new(body), progress)
}

impl Progress {
    /// Returns the output of `future`, or `None` if the body makes no progress for `patience`.
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
