mod claim_names;
#[cfg(feature = "jwks")]
mod dynamic;
mod encrypted;
mod facts;
pub(super) mod issuer;
mod issuers;
mod parse;
mod typ;
mod verifier;

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

#[cfg(feature = "jwks")]
pub use self::dynamic::{DynamicIssuers, IssuerSource};
pub use self::encrypted::DecryptionKeys;
pub(super) use self::{
    issuers::Issuers,
    verifier::{IssuerVerifier, JwtVerifier},
};
#[cfg(feature = "introspection")]
use super::Introspection;
#[cfg(feature = "status-list")]
use super::StatusLists;
#[cfg(feature = "jwks")]
use crate::keys::{Endpoint, FetchedKeys, KeyFetching, PlainHttp};
use crate::{
    clock::TimeSource,
    crypto::{Algorithm, CryptoProvider},
    error::{ConfigError, ConfigErrorKind},
    keys::{FixedKeys, KeySet, KeySource},
    proof::{Setting, TOKEN_LEEWAY},
};

const DEFAULT_LEEWAY: Duration = Duration::from_secs(10);

/// An issuer, and how its JWT access tokens are verified (RFC 9068).
///
/// A token has to be signed with a key of the issuer, name the issuer and one of the configured
/// audiences, be active, and have the `typ` `at+jwt` or one that [`accept_typ`](Self::accept_typ) or
/// [`accept_typ_jwt_if`](Self::accept_typ_jwt_if) adds. The keys come from one of these:
///
/// | method | source of the keys |
/// |---|---|
/// | `discover` | the issuer's metadata (RFC 8414 or OpenID Connect Discovery), fetched and refreshed |
/// | `new` and `jwks_url` | a URL, fetched and refreshed |
/// | [`new`](Self::new) and [`jwks_file`](Self::jwks_file) | a file, read once |
/// | [`new`](Self::new) and [`jwks`](Self::jwks) | a string |
///
/// Verdicts are cached by the token's hash, so the signature of a token is verified once. A cached verdict
/// ends with the token's `exp`, and as soon as the issuer withdraws the key that signed it.
///
/// # Example
///
/// ```
/// # #[cfg(feature = "jwks")] {
/// use std::time::Duration;
/// use dpop_tower::{Issuer, crypto::Algorithm};
///
/// let tokens = Issuer::discover("https://idp.example.com")
///     .audience("https://api.example.com")
///     .algorithms([Algorithm::Es256])
///     .leeway(Duration::from_secs(5))
///     .scope_claim("scp");
/// # }
/// ```
pub struct Issuer {
    issuer: String,
    keys: Keys,
    checks: parse::Checks,
    leeway: Setting,
    cache_capacity: usize,
    encryption: encrypted::Encryption,
    #[cfg(feature = "jwks")]
    plain_http: PlainHttp,
    #[cfg(feature = "jwks")]
    fetched: FetchedKeys,
    #[cfg(feature = "introspection")]
    introspection: Option<Box<Introspection>>,
    #[cfg(feature = "status-list")]
    status_lists: Option<StatusLists>,
    #[cfg(feature = "jwks")]
    fetching: KeyFetching,
}

enum Keys {
    NotGiven,
    #[cfg(feature = "jwks")]
    Discover,
    #[cfg(feature = "jwks")]
    Url(String),
    File(PathBuf),
    Inline(String),
}

impl Issuer {
    /// Accepts tokens whose `iss` is exactly `issuer`.
    ///
    /// Then name the source of the keys with `jwks_url`, [`jwks_file`](Self::jwks_file) or
    /// [`jwks`](Self::jwks). Without one of them, [`build`](crate::DpopConfigBuilder::build) returns an error
    /// of the kind [`AccessTokens`](crate::ConfigErrorKind::AccessTokens).
    ///
    /// ```
    /// # #[cfg(feature = "jwks")] {
    /// use dpop_tower::Issuer;
    ///
    /// let tokens = Issuer::new("https://idp.example.com")
    ///     .jwks_url("https://idp.example.com/keys")
    ///     .audience("https://api.example.com");
    /// # }
    /// ```
    pub fn new(issuer: impl Into<String>) -> Self {
        Self::with_keys(issuer.into(), Keys::NotGiven)
    }

