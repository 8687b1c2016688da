//! Access tokens: what a verifier has to say about them, and the one for JWTs (RFC 9068).

mod bound;
mod claims;
mod error;
mod jwt;

#[cfg(feature = "jwks")]
#[cfg_attr(docsrs, doc(cfg(feature = "jwks")))]
pub use crate::keys::FetchedKeys;

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

/// Decides whether an access token is genuine, active and for this API.
///
/// Not whether the caller may use it: the binding to a key is checked by the layer, from the `cnf`
/// claim of what is returned.
///
/// # Security
///
/// A false positive admits anyone who can write such a token. A false negative rejects a good
/// client. Anything that cannot be decided (keys or an endpoint out of reach) is
/// [`TokenError::unavailable`], never a verdict.
///
/// A token that an authorization server calls inactive is [`TokenErrorKind::Inactive`]:
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
/// If the returned future is dropped, the request is given up; nothing may depend on its completion.
#[doc(alias = "introspection")]
pub trait TokenVerifier: fmt::Debug + Send + Sync + 'static {
    /// Verifies a token at the time `now`.
    fn verify(
        &self,
        token: PresentedToken<'_>,
        now: UnixTime,
    ) -> MaybeReady<Result<VerifiedToken, TokenError>>;
}

/// An access token as it stands in the `Authorization` header: at most 16 KiB of the characters of
/// a `token68` (RFC 9110 section 11.2).
#[derive(Clone, Copy)]
pub struct PresentedToken<'a> {
    text: &'a str,
    ath: Ath,
}

impl<'a> PresentedToken<'a> {
    pub(crate) const fn new(text: &'a str, ath: Ath) -> Self {
        Self { text, ath }
    }

    /// The token. It must not be logged.
    pub const fn expose(&self) -> &'a str {
        self.text
    }

    /// The token's hash, which was computed for the proof and may serve as the key of a cache.
    pub const fn ath(&self) -> Ath {
        self.ath
    }
}

impl fmt::Debug for PresentedToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PresentedToken(..)")
    }
}

/// How access tokens are verified: an [`Issuer`], or a [`TokenVerifier`] of your own, as a value or in an
/// [`Arc`].
#[derive(Debug)]
pub struct Tokens(Source);

#[derive(Debug)]
enum Source {
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
            Source::Jwt(tokens) => Ok(Arc::new(tokens.build(crypto, clock)?)),
            Source::Custom(verifier) => Ok(verifier),
        }
    }
}

/// What [`Tokens`] can be made of: what [`DpopConfig::builder`](crate::DpopConfig::builder) takes second.
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
