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
use hyper::rt;
use hyper_util::{
    client::legacy::connect::{Connected, Connection, HttpConnector},
    rt::TokioIo,
};
use tower::Service;

use crate::gateway::{
    observed::{Observed, Observer},
    tls::UpstreamTls,
};

#[cfg(feature = "tls")]
use hyper_rustls::HttpsConnector as RustlsConnector;
#[cfg(not(feature = "josekit"))]
use hyper_rustls::HttpsConnector;
#[cfg(feature = "josekit")]
use hyper_tls::HttpsConnector;

#[cfg(any(feature = "aws-lc-rs", feature = "josekit"))]
type Https = HttpsConnector<HttpConnector>;

type BoxError = Box<dyn Error + Send + Sync>;

/// A connection that carries HTTP, over TLS if the upstream uses it.
pub(super) trait Io: rt::Read + rt::Write + Connection + Unpin + Send {}

impl<T: rt::Read + rt::Write + Connection + Unpin + Send> Io for T {}

type Stream = Observed<TokioIo<Box<dyn Io>>, Answered>;

/// Connects to the upstream, and records whether it answers.
#[derive(Clone)]
pub(super) enum Connector {
    /// With the certificate authorities of the system.
    System(Https),
    /// With settings of the upstream's own.
    #[cfg(feature = "tls")]
    Own(RustlsConnector<HttpConnector>),
}

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
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        match self {
            Self::System(connector) => connector.poll_ready(cx),
            #[cfg(feature = "tls")]
            Self::Own(connector) => connector.poll_ready(cx),
        }
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        match self {
            Self::System(connector) => observed(connector.call(uri)),
            #[cfg(feature = "tls")]
            Self::Own(connector) => observed(connector.call(uri)),
        }
    }
}

fn observed<T: Io + 'static>(
    connecting: impl Future<Output = Result<T, BoxError>> + Send + 'static,
) -> <Connector as Service<Uri>>::Future {
    Box::pin(async move {
        let stream: Box<dyn Io> = Box::new(connecting.await?);
        Ok(TokioIo::new(Observed {
            io: TokioIo::new(stream),
            observer: Answered::default(),
        }))
    })
}

/// Why TLS could not be set up.
#[derive(Debug)]
pub struct ConnectorError(BoxError);

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

pub(super) fn connector(
    connect_timeout: Duration,
    tls: Option<&UpstreamTls>,
) -> Result<Connector, ConnectorError> {
    let http = http(connect_timeout);
    match tls {
        None => https(http).map(Connector::System).map_err(ConnectorError),
        #[cfg(feature = "tls")]
        Some(tls) => Ok(Connector::Own(tls.connector(http))),
        #[cfg(not(feature = "tls"))]
        Some(tls) => tls.connector(),
    }
}

#[cfg(feature = "josekit")]
fn https(http: HttpConnector) -> Result<Https, BoxError> {
    let tls = hyper_tls::native_tls::TlsConnector::new()?;
    Ok(HttpsConnector::from((http, tls.into())))
}

#[cfg(not(feature = "josekit"))]
fn https(http: HttpConnector) -> Result<Https, BoxError> {
    let builder = hyper_rustls::HttpsConnectorBuilder::new().try_with_platform_verifier()?;
    let builder = builder.https_or_http().enable_http1();
    Ok(builder.wrap_connector(http))
}
