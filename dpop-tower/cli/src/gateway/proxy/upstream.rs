//! Where requests go, and what becomes of one that the upstream drops.

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

/// Where requests go: scheme, host and port.
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
    /// Reads `http://host:port` or `https://host`.
    ///
    /// # Errors
    ///
    /// In words, if it is something else.
    pub fn new(url: &str) -> Result<Self, String> {
        let uri: Uri = url
            .parse()
            .map_err(|error| format!("it is not a URL: {error}"))?;
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
            _ => Err("an upstream looks like http://127.0.0.1:9000, without a path".to_owned()),
        }
    }

    pub(crate) fn is_https(&self) -> bool {
        self.scheme == uri::Scheme::HTTPS
    }

    /// With authorities, a name or a client certificate of its own.
    pub(crate) fn with_tls(mut self, files: UpstreamFiles) -> Result<Self, TlsError> {
        let tls = UpstreamTls::read(&files)?;
        self.tls = Some((files, tls));
        Ok(self)
    }

    pub(crate) fn tls(&self) -> Option<&UpstreamTls> {
        self.tls.as_ref().map(|(_, tls)| tls)
    }

    /// The path and the query of a request, at the upstream. There is none for `*` and the like.
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
    /// Each for one request: of several connections that were kept, the upstream may have closed all.
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

    /// The response of the upstream.
    ///
    /// It may close a connection at any time, without a word (RFC 9112 section 9.5). A request that is
    /// safe and has no body is then sent once more, on a new connection, unless a part of a response has
    /// come (RFC 9110 section 9.2.2).
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
                debug!(target: "gateway", "the upstream has closed a connection instead of answering, and is asked once more: {error}");
                self.fresh.request(again).await
            }
            result => result,
        }
    }
}

/// The same request, if sending it twice is the same as once.
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

/// Whether there was a connection, and nothing has come over it. Where there was none, another attempt
/// would be no better.
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
