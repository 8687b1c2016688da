//! Forwards admitted requests and their responses.
//!
//! The path and the query go to the upstream byte for byte: the upstream sees exactly what the policy
//! and the proof were checked against. Bodies are streamed in both directions.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use dpop_tower::lifetime::TokenLifetime;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper_util::client::legacy::Error as ClientError;
use serde_json::json;
use tower::Service;
use tracing::{debug, warn};

use self::upstream::Connections;
pub use self::{
    connector::ConnectorError,
    headers::{ForwardedHeader, Forwarding},
    upstream::Upstream,
    upstreams::Upstreams,
};
use crate::gateway::{
    identity::Identity,
    server::{Activity, ConnectionPermit, Ending},
};

mod connector;
mod headers;
mod progress;
mod told;
mod upgrade;
mod upstream;
mod upstreams;

/// Timeouts for the upstream.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Limit for connecting to the upstream.
    pub connect: Duration,
    /// Limit for the upstream to begin its response, counted from the last part of the request that was
    /// sent to it.
    pub response: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            response: Duration::from_secs(30),
        }
    }
}

/// The service that forwards requests. Clones share its connections.
#[derive(Clone)]
pub struct Proxy {
    shared: Arc<Shared>,
}

struct Shared {
    upstreams: Upstreams,
    /// One for each upstream, in the same order.
    connections: Vec<Connections>,
    identity: Arc<Identity>,
    forwarding: Forwarding,
    timeouts: Timeouts,
}

impl Proxy {
    /// Forwards requests to one upstream, or to several.
    ///
    /// # Errors
    ///
    /// Returns a [`ConnectorError`] if TLS cannot be set up.
    pub fn new(
        upstreams: impl Into<Upstreams>,
        identity: Arc<Identity>,
        forwarding: Forwarding,
        timeouts: Timeouts,
    ) -> Result<Self, ConnectorError> {
        let upstreams = upstreams.into();
        let connections = upstreams.all().iter();
        let connections =
            connections.map(|upstream| Connections::new(timeouts.connect, upstream.tls()));
        Ok(Self {
            shared: Arc::new(Shared {
                connections: connections.collect::<Result<_, _>>()?,
                upstreams,
                identity,
                forwarding,
                timeouts,
            }),
        })
    }

    async fn forward(self, mut request: Request<Body>) -> Response<Body> {
        // CONNECT addresses proxies themselves, and a TRACE response would reveal the upstream's
        // headers.
        if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
            return problem(StatusCode::METHOD_NOT_ALLOWED);
        }
        let Some((upstream, connections)) = self.shared.upstream(request.uri().path()) else {
            debug!(target: "gateway", "a path does not say which upstream it is for");
            return problem(StatusCode::BAD_REQUEST);
        };
        let Some(uri) = upstream.target(request.uri()) else {
            return problem(StatusCode::BAD_REQUEST);
        };
        let upgrade = upgrade::wanted(&mut request);
        let extensions = request.extensions();
        let lifetime = TokenLifetime::of(extensions);
        let place = extensions.get::<ConnectionPermit>().cloned();
        let activity = extensions.get::<Activity>().cloned();
        let (parts, body) = request.into_parts();
        let mut outgoing = Request::new(());
        *outgoing.headers_mut() = self.shared.request_headers(&parts);
        *outgoing.method_mut() = parts.method;
        *outgoing.uri_mut() = uri;
        *outgoing.version_mut() = Version::HTTP_11;
        if upgrade.is_some() {
            upgrade::ask(outgoing.headers_mut());
        }
        let shared = Arc::clone(&self.shared);
        let (body, progress) = progress::watched(body, move |trailers| {
            shared.forwarding.clean_trailers(trailers, &shared.identity);
        });
        let request = outgoing.map(|()| body);
        let response = connections.send(request);
        let patience = self.shared.timeouts.response;
        let mut response = match progress.within(patience, response).await {
            Some(Ok(response)) => response,
            Some(Err(error)) => return unreachable_upstream(upstream, &error),
            None => {
                warn!(target: "gateway", "the upstream {upstream} did not respond within {patience:?}");
                return problem(StatusCode::GATEWAY_TIMEOUT);
            }
        };
        let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let connect = |client_side| upgrade::connect(client_side, &mut response, lifetime, place);
        if switches && !upgrade.is_some_and(connect) {
            warn!(target: "gateway", "the upstream switched to a protocol that was not requested");
            return problem(StatusCode::BAD_GATEWAY);
        }
        self.shared
            .forwarding
            .clean_response(response.headers_mut());
        if switches {
            upgrade::ask(response.headers_mut());
        }
        response.map(|body| {
            Body::new(Ending {
                body,
                under_way: activity.map(|activity| activity.begin()),
            })
        })
    }
}

impl Shared {
    /// The upstream for a path, if its readings agree on one.
    fn upstream(&self, path: &str) -> Option<(&Upstream, &Connections)> {
        let place = self.upstreams.choose(path).ok()?;
        let upstream = self.upstreams.all().get(place)?;
        Some((upstream, self.connections.get(place)?))
    }

    fn request_headers(&self, parts: &http::request::Parts) -> http::HeaderMap {
        let mut headers = self.forwarding.request(parts, &self.identity);
        // Written last, so that nothing from the client can override it.
        headers.extend(self.identity.headers(&parts.extensions));
        headers
    }
}

impl Service<Request<Body>> for Proxy {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let proxy = self.clone();
        Box::pin(async move { Ok(proxy.forward(request).await) })
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("upstreams", &self.shared.upstreams)
            .finish_non_exhaustive()
    }
}

/// Logs the cause, and tells the client only that the gateway could not serve the request.
fn unreachable_upstream(upstream: &Upstream, error: &ClientError) -> Response<Body> {
    let what = if error.is_connect() {
        "reached"
    } else {
        "understood"
    };
    let cause = std::error::Error::source(error).map(|source| format!(": {source}"));
    warn!(target: "gateway", "the upstream {upstream} cannot be {what}: {error}{}", cause.unwrap_or_default());
    problem(StatusCode::BAD_GATEWAY)
}

/// A response of the gateway's own (RFC 9457).
pub(crate) fn problem(status: StatusCode) -> Response<Body> {
    let title = status.canonical_reason().unwrap_or_default();
    let body = json!({ "status": status.as_u16(), "title": title }).to_string();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let media_type = HeaderValue::from_static("application/problem+json");
    headers.insert(header::CONTENT_TYPE, media_type);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
