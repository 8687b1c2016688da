use std::fmt;

/// What a [`Policy`](super::Policy) asks for and the token does not have; stable, for metrics and tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PolicyErrorKind {
    /// The user was not authenticated in a way that is asked for (`acr`, RFC 9470).
    AcrInsufficient,
    /// The user was authenticated too long ago, or it is not known when (`auth_time`, RFC 9470).
    AuthTooOld,
    /// A claim is missing or not as it is asked for.
    ClaimInsufficient,
    /// The policy admits nobody ([`Policy::deny`](super::Policy::deny)).
    Denied,
    /// A scope is missing.
    ScopeMissing,
}

impl PolicyErrorKind {
    /// A stable code in snake case, for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AcrInsufficient => "policy_acr_insufficient",
            Self::AuthTooOld => "policy_auth_too_old",
            Self::ClaimInsufficient => "policy_claim_insufficient",
            Self::Denied => "policy_denied",
            Self::ScopeMissing => "policy_scope_missing",
        }
    }

    /// What is missing in a few words that are safe to send to the client: static, without quotes or
    /// backslashes (RFC 6750 section 3).
    pub const fn description(self) -> &'static str {
        match self {
            Self::AcrInsufficient => "another way of authenticating the user is needed",
            Self::AuthTooOld => "a more recent authentication of the user is needed",
            Self::ClaimInsufficient => "the token's claims do not allow this",
            Self::Denied => "no request for this is accepted",
            Self::ScopeMissing => "the token lacks a scope",
        }
    }
}

impl fmt::Display for PolicyErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.description())
    }
}
