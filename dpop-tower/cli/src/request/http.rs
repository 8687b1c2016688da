//! One exchange with a server.

use std::{error::Error, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

#[cfg(not(feature = "josekit"))]
use hyper_rustls::HttpsConnector;
#[cfg(feature = "josekit")]
use hyper_tls::HttpsConnector;

use crate::failure::Failure;

pub(super) struct HttpClient {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    timeout: Duration,
}

impl HttpClient {
    pub(super) fn new(timeout: Duration) -> Result<Self, Failure> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        let connector = https(http)
            .map_err(|error| Failure::wrong_use(format!("TLS cannot be set up: {error}")))?;
        let client = Client::builder(TokioExecutor::new())
            // A connection is used once, so that no request is lost to one that the server has closed.
            .pool_max_idle_per_host(0)
            // A repeated request would have the proof of the first.
            .retry_canceled_requests(false)
            .build(connector);
        Ok(Self { client, timeout })
    }

    /// Sends a request and waits for the head of the response.
    pub(super) async fn send(
        &self,
        request: Request<Bytes>,
    ) -> Result<Response<Incoming>, Failure> {
        let host = request
            .uri()
            .authority()
            .map(ToString::to_string)
            .unwrap_or_default();
        let answer = self.client.request(request.map(Full::new));
        match tokio::time::timeout(self.timeout, answer).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(Failure::out_of_reach(format!(
                "no answer from {host}: {}",
                chain(&error)
            ))
            .next_step("Check the URL, the network and, for https, the certificate.")),
            Err(_) => Err(Failure::out_of_reach(format!(
                "no answer from {host} within {} s",
                self.timeout.as_secs()
            ))
            .next_step("The request may have had its effect. --timeout waits longer.")),
        }
    }
}

/// Returns the text of an error and of its causes.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

#[cfg(feature = "josekit")]
fn https(
    http: HttpConnector,
) -> Result<HttpsConnector<HttpConnector>, Box<dyn Error + Send + Sync>> {
    let tls = hyper_tls::native_tls::TlsConnector::new()?;
    Ok(HttpsConnector::from((http, tls.into())))
}

#[cfg(not(feature = "josekit"))]
fn https(
    http: HttpConnector,
) -> Result<HttpsConnector<HttpConnector>, Box<dyn Error + Send + Sync>> {
    let builder = hyper_rustls::HttpsConnectorBuilder::new().try_with_platform_verifier()?;
    let builder = builder.https_or_http().enable_http1();
    Ok(builder.wrap_connector(http))
}
