//! Verifies opaque access tokens by asking their issuer (RFC 7662, RFC 9449 section 6.2).
//!
//! | module | responsibility |
//! |---|---|
//! | `build` | The checks of the settings. |
//! | `verifier` | The way of a token: cache, call under way, new call. |
//! | `verdicts` | The caches. |
//! | `flight` | At most one call for each token, in a task of its own. |
//! | `circuit` | Suspends calls to an endpoint that fails. |
//! | `location`, `call`, `credentials` | The endpoint's URL, the HTTP request, and how this API authenticates. |
//! | `facts` | What the text of a configuration says. |
//! | `answer`, `signed` | What an answer says about a token. |

mod answer;
mod build;
mod call;
mod circuit;
mod credentials;
mod error;
mod facts;
mod flight;
mod location;
mod signed;
mod verdicts;
mod verifier;

pub use crate::client_auth::{ClientSecret, ClientSigningKey};

use std::{fmt, time::Duration};

use self::credentials::{ApiClient, ClientAuth};
pub(super) use self::verifier::IntrospectionVerifier;
use crate::{crypto::Algorithm, keys::FetchedKeys, proof::Setting};

const DEFAULT_LEEWAY: Duration = Duration::from_secs(10);

/// An issuer of opaque access tokens, which is asked about each token (RFC 7662).
///
/// Give it to [`DpopConfig::builder`](crate::DpopConfig::builder) in place of an
/// [`Issuer`](crate::Issuer).
///
/// ```
/// # #[cfg(any(feature = "aws-lc-rs", feature = "josekit"))] {
/// use dpop_tower::{
///     DpopConfig, PublicOrigin,
///     token::{ClientSecret, Introspection},
/// };
///
/// # let secret_from_a_file = "7Fjfp0ZBr1KtDRbnfVdmIw";
/// let tokens = Introspection::discover("https://idp.example.com")
///     .client_secret_basic("orders-api", ClientSecret::new(secret_from_a_file)?)
///     .audience("https://api.example.com");
/// let config = DpopConfig::builder(PublicOrigin::new("https://api.example.com")?, tokens).build()?;
/// # }
/// # Ok::<(), dpop_tower::ConfigError>(())
/// ```
///
/// # What is checked
///
/// | member of the answer | rule |
/// |---|---|
/// | `active` | `true`; anything but `true` and `false` is a malformed answer |
/// | `iss` | exactly the configured issuer; if it is absent, the token counts as one of this issuer |
/// | `aud` | names a configured audience; see [`danger_accept_missing_audience`](Self::danger_accept_missing_audience) |
/// | `exp` | in the future. Without it, the token expires after a minute, or after [`cache_for`](Self::cache_for) if that is longer, and the issuer is asked again |
/// | `nbf`, `iat` | at most the [leeway](Self::leeway) in the future |
/// | `token_type`, `cnf` | a token of the type `DPoP` has a `cnf`; a `cnf` binds the token whatever its type (RFC 9449 section 6.2) |
///
/// Handlers find all members in the claims, such as `scope`, `client_id`, `sub` and `username`. A member that
/// is `null` counts as absent, unless it is `cnf`.
///
/// # Calls
///
/// Verdicts are cached by the token's hash: see [`cache_for`](Self::cache_for) and
/// [`cache_rejections_for`](Self::cache_rejections_for). Concurrent requests with the same token cause one
/// call. It runs in a task of its own, on the tokio runtime of the request that causes it, so that runtime
/// needs I/O and time enabled. A client that hangs up does not end the call.
///
/// If there is no verdict, the request is rejected with 503
/// ([`VerifierUnavailable`](crate::token::TokenErrorKind::VerifierUnavailable)). After five failures in a row,
/// calls are suspended for one to two seconds. Then one call is tried, and each failure doubles the time, up to
/// a minute. Meanwhile, tokens with a cached verdict are served, and other clients learn in `Retry-After` when
/// to come back.
///
/// An endpoint that answers 400, 401 or 403 rejects this API, and not the token. That is logged at `error`,
/// once a minute at most.
///
/// # Security
///
/// - A revoked token can be used until its cached verdict ends.
/// - Anyone can send tokens that nobody has issued. Each is a call of the endpoint, in the limits of
///   [`max_calls`](Self::max_calls). An endpoint that fails on such tokens with a status from 500 lets
///   strangers suspend calls, so put a rate limit in front of this API.
/// - The token is in the body of the call, never in a URL, and redirects are not followed.
pub struct Introspection {
    issuer: String,
    place: Place,
    client: Option<ApiClient>,
    audiences: Vec<String>,
    aud_may_be_missing: bool,
    leeway: Setting,
    cache_for: Duration,
    cache_rejections_for: Duration,
    cache_capacity: usize,
    max_calls: usize,
    timeout: Duration,
    signed: bool,
    algorithms: Vec<Algorithm>,
    jwks_url: Option<String>,
    fetched: FetchedKeys,
    plain_http: bool,
}

