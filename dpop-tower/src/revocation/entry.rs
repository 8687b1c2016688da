use std::fmt;

use crate::{clock::UnixTime, jwk::Thumbprint};

/// The tokens that an entry of a [`MemoryRevocationList`](super::MemoryRevocationList) applies to.
///
/// `issuer` is exactly the `iss` of the tokens, or empty for tokens of your own
/// [`TokenVerifier`](crate::token::TokenVerifier) that have none.
///
/// `Debug` hides subjects and identifiers.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Revocation<'a> {
    /// One token.
    Token {
        /// Its issuer (`iss`).
        issuer: &'a str,
        /// Its identifier (`jti`). A token without one cannot be revoked alone.
        jti: &'a str,
    },
    /// All tokens of all issuers that are bound to one key.
    Key {
        /// The RFC 7638 thumbprint of the key (`cnf.jkt`).
        thumbprint: Thumbprint,
    },
    /// The tokens of a subject that were issued before a time, and those without an `iat`.
    Subject {
        /// The issuer that named the subject (`iss`).
        issuer: &'a str,
        /// The subject (`sub`).
        subject: &'a str,
        /// Tokens with an earlier `iat` are revoked. The `iat` has whole seconds of the issuer's clock.
        issued_before: UnixTime,
    },
    /// All tokens of one login.
    Session {
        /// The issuer that named the session (`iss`).
        issuer: &'a str,
        /// The identifier of the session (`sid`).
        session_id: &'a str,
    },
    /// The tokens of an OAuth client that were issued before a time, and those without an `iat`.
    Client {
        /// The issuer that registered the client (`iss`).
        issuer: &'a str,
        /// The client (`client_id`).
        client_id: &'a str,
        /// Tokens with an earlier `iat` are revoked. The `iat` has whole seconds of the issuer's clock.
        issued_before: UnixTime,
    },
}

impl Revocation<'_> {
    /// Returns the time before which a token has to be issued to be revoked, or `None` for any time.
    pub(super) const fn issued_before(&self) -> Option<UnixTime> {
        match *self {
            Self::Subject { issued_before, .. } | Self::Client { issued_before, .. } => {
                Some(issued_before)
            }
            Self::Token { .. } | Self::Key { .. } | Self::Session { .. } => None,
        }
    }

    const fn kind(&self) -> &'static str {
        match self {
            Self::Token { .. } => "Token",
            Self::Key { .. } => "Key",
            Self::Subject { .. } => "Subject",
            Self::Session { .. } => "Session",
            Self::Client { .. } => "Client",
        }
    }
}

impl fmt::Debug for Revocation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(self.kind()).finish_non_exhaustive()
    }
}
