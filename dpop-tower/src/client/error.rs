use std::{borrow::Cow, error::Error, fmt};

use crate::{crypto::signing::SigningKeyError, error::BoxError};

/// An error on the client side.
///
/// Its text says what to change, and contains no token, no proof and no part of a key.
#[derive(Debug)]
pub struct ClientError {
    kind: ClientErrorKind,
    message: Cow<'static, str>,
    source: Option<BoxError>,
}

/// The kind of a [`ClientError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClientErrorKind {
    /// No crypto backend was chosen and no default is compiled in.
    Crypto,
    /// The key cannot be read, generated or exported, or does not fit the algorithm.
    Key,
    /// The origin of an API is not usable, or a request is for another origin.
    Origin,
    /// The operating system has no randomness for a `jti`.
    Randomness,
    /// The signer failed. [`source`](Error::source) has its error.
    Signer,
    /// The target of the request is not an absolute `http` or `https` URI, or contains user information.
    Target,
    /// There is no access token for a request. [`source`](Error::source) has the reason.
    Token,
}

impl ClientError {
    pub(super) fn new(kind: ClientErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// Returns the error of a [`TokenSource`](super::TokenSource) that has no token, of the kind
    /// [`Token`](ClientErrorKind::Token).
    ///
    /// The text of `source` must not contain a secret.
    pub fn no_token(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let message = "there is no access token for the request";
        Self::new(ClientErrorKind::Token, message).with_source(source)
    }

    pub(super) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Returns the kind, for code and tests.
    pub const fn kind(&self) -> ClientErrorKind {
        self.kind
    }
}

impl From<SigningKeyError> for ClientError {
    fn from(error: SigningKeyError) -> Self {
        Self::new(
            ClientErrorKind::Key,
            format!("the key is not usable: {error}"),
        )
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for ClientError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
