//! Connections to the upstream, which use the crypto library that the program already contains.

use std::{
    error::Error,
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_util::{
    client::legacy::connect::{Connected, Connection, HttpConnector},
    rt::TokioIo,
};
use tower::Service;

use crate::gateway::observed::{Observed, Observer};

#[cfg(not(feature = "josekit"))]
use hyper_rustls::HttpsConnector;
#[cfg(feature = "josekit")]
use hyper_tls::HttpsConnector;

#[cfg(any(feature = "aws-lc-rs", feature = "josekit"))]
type Https = HttpsConnector<HttpConnector>;

/// A connection that carries HTTP, over TLS if the upstream uses it.
type Stream = Observed<TokioIo<<Https as Service<Uri>>::Response>, Answered>;

/// Connects to the upstream, and records whether it answers.
#[derive(Clone)]
pub(super) struct Connector(Https);

/// Whether the upstream has sent anything on a connection since the last write to it.
#[derive(Clone, Default)]
pub(super) struct Answered(Arc<AtomicBool>);

impl Answered {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Observer for Answered {
    fn read(&mut self, _bytes: &[u8]) {
        self.0.store(true, Ordering::Release);
    }

    fn wrote(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        let connected = self.io.inner().connected();
        connected.extra(self.observer.clone())
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.0.call(uri);
        Box::pin(async move {
            let stream = connecting.await?;
            Ok(TokioIo::new(Observed {
                io: TokioIo::new(stream),
                observer: Answered::default(),
            }))
        })
    }
}

/// Why TLS could not be set up.
#[derive(Debug)]
pub struct ConnectorError(Box<dyn Error + Send + Sync>);

impl fmt::Display for ConnectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot set up TLS to the upstream: {}", self.0)
    }
}

impl Error for ConnectorError {}

fn http(connect_timeout: Duration) -> HttpConnector {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(connect_timeout));
    http
}

#[cfg(feature = "josekit")]
pub(super) fn connector(connect_timeout: Duration) -> Result<Connector, ConnectorError> {
    let tls = hyper_tls::native_tls::TlsConnector::new();
    let tls = tls.map_err(|error| ConnectorError(error.into()))?;
    let https = HttpsConnector::from((http(connect_timeout), tls.into()));
    Ok(Connector(https))
}

#[cfg(not(feature = "josekit"))]
pub(super) fn connector(connect_timeout: Duration) -> Result<Connector, ConnectorError> {
    let builder = hyper_rustls::HttpsConnectorBuilder::new()
        .try_with_platform_verifier()
        .map_err(|error| ConnectorError(error.into()))?;
    let https = builder
        .https_or_http()
        .enable_http1()
        .wrap_connector(http(connect_timeout));
    Ok(Connector(https))
}
