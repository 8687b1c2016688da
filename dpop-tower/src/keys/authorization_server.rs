use tokio::time::Instant;

pub(crate) use super::metadata::AuthorizationServer;
use super::{
    endpoint::{Endpoint, PlainHttp},
    fetch::Fetcher,
    source::ATTEMPT,
};
use crate::error::ConfigError;

/// Finds the endpoints of an authorization server through its metadata (RFC 8414).
#[derive(Debug)]
pub(crate) struct Discovery(Fetcher);

impl Discovery {
    pub(crate) fn new(issuer: &str, plain_http: bool) -> Result<Self, ConfigError> {
        let endpoint = Endpoint::discover(issuer, PlainHttp::to_loopback(plain_http))?;
        Ok(Self(Fetcher::new(endpoint)?))
    }

    /// Fetches the metadata. The text of the error contains no secret.
    pub(crate) async fn fetch(&self) -> Result<AuthorizationServer, String> {
        let deadline = Instant::now() + ATTEMPT;
        (self.0.server(deadline).await).map_err(|error| error.to_string())
    }
}
