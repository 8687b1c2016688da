//! Access tokens: the verifier for JWTs (RFC 9068), and the trait for a verifier of your own.
//!
//! [`DpopConfig::builder`](crate::DpopConfig::builder) takes one of these as its second argument:
//!
//! | tokens | argument |
//! |---|---|
//! | JWTs of an issuer with metadata (RFC 8414 or OpenID Connect Discovery) | `Issuer::discover(…)` |
//! | JWTs of an issuer without metadata, or with keys in a file | [`Issuer::new`] and where its keys are |
//! | JWTs of several issuers | an array or a `Vec` of [`Issuer`]s |
//! | JWTs of issuers that change at run time | `DynamicIssuers` |
//! | opaque tokens of an issuer that is asked about them (RFC 7662), with the feature `introspection` | `Introspection`, or `Issuer::opaque_tokens` beside JWTs and other issuers |
//! | any other tokens | your own [`TokenVerifier`] |
//!
//! A handler gets the verified token as a [`BoundToken`], or as a [`BearerToken`] where a policy admits
//! unbound tokens.
//!
//! # Example
//!
//! ```
//! use dpop_tower::BoundToken;
//! use serde::Deserialize;
//!
//! #[derive(Deserialize)]
//! struct Claims {
//!     sub: String,
//!     tenant: Option<String>,
//! }
//!
//! // With the feature `axum`, this is a handler.
//! async fn orders(token: BoundToken<Claims>) -> String {
//!     let tenant = token.claims().tenant.as_deref().unwrap_or("no tenant");
//!     format!("{} of {tenant} with key {}", token.claims().sub, token.thumbprint())
//! }
//! # let _ = orders;
//! ```

//!
//! # Several issuers
//!
//! Each [`Issuer`] has its own audiences, algorithms, keys and token types. The `iss` of a token selects its
//! issuer before a key is used, and then everything is verified by the rules of that issuer, `iss`
//! included. A token of an unknown issuer is rejected without a fetch.
//!
//! ```
//! # #[cfg(all(feature = "jwks", any(feature = "aws-lc-rs", feature = "josekit")))] {
//! use dpop_tower::{DpopConfig, Issuer, Policy, PolicyTable, PublicOrigin, crypto::Algorithm};
//!
//! let staff = Issuer::discover("https://staff.example.com").audience("https://api.example.com");
//! let partners = Issuer::discover("https://partners.example.com")
//!     .audience("urn:example:api")
//!     .algorithms([Algorithm::Es256]);
//! let origin = PublicOrigin::new("https://api.example.com")?;
//! let config = DpopConfig::builder(origin, [staff, partners]).build()?;
//!
//! let policies = PolicyTable::builder()
//!     .route("/admin/{*rest}", Policy::strict().require_issuer("https://staff.example.com"))
//!     .otherwise(Policy::strict())
//!     .build()?;
//! # }
//! # Ok::<(), dpop_tower::ConfigError>(())
//! ```
//!
//! A subject is unique within its issuer only. [`BoundToken::principal`] returns both.

mod bound;
mod claims;
mod details;
mod error;
mod facts;
#[cfg(feature = "introspection")]
mod introspection;
mod jwt;
mod readiness;
#[cfg(feature = "status-list")]
mod status_list;

pub(crate) use self::facts::{IssuerFacts, TokensFacts};
#[cfg(feature = "jwks")]
#[cfg_attr(docsrs, doc(cfg(feature = "jwks")))]
pub use self::jwt::{DynamicIssuers, IssuerSource};
pub use crate::keys::KeyState;
#[cfg(feature = "jwks")]
#[cfg_attr(docsrs, doc(cfg(feature = "jwks")))]
pub use crate::keys::{FetchedKeys, KeyFetching};

#[cfg(feature = "introspection")]
#[cfg_attr(docsrs, doc(cfg(feature = "introspection")))]
pub use self::introspection::{ClientSecret, ClientSigningKey, Introspection};
#[cfg(feature = "status-list")]
#[cfg_attr(docsrs, doc(cfg(feature = "status-list")))]
pub use self::status_list::StatusLists;
pub use self::{
    bound::{BearerToken, BoundToken, CertificateBoundToken},
    claims::{ClaimSet, ClaimsMismatch, Confirmation, Principal, VerifiedToken},
    details::{Actor, AuthorizationDetails},
    error::{TokenError, TokenErrorKind},
    jwt::{DecryptionKeys, Issuer},
    readiness::{Readiness, WarmUpError},
};

use std::{collections::HashSet, fmt, sync::Arc};

use self::jwt::{Issuers, JwtVerifier};
use crate::{
    clock::{TimeSource, UnixTime},
    crypto::CryptoProvider,
    error::{ConfigError, ConfigErrorKind},
    future::MaybeReady,
    proof::Ath,
};

/// The maximum length of an access token in bytes. Longer ones are rejected before they are hashed or
/// decoded.
pub const MAX_TOKEN_LEN: usize = 16 * 1024;

