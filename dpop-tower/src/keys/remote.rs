use std::{fmt, sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use reqwest::{Client, ClientBuilder, StatusCode, Url, redirect};
use tokio::sync::Mutex;

use super::{
    KeySource, KeysUnavailable, Load,
    endpoint::{Endpoint, Place},
    set::{KeySet, KeySetError},
};
use crate::{
    clock::UnixTime,
    crypto::{Algorithm, SignatureVerifier},
    error::{ConfigError, ConfigErrorKind},
    jose::json::{Object, Value},
};

/// Older keys are fetched anew.
const REFRESH_AFTER_SECS: i64 = 5 * 60;
/// Older keys are not used, even if the issuer is out of reach: it may have withdrawn them.
const MAX_AGE_SECS: i64 = 60 * 60;
/// A token with an unknown `kid` makes us fetch at most this often, since anyone can write one.
const UNKNOWN_KEY_SECS: i64 = 30;
/// After a failure, requests are answered without trying again for this long.
const RETRY_AFTER_SECS: i64 = 5;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_DOCUMENT_LEN: usize = 512 * 1024;

/// Keys that are fetched when they are first needed, by one request at a time.
pub(crate) struct RemoteKeys {
    endpoint: Endpoint,
    algorithms: Vec<Algorithm>,
    crypto: Arc<dyn SignatureVerifier>,
    http: Client,
    fetched: ArcSwapOption<Fetched>,
    /// Held while fetching: whoever waits for it finds the result.
    gate: Mutex<Gate>,
}

struct Fetched {
    keys: Arc<KeySet>,
    at: UnixTime,
}

#[derive(Default)]
struct Gate {
    failed_at: Option<UnixTime>,
}

/// One process, one crypto library: TLS is that of the default backend, whatever else some other
/// crate of the build has turned on in reqwest. Without a backend there is no TLS.
fn tls_of_the_crypto_backend(builder: ClientBuilder) -> ClientBuilder {
    #[cfg(feature = "josekit")]
    let builder = builder.tls_backend_native();
    #[cfg(all(feature = "aws-lc-rs", not(feature = "josekit")))]
    let builder = builder.tls_backend_rustls();
    builder
}

impl RemoteKeys {
    pub(crate) fn new(
        endpoint: Endpoint,
        algorithms: Vec<Algorithm>,
        crypto: Arc<dyn SignatureVerifier>,
    ) -> Result<Self, ConfigError> {
        let http = tls_of_the_crypto_backend(Client::builder())
            // A redirect would let whoever controls one page choose another place for the keys.
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .user_agent(concat!("dpop-tower/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| {
                ConfigError::new(
                    ConfigErrorKind::Keys,
                    "the HTTP client for the issuer's keys cannot be set up",
                )
                .with_source(error)
            })?;
        Ok(Self {
            endpoint,
            algorithms,
            crypto,
            http,
            fetched: ArcSwapOption::empty(),
            gate: Mutex::default(),
        })
    }

    fn younger_than(&self, secs: i64, now: UnixTime) -> Option<Arc<KeySet>> {
        self.fetched
            .load()
            .as_ref()
            .filter(|fetched| now.seconds_since(fetched.at) < secs)
            .map(|fetched| Arc::clone(&fetched.keys))
    }

    /// # Cancel safety
    ///
    /// If the request that fetches is given up, the next one that waits starts over. Keys are only
    /// ever replaced by a complete set.
    async fn fetch_unless_done(
        &self,
        seen: Option<&Arc<KeySet>>,
        now: UnixTime,
    ) -> Result<Arc<KeySet>, KeysUnavailable> {
        let usable = || self.younger_than(MAX_AGE_SECS, now);
        let mut gate = match self.gate.try_lock() {
            Ok(gate) => gate,
            // Somebody is fetching. What they find may be the key this request misses, but if it
            // only wants younger keys, those at hand will do.
            Err(_) => match usable().filter(|_| seen.is_none()) {
                Some(keys) => return Ok(keys),
                None => self.gate.lock().await,
            },
        };
        if let Some(keys) = self.younger_than(REFRESH_AFTER_SECS, now)
            && (seen.is_none_or(|seen| !Arc::ptr_eq(seen, &keys)) || !self.may_have_newer(now))
        {
            return Ok(keys);
        }
        if gate
            .failed_at
            .is_some_and(|at| (0..RETRY_AFTER_SECS).contains(&now.seconds_since(at)))
        {
            return usable().ok_or(KeysUnavailable);
        }
        match self.fetch().await {
            Ok(keys) => {
                gate.failed_at = None;
                let keys = Arc::new(keys);
                self.fetched.store(Some(Arc::new(Fetched {
                    keys: Arc::clone(&keys),
                    at: now,
                })));
                Ok(keys)
            }
            Err(error) => {
                gate.failed_at = Some(now);
                if matches!(error, FetchError::KeySet(KeySetError::NoUsableKey)) {
                    // Not an outage: the issuer says that none of its keys is good any more.
                    self.fetched.store(None);
                }
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    in_use = usable().is_some(),
                    "the issuer's keys could not be fetched"
                );
                usable().ok_or(KeysUnavailable)
            }
        }
    }

    async fn fetch(&self) -> Result<KeySet, FetchError> {
        let url = match &self.endpoint.place {
            Place::Jwks(url) => url.clone(),
            Place::Metadata { issuer, urls } => {
                let [first, second] = urls;
                let metadata = match self.get(first).await {
                    // Servers that know the second place only say so in many ways.
                    Err(FetchError::Status(_)) => self.get(second).await?,
                    found => found?,
                };
                self.jwks_uri(&metadata, issuer)?
            }
        };
        let jwks = self.get(&url).await?;
        KeySet::parse(&jwks, &self.algorithms, &*self.crypto).map_err(FetchError::KeySet)
    }

    fn jwks_uri(&self, metadata: &[u8], issuer: &str) -> Result<Url, FetchError> {
        let metadata = Object::parse(metadata).ok_or(FetchError::Metadata)?;
        let text = |name| metadata.get(name).and_then(Value::as_str);
        if text("issuer") != Some(issuer) {
            return Err(FetchError::IssuerMismatch);
        }
        text("jwks_uri")
            .and_then(|uri| self.endpoint.accept(uri))
            .ok_or(FetchError::Metadata)
    }

    async fn get(&self, url: &Url) -> Result<Vec<u8>, FetchError> {
        let request = self.http.get(url.clone());
        let mut response = request
            .header(http::header::ACCEPT, "application/json")
            .send()
            .await
            .map_err(FetchError::Http)?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status().as_u16()));
        }
        let mut document = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(FetchError::Http)? {
            if document.len().saturating_add(chunk.len()) > MAX_DOCUMENT_LEN {
                return Err(FetchError::TooLong);
            }
            document.extend_from_slice(&chunk);
        }
        Ok(document)
    }
}