enum Place {
    NotGiven,
    Discover,
    Url(String),
}

impl Introspection {
    /// Asks `issuer` about tokens, at an [`endpoint`](Self::endpoint) that has to follow.
    ///
    /// ```
    /// use dpop_tower::token::{ClientSecret, Introspection};
    ///
    /// let tokens = Introspection::new("https://idp.example.com")
    ///     .endpoint("https://idp.example.com/introspect")
    ///     .client_secret_basic("orders-api", ClientSecret::new("7Fjfp0ZBr1KtDRbnfVdmIw")?)
    ///     .audience("https://api.example.com");
    /// # Ok::<(), dpop_tower::ConfigError>(())
    /// ```
    pub fn new(issuer: impl Into<String>) -> Self {
        Self::at(issuer.into(), Place::NotGiven)
    }

    /// Asks `issuer` about tokens, at the `introspection_endpoint` of its metadata.
    ///
    /// `issuer` is an `https` URL. The metadata is found as [`Issuer::discover`](crate::Issuer::discover)
    /// finds it, before the first call. It is fetched again every hour, in the background.
    #[doc(alias = "introspection_endpoint")]
    pub fn discover(issuer: impl Into<String>) -> Self {
        Self::at(issuer.into(), Place::Discover)
    }

    fn at(issuer: String, place: Place) -> Self {
        Self {
            issuer,
            place,
            client: None,
            audiences: Vec::new(),
            aud_may_be_missing: false,
            leeway: Setting::Plain(DEFAULT_LEEWAY),
            cache_for: Duration::from_secs(60),
            cache_rejections_for: Duration::from_secs(5),
            cache_capacity: 10_000,
            max_calls: 64,
            timeout: Duration::from_secs(5),
            signed: false,
            algorithms: Algorithm::DEFAULT.to_vec(),
            jwks_url: None,
            fetched: FetchedKeys::new(),
            plain_http: false,
        }
    }

