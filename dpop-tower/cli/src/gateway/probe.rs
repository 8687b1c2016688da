//! Answers the probes of an orchestrator. They have an address of their own, so no path of the upstream is
//! hidden.

use std::{fmt::Write as _, future::Future, io};

use axum::body::Body;
use dpop_tower::token::{KeyState, Readiness};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use tokio::net::TcpListener;

use crate::gateway::{
    live::Gateway,
    server::{Shutdown, serve_with},
    settings::Limits,
};

/// The service that answers probes.
#[derive(Clone, Debug)]
pub struct Probe(Gateway);

impl Probe {
    /// Answers for this gateway.
    pub const fn new(gateway: Gateway) -> Self {
        Self(gateway)
    }

    /// Answers `GET /livez` and `GET /readyz`.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Body> {
        let is_read = [Method::GET, Method::HEAD].contains(request.method());
        match request.uri().path() {
            "/livez" if is_read => text(StatusCode::OK, "live\n".to_owned()),
            "/readyz" if is_read => {
                let readiness = self.0.guard().readiness().await;
                // The tokens of all other issuers still work if one issuer is down.
                let has_keys = readiness
                    .issuers()
                    .any(|(_, keys)| keys != KeyState::Missing);
                let is_ready = has_keys && readiness.replay_store().is_ok();
                let status = if is_ready {
                    StatusCode::OK
                } else {
                    StatusCode::SERVICE_UNAVAILABLE
                };
                text(status, told(&readiness))
            }
            "/livez" | "/readyz" => text(StatusCode::METHOD_NOT_ALLOWED, String::new()),
            _ => text(StatusCode::NOT_FOUND, String::new()),
        }
    }
}

/// Returns a line of text for each issuer, and one if the replay store cannot be used.
fn told(readiness: &Readiness) -> String {
    let mut text = String::new();
    for (issuer, keys) in readiness.issuers() {
        let keys = match keys {
            KeyState::Fresh => "fresh",
            KeyState::Stale => "stale",
            _ => "missing",
        };
        // Writing to a `String` does not fail.
        let _ = writeln!(text, "keys of {issuer}: {keys}");
    }
    if let Err(why) = readiness.replay_store() {
        let _ = writeln!(text, "{why}");
    }
    text
}

fn text(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, plain);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

/// Serves probes until the server shuts down.
///
/// # Errors
///
/// Returns an error if the listener has no address.
pub async fn serve(
    listener: TcpListener,
    probe: Probe,
    limits: Limits,
    shutdown: Shutdown<impl Future<Output = ()>>,
) -> io::Result<()> {
    let answer = move |request: Request<Body>| {
        let probe = probe.clone();
        async move { probe.answer(request).await }
    };
    serve_with(listener, "answering probes", answer, limits, shutdown).await
}
