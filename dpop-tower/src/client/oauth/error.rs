use std::{borrow::Cow, error::Error, fmt};

use crate::error::{BoxError, ConfigError};

/// The longest text of a server that an error contains, in bytes.
const MAX_TEXT: usize = 256;

/// An error while a token is obtained.
///
/// Its text says what to change, and contains no token, no code, no proof and no secret.
#[derive(Debug)]
pub struct OAuthError {
    kind: OAuthErrorKind,
    message: Cow<'static, str>,
    code: Option<String>,
    source: Option<BoxError>,
}

/// The kind of an [`OAuthError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OAuthErrorKind {
    /// The server answered, and its answer is not one to a token request; or it issued a token that is not bound
    /// to the key.
    Answer,
    /// The redirect does not belong to the authorization request.
    Callback,
    /// The metadata of the server cannot be fetched, or is not usable.
    Discovery,
    /// The user did not answer in time.
    Expired,
    /// The server rejected the request. [`code`](OAuthError::code) has its reason.
    Rejected,
    /// The settings of the client are wrong.
    Settings,
    /// The proof could not be made. [`source`](Error::source) has the reason.
    Signer,
    /// The tokens cannot be loaded or saved. [`source`](Error::source) has the reason.
    Store,
    /// The server does not answer, or is not able to.
    Unreachable,
    /// The server does not support what was asked for.
    Unsupported,
}

impl OAuthError {
    pub(super) fn new(kind: OAuthErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            message: message.into(),
            code: None,
            source: None,
        }
    }

    /// The server's own reason (RFC 6749 sections 4.1.2.1 and 5.2).
    pub(super) fn rejected(code: &str, description: Option<&str>) -> Self {
        let code = printable(code);
        let message = match description.map(printable) {
            Some(description) if !description.is_empty() => {
                format!("the authorization server rejected the request: {code}: {description}")
            }
            _ => format!("the authorization server rejected the request: {code}"),
        };
        Self {
            code: Some(code),
            ..Self::new(OAuthErrorKind::Rejected, message)
        }
    }

    pub(super) fn with_code(mut self, code: &str) -> Self {
        self.code = Some(code.to_owned());
        self
    }

    pub(super) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Returns the kind, for code and tests.
    pub const fn kind(&self) -> OAuthErrorKind {
        self.kind
    }

    /// Returns the error code of the server, such as `invalid_grant` or `access_denied`.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// Returns whether the user has to log in again, because the refresh token is not, or no longer, valid.
    pub fn requires_login(&self) -> bool {
        self.code() == Some("invalid_grant")
    }
}

impl From<ConfigError> for OAuthError {
    fn from(error: ConfigError) -> Self {
        let message = format!("the settings of the client are wrong: {error}");
        Self::new(OAuthErrorKind::Settings, message)
    }
}

impl From<super::super::ClientError> for OAuthError {
    fn from(error: super::super::ClientError) -> Self {
        Self::new(OAuthErrorKind::Signer, "the proof could not be made").with_source(error)
    }
}

impl fmt::Display for OAuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for OAuthError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// Returns a text of the server with the characters of RFC 6749 appendix A.7 and A.8 only.
pub(super) fn printable(text: &str) -> String {
    let allowed = |c: &char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\');
    text.chars().filter(allowed).take(MAX_TEXT).collect()
}
