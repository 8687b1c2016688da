//! The upstream, and retries of requests that it drops.

use std::{fmt, time::Duration};

use axum::body::Body;
use http::{Extensions, Method, Request, Response, Uri, uri};
use hyper::body::{Body as _, Incoming};
use hyper_util::{
    client::legacy::{
        Client, Error as ClientError,
        connect::{CaptureConnection, capture_connection},
    },
    rt::{TokioExecutor, TokioTimer},
};
use tracing::debug;

use super::connector::{Answered, Connector, ConnectorError, connector};
use crate::gateway::tls::{TlsError, UpstreamFiles, UpstreamTls};

/// The scheme, host and port that requests are forwarded to.
#[derive(Clone, Debug)]
pub struct Upstream {
    scheme: uri::Scheme,
    authority: uri::Authority,
    tls: Option<(UpstreamFiles, UpstreamTls)>,
}

impl PartialEq for Upstream {
    fn eq(&self, other: &Self) -> bool {
        let files = |upstream: &Self| upstream.tls.as_ref().map(|(files, _)| files.clone());
        self.scheme == other.scheme
            && self.authority == other.authority
            && files(self) == files(other)
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

impl Upstream {
    /// Parses `http://host:port` or `https://host`.
    ///
    /// # Errors
    ///
    /// Returns a message for anything else.
    pub fn new(url: &str) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|error| format!("not a URL: {error}"))?;
        let parts = uri.into_parts();
        let path = parts
            .path_and_query
            .as_ref()
            .map_or("/", uri::PathAndQuery::as_str);
        match (parts.scheme, parts.authority) {
            (Some(scheme), Some(authority))
                if (scheme == uri::Scheme::HTTP || scheme == uri::Scheme::HTTPS)
                    && !authority.as_str().contains('@')
                    && path == "/" =>
            {
                Ok(Self {
                    scheme,
                    authority,
                    tls: None,
                })
            }
            _ => {
                Err("expected an upstream such as http://127.0.0.1:9000, without a path".to_owned())
            }
        }
    }

    pub(crate) fn is_https(&self) -> bool {
        self.scheme == uri::Scheme::HTTPS
    }

    /// Sets certificate authorities, a server name or a client certificate for this upstream alone.
    pub(crate) fn with_tls(mut self, files: UpstreamFiles) -> Result<Self, TlsError> {
        let tls = UpstreamTls::read(&files)?;
        self.tls = Some((files, tls));
        Ok(self)
    }

    pub(crate) fn tls(&self) -> Option<&UpstreamTls> {
        self.tls.as_ref().map(|(_, tls)| tls)
    }

    /// Returns the URI of a request at the upstream, or `None` for `*` and other targets without a path.
    pub(super) fn target(&self, uri: &Uri) -> Option<Uri> {
        let path = uri
            .path_and_query()
            .filter(|path| path.as_str().starts_with('/'))?;
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(path.clone())
            .build()
            .ok()
    }
}

/// Connections to the upstream. Clones share them.
#[derive(Clone)]
pub(super) struct Connections {
    kept: Client<Connector, Body>,
    /// A client that uses a connection for one request. The upstream may have closed all pooled
    /// connections.
    fresh: Client<Connector, Body>,
}

impl Connections {
    pub(super) fn new(
        connect_timeout: Duration,
        tls: Option<&UpstreamTls>,
    ) -> Result<Self, ConnectorError> {
        let connector = connector(connect_timeout, tls)?;
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(60));
        let kept = builder.build(connector.clone());
        let fresh = builder.pool_max_idle_per_host(0).build(connector);
        Ok(Self { kept, fresh })
    }

    /// Sends a request and returns the upstream's response.
    ///
    /// The upstream may close a connection at any time without notice (RFC 9112 section 9.5). The
    /// request is then sent once more on a new connection if it is safe, has no body, and no part of a
    /// response has arrived (RFC 9110 section 9.2.2).
    pub(super) async fn send(
        &self,
        mut request: Request<Body>,
    ) -> Result<Response<Incoming>, ClientError> {
        let Some(again) = repeated(&request) else {
            return self.kept.request(request).await;
        };
        let connection = capture_connection(&mut request);
        match self.kept.request(request).await {
            Err(error) if has_not_answered(&connection) => {
                debug!(target: "gateway", "the upstream closed a connection instead of responding; retrying once: {error}");
                self.fresh.request(again).await
            }
            result => result,
        }
    }
}

/// Copies the request if it can safely be sent twice.
fn repeated(request: &Request<Body>) -> Option<Request<Body>> {
    let is_safe = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    if !is_safe || !request.body().is_end_stream() {
        return None;
    }
    let mut again = Request::new(Body::empty());
    again.method_mut().clone_from(request.method());
    again.uri_mut().clone_from(request.uri());
    again.headers_mut().clone_from(request.headers());
    *again.version_mut() = request.version();
    Some(again)
}

/// Whether a connection was established but nothing has come over it. Without a connection, a second
/// attempt would be no better.
fn has_not_answered(connection: &CaptureConnection) -> bool {
    let mut extensions = Extensions::new();
    if let Some(connected) = &*connection.connection_metadata() {
        connected.get_extras(&mut extensions);
    }
    extensions
        .get()
        .is_some_and(|answered: &Answered| !answered.get())
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").finish_non_exhaustive()
    }
}