/// Decides whether an access token is genuine, active and issued for this API.
///
/// It does not decide whether the caller may use the token. The layer compares the `cnf` claim of the
/// result with the key of the proof.
///
/// # Security
///
/// A false positive admits anyone who can write such a token. A false negative rejects a good client. If
/// the verifier cannot decide, because keys or an endpoint are out of reach, it returns
/// [`TokenError::unavailable`] and never a verdict.
///
/// A verifier of your own has to check that the token was issued for this API (its audience), and that it
/// has not expired at `now`. It must pass on the `cnf` claim unchanged. Without `cnf`, the token counts as
/// unbound.
///
/// # Example
///
/// A token that the authorization server reports as inactive is rejected with
/// [`TokenErrorKind::Inactive`]:
///
/// ```
/// use dpop_tower::{
///     clock::UnixTime,
///     future::MaybeReady,
///     token::{PresentedToken, TokenError, TokenErrorKind, TokenVerifier, VerifiedToken},
/// };
/// use serde_json::{Map, Value};
///
/// #[derive(Debug)]
/// struct Introspection;
///
/// impl Introspection {
///     /// Asks the endpoint of RFC 7662 for what it knows of the token.
///     async fn ask(token: String) -> std::io::Result<Map<String, Value>> {
///         # let _ = token;
///         # Err(std::io::ErrorKind::TimedOut.into())
///     }
/// }
///
/// impl TokenVerifier for Introspection {
///     fn verify(
///         &self,
///         token: PresentedToken<'_>,
///         _now: UnixTime,
///     ) -> MaybeReady<Result<VerifiedToken, TokenError>> {
///         let answer = Self::ask(token.expose().to_owned());
///         MaybeReady::pending(async {
///             let claims = answer.await.map_err(TokenError::unavailable)?;
///             if claims.get("active") != Some(&Value::Bool(true)) {
///                 return Err(TokenErrorKind::Inactive.into());
///             }
///             VerifiedToken::new(claims)
///         })
///     }
/// }
/// ```
///
/// # Cancel safety
///
/// If the returned future is dropped, the request is abandoned. Nothing may depend on its completion.
#[doc(alias = "introspection")]
pub trait TokenVerifier: fmt::Debug + Send + Sync + 'static {
    /// Verifies a token at the time `now`.
    ///
    /// # Errors
    ///
    /// The future yields a [`TokenError`] if the token is not valid, or
    /// [`TokenError::unavailable`] if that cannot be decided.
    fn verify(
        &self,
        token: PresentedToken<'_>,
        now: UnixTime,
    ) -> MaybeReady<Result<VerifiedToken, TokenError>>;

    /// Fetches what the verifier needs and does not have, such as keys.
    /// [`DpopConfig::warm_up`](crate::DpopConfig::warm_up) calls it.
    ///
    /// The default implementation does nothing.
    ///
    /// # Errors
    ///
    /// The future yields a [`WarmUpError`] if the verifier cannot verify tokens yet.
    fn warm_up(&self) -> MaybeReady<Result<(), WarmUpError>> {
        MaybeReady::ready(Ok(()))
    }

    /// Returns whether the verifier can verify tokens, without fetching anything.
    /// [`DpopConfig::readiness`](crate::DpopConfig::readiness) calls it.
    ///
    /// The default implementation has no issuers, and is always ready.
    fn readiness(&self) -> Readiness {
        Readiness::default()
    }
}

/// An access token as it is in the `Authorization` header.
///
/// It has at most [`MAX_TOKEN_LEN`] characters, which are those of a `token68` (RFC 9110 section 11.2).
/// `Debug` hides it.
#[derive(Clone, Copy)]
pub struct PresentedToken<'a> {
    text: &'a str,
    ath: Ath,
}

impl<'a> PresentedToken<'a> {
    pub(crate) const fn new(text: &'a str, ath: Ath) -> Self {
        Self { text, ath }
    }

    /// Returns the token. Do not log it.
    pub const fn expose(&self) -> &'a str {
        self.text
    }

    /// Returns the token's hash, which was computed for the proof. Use it as the key of a cache.
    pub const fn ath(&self) -> Ath {
        self.ath
    }
}

impl fmt::Debug for PresentedToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PresentedToken(..)")
    }
}

/// What verifies access tokens: an [`Issuer`], several in an array or a `Vec`, `DynamicIssuers`, or your own
/// [`TokenVerifier`], as a value or in an [`Arc`].
#[derive(Debug)]
pub struct Tokens(Source);

#[derive(Debug)]
enum Source {
    Issuers(Vec<Issuer>),
    #[cfg(feature = "jwks")]
    Dynamic(DynamicIssuers),
    #[cfg(feature = "introspection")]
    Introspection(Box<Introspection>),
    Custom(Arc<dyn TokenVerifier>),
    None,
}

impl Tokens {
    /// Returns what accepts no token, for a configuration that only verifies requests for tokens.
    pub(crate) const fn none() -> Self {
        Self(Source::None)
    }

    /// Returns the identifiers of the issuers, if they are part of the configuration.
    pub(crate) fn issuers(&self) -> Option<Vec<String>> {
        match &self.0 {
            Source::Issuers(issuers) => Some(
                (issuers.iter())
                    .map(|issuer| issuer.identifier().to_owned())
                    .collect(),
            ),
            #[cfg(feature = "jwks")]
            Source::Dynamic(_) => None,
            #[cfg(feature = "introspection")]
            Source::Introspection(tokens) => Some(vec![tokens.identifier().to_owned()]),
            Source::Custom(_) | Source::None => None,
        }
    }