    fn with_keys(issuer: String, keys: Keys) -> Self {
        Self {
            checks: parse::Checks {
                issuer: issuer.clone(),
                audiences: Vec::new(),
                algorithms: Algorithm::DEFAULT.to_vec(),
                leeway: DEFAULT_LEEWAY,
                types: typ::Types::default(),
                scope_claim: None,
                client_id_claim: None,
            },
            leeway: Setting::Plain(DEFAULT_LEEWAY),
            issuer,
            keys,
            cache_capacity: 10_000,
            encryption: encrypted::Encryption::default(),
            #[cfg(feature = "jwks")]
            plain_http: PlainHttp::Never,
            #[cfg(feature = "jwks")]
            fetched: FetchedKeys::new(),
            #[cfg(feature = "introspection")]
            introspection: None,
            #[cfg(feature = "status-list")]
            status_lists: None,
            #[cfg(feature = "jwks")]
            fetching: KeyFetching::new(),
        }
    }

    /// Finds the keys of `issuer` through its metadata.
    ///
    /// `issuer` is an `https` URL, and exactly the `iss` of its tokens. The metadata is the document of
    /// RFC 8414. If that document is not usable (no answer, a status other than 200, no JSON, no `jwks_uri`,
    /// another issuer), the document of OpenID Connect Discovery is used.
    ///
    /// Nothing is fetched before the first token arrives. A separate task fetches, on the tokio runtime of
    /// the request that needs the keys, so that runtime needs I/O and time enabled. There is one attempt at
    /// a time. It takes ten seconds at most, and continues if the request is abandoned.
    ///
    /// - Keys older than five minutes are fetched again in the background. `Cache-Control` and `Expires`
    ///   of the response can shorten that time to one minute. The old keys are used until they are an hour
    ///   old, even if the issuer is out of reach.
    /// - Without such keys, a request waits for one attempt. If that fails, the request is rejected
    ///   with [`KeysUnavailable`](crate::token::TokenErrorKind::KeysUnavailable). Other requests are then
    ///   rejected at once for five to ten seconds. That time doubles with each failure, up to one minute.
    /// - A token with an unknown `kid`, or with a signature that does not verify, waits for one
    ///   attempt, since the issuer may have a new key. All such tokens together cause at most one
    ///   attempt in 30 seconds. Between attempts they are rejected at once.
    ///
    /// [`key_fetching`](Self::key_fetching) changes these times.
    /// [`DpopConfig::warm_up`](crate::DpopConfig::warm_up) fetches the keys before the first token arrives.
    ///
    /// Keys are accepted as real issuers publish them: members that are `null` or empty count as
    /// absent, and numbers may have padding and leading zeros. A key that cannot be used is skipped
    /// and logged at `warn`.
    #[cfg(feature = "jwks")]
    #[cfg_attr(docsrs, doc(cfg(feature = "jwks")))]
    #[doc(alias = "discovery_url")]
    #[doc(alias = "well_known")]
    pub fn discover(issuer: impl Into<String>) -> Self {
        Self::with_keys(issuer.into(), Keys::Discover)
    }

    /// Fetches the issuer's keys from `url`, with the rules of [`discover`](Self::discover).
    ///
    /// [`build`](crate::DpopConfigBuilder::build) rejects a URL that is probably not the one of a JWK Set,
    /// such as that of the metadata.
    #[cfg(feature = "jwks")]
    #[cfg_attr(docsrs, doc(cfg(feature = "jwks")))]
    #[doc(alias = "jwks_uri")]
    #[must_use]
    pub fn jwks_url(mut self, url: impl Into<String>) -> Self {
        self.keys = Keys::Url(url.into());
        self
    }

