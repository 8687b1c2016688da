use std::{fmt, sync::Arc};

use crate::{
    clock::TimeSource,
    crypto::{Algorithm, CryptoProvider, check_algorithms},
    error::{ConfigError, ConfigErrorKind},
    keys::{Endpoint, FetchedKeys, FixedKeys, KeyFetching, KeySet, KeySource, PlainHttp},
};

/// A transmitter of security events, and how its SETs are verified.
///
/// `Debug` hides the value of [`authorization`](Self::authorization).
///
/// ```
/// use dpop_tower::ssf::Transmitter;
///
/// # let secret_from_a_file = "Bearer 7Fjfp0ZBr1KtDRbnfVdmIw";
/// let transmitter = Transmitter::new("https://events.example.com")
///     .jwks_url("https://events.example.com/jwks")
///     .audience("https://api.example.com/security-events")
///     .authorization(secret_from_a_file)
///     .tokens_of("https://idp.example.com");
/// ```
#[must_use]
pub struct Transmitter {
    issuer: String,
    keys: Keys,
    audiences: Vec<String>,
    authorization: Option<String>,
    issuers: Vec<String>,
    tokens_have_sid: bool,
    algorithms: Vec<Algorithm>,
    fetched: FetchedKeys,
    plain_http: bool,
}

enum Keys {
    NotGiven,
    Discover,
    Url(String),
    Inline(String),
}

impl Transmitter {
    /// Accepts SETs whose `iss` is exactly `issuer`. Then name the source of the keys with
    /// [`jwks_url`](Self::jwks_url) or [`jwks`](Self::jwks).
    pub fn new(issuer: impl Into<String>) -> Self {
        Self::with_keys(issuer.into(), Keys::NotGiven)
    }

    /// Finds the keys of `issuer`, an `https` URL, through its `/.well-known/ssf-configuration` (SSF 1.0 section 7).
    ///
    /// They are fetched by the rules of [`Issuer::discover`](crate::Issuer::discover), when the first SET arrives.
    pub fn discover(issuer: impl Into<String>) -> Self {
        Self::with_keys(issuer.into(), Keys::Discover)
    }

    fn with_keys(issuer: String, keys: Keys) -> Self {
        Self {
            issuer,
            keys,
            audiences: Vec::new(),
            authorization: None,
            issuers: Vec::new(),
            tokens_have_sid: false,
            algorithms: Algorithm::DEFAULT.to_vec(),
            fetched: FetchedKeys::new(),
            plain_http: false,
        }
    }

    /// Fetches the transmitter's keys from `url`, by the rules of [`Issuer::jwks_url`](crate::Issuer::jwks_url).
    #[doc(alias = "jwks_uri")]
    pub fn jwks_url(mut self, url: impl Into<String>) -> Self {
        self.keys = Keys::Url(url.into());
        self
    }

    /// Takes the transmitter's keys as the JSON of a JWK Set (RFC 7517 section 5).
    pub fn jwks(mut self, jwks: impl Into<String>) -> Self {
        self.keys = Keys::Inline(jwks.into());
        self
    }

    /// Adds a value that the `aud` of a SET may have. At least one is required.
    ///
    /// Use one that access tokens do not have, such as the URL of the receiver.
    #[doc(alias = "aud")]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Requires this value of the `Authorization` header, such as `Bearer` and a secret. It is the
    /// `authorization_header` of the stream's delivery (SSF 1.0 section 6.1.1).
    ///
    /// Only its hash is kept, and it is compared in constant time.
    #[doc(alias = "authorization_header")]
    pub fn authorization(mut self, value: impl Into<String>) -> Self {
        self.authorization = Some(value.into());
        self
    }

    /// Adds an issuer whose tokens the events are about, exactly as in its tokens. Defaults to the transmitter itself.
    ///
    /// # Security
    ///
    /// The transmitter can revoke all tokens of this issuer.
    pub fn tokens_of(mut self, issuer: impl Into<String>) -> Self {
        self.issuers.push(issuer.into());
        self
    }

    /// Says that every access token has the claim `sid`, so an event about a session and its user revokes the session
    /// alone.
    ///
    /// # Security
    ///
    /// If a token has no `sid`, the end of its session does not revoke it.
    pub const fn tokens_have_sid(mut self) -> Self {
        self.tokens_have_sid = true;
        self
    }