    pub(crate) fn build(
        self,
        crypto: &Arc<dyn CryptoProvider>,
        clock: &Arc<dyn TimeSource>,
    ) -> Result<Arc<dyn TokenVerifier>, ConfigError> {
        let (issuers, capacity) = match self.0 {
            Source::Issuers(issuers) => {
                let capacity = issuers.iter().map(Issuer::tokens).sum();
                (build_all(issuers, crypto, clock)?, capacity)
            }
            #[cfg(feature = "jwks")]
            Source::Dynamic(issuers) => {
                let capacity = issuers.tokens();
                let set = Arc::new(issuers.build(crypto, clock)?);
                (Issuers::Dynamic(set), capacity)
            }
            #[cfg(feature = "introspection")]
            Source::Introspection(tokens) => return Ok(Arc::new(tokens.build(crypto, clock)?)),
            Source::Custom(verifier) => return Ok(verifier),
            Source::None => return Ok(Arc::new(NoTokens)),
        };
        Ok(Arc::new(JwtVerifier::new(issuers, capacity)))
    }
}

/// Accepts no token.
#[derive(Debug)]
struct NoTokens;

impl TokenVerifier for NoTokens {
    fn verify(
        &self,
        _: PresentedToken<'_>,
        _: UnixTime,
    ) -> MaybeReady<Result<VerifiedToken, TokenError>> {
        MaybeReady::ready(Err(TokenErrorKind::IssuerMismatch.into()))
    }
}

fn build_all(
    issuers: Vec<Issuer>,
    crypto: &Arc<dyn CryptoProvider>,
    clock: &Arc<dyn TimeSource>,
) -> Result<Issuers, ConfigError> {
    let is_one_of_several = issuers.len() > 1;
    let reject = |message: &'static str| ConfigError::new(ConfigErrorKind::AccessTokens, message);
    if issuers.is_empty() {
        return Err(reject("there is no issuer: give at least one"));
    }
    let mut names = HashSet::new();
    let mut verifiers = Vec::new();
    for issuer in issuers {
        let name = issuer.identifier().to_owned();
        let verifier = if names.insert(name.clone()) {
            issuer.build(crypto, clock)
        } else {
            let message = "it is given twice: give all of its audiences to one `Issuer`";
            Err(reject(message))
        };
        let named = |error: ConfigError| match is_one_of_several {
            true => error.with_issuer(name),
            false => error,
        };
        verifiers.push(verifier.map_err(named)?);
    }
    Issuers::fixed(verifiers)
}

/// The second argument of [`DpopConfig::builder`](crate::DpopConfig::builder), which becomes [`Tokens`].
///
/// It is implemented for an [`Issuer`], for an array or a `Vec` of them, for `DynamicIssuers`, and for every
/// [`TokenVerifier`], as a value or in an [`Arc`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot verify access tokens",
    label = "does not implement `TokenVerifier`",
    note = "give \
            `Issuer::discover(\"https://idp.example.com\").audience(\"https://api.example.com\")`, \
            or a type of your own that implements `TokenVerifier`; a value that implements it is \
            given as it is, or in an `Arc`"
)]
pub trait IntoTokens: Into<Tokens> {}

impl<T: Into<Tokens>> IntoTokens for T {}

impl From<Issuer> for Tokens {
    fn from(issuer: Issuer) -> Self {
        vec![issuer].into()
    }
}

/// Each issuer has its own audiences, algorithms and keys. The `iss` of a token selects its issuer.
impl From<Vec<Issuer>> for Tokens {
    fn from(issuers: Vec<Issuer>) -> Self {
        Self(Source::Issuers(issuers))
    }
}

impl<const N: usize> From<[Issuer; N]> for Tokens {
    fn from(issuers: [Issuer; N]) -> Self {
        Vec::from(issuers).into()
    }
}

#[cfg(feature = "jwks")]
#[cfg_attr(docsrs, doc(cfg(feature = "jwks")))]
impl From<DynamicIssuers> for Tokens {
    fn from(issuers: DynamicIssuers) -> Self {
        Self(Source::Dynamic(issuers))
    }
}

#[cfg(feature = "introspection")]
impl From<Introspection> for Tokens {
    fn from(tokens: Introspection) -> Self {
        Self(Source::Introspection(Box::new(tokens)))
    }
}

impl From<Arc<dyn TokenVerifier>> for Tokens {
    fn from(verifier: Arc<dyn TokenVerifier>) -> Self {
        Self(Source::Custom(verifier))
    }
}

impl<T: TokenVerifier> From<Arc<T>> for Tokens {
    fn from(verifier: Arc<T>) -> Self {
        Self(Source::Custom(verifier))
    }
}

impl<T: TokenVerifier> From<T> for Tokens {
    fn from(verifier: T) -> Self {
        Self(Source::Custom(Arc::new(verifier)))
    }
}
