use std::{fmt, time::Duration};

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{OAuthError, OAuthErrorKind};
use crate::{
    client::AccessToken,
    clock::UnixTime,
    jose::json::{self, Object},
    jwk::Thumbprint,
};

/// The longest lifetime of a token that is believed, in seconds: ten years.
const MAX_LIFETIME: i64 = 315_360_000;

/// What a token endpoint issues: an access token that is bound to the key of the client, and often a refresh
/// token.
///
/// `Debug` shows no token.
#[derive(Clone)]
pub struct TokenSet {
    access_token: AccessToken,
    expires_at: Option<UnixTime>,
    refresh_token: Option<RefreshToken>,
    scope: Option<String>,
    thumbprint: Option<Thumbprint>,
}

/// A refresh token, which is erased when it is dropped. `Debug` hides it.
#[derive(Clone)]
pub struct RefreshToken(Zeroizing<String>);

impl RefreshToken {
    /// Takes a refresh token.
    pub fn new(token: impl Into<String>) -> Self {
        Self(Zeroizing::new(token.into()))
    }

    /// Returns the text, which is a secret.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken(..)")
    }
}

impl TokenSet {
    /// Returns the access token.
    pub const fn access_token(&self) -> &AccessToken {
        &self.access_token
    }

    /// Returns when the access token expires, if the server said so.
    pub const fn expires_at(&self) -> Option<UnixTime> {
        self.expires_at
    }

    /// Returns the refresh token, if there is one.
    pub const fn refresh_token(&self) -> Option<&RefreshToken> {
        self.refresh_token.as_ref()
    }

    /// Returns the scopes that were granted, if they differ from the requested ones (RFC 6749 section 5.1).
    pub fn scope(&self) -> Option<&str> {
        self.scope.as_deref()
    }

    /// Returns the thumbprint of the key that the tokens are bound to, if it is known.
    pub const fn thumbprint(&self) -> Option<Thumbprint> {
        self.thumbprint
    }

    /// Writes the tokens as JSON, in the form of a token response with `expires_at` instead of `expires_in`,
    /// and with the thumbprint of the key as `jkt`.
    ///
    /// # Security
    ///
    /// The text contains the tokens. Write it only to a file that nobody else can read, or use a
    /// [`FileTokenStore`](super::FileTokenStore).
    pub fn to_json(&self) -> ExportedTokens {
        let mut json = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            json.extend(value.map(|value| (name.to_owned(), value)));
        };
        put("access_token", Some(self.access_token.as_str().into()));
        put("token_type", Some("DPoP".into()));
        put("expires_at", self.expires_at.map(|at| at.as_secs().into()));
        let refresh_token = self.refresh_token.as_ref();
        put(
            "refresh_token",
            refresh_token.map(|token| token.as_str().into()),
        );
        put("scope", self.scope.as_deref().map(Into::into));
        let thumbprint = self.thumbprint.map(|thumbprint| thumbprint.to_string());
        put("jkt", thumbprint.map(Into::into));
        ExportedTokens(Zeroizing::new(Value::from(json).to_string()))
    }

    /// Parses what [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    ///
    /// Returns an error of the kind [`Store`](OAuthErrorKind::Store) for anything else.
    pub fn from_json(text: &str) -> Result<Self, OAuthError> {
        let wrong = || OAuthError::new(OAuthErrorKind::Store, "the stored tokens cannot be read");
        let object = Object::parse(text.as_bytes()).ok_or_else(wrong)?;
        let mut tokens = Self::read(&object).map_err(|_| wrong())?;
        let number = |name| match object.get(name) {
            Some(json::Value::Number(number)) => number.as_i64(),
            _ => None,
        };
        tokens.expires_at = number("expires_at").map(UnixTime::from_secs);
        let thumbprint = object.get("jkt").and_then(json::Value::as_str);
        tokens.thumbprint = thumbprint
            .map(|text| text.parse().map_err(|_| wrong()))
            .transpose()?;
        Ok(tokens)
    }

    /// Parses the answer of a token endpoint to a request that was begun at `asked_at` (RFC 6749 section 5.1,
    /// RFC 9449 section 5).
    pub(super) fn of_answer(
        text: &[u8],
        asked_at: UnixTime,
        thumbprint: Thumbprint,
    ) -> Result<Self, OAuthError> {
        let object = Object::parse(text).ok_or_else(|| {
            wrong("the answer of the token endpoint is not a JSON object, or has a member twice")
        })?;
        let mut tokens = Self::read(&object)?;
        tokens.expires_at = lifetime(&object).map(|lifetime| asked_at.saturating_add(lifetime));
        tokens.thumbprint = Some(thumbprint);
        Ok(tokens)
    }

    fn read(object: &Object<'_>) -> Result<Self, OAuthError> {
        let text = |name| object.get(name).and_then(json::Value::as_str);
        // RFC 9449 section 5: another type means that the server did not bind the token to the key.
        match text("token_type") {
            Some(name) if name.eq_ignore_ascii_case("DPoP") => {}
            Some(other) => {
                return Err(wrong(format!(
                    "the server issued a token of the type {:?} instead of \"DPoP\": it does not support DPoP \
                     for this client",
                    super::error::printable(other)
                )));
            }
            None => {
                return Err(wrong(
                    "the answer of the token endpoint has no `token_type`",
                ));
            }
        }
        let access_token = text("access_token")
            .and_then(|token| AccessToken::new(token).ok())
            .ok_or_else(|| {
                wrong("the answer of the token endpoint has no usable `access_token`")
            })?;
        let refresh_token = text("refresh_token").filter(|token| !token.is_empty());
        Ok(Self {
            access_token,
            expires_at: None,
            refresh_token: refresh_token.map(RefreshToken::new),
            scope: text("scope").map(str::to_owned),
            thumbprint: None,
        })
    }

    /// Keeps the refresh token and the scope of `old`, if the server did not replace them (RFC 6749 section 6).
    pub(super) fn after(mut self, old_token: &RefreshToken, old_scope: Option<&str>) -> Self {
        self.refresh_token.get_or_insert_with(|| old_token.clone());
        if self.scope.is_none() {
            self.scope = old_scope.map(str::to_owned);
        }
        self
    }
}

/// Returns `expires_in`. Some servers write it as text.
fn lifetime(object: &Object<'_>) -> Option<Duration> {
    let seconds = match object.get("expires_in")? {
        json::Value::Number(number) => number.as_i64()?,
        json::Value::String(text) => text.parse().ok()?,
        _ => return None,
    };
    u64::try_from(seconds.min(MAX_LIFETIME))
        .ok()
        .map(Duration::from_secs)
}

fn wrong(message: impl Into<std::borrow::Cow<'static, str>>) -> OAuthError {
    OAuthError::new(OAuthErrorKind::Answer, message)
}

impl fmt::Debug for TokenSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSet")
            .field("expires_at", &self.expires_at)
            .field("has_refresh_token", &self.refresh_token.is_some())
            .field("scope", &self.scope)
            .field("thumbprint", &self.thumbprint)
            .finish_non_exhaustive()
    }
}

/// The JSON of a [`TokenSet`], which is erased when it is dropped. `Debug` hides it.
pub struct ExportedTokens(Zeroizing<String>);

impl ExportedTokens {
    /// Returns the text, which is a secret.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ExportedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExportedTokens(..)")
    }
}