    /// Sets the URL of the endpoint.
    #[must_use]
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.place = Place::Url(url.into());
        self
    }

    /// Authenticates with a secret in the `Authorization` header (RFC 6749 section 2.3.1).
    #[must_use]
    pub fn client_secret_basic(
        mut self,
        client_id: impl Into<String>,
        secret: ClientSecret,
    ) -> Self {
        self.client = Some(ApiClient {
            id: client_id.into(),
            auth: ClientAuth::Basic(secret),
        });
        self
    }

    /// Authenticates with a signed assertion (RFC 7523), which is made for each call and valid for a minute.
    ///
    /// Its `aud` is the issuer.
    #[must_use]
    pub fn private_key_jwt(mut self, client_id: impl Into<String>, key: ClientSigningKey) -> Self {
        self.client = Some(ApiClient {
            id: client_id.into(),
            auth: ClientAuth::PrivateKeyJwt(key),
        });
        self
    }

    /// Adds a value that a token's `aud` may have, which is usually the identifier of this API.
    ///
    /// At least one is required.
    #[must_use]
    #[doc(alias = "aud")]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Accepts answers without `aud`, which is optional in RFC 7662 section 2.2.
    ///
    /// # Security
    ///
    /// Without `aud`, a token that was issued for another API of the issuer is accepted here, unless the
    /// issuer reports such tokens as inactive to this API. Ask the operator of the issuer whether it does
    /// (RFC 7662 section 4).
    #[must_use]
    pub const fn danger_accept_missing_audience(mut self) -> Self {
        self.aud_may_be_missing = true;
        self
    }

    /// Sets how long a token that can be used is served without another call, up to ten minutes, and no
    /// longer than its `exp`. With zero, each request causes a call.
    ///
    /// A token that is revoked can be used for this time. Defaults to one minute.
    #[must_use]
    pub const fn cache_for(mut self, time: Duration) -> Self {
        self.cache_for = time;
        self
    }

    /// Sets how long a token that cannot be used is rejected without another call, up to one minute.
    ///
    /// Such tokens have a cache of their own, so tokens that strangers invent do not push out those of
    /// clients. Defaults to five seconds.
    #[must_use]
    pub const fn cache_rejections_for(mut self, time: Duration) -> Self {
        self.cache_rejections_for = time;
        self
    }

    /// Sets how many tokens that can be used are cached, at least one. Defaults to 10,000.
    #[must_use]
    #[doc(alias = "cache_size")]
    pub const fn cache_capacity(mut self, tokens: usize) -> Self {
        self.cache_capacity = tokens;
        self
    }

    /// Sets how many calls may be under way at a time, at least one. Defaults to 64.
    ///
    /// A call beyond that waits for up to a second. If more than sixteen times as many calls are under way or
    /// waiting, a request is rejected with 503 at once.
    #[must_use]
    pub const fn max_calls(mut self, calls: usize) -> Self {
        self.max_calls = calls;
        self
    }

    /// Sets the time limit of a call, from the connection to the end of the answer, up to 30 seconds.
    ///
    /// Defaults to five seconds.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how far `nbf` and `iat` may lie in the future: whole seconds, up to 60.
    ///
    /// `exp` has no leeway. Defaults to 10 seconds.
    #[must_use]
    #[doc(alias = "clock_skew")]
    pub const fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = Setting::Plain(leeway);
        self
    }

    /// Sets the leeway as [`leeway`](Self::leeway) does, up to one hour.
    ///
    /// # Security
    ///
    /// A token is accepted this long before the issuer intends it to be.
    #[must_use]
    pub const fn danger_leeway(mut self, leeway: Duration) -> Self {
        self.leeway = Setting::Danger(leeway);
        self
    }

    /// Asks for signed answers (RFC 9701), and accepts no others.
    ///
    /// An answer has to be signed with a key of the issuer, be made for this client within the last five
    /// minutes, and have the `typ` `token-introspection+jwt`. The keys are found through the issuer's
    /// metadata, or at [`jwks_url`](Self::jwks_url), as [`Issuer::discover`](crate::Issuer::discover) and
    /// [`Issuer::jwks_url`](crate::Issuer::jwks_url) find them.
    #[must_use]
    pub const fn signed_responses(mut self) -> Self {
        self.signed = true;
        self
    }

    /// Sets the algorithms that answers may be signed with. Defaults to [`Algorithm::DEFAULT`].
    #[must_use]
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = algorithms.into_iter().collect();
        self
    }

    /// Sets the URL of the keys that answers are signed with. Defaults to the one in the metadata.
    #[must_use]
    #[doc(alias = "jwks_uri")]
    pub fn jwks_url(mut self, url: impl Into<String>) -> Self {
        self.jwks_url = Some(url.into());
        self
    }

    /// Shares the keys of signed answers with other configurations; see
    /// [`Issuer::fetched_keys`](crate::Issuer::fetched_keys).
    #[must_use]
    pub fn fetched_keys(mut self, fetched: FetchedKeys) -> Self {
        self.fetched = fetched;
        self
    }

    /// Also uses plain `http` to an endpoint on this machine, and for metadata and keys, for tests.
    ///
    /// # Security
    ///
    /// Anyone who can read the connection gets the tokens and the client's secret. Anyone who can change it
    /// decides which tokens are active.
    #[must_use]
    pub const fn danger_allow_plain_http(mut self) -> Self {
        self.plain_http = true;
        self
    }

    pub(in crate::token) fn identifier(&self) -> &str {
        &self.issuer
    }
}

/// Hides the client's secret.
impl fmt::Debug for Introspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introspection")
            .field("issuer", &self.issuer)
            .field("audiences", &self.audiences)
            .field("client", &self.client)
            .field("cache_for", &self.cache_for)
            .finish_non_exhaustive()
    }
}
