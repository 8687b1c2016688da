use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use http::HeaderValue;

use super::{ClientError, ClientErrorKind, DpopClient};
use crate::future::MaybeReady;

/// An access token that is bound to the key of a [`DpopClient`].
///
/// It keeps the value of the `Authorization` header and, once a proof was made for it, the hash that goes into
/// proofs. Clones share both. `Debug` shows neither.
///
/// As a [`TokenSource`], it is the token of every request.
#[derive(Clone)]
pub struct AccessToken(Arc<Inner>);

struct Inner {
    authorization: HeaderValue,
    /// The text of the claim.
    ath: OnceLock<Arc<str>>,
}

const SCHEME: &str = "DPoP ";

impl AccessToken {
    /// Takes an access token as the issuer sent it, with the `token_type` `DPoP`.
    ///
    /// # Errors
    ///
    /// Returns an error of the kind [`Token`](ClientErrorKind::Token) if the text is not a `token68` (RFC 9110
    /// section 11.2), which every access token is.
    ///
    /// # Example
    ///
    /// ```
    /// use dpop_tower::client::AccessToken;
    ///
    /// let token = AccessToken::new("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU")?;
    /// assert!(AccessToken::new("two words").is_err());
    /// # Ok::<(), dpop_tower::client::ClientError>(())
    /// ```
    pub fn new(token: &str) -> Result<Self, ClientError> {
        let wrong = || {
            let message = "the access token is not one that fits into an `Authorization` header";
            ClientError::new(ClientErrorKind::Token, message)
        };
        if !is_token68(token) {
            return Err(wrong());
        }
        let authorization = format!("{SCHEME}{token}");
        let mut authorization = HeaderValue::try_from(authorization).map_err(|_| wrong())?;
        authorization.set_sensitive(true);
        Ok(Self(Arc::new(Inner {
            authorization,
            ath: OnceLock::new(),
        })))
    }

    /// Returns the text of the token, which is a secret.
    pub fn as_str(&self) -> &str {
        let value = self.0.authorization.to_str().ok();
        value
            .and_then(|value| value.strip_prefix(SCHEME))
            .unwrap_or_default()
    }

    /// Returns whether both are clones of one token.
    ///
    /// A source finds out with it whether the token that was [rejected](TokenSource::rejected) is the one that
    /// it has now.
    pub fn is_clone_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Returns the value of the `Authorization` header, which is marked as sensitive.
    pub(super) fn authorization(&self) -> HeaderValue {
        self.0.authorization.clone()
    }

    /// Returns the hash as it goes into proofs. Every crypto backend computes the same one.
    pub(super) fn ath(&self, client: &DpopClient) -> Arc<str> {
        let ath = || client.ath(self.as_str()).to_string().into();
        Arc::clone(self.0.ath.get_or_init(ath))
    }
}

/// Whether the text is `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`.
fn is_token68(text: &str) -> bool {
    let without_padding = text.trim_end_matches('=');
    !without_padding.is_empty()
        && without_padding
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte))
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(..)")
    }
}

/// Where the access token of a request comes from: an [`AccessToken`], or a source that obtains and renews
/// tokens.
///
/// A source is asked once for each request, so it keeps its token and is ready at once while the token is good.
/// Several requests can ask at the same time.
///
/// # Security
///
/// The token has to be bound to the key of the [`DpopClient`] that makes the proofs. Another one is useless
/// with its proofs, and is rejected.
///
/// # Example
///
/// A source that takes its token from a place where another task renews it:
///
/// ```
/// use dpop_tower::{
///     client::{AccessToken, ClientError, TokenSource},
///     future::MaybeReady,
/// };
/// use tokio::sync::watch;
///
/// #[derive(Debug)]
/// struct Renewed(watch::Receiver<Option<AccessToken>>);
///
/// impl TokenSource for Renewed {
///     fn token(&self) -> MaybeReady<Result<AccessToken, ClientError>> {
///         if let Some(token) = &*self.0.borrow() {
///             return MaybeReady::ready(Ok(token.clone()));
///         }
///         let mut tokens = self.0.clone();
///         MaybeReady::pending(async move {
///             let token = tokens.wait_for(Option::is_some).await.map_err(ClientError::no_token)?;
///             token.clone().ok_or_else(|| ClientError::no_token("there is none"))
///         })
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no source of access tokens",
    label = "does not implement `TokenSource`",
    note = "`AccessToken::new(token)?` of `dpop_tower::client` does, and a type of your own that implements \
            `TokenSource`; a value that implements it is given as it is, or in an `Arc`"
)]
pub trait TokenSource: fmt::Debug + Send + Sync + 'static {
    /// Returns the token for the next request.
    ///
    /// # Errors
    ///
    /// The future resolves to a [`ClientError`] if there is no token. The request is then not sent. Its text
    /// must not contain a secret.
    fn token(&self) -> MaybeReady<Result<AccessToken, ClientError>>;

    /// Learns that a resource server rejected this token with `invalid_token`.
    ///
    /// A source that renews its tokens does not return this one again. It must not block, and has to expect
    /// reports of a token that it has replaced already; see [`AccessToken::is_clone_of`]. The request that was
    /// rejected is not repeated. By default, this method does nothing.
    fn rejected(&self, token: &AccessToken) {
        let _ = token;
    }
}

impl<T: TokenSource + ?Sized> TokenSource for Arc<T> {
    fn token(&self) -> MaybeReady<Result<AccessToken, ClientError>> {
        (**self).token()
    }

    fn rejected(&self, token: &AccessToken) {
        (**self).rejected(token);
    }
}

impl TokenSource for AccessToken {
    fn token(&self) -> MaybeReady<Result<AccessToken, ClientError>> {
        MaybeReady::ready(Ok(self.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_token68_and_hides_itself() {
        for text in ["a", "a.b-c_d~e+f/g==", "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp"] {
            let token = AccessToken::new(text).unwrap();
            assert_eq!(token.as_str(), text);
            assert_eq!(
                token.authorization().to_str().unwrap(),
                format!("DPoP {text}")
            );
            assert!(token.authorization().is_sensitive());
            assert_eq!(format!("{token:?}"), "AccessToken(..)");
        }
        for text in ["", "=", "a=b", "a b", "a,b", "a\r\nb", "\u{e4}", "\"a\""] {
            let error = AccessToken::new(text).unwrap_err();
            assert_eq!(error.kind(), ClientErrorKind::Token, "{text:?}");
        }
    }
}
