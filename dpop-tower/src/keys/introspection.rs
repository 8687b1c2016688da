use reqwest::Url;
use tokio::time::Instant;

use super::{
    endpoint::{Endpoint, PlainHttp},
    fetch::Fetcher,
    source::ATTEMPT,
};
use crate::error::ConfigError;

/// Finds an issuer's introspection endpoint through its metadata (RFC 8414 section 2).
#[derive(Debug)]
pub(crate) struct IntrospectionEndpoint(Fetcher);

impl IntrospectionEndpoint {
    pub(crate) fn discover(issuer: &str, plain_http: bool) -> Result<Self, ConfigError> {
        let endpoint = Endpoint::discover(issuer, PlainHttp::to_loopback(plain_http))?;
        Ok(Self(Fetcher::new(endpoint)?))
    }

    /// Fetches the metadata. The text of the error is for the log.
    pub(crate) async fn find(&self) -> Result<Url, String> {
        let deadline = Instant::now() + ATTEMPT;
        self.0
            .find("introspection_endpoint", deadline)
            .await
            .map_err(|error| error.to_string())
    }
}
