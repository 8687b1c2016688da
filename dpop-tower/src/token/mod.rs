//! Access tokens: the verifier for JWTs (RFC 9068), and the trait for a verifier of your own.
//!
//! [`DpopConfig::builder`](crate::DpopConfig::builder) takes one of these as its second argument:
//!
//! | tokens | argument |
//! |---|---|
//! | JWTs of an issuer with metadata (RFC 8414 or OpenID Connect Discovery) | `Issuer::discover(…)` |
//! | JWTs of an issuer without metadata, or with keys in a file | [`Issuer::new`] and where its keys are |
//! | opaque tokens of an issuer that is asked about them (RFC 7662), with the feature `introspection` | `Introspection` |
//! | any other tokens, several issuers | your own [`TokenVerifier`] |
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

mod bound;
mod claims;
mod error;
#[cfg(feature = "introspection")]
mod introspection;
mod jwt;

#[cfg(feature = "jwks")]
#[cfg_attr(docsrs, doc(cfg(feature = "jwks")))]
pub use crate::keys::FetchedKeys;

#[cfg(feature = "introspection")]
#[cfg_attr(docsrs, doc(cfg(feature = "introspection")))]
pub use self::introspection::{ClientSecret, ClientSigningKey, Introspection};
pub use self::{
    bound::{BearerToken, BoundToken},
    claims::{ClaimSet, ClaimsMismatch, Confirmation, VerifiedToken},
    error::{TokenError, TokenErrorKind},
    jwt::Issuer,
};

use std::{fmt, sync::Arc};

use crate::{
    clock::{TimeSource, UnixTime},
    crypto::CryptoProvider,
    error::ConfigError,
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

/// The verifier of access tokens: an [`Issuer`], or your own [`TokenVerifier`], as a value or in an [`Arc`].
#[derive(Debug)]
pub struct Tokens(Source);

#[derive(Debug)]
enum Source {
    #[cfg(feature = "introspection")]
    Introspection(Box<Introspection>),
    Jwt(Box<Issuer>),
    Custom(Arc<dyn TokenVerifier>),
}

impl Tokens {
    pub(crate) fn build(
        self,
        crypto: &Arc<dyn CryptoProvider>,
        clock: &Arc<dyn TimeSource>,
    ) -> Result<Arc<dyn TokenVerifier>, ConfigError> {
        match self.0 {
            #[cfg(feature = "introspection")]
            Source::Introspection(tokens) => Ok(Arc::new(tokens.build(crypto, clock)?)),
            Source::Jwt(tokens) => Ok(Arc::new(tokens.build(crypto, clock)?)),
            Source::Custom(verifier) => Ok(verifier),
        }
    }
}

/// The second argument of [`DpopConfig::builder`](crate::DpopConfig::builder), which becomes [`Tokens`].
///
/// It is implemented for an [`Issuer`] and for every [`TokenVerifier`], as a value or in an [`Arc`].
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
    fn from(tokens: Issuer) -> Self {
        Self(Source::Jwt(Box::new(tokens)))
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
