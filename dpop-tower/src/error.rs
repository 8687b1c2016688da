//! Errors at start-up. The errors of a request are in the modules of their subjects:
//! [`ProofError`](crate::proof::ProofError), [`TokenError`](crate::token::TokenError),
//! [`StoreError`](crate::replay::StoreError).

use std::{borrow::Cow, error::Error, fmt};

/// The boxed error of any body type.
pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// An error in a configuration.
///
/// It only occurs at start-up, or when a configuration is replaced at run time. Its text names the setting
/// and says what to change. [`kind`](Self::kind) names the setting for code and tests.
///
/// ```
/// use dpop_tower::{ConfigErrorKind, PublicOrigin};
///
/// let error = PublicOrigin::new("https://api.example.com/orders").unwrap_err();
/// assert_eq!(error.kind(), ConfigErrorKind::Target);
/// eprintln!("configuration: {error}");
/// ```
#[derive(Debug)]
pub struct ConfigError {
    kind: ConfigErrorKind,
    message: Cow<'static, str>,
    source: Option<Box<dyn Error + Send + Sync>>,
    issuer: Option<String>,
    about: Option<About>,
}

/// A part of an issuer with settings of the same kinds as the issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(all(feature = "introspection", feature = "status-list")),
    allow(dead_code, reason = "each of them needs its feature")
)]
enum About {
    Introspection,
    StatusLists,
}

/// The kind of setting that a [`ConfigError`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConfigErrorKind {
    /// The list of algorithms is empty, or contains one that the crypto backend does not support.
    Algorithms,
    /// The issuer, the audience or the source of the keys for access tokens is missing or wrong.
    AccessTokens,
    /// The secret or the key with which this API authenticates at the issuer is missing or not usable.
    ClientAuthentication,
    /// The claim that names the client is not usable.
    ClientIdClaim,
    /// No crypto backend was chosen and no default is compiled in, or the backend computes wrong hashes.
    Crypto,
    /// The keys for encrypted tokens are not usable, two issuers have different ones with the same `kid`, or the
    /// build lacks the feature `josekit`.
    Decryption,
    /// The issuer's identifier is the URL of something else, such as its metadata.
    Issuer,
    /// A setting of `token::KeyFetching` is out of bounds, or contradicts another one.
    KeyFetching,
    /// The issuer's keys cannot be read, or the HTTP client for them cannot be set up.
    Keys,
    /// The secret or the period of the nonces is not usable.
    Nonces,
    /// A policy can never be satisfied, or its path cannot occur.
    Policy,
    /// A bound of the replay store is not usable.
    Replay,
    /// A part of the metadata of the protected resource is missing or not usable.
    ResourceMetadata,
    /// The claim that contains the scopes is not usable.
    ScopeClaim,
    /// A transmitter of security events, or the receiver, has a setting that is missing or out of bounds.
    SecurityEvents,
    /// The public origin is not an origin.
    Target,
    /// The `typ` of access tokens, or the claim that marks them, is not usable.
    TokenType,
    /// The maximum age of proofs, or the leeway of proofs or access tokens, is out of bounds.
    Window,
}

/// Quotes a value of the configuration, without the credentials that it may have by mistake.
pub(crate) fn shown(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((_, behind)) => format!("\"...@{behind}\""),
        None => format!("{text:?}"),
    }
}

impl ConfigError {
    pub(crate) fn new(kind: ConfigErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
            issuer: None,
            about: None,
        }
    }

    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub(crate) fn with_issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    #[cfg(feature = "introspection")]
    pub(crate) const fn about_introspection(mut self) -> Self {
        self.about = Some(About::Introspection);
        self
    }

    #[cfg(feature = "status-list")]
    pub(crate) const fn about_status_lists(mut self) -> Self {
        self.about = Some(About::StatusLists);
        self
    }

    /// Returns the identifier of the issuer whose settings are wrong, if there are several issuers.
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// Returns whether the error is about how the issuer is asked about opaque tokens, and not about its JWTs.
    ///
    /// Both have settings of the same kinds, such as audiences and a leeway.
    pub const fn is_about_introspection(&self) -> bool {
        matches!(self.about, Some(About::Introspection))
    }

    /// Returns whether the error is about the issuer's status lists, and not about its JWTs.
    pub const fn is_about_status_lists(&self) -> bool {
        matches!(self.about, Some(About::StatusLists))
    }

    /// Returns the kind of setting that is wrong.
    pub const fn kind(&self) -> ConfigErrorKind {
        self.kind
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(issuer) = &self.issuer {
            write!(f, "issuer {issuer:?}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl Error for ConfigError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// Makes an error of an enum whose variants have a text each.
macro_rules! errors {
    (
        $(#[$about:meta])*
        pub enum $name:ident {
            $($(#[$doc:meta])* $variant:ident = $text:literal,)+
        }
    ) => {
        $(#[$about])*
        pub enum $name {
            $($(#[$doc])* $variant,)+
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self {
                    $(Self::$variant => $text,)+
                })
            }
        }

        impl std::error::Error for $name {}
    };
}

pub(crate) use errors;