impl KeySource for RemoteKeys {
    fn current(&self, now: UnixTime) -> Option<Arc<KeySet>> {
        self.younger_than(REFRESH_AFTER_SECS, now)
    }

    fn may_have_newer(&self, now: UnixTime) -> bool {
        self.younger_than(UNKNOWN_KEY_SECS, now).is_none()
    }

    fn load(&self, seen: Option<Arc<KeySet>>, now: UnixTime) -> Load<'_> {
        Box::pin(async move { self.fetch_unless_done(seen.as_ref(), now).await })
    }
}

impl fmt::Debug for RemoteKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteKeys")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
enum FetchError {
    Http(reqwest::Error),
    IssuerMismatch,
    KeySet(KeySetError),
    Metadata,
    Status(u16),
    TooLong,
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(_) => f.write_str("the request failed"),
            Self::IssuerMismatch => f.write_str("the metadata names another issuer"),
            Self::KeySet(error) => write!(f, "the JWK Set cannot be used: {error}"),
            Self::Metadata => f.write_str("the metadata has no jwks_uri that can be used"),
            Self::Status(status) => write!(f, "the answer has status {status}"),
            Self::TooLong => write!(f, "the document has more than {MAX_DOCUMENT_LEN} octets"),
        }
    }
}

impl std::error::Error for FetchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Http(error) => Some(error),
            _ => None,
        }
    }
}