    /// Sets the algorithms that SETs may be signed with. Defaults to [`Algorithm::DEFAULT`].
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = algorithms.into_iter().collect();
        self
    }

    /// Shares fetched keys with other receivers, and with issuers whose keys are at the same
    /// [`jwks_url`](Self::jwks_url); see [`Issuer::fetched_keys`](crate::Issuer::fetched_keys).
    pub fn fetched_keys(mut self, fetched: FetchedKeys) -> Self {
        self.fetched = fetched;
        self
    }

    /// Also fetches metadata and keys over plain `http` from this machine, for tests.
    ///
    /// # Security
    ///
    /// Any program on this machine that can take the transmitter's port can replace the keys, and then revoke any
    /// token.
    pub const fn danger_allow_plain_http(mut self) -> Self {
        self.plain_http = true;
        self
    }

    /// Checks the settings. Errors name the transmitter.
    pub(super) fn build(
        self,
        crypto: &Arc<dyn CryptoProvider>,
        clock: &Arc<dyn TimeSource>,
    ) -> Result<Sender, ConfigError> {
        let issuer = self.issuer.clone();
        self.checked(crypto, clock)
            .map_err(|error| error.with_issuer(issuer))
    }

    fn checked(
        mut self,
        crypto: &Arc<dyn CryptoProvider>,
        clock: &Arc<dyn TimeSource>,
    ) -> Result<Sender, ConfigError> {
        if self.issuer.is_empty() || self.issuers.iter().any(String::is_empty) {
            return Err(rejected("an issuer is empty"));
        }
        if self.audiences.is_empty() || self.audiences.iter().any(String::is_empty) {
            return Err(rejected(
                "the audience of its SETs is missing or empty: name this receiver with \
                 `Transmitter::audience`",
            ));
        }
        let authorization = match &self.authorization {
            None => None,
            Some(value) if is_header_value(value) => Some(crypto.sha256(&[value.as_bytes()])),
            Some(_) => {
                return Err(rejected(
                    "the value of `Transmitter::authorization` is empty, begins or ends with a space, or contains a \
                     character that a header cannot have, such as the line break at the end of a file",
                ));
            }
        };
        check_algorithms(&self.algorithms, &**crypto)?;
        if self.issuers.is_empty() {
            self.issuers.push(self.issuer.clone());
        }
        let plain_http = match self.plain_http {
            true => PlainHttp::Loopback,
            false => PlainHttp::Never,
        };
        let endpoint = match &self.keys {
            Keys::NotGiven => {
                return Err(rejected(
                    "it is not said where the transmitter's keys are: give `jwks_url` or `jwks` after \
                     `Transmitter::new`, or begin with `Transmitter::discover`",
                ));
            }
            Keys::Inline(_) => None,
            Keys::Discover => Some(Endpoint::transmitter(&self.issuer, plain_http)?),
            Keys::Url(url) => Some(Endpoint::jwks(url, plain_http)?),
        };
        let algorithms = self.algorithms.clone();
        let keys: Arc<dyn KeySource> = match (endpoint, &self.keys) {
            (Some(endpoint), _) => {
                let (intervals, crypto) = (KeyFetching::new().check()?, Arc::clone(crypto));
                Arc::new((self.fetched).of(endpoint, intervals, algorithms, crypto, clock)?)
            }
            (None, Keys::Inline(jwks)) => {
                let keys = KeySet::parse(jwks.as_bytes(), &algorithms, &**crypto);
                let keys = keys.map_err(|error| {
                    let message = format!("the transmitter's JWK Set cannot be used: {error}");
                    ConfigError::new(ConfigErrorKind::Keys, message)
                })?;
                Arc::new(FixedKeys::new(keys))
            }
            (None, _) => Arc::new(FixedKeys::default()),
        };
        Ok(Sender {
            issuer: self.issuer,
            audiences: self.audiences,
            authorization,
            issuers: self.issuers,
            tokens_have_sid: self.tokens_have_sid,
            algorithms: self.algorithms,
            keys,
        })
    }
}

fn rejected(message: &'static str) -> ConfigError {
    ConfigError::new(ConfigErrorKind::SecurityEvents, message)
}

/// RFC 9110 section 5.5: visible characters with spaces between them.
fn is_header_value(value: &str) -> bool {
    let is_part = |c: char| c == ' ' || c.is_ascii_graphic();
    !value.is_empty() && value.trim() == value && value.chars().all(is_part)
}

/// A transmitter whose settings have been checked.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) issuer: String,
    pub(super) audiences: Vec<String>,
    /// The SHA-256 hash of the `Authorization` value, if one is required.
    pub(super) authorization: Option<[u8; 32]>,
    pub(super) issuers: Vec<String>,
    pub(super) tokens_have_sid: bool,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) keys: Arc<dyn KeySource>,
}

impl fmt::Debug for Transmitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transmitter")
            .field("issuer", &self.issuer)
            .field("audiences", &self.audiences)
            .field("issuers", &self.issuers)
            .finish_non_exhaustive()
    }
}
