//! Errors at start-up. Errors of a request are beside their subject:
//! [`ProofError`](crate::proof::ProofError), [`TokenError`](crate::token::TokenError),
//! [`StoreError`](crate::replay::StoreError).

use std::{borrow::Cow, error::Error, fmt};

/// The error of a body of any type.
pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// An error in a configuration.
///
/// It only occurs at start-up. Its text names the setting and says what to change.
pub struct ConfigError {
    kind: ConfigErrorKind,
    message: Cow<'static, str>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// The kind of setting that a [`ConfigError`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConfigErrorKind {
    /// The algorithms: none are allowed, or the crypto backend lacks one.
    Algorithms,
    /// The access tokens: issuer, audience or where its keys come from.
    AccessTokens,
    /// No crypto backend was chosen and no default is compiled in.
    Crypto,
    /// The issuer's identifier, which is something else's address.
    Issuer,
    /// The issuer's keys could not be read.
    Keys,
    /// The nonces: their secret or period.
    Nonces,
    /// A policy: it can never be met, or is for a path that does not occur.
    Policy,
    /// The replay store: its bounds.
    Replay,
    /// The claim that scopes are taken from.
    ScopeClaim,
    /// The public origin.
    Target,
    /// How far dates may be off: the maximum age of proofs, or the leeway of proofs or access tokens.
    Window,
}

impl ConfigError {
    pub(crate) fn new(kind: ConfigErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Returns the kind of setting that is wrong.
    pub const fn kind(&self) -> ConfigErrorKind {
        self.kind
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigError")
            .field("kind", &self.kind)
            .field("message", &self.message)
            .field("source", &self.source)
            .finish()
    }
}

impl Error for ConfigError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
