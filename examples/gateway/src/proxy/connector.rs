//! Connections to the upstream, with the crypto library that the program has anyway.

use std::{error::Error, fmt, time::Duration};

use hyper_util::client::legacy::connect::HttpConnector;

#[cfg(not(feature = "josekit"))]
use hyper_rustls::HttpsConnector;
#[cfg(feature = "josekit")]
use hyper_tls::HttpsConnector;

#[cfg(any(feature = "aws-lc-rs", feature = "josekit"))]
pub(super) type Connector = HttpsConnector<HttpConnector>;

/// Why TLS cannot be set up.
#[derive(Debug)]
pub struct ConnectorError(Box<dyn Error + Send + Sync>);

impl fmt::Display for ConnectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TLS to the upstream cannot be set up: {}", self.0)
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
    Ok(HttpsConnector::from((http(connect_timeout), tls.into())))
}

#[cfg(not(feature = "josekit"))]
pub(super) fn connector(connect_timeout: Duration) -> Result<Connector, ConnectorError> {
    let builder = hyper_rustls::HttpsConnectorBuilder::new()
        .try_with_platform_verifier()
        .map_err(|error| ConnectorError(error.into()))?;
    Ok(builder
        .https_or_http()
        .enable_http1()
        .wrap_connector(http(connect_timeout)))
}
