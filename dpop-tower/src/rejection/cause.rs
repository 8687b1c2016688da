use std::{fmt, num::NonZeroU32};

use super::{GrantErrorKind, RejectionKind};
use crate::{
    credentials::{RequestErrorKind, Unusable},
    policy::PolicyErrorKind,
    proof::{ProofError, ProofErrorKind},
    replay::StoreError,
    token::{TokenError, TokenErrorKind},
};

/// The reason why a request is rejected, with all details.
#[derive(Debug)]
pub(crate) enum Cause {
    Request(RequestErrorKind),
    Proof(ProofError),
    Token(TokenError),
    Policy(PolicyErrorKind),
    Store(StoreError),
    Grant(GrantErrorKind),
}

impl Cause {
    /// Returns a stable code in snake case, for logs and metrics.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Request(kind) => kind.as_str(),
            Self::Proof(error) => error.kind().as_str(),
            Self::Token(error) => error.kind().as_str(),
            Self::Policy(kind) => kind.as_str(),
            Self::Store(error) => error.kind().as_str(),
            Self::Grant(kind) => kind.as_str(),
        }
    }

    /// Returns what the client learns.
    pub(super) fn kind(&self) -> RejectionKind {
        match self {
            Self::Request(kind) => (*kind).into(),
            Self::Proof(error) => error.kind().into(),
            Self::Token(error) => error.kind().into(),
            Self::Policy(kind) => (*kind).into(),
            Self::Store(error) => error.kind().into(),
            Self::Grant(kind) => (*kind).into(),
        }
    }

    /// Returns in how many seconds the client may try again, if that is known.
    pub(super) const fn retry_after(&self) -> Option<NonZeroU32> {
        match self {
            Self::Token(error) => error.retry_after(),
            Self::Request(_)
            | Self::Proof(_)
            | Self::Policy(_)
            | Self::Store(_)
            | Self::Grant(_) => None,
        }
    }

    /// Returns the text for the client.
    pub(super) const fn description(&self) -> &'static str {
        match self {
            Self::Request(kind) => kind.description(),
            Self::Proof(error) => error.kind().description(),
            Self::Token(error) => error.kind().description(),
            Self::Policy(kind) => kind.description(),
            Self::Store(error) => error.kind().description(),
            Self::Grant(kind) => kind.description(),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(kind) => kind.fmt(f),
            Self::Proof(error) => error.fmt(f),
            Self::Token(error) => error.fmt(f),
            Self::Policy(kind) => kind.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::Grant(kind) => kind.fmt(f),
        }
    }
}

impl From<RequestErrorKind> for Cause {
    fn from(kind: RequestErrorKind) -> Self {
        Self::Request(kind)
    }
}

impl From<Unusable> for Cause {
    fn from(unusable: Unusable) -> Self {
        match unusable {
            Unusable::Request(kind) => Self::Request(kind),
            Unusable::TokenTooLong => TokenErrorKind::TooLong.into(),
        }
    }
}

impl From<GrantErrorKind> for Cause {
    fn from(kind: GrantErrorKind) -> Self {
        Self::Grant(kind)
    }
}

impl From<PolicyErrorKind> for Cause {
    fn from(kind: PolicyErrorKind) -> Self {
        Self::Policy(kind)
    }
}

impl From<ProofError> for Cause {
    fn from(error: ProofError) -> Self {
        Self::Proof(error)
    }
}

impl From<ProofErrorKind> for Cause {
    fn from(kind: ProofErrorKind) -> Self {
        Self::Proof(kind.into())
    }
}

impl From<TokenErrorKind> for Cause {
    fn from(kind: TokenErrorKind) -> Self {
        Self::Token(kind.into())
    }
}
