//! Token Status Lists: the issuer publishes which of its tokens are revoked, in lists that are fetched.
//!
//! A token says where its status is. Nothing is fetched for a token before its signature is verified, and only
//! from origins that the operator has listed for its issuer.

mod bits;
mod document;
mod list;

use std::{fmt, sync::Arc, time::Duration};

use reqwest::{Client, StatusCode, Url, redirect};

use self::{
    document::{Expected, ListToken},
    list::{Current, List, Step},
};
use super::{TokenError, TokenErrorKind, VerifiedToken};
use crate::{
    cache::Cache,
    clock::TimeSource,
    crypto::Algorithm,
    error::{ConfigError, ConfigErrorKind},
    future::MaybeReady,
    http_client::tls_of_the_crypto_backend,
    keys::{KeySource, PlainHttp, configured_url, may_be_fetched},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The maximum number of lists of one issuer that are kept. A list that is dropped is fetched again.
const MAX_LISTS: usize = 100;

/// A list is not fetched more often than this, whatever its `ttl` says.
const MIN_TTL: Duration = Duration::from_secs(10);

/// The status lists of an issuer (Token Status List, draft-ietf-oauth-status-list).
///
/// With [`Issuer::status_lists`](super::Issuer::status_lists), the status of each token that has one is looked up
/// in the list that the token names. A token with any status but `VALID` (0) is rejected as
/// [`Revoked`](TokenErrorKind::Revoked). A token without the claim `status` has no list and passes.
///
/// A list is a JWT that is signed with a key of the issuer. It is fetched when a token first refers to it, by a
/// task of its own, and shared by all requests. It is refreshed when its `ttl` has passed, while requests use the
/// old one. A list that is older than [`max_age`](Self::max_age) or past its `exp` is not used: requests wait for
/// one fetch, or get 503 ([`RevocationUnavailable`](TokenErrorKind::RevocationUnavailable)) if one has just failed.
/// A list whose `iat` is earlier than that of the one before it is not used either.
///
/// ```
/// use std::time::Duration;
/// use dpop_tower::{Issuer, token::StatusLists};
///
/// let lists = StatusLists::at(["https://status.example.com"]).max_age(Duration::from_secs(60));
/// let issuer = Issuer::discover("https://idp.example.com")
///     .audience("https://api.example.com")
///     .status_lists(lists);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct StatusLists {
    origins: Vec<String>,
    max_age: Duration,
    max_size: usize,
}

impl StatusLists {
    /// Accepts lists from these origins, such as `https://status.example.com`.
    ///
    /// A token that names a list elsewhere is rejected.
    pub fn at(origins: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            origins: origins.into_iter().map(Into::into).collect(),
            max_age: Duration::from_secs(300),
            max_size: 1024 * 1024,
        }
    }

    /// Sets how old a list may be, which is how long a revoked token works at most: from 20 seconds to one hour.
    ///
    /// Defaults to five minutes. A list without `ttl` is refreshed after half of that time.
    pub const fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// Sets how many bytes a decompressed list may have: from 1 KiB to 16 MiB. At most 100 lists of an issuer are
    /// kept.
    ///
    /// Defaults to 1 MiB, which is enough for eight million tokens with one bit each.
    pub const fn max_size(mut self, bytes: usize) -> Self {
        self.max_size = bytes;
        self
    }

    pub(super) fn build(
        self,
        issuer: &str,
        algorithms: &[Algorithm],
        leeway: Duration,
        plain_http: PlainHttp,
        keys: &Arc<dyn KeySource>,
        clock: &Arc<dyn TimeSource>,
    ) -> Result<Arc<StatusVerifier>, ConfigError> {
        let reject =
            |message: &'static str| Err(ConfigError::new(ConfigErrorKind::AccessTokens, message));
        if self.origins.is_empty() {
            return reject("`StatusLists` have no origin");
        }
        if !(Duration::from_secs(20)..=Duration::from_secs(3600)).contains(&self.max_age) {
            return reject("`StatusLists::max_age` is not between 20 seconds and one hour");
        }
        if !(1024..=16 * 1024 * 1024).contains(&self.max_size) {
            return reject("`StatusLists::max_size` is not between 1 KiB and 16 MiB");
        }
        let mut origins = Vec::new();
        for origin in &self.origins {
            let url = configured_url(origin, "the origin of the status lists", plain_http)?;
            if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
                return reject("an origin of the status lists has a path, a query or a fragment");
            }
            origins.push(url);
        }
        let http = tls_of_the_crypto_backend(Client::builder())
            // A redirect could lead to an origin that is not listed.
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_max_idle_per_host(0)
            .user_agent(concat!("dpop-tower/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| {
                let message = "the HTTP client for the status lists cannot be set up";
                ConfigError::new(ConfigErrorKind::AccessTokens, message).with_source(error)
            })?;
        Ok(Arc::new(StatusVerifier {
            issuer: issuer.to_owned(),
            algorithms: algorithms.to_vec(),
            leeway,
            plain_http,
            origins,
            max_age: self.max_age,
            max_size: self.max_size,
            keys: Arc::clone(keys),
            clock: Arc::clone(clock),
            http,
            lists: Cache::new(MAX_LISTS),
        }))
    }
}

