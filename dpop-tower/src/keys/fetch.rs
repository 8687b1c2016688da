//! Fetches over HTTP: first the metadata, if that names the URL of the keys, and then the keys.

use std::time::{Duration, SystemTime};

use reqwest::{Client, StatusCode, Url, redirect};
use tokio::time::{Instant, timeout_at};

use super::{
    endpoint::{Endpoint, Place},
    error::{FetchError, Unhelpful},
    freshness::fresh_for,
    metadata,
    set::KeySet,
    source::{Fetch, Fetched, Fetching},
};
use crate::{
    error::{ConfigError, ConfigErrorKind},
    http_client::tls_of_the_crypto_backend,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The timeout for the first metadata document, which leaves time for the second.
const FIRST_METADATA: Duration = Duration::from_secs(4);

const MAX_DOCUMENT_LEN: usize = 512 * 1024;

#[derive(Debug)]
pub(super) struct Fetcher {
    endpoint: Endpoint,
    http: Client,
}

impl Fetcher {
    pub(super) fn new(endpoint: Endpoint) -> Result<Self, ConfigError> {
        let http = tls_of_the_crypto_backend(Client::builder())
            // With redirects, anyone who controls one page could choose another source of keys.
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            // A connection is used for one request. Some servers close it after their response without
            // notice, and the runtime may be gone when the next request follows minutes later.
            .pool_max_idle_per_host(0)
            .user_agent(concat!("dpop-tower/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| {
                ConfigError::new(
                    ConfigErrorKind::Keys,
                    "the HTTP client for the issuer's keys cannot be set up",
                )
                .with_source(error)
            })?;
        Ok(Self { endpoint, http })
    }

    async fn keys(&self, deadline: Instant) -> Result<Fetched, FetchError> {
        let url = self.find("jwks_uri", deadline).await?;
        let jwks = self.get(&url, deadline).await.and_then(|jwks| {
            KeySet::check(&jwks.text).map_err(Unhelpful::KeySet)?;
            Ok(jwks)
        });
        jwks.map_err(|why| FetchError::Keys(url, why))
    }

    /// Finds the URL that this member of the issuer's metadata has, unless the URL is configured.
    pub(super) async fn find(
        &self,
        member: &'static str,
        deadline: Instant,
    ) -> Result<Url, FetchError> {
        match &self.endpoint.place {
            Place::Jwks(url) => Ok(url.clone()),
            Place::Metadata { issuer, urls } => {
                let read = |text: &[u8]| metadata::url(text, member, issuer, &self.endpoint);
                self.discover(member, issuer, urls, read, deadline).await
            }
        }
    }

    /// Fetches the endpoints of the issuer.
    #[cfg(feature = "client-tokens")]
    pub(super) async fn server(
        &self,
        deadline: Instant,
    ) -> Result<metadata::AuthorizationServer, FetchError> {
        let member = "token_endpoint";
        let Place::Metadata { issuer, urls } = &self.endpoint.place else {
            return Err(FetchError::Metadata(member, String::new(), Vec::new()));
        };
        let read = |text: &[u8]| metadata::server(text, issuer, &self.endpoint);
        self.discover(member, issuer, urls, read, deadline).await
    }

    /// Fetches the second document whenever the first cannot be used. Servers that have only the second
    /// answer requests for the first in many ways.
    async fn discover<T>(
        &self,
        member: &'static str,
        issuer: &str,
        urls: &[Url],
        read: impl Fn(&[u8]) -> Result<T, Unhelpful>,
        deadline: Instant,
    ) -> Result<T, FetchError> {
        let mut tried = Vec::new();
        for (index, url) in urls.iter().enumerate() {
            let is_last = index + 1 == urls.len();
            let deadline = match is_last {
                true => deadline,
                false => deadline.min(Instant::now() + FIRST_METADATA),
            };
            let found = self.get(url, deadline).await;
            match found.and_then(|found| read(&found.text)) {
                Ok(found) => return Ok(found),
                Err(why) => tried.push((url.clone(), why)),
            }
        }
        Err(FetchError::Metadata(member, issuer.to_owned(), tried))
    }

    async fn get(&self, url: &Url, deadline: Instant) -> Result<Fetched, Unhelpful> {
        let answer = async {
            match self.get_once(url).await {
                // RFC 9110 section 9.2.2: GET can be repeated.
                Err(Unhelpful::Connection(_)) => self.get_once(url).await,
                answer => answer,
            }
        };
        timeout_at(deadline, answer)
            .await
            .unwrap_or(Err(Unhelpful::TimedOut))
    }

    async fn get_once(&self, url: &Url) -> Result<Fetched, Unhelpful> {
        let failed = |error: reqwest::Error| {
            if error.is_timeout() {
                Unhelpful::TimedOut
            } else {
                Unhelpful::connection(error)
            }
        };
        let request = self.http.get(url.clone());
        let mut response = request
            .header(http::header::ACCEPT, "application/json")
            .send()
            .await
            .map_err(failed)?;
        if response.status() != StatusCode::OK {
            return Err(Unhelpful::Status(response.status().as_u16()));
        }
        let fresh_for = fresh_for(&response, SystemTime::now());
        let mut text = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if text.len().saturating_add(chunk.len()) > MAX_DOCUMENT_LEN {
                return Err(Unhelpful::TooLong {
                    most: MAX_DOCUMENT_LEN,
                });
            }
            text.extend_from_slice(&chunk);
        }
        Ok(Fetched { text, fresh_for })
    }
}

impl Fetch for Fetcher {
    fn fetch(&self, deadline: Instant) -> Fetching<'_> {
        Box::pin(self.keys(deadline))
    }
}
