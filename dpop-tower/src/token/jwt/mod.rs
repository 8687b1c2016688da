mod issuer;
mod parse;
mod verifier;

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use self::verifier::JwtVerifier;
#[cfg(feature = "jwks")]
use crate::keys::{Endpoint, FetchedKeys};
use crate::{
    clock::TimeSource,
    crypto::{Algorithm, CryptoProvider},
    error::{ConfigError, ConfigErrorKind},
    keys::{FixedKeys, KeySet, KeySource},
    proof::{Setting, TOKEN_LEEWAY},
};

const DEFAULT_LEEWAY: Duration = Duration::from_secs(10);

/// Access tokens that are JWTs of one issuer (RFC 9068).
///
/// A token has to be signed with a key of the issuer, name the issuer and one of the configured
/// audiences, be active, and have the `typ` `at+jwt`. Its keys come from where the constructor says.
///
/// The verdict on a token is kept, under the token's hash, so a token that was seen before costs no
/// second signature check. A kept verdict ends with the token's `exp`, and as soon as the issuer
/// withdraws the key that signed it.
///
/// ```
/// use dpop_tower::Issuer;
///
/// let tokens = Issuer::discover("https://idp.example.com").audience("https://api.example.com");
/// ```
pub struct Issuer {
    issuer: String,
    keys: Keys,
    checks: parse::Checks,
    leeway: Setting,
    cache_capacity: usize,
    #[cfg(feature = "jwks")]
    plain_http: bool,
    #[cfg(feature = "jwks")]
    fetched: FetchedKeys,
}

enum Keys {
    #[cfg(feature = "jwks")]
    Discover,
    #[cfg(feature = "jwks")]
    Url(String),
    File(PathBuf),
    Inline(String),
}

impl Issuer {
    fn new(issuer: impl Into<String>, keys: Keys) -> Self {
        let issuer = issuer.into();
        Self {
            checks: parse::Checks {
                issuer: issuer.clone(),
                audiences: Vec::new(),
                algorithms: Algorithm::DEFAULT.to_vec(),
                leeway: DEFAULT_LEEWAY,
                typ_jwt: false,
                scope_claim: None,
            },
            leeway: Setting::Plain(DEFAULT_LEEWAY),
            issuer,
            keys,
            cache_capacity: 10_000,
            #[cfg(feature = "jwks")]
            plain_http: false,
            #[cfg(feature = "jwks")]
            fetched: FetchedKeys::new(),
        }
    }

    /// Tokens of `issuer`, whose keys are found through its metadata: the document of RFC 8414, or
    /// that of OpenID Connect Discovery if the first does not help (no answer, a status other than
    /// 200, no JSON, no `jwks_uri`, another issuer).
    ///
    /// Nothing is fetched before the first token arrives. Fetching is a task of its own on the tokio
    /// runtime of the request that needs it, so that runtime has to have I/O and time enabled. There
    /// is one attempt at a time, it takes ten seconds at most, and it continues when the request is
    /// given up.
    ///
    /// - Keys older than five minutes are fetched anew in the background. They serve until they are
    ///   an hour old, whatever the issuer does.
    /// - Without such keys, a request waits for one attempt. If that fails, the request is rejected
    ///   with [`KeysUnavailable`](crate::token::TokenErrorKind::KeysUnavailable), and so is every
    ///   other at once during the next five seconds.
    /// - A token with an unknown `kid`, or with a signature that does not verify, waits for one
    ///   attempt, since the issuer may have a new key. All such tokens together cause at most one
    ///   attempt in 30 seconds; in between they are rejected at once.
    ///
    /// Keys are accepted as real issuers publish them: members that are `null` or empty count as
    /// absent, and numbers may have padding and leading zeros. A key that cannot be used is skipped
    /// and logged at `warn`.
    #[cfg(feature = "jwks")]
    #[cfg_attr(docsrs, doc(cfg(feature = "jwks")))]
    pub fn discover(issuer: impl Into<String>) -> Self {
        Self::new(issuer, Keys::Discover)
    }

    /// Tokens of `issuer`, whose keys are at `url`; fetched as with [`discover`](Self::discover).
    ///
    /// Arguments that are likely swapped are an error when the configuration is built.
    #[cfg(feature = "jwks")]
    #[cfg_attr(docsrs, doc(cfg(feature = "jwks")))]
    pub fn jwks_url(issuer: impl Into<String>, url: impl Into<String>) -> Self {
        Self::new(issuer, Keys::Url(url.into()))
    }

    /// Tokens of `issuer`, whose keys are in a file (a JWK Set, RFC 7517 section 5), read once when
    /// the configuration is built.
    pub fn jwks_file(issuer: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self::new(issuer, Keys::File(path.into()))
    }

    /// Tokens of `issuer`, whose keys are given here as the JSON of a JWK Set (RFC 7517 section 5).
    pub fn jwks(issuer: impl Into<String>, jwks: impl Into<String>) -> Self {
        Self::new(issuer, Keys::Inline(jwks.into()))
    }