/// Looks up the status of the tokens of one issuer.
pub(super) struct StatusVerifier {
    issuer: String,
    algorithms: Vec<Algorithm>,
    leeway: Duration,
    plain_http: PlainHttp,
    origins: Vec<Url>,
    max_age: Duration,
    max_size: usize,
    keys: Arc<dyn KeySource>,
    clock: Arc<dyn TimeSource>,
    http: Client,
    /// The lists by URI. Only tokens with a valid signature add lists, so strangers cannot fill the cache.
    lists: Cache<String, Arc<List>>,
}

/// The place of a token's status (Token Status List section 6.2).
struct Reference<'t> {
    index: u64,
    uri: &'t str,
}

impl<'t> Reference<'t> {
    /// Returns `None` if the token has no status. A status of another kind, which is not understood, is an error.
    fn of(token: &'t VerifiedToken) -> Result<Option<Self>, TokenError> {
        let Some(status) = token.claims().get("status") else {
            return Ok(None);
        };
        let read = || {
            let list = status.get("status_list")?;
            Some(Self {
                index: list.get("idx")?.as_u64()?,
                uri: list.get("uri")?.as_str()?,
            })
        };
        match read() {
            Some(reference) => Ok(Some(reference)),
            None => Err(TokenError::invalid("status")),
        }
    }
}

type Verified = Result<VerifiedToken, TokenError>;

impl StatusVerifier {
    /// Passes the token on if its status is `VALID`.
    ///
    /// The signature of the token is verified, so the reference is one that the issuer has made.
    pub(super) fn check(self: &Arc<Self>, token: VerifiedToken) -> MaybeReady<Verified> {
        let (list, index) = match Reference::of(&token) {
            Ok(None) => return MaybeReady::ready(Ok(token)),
            Ok(Some(Reference { index, uri })) => match self.list(uri) {
                Some(list) => (list, index),
                None => {
                    let kind = TokenErrorKind::InvalidClaim;
                    let text = "status: its list is not at an origin of `StatusLists::at`";
                    return MaybeReady::ready(Err(TokenError::explained(kind, text)));
                }
            },
            Err(error) => return MaybeReady::ready(Err(error)),
        };
        match list.step(self) {
            Step::Use(current) => MaybeReady::ready(judge(&current, index, token)),
            Step::Unavailable => MaybeReady::ready(Err(unavailable())),
            Step::Wait(waiting) => {
                let verifier = Arc::clone(self);
                MaybeReady::pending(async move {
                    waiting.end().await;
                    let current = list.usable(&verifier).ok_or_else(unavailable)?;
                    judge(&current, index, token)
                })
            }
        }
    }

    /// Returns the list with this URI, or `None` if it may not be fetched.
    fn list(&self, uri: &str) -> Option<Arc<List>> {
        if let Some(list) = self.lists.get(&uri.to_owned()) {
            return Some(list);
        }
        let url = may_be_fetched(uri, self.plain_http)?;
        let is_listed = |origin: &Url| origin.origin() == url.origin();
        if !self.origins.iter().any(is_listed) {
            return None;
        }
        let list = Arc::new(List::new(uri, url));
        self.lists.insert(uri.to_owned(), Arc::clone(&list));
        Some(list)
    }

    /// Fetches and verifies a list. The text of the error is for the log.
    async fn fetch(&self, list: &List, began: Duration) -> Result<Current, String> {
        let text = self.get(&list.url).await?;
        let now = self.clock.now();
        let expected = Expected {
            issuer: &self.issuer,
            uri: &list.uri,
            algorithms: &self.algorithms,
            leeway: self.leeway,
            now,
        };
        let token = ListToken::verify(&text, &expected, &*self.keys).await?;
        let ttl = token.ttl.unwrap_or(self.max_age / 2);
        Ok(Current {
            statuses: token.statuses(self.max_size)?,
            issued_at: token.issued_at,
            due: began.saturating_add(ttl.clamp(MIN_TTL, self.max_age)),
            ends: began.saturating_add(self.max_age),
            expires_at: token.expires_at,
        })
    }

    async fn get(&self, url: &Url) -> Result<Vec<u8>, String> {
        let failed = |error: reqwest::Error| format!("no answer: {}", error.without_url());
        let request = self.http.get(url.clone());
        let request = request.header(http::header::ACCEPT, "application/statuslist+jwt");
        let mut response = request.send().await.map_err(failed)?;
        if response.status() != StatusCode::OK {
            return Err(format!(
                "the answer has status {}",
                response.status().as_u16()
            ));
        }
        // A list that cannot be compressed is encoded in base64url twice: in the claim, and with the JWT.
        let most = self.max_size.saturating_mul(2).saturating_add(64 * 1024);
        let mut text = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if text.len().saturating_add(chunk.len()) > most {
                return Err(format!("it has more than {most} bytes"));
            }
            text.extend_from_slice(&chunk);
        }
        Ok(text)
    }
}

fn judge(current: &Current, index: u64, token: VerifiedToken) -> Verified {
    match current.statuses.get(index) {
        Some(0) => Ok(token),
        Some(_) => Err(TokenErrorKind::Revoked.into()),
        None => {
            let text = "status: the list is shorter than its index";
            Err(TokenError::explained(TokenErrorKind::InvalidClaim, text))
        }
    }
}

fn unavailable() -> TokenError {
    TokenError::revocation_unavailable("the status list of the token is not available".into())
}

impl fmt::Debug for StatusVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatusVerifier")
            .field("issuer", &self.issuer)
            .field("origins", &self.origins)
            .finish_non_exhaustive()
    }
}