    /// Reads the issuer's keys from a file that contains a JWK Set (RFC 7517 section 5).
    ///
    /// The file is read once, when the configuration is built. To change the keys, build a new configuration.
    ///
    /// ```
    /// use dpop_tower::Issuer;
    ///
    /// let tokens = Issuer::new("https://idp.example.com")
    ///     .jwks_file("/etc/orders/idp-keys.json")
    ///     .audience("https://api.example.com");
    /// ```
    #[must_use]
    pub fn jwks_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.keys = Keys::File(path.into());
        self
    }

    /// Takes the issuer's keys as the JSON of a JWK Set (RFC 7517 section 5).
    ///
    /// ```
    /// # #[cfg(any(feature = "aws-lc-rs", feature = "josekit"))] {
    /// use dpop_tower::{DpopConfig, Issuer, PublicOrigin};
    ///
    /// let tokens = Issuer::new("https://idp.example.com")
    ///     .jwks(r#"{"keys":[{
    ///         "kty": "OKP",
    ///         "crv": "Ed25519",
    ///         "kid": "2026-01",
    ///         "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    ///     }]}"#)
    ///     .audience("https://api.example.com");
    /// let config = DpopConfig::builder(PublicOrigin::new("https://api.example.com")?, tokens).build()?;
    /// # }
    /// # Ok::<(), dpop_tower::ConfigError>(())
    /// ```
    #[doc(alias = "jwk_set")]
    #[must_use]
    pub fn jwks(mut self, jwks: impl Into<String>) -> Self {
        self.keys = Keys::Inline(jwks.into());
        self
    }

    /// Adds a value that a token's `aud` may have, which is usually the identifier of this API.
    ///
    /// At least one is required, because a token for another API must not be accepted here (RFC 9068
    /// section 4).
    #[must_use]
    #[doc(alias = "audiences")]
    #[doc(alias = "aud")]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.checks.audiences.push(audience.into());
        self
    }

    /// Sets the algorithms that tokens may be signed with. Defaults to [`Algorithm::DEFAULT`].
    #[must_use]
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.checks.algorithms = algorithms.into_iter().collect();
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
    /// A token is accepted this long before the issuer intends it to be. The FAPI 2.0 Security Profile
    /// requires servers to reject an `iat` or `nbf` that is more than 60 seconds ahead.
    #[must_use]
    pub const fn danger_leeway(mut self, leeway: Duration) -> Self {
        self.leeway = Setting::Danger(leeway);
        self
    }

    /// Sets how many verdicts are cached, at least one. Defaults to 10,000.
    #[must_use]
    #[doc(alias = "cache_size")]
    pub const fn cache_capacity(mut self, tokens: usize) -> Self {
        self.cache_capacity = tokens;
        self
    }

    /// Also accepts tokens that are encrypted for one of these keys: a JWE that contains a signed JWT (RFC 7519
    /// section 5.2, RFC 9068 section 4).
    ///
    /// Everything is verified of the JWT as usual. A verdict is cached by the hash of the JWE, so a token is
    /// decrypted once. Tokens that are only signed are still accepted, unless
    /// [`require_encrypted_tokens`](Self::require_encrypted_tokens) is set. Issuers of an `IssuerSource` cannot have
    /// encrypted tokens.
    ///
    /// The `kid` of a token selects its key among those of all issuers, so two issuers of a configuration must not have
    /// different keys with the same `kid`. They can have the same keys.
    ///
    /// # Errors
    ///
    /// [`build`](crate::DpopConfigBuilder::build) returns an error of the kind
    /// [`Decryption`](crate::ConfigErrorKind::Decryption) without the feature `josekit`, and for issuers
    /// with the same `kid`.
    ///
    /// # Security
    ///
    /// Anyone can encrypt a token, and so make the server use the private key once per request. The claims of the
    /// proof are checked before, but not its signature. Encryption does not replace the signature of the issuer: it only
    /// hides the claims from the client and everyone else who sees the token.
    ///
    /// ```no_run
    /// use dpop_tower::{Issuer, token::DecryptionKeys};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let keys = DecryptionKeys::from_jwk_set(&std::fs::read_to_string("/etc/orders/token-keys.json")?)?;
    /// let tokens = Issuer::new("https://idp.example.com")
    ///     .jwks_file("/etc/orders/idp-keys.json")
    ///     .audience("https://api.example.com")
    ///     .decryption_keys(keys.clone());
    ///
    /// // Later, when the file has changed:
    /// keys.replace_with(&DecryptionKeys::from_jwk_set(&std::fs::read_to_string("/etc/orders/token-keys.json")?)?);
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "jwe")]
    #[doc(alias = "encrypted_tokens")]
    #[must_use]
    pub fn decryption_keys(mut self, keys: DecryptionKeys) -> Self {
        self.encryption.keys = Some(keys);
        self
    }

    /// Rejects tokens that are signed but not encrypted.
    ///
    /// RFC 9068 section 4 recommends it where the issuer has agreed to encrypt its tokens for this API. Without it,
    /// both kinds are accepted, so that you can give the keys to the API before the issuer begins to encrypt.
    /// Opaque tokens are not affected.
    #[must_use]
    pub const fn require_encrypted_tokens(mut self) -> Self {
        self.encryption.is_required = true;
        self
    }

    /// Also fetches metadata and keys over plain `http` from this machine, for tests.
    ///
    /// The host is a loopback address, `localhost`, or a name that ends in `.localhost`.
    ///
    /// # Security
    ///
    /// Any program on this machine that can take the issuer's port can replace the keys, and then issue any
    /// token.
    #[cfg(feature = "jwks")]
    #[cfg_attr(docsrs, doc(cfg(feature = "jwks")))]
    #[must_use]
    pub const fn danger_allow_plain_http(mut self) -> Self {
        self.plain_http = PlainHttp::Loopback;
        self
    }

    /// Also fetches metadata and keys over plain `http` from any host.
    ///
    /// # Security
    ///
    /// Anyone on the network path can replace the keys, and then issue any token. Use it only if the path
    /// is protected in another way, as by a service mesh that encrypts it.
    #[cfg(feature = "jwks")]
    #[cfg_attr(docsrs, doc(cfg(feature = "jwks")))]
    #[must_use]
    pub const fn danger_allow_plain_http_to_any_host(mut self) -> Self {
        self.plain_http = PlainHttp::AnyHost;
        self
    }

    /// Sets when keys are fetched, and how long they are used. It has no effect on keys of a file or a string.
    #[cfg(feature = "jwks")]
    #[cfg_attr(docsrs, doc(cfg(feature = "jwks")))]
    #[doc(alias = "refresh_interval")]
    #[must_use]
    pub fn key_fetching(mut self, fetching: KeyFetching) -> Self {
        self.fetching = fetching;
        self
    }

    /// Shares fetched keys with all configurations that are given a clone of the same value, such as a
    /// configuration that this one replaces.
    #[cfg(feature = "jwks")]
    #[cfg_attr(docsrs, doc(cfg(feature = "jwks")))]
    #[must_use]
    pub fn fetched_keys(mut self, fetched: FetchedKeys) -> Self {
        self.fetched = fetched;
        self
    }

    /// Rejects tokens that are revoked by a status list of this issuer; see [`StatusLists`].
    #[cfg(feature = "status-list")]
    #[cfg_attr(docsrs, doc(cfg(feature = "status-list")))]
    #[doc(alias = "revocation")]
    #[must_use]
    pub fn status_lists(mut self, lists: StatusLists) -> Self {
        self.status_lists = Some(lists);
        self
    }

    /// Also accepts opaque tokens of this issuer, which is asked about them (RFC 7662).
    ///
    /// A token that has not the form of a JWT is an opaque one. It does not name its issuer, so one issuer of
    /// a configuration can have opaque tokens. Without a source of keys, the issuer has opaque tokens only.
    ///
    /// The [`Introspection`] is one of the same issuer, with its own audiences, caches and limits. Tokens of an
    /// [`IssuerSource`] cannot be opaque.
    ///
    /// ```
    /// # #[cfg(any(feature = "aws-lc-rs", feature = "josekit"))] {
    /// use dpop_tower::{
    ///     DpopConfig, Issuer, PublicOrigin,
    ///     token::{ClientSecret, Introspection},
    /// };
    ///
    /// # let secret_from_a_file = "7Fjfp0ZBr1KtDRbnfVdmIw";
    /// let introspection = Introspection::discover("https://a.example.com")
    ///     .client_secret_basic("orders-api", ClientSecret::new(secret_from_a_file)?)
    ///     .audience("https://api.example.com");
    /// let a = Issuer::discover("https://a.example.com")
    ///     .audience("https://api.example.com")
    ///     .opaque_tokens(introspection);
    /// let b = Issuer::discover("https://b.example.com").audience("https://api.example.com");
    /// let config = DpopConfig::builder(PublicOrigin::new("https://api.example.com")?, [a, b]).build()?;
    /// # }
    /// # Ok::<(), dpop_tower::ConfigError>(())
    /// ```
    #[cfg(feature = "introspection")]
    #[cfg_attr(docsrs, doc(cfg(feature = "introspection")))]
    #[doc(alias = "introspection")]
    #[must_use]
    pub fn opaque_tokens(mut self, introspection: Introspection) -> Self {
        self.introspection = Some(Box::new(introspection));
        self
    }

    #[cfg(feature = "introspection")]
    pub(super) const fn has_opaque_tokens(&self) -> bool {
        self.introspection.is_some()
    }

    #[cfg(feature = "jwks")]
    pub(super) const fn has_decryption_keys(&self) -> bool {
        self.encryption.keys.is_some()
    }

    /// Returns whether all tokens are opaque.
    const fn has_no_jwts(&self) -> bool {
        #[cfg(feature = "introspection")]
        return self.introspection.is_some() && matches!(self.keys, Keys::NotGiven);
        #[cfg(not(feature = "introspection"))]
        return false;
    }

    #[cfg_attr(
        not(feature = "jwks"),
        expect(unused_variables, reason = "keys that are given have no age")
    )]
    pub(super) fn build(
        mut self,
        crypto: &Arc<dyn CryptoProvider>,
        clock: &Arc<dyn TimeSource>,
    ) -> Result<IssuerVerifier, ConfigError> {
        let reject =
            |message: &'static str| Err(ConfigError::new(ConfigErrorKind::AccessTokens, message));
        #[cfg(feature = "jwks")]
        if let Keys::Url(url) = &self.keys {
            issuer::check_jwks_url(&self.issuer, url)?;
        }
        issuer::check_issuer(&self.issuer)?;
        if self.checks.audiences.is_empty() && !self.has_no_jwts() {
            return reject("no audience: name this API with `Issuer::audience`");
        }
        if self.checks.audiences.iter().any(String::is_empty) {
            return reject("an audience is empty");
        }
        self.checks.types.check()?;
        if let Some(name) = &self.checks.scope_claim {
            claim_names::check_scope_claim(name)?;
        }
        if let Some(name) = &self.checks.client_id_claim {
            claim_names::check_client_id_claim(name)?;
        }
        self.checks.leeway = TOKEN_LEEWAY.check(self.leeway)?;
        crate::crypto::check_algorithms(&self.checks.algorithms, &**crypto)?;
        self.encryption.check(self.has_no_jwts())?;
        #[cfg(feature = "jwks")]
        let intervals = self.fetching.check()?;
        let fixed = |jwks: &[u8]| {
            KeySet::parse(jwks, &self.checks.algorithms, &**crypto)
                .map(|keys| Arc::new(FixedKeys::new(keys)))
                .map_err(|error| {
                    ConfigError::new(
                        ConfigErrorKind::Keys,
                        format!("the issuer's JWK Set cannot be used: {error}"),
                    )
                })
        };
        let keys: Arc<dyn KeySource> = match &self.keys {
            // No JWT has an audience that is accepted.
            Keys::NotGiven if self.has_no_jwts() => Arc::new(FixedKeys::default()),
            Keys::NotGiven => {
                return Err(ConfigError::new(
                    ConfigErrorKind::AccessTokens,
                    "it is not said where the issuer's keys are: give `jwks_url`, `jwks_file` or `jwks` after \
                     `Issuer::new`, or begin with `Issuer::discover`",
                ));
            }
            Keys::Inline(jwks) => fixed(jwks.as_bytes())?,
            Keys::File(path) => {
                let jwks = std::fs::read(path).map_err(|error| {
                    ConfigError::new(
                        ConfigErrorKind::Keys,
                        format!(
                            "the issuer's JWK Set cannot be read from {}",
                            path.display()
                        ),
                    )
                    .with_source(error)
                })?;
                fixed(&jwks)?
            }
            #[cfg(feature = "jwks")]
            Keys::Discover | Keys::Url(_) => {
                let endpoint = match &self.keys {
                    Keys::Url(url) => Endpoint::jwks(url, self.plain_http)?,
                    _ => Endpoint::discover(&self.issuer, self.plain_http)?,
                };
                let algorithms = self.checks.algorithms.clone();
                Arc::new(self.fetched.of(
                    endpoint,
                    intervals,
                    algorithms,
                    Arc::clone(crypto),
                    clock,
                )?)
            }
        };
        #[cfg(feature = "introspection")]
        let introspection = match self.introspection {
            Some(introspection) if introspection.identifier() != self.issuer => {
                return reject(
                    "the introspection of its opaque tokens is one of another issuer: give both the same",
                )
                .map_err(ConfigError::about_introspection);
            }
            Some(introspection) => Some(introspection.build(crypto, clock)?),
            None => None,
        };
        #[cfg(feature = "status-list")]
        let status = match self.status_lists {
            None => None,
            Some(lists) => {
                let checks = &self.checks;
                let (algorithms, leeway) = (&checks.algorithms, checks.leeway);
                let issuer = &self.issuer;
                let lists = lists.build(issuer, algorithms, leeway, self.plain_http, &keys, clock);
                Some(lists.map_err(ConfigError::about_status_lists)?)
            }
        };
        Ok(IssuerVerifier {
            #[cfg(feature = "status-list")]
            status,
            checks: self.checks,
            keys,
            encryption: self.encryption,
            #[cfg(feature = "jwks")]
            currency: None,
            #[cfg(feature = "introspection")]
            introspection,
        })
    }

    pub(super) fn identifier(&self) -> &str {
        &self.issuer
    }

    pub(super) const fn tokens(&self) -> usize {
        self.cache_capacity
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer")
            .field("checks", &self.checks)
            .field("leeway", &self.leeway)
            .field("cache_capacity", &self.cache_capacity)
            .field("encryption", &self.encryption)
            .finish_non_exhaustive()
    }
}