    /// Adds a value that a token's `aud` may have: usually the identifier of this API. At least one
    /// is needed, since a token for another API must not work here (RFC 9068 section 4).
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.checks.audiences.push(audience.into());
        self
    }

    /// The algorithms that tokens may be signed with; [`Algorithm::DEFAULT`] unless set.
    #[must_use]
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.checks.algorithms = algorithms.into_iter().collect();
        self
    }

    /// How far `nbf` and `iat` may lie in the future: whole seconds, up to 60; 10 unless set. `exp` has
    /// no leeway.
    #[must_use]
    pub const fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = Setting::Plain(leeway);
        self
    }

    /// As [`leeway`](Self::leeway), up to an hour.
    ///
    /// # Security
    ///
    /// A token is accepted this long before the issuer means it to be. The FAPI 2.0 Security Profile has
    /// servers reject an `iat` or `nbf` that is more than 60 seconds ahead.
    #[must_use]
    pub const fn danger_leeway(mut self, leeway: Duration) -> Self {
        self.leeway = Setting::Danger(leeway);
        self
    }

    /// How many verdicts are kept; 10,000 unless set, at least one.
    #[must_use]
    pub const fn cache_capacity(mut self, tokens: usize) -> Self {
        self.cache_capacity = tokens;
        self
    }

    /// Takes the scopes of a token from this claim instead of `scope`: `scp`, `permissions`, `roles` or
    /// whatever the issuer calls it. It may be a text, with scopes separated by spaces, or an array of
    /// texts. [`ClaimSet::scopes`](super::ClaimSet::scopes) and policies go by it, and no longer by
    /// `scope`.
    #[must_use]
    pub fn scope_claim(mut self, name: impl Into<String>) -> Self {
        self.checks.scope_claim = Some(name.into().into());
        self
    }

    /// Also accepts the `typ` `JWT`, and tokens without any `typ`, for issuers that do not send
    /// `at+jwt`. Every other `typ` is rejected all the same.
    ///
    /// # Security
    ///
    /// The `typ` keeps other JWTs of the same issuer, ID tokens above all, from passing as access
    /// tokens (RFC 9068 section 5). With this, only the audience does.
    #[must_use]
    pub const fn danger_accept_typ_jwt(mut self) -> Self {
        self.checks.typ_jwt = true;
        self
    }

    /// Also fetches metadata and keys over plain `http`, for tests on one machine.
    ///
    /// # Security
    ///
    /// Whoever is on the path can replace the keys, and with them write any token.
    #[cfg(feature = "jwks")]
    #[cfg_attr(docsrs, doc(cfg(feature = "jwks")))]
    #[must_use]
    pub const fn danger_allow_plain_http(mut self) -> Self {
        self.plain_http = true;
        self
    }

    /// Shares what is fetched with other configurations that are given a clone of the same value, such
    /// as the one that this one replaces.
    #[cfg(feature = "jwks")]
    #[cfg_attr(docsrs, doc(cfg(feature = "jwks")))]
    #[must_use]
    pub fn fetched_keys(mut self, fetched: FetchedKeys) -> Self {
        self.fetched = fetched;
        self
    }

    #[cfg_attr(
        not(feature = "jwks"),
        expect(unused_variables, reason = "keys that are given have no age")
    )]
    pub(super) fn build(
        mut self,
        crypto: &Arc<dyn CryptoProvider>,
        clock: &Arc<dyn TimeSource>,
    ) -> Result<JwtVerifier, ConfigError> {
        let reject =
            |message: &'static str| Err(ConfigError::new(ConfigErrorKind::AccessTokens, message));
        #[cfg(feature = "jwks")]
        if let Keys::Url(url) = &self.keys {
            issuer::check_jwks_url(&self.issuer, url)?;
        }
        issuer::check_issuer(&self.issuer)?;
        if self.checks.audiences.is_empty() {
            return reject("no audience: name this API with `Issuer::audience`");
        }
        if self.checks.audiences.iter().any(String::is_empty) {
            return reject("an audience is empty");
        }
        if let Some(name) = &self.checks.scope_claim {
            check_scope_claim(name)?;
        }
        self.checks.leeway = TOKEN_LEEWAY.check(self.leeway)?;
        crate::crypto::check_algorithms(&self.checks.algorithms, &**crypto)?;
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
                Arc::new(
                    self.fetched
                        .of(endpoint, algorithms, Arc::clone(crypto), clock)?,
                )
            }
        };
        Ok(JwtVerifier::new(self.checks, keys, self.cache_capacity))
    }
}

/// What a claim of these names says is not what its bearer may do (RFC 7519 section 4.1, RFC 7800, RFC
/// 8693, RFC 9068).
const NO_SCOPES: [&str; 14] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "cnf",
    "azp",
    "client_id",
    "acr",
    "amr",
    "auth_time",
    "act",
];

fn check_scope_claim(name: &str) -> Result<(), ConfigError> {
    let why = if name.is_empty() {
        "is empty"
    } else if NO_SCOPES.contains(&name) {
        "means something else in every token"
    } else {
        return Ok(());
    };
    let message = format!(
        "the claim {name:?} {why}: give `Issuer::scope_claim` the one that has the scopes, such as \
         \"scp\", or leave it out for \"scope\""
    );
    Err(ConfigError::new(ConfigErrorKind::ScopeClaim, message))
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer")
            .field("checks", &self.checks)
            .field("leeway", &self.leeway)
            .field("cache_capacity", &self.cache_capacity)
            .finish_non_exhaustive()
    }
}
