use std::{error::Error, fmt, sync::Arc};

use crate::keys::KeysUnavailable;

/// Why an access token was rejected, for the operator. Its text contains nothing of the token.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenError {
    kind: TokenErrorKind,
    detail: Detail,
}

#[derive(Clone, PartialEq, Eq)]
enum Detail {
    None,
    Claim(&'static str),
    /// What is configured, and how to change it.
    Setting(Arc<str>),
}

/// The check that an access token failed; stable, for metrics and tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenErrorKind {
    /// The `alg` is unknown, not asymmetric or not allowed here (RFC 8725 section 3.1).
    AlgNotAllowed,
    /// The `aud` claim does not name this API (RFC 9068 section 4).
    AudienceMismatch,
    /// The token is bound to another key than the one the proof was made with (RFC 9449 section 4.3
    /// item 12).
    BindingMismatch,
    /// The token is bound but was sent with the `Bearer` scheme (RFC 9449 section 7.2).
    BoundAsBearer,
    /// The `cnf` claim is malformed (RFC 7800 section 3.1).
    ConfirmationInvalid,
    /// The `cnf` claim has a binding that is not supported, such as a certificate (RFC 8705).
    ConfirmationNotSupported,
    /// A critical extension (RFC 7515 section 4.1.11) or an unencoded payload.
    CritNotSupported,
    /// The token has expired.
    Expired,
    /// A claim is of the wrong JSON type.
    InvalidClaim,
    /// The `iss` claim is not the configured issuer, to the letter.
    IssuerMismatch,
    /// The issuer has no key with this `kid` and of this kind.
    KeyUnknown,
    /// The issuer's keys cannot be had at the moment; this is not the client's fault.
    KeysUnavailable,
    /// Not a compact JWS whose header and payload are JSON objects.
    Malformed,
    /// A required claim is missing.
    MissingClaim,
    /// The token is not bound to a key but was sent with the `DPoP` scheme.
    NotBound,
    /// `nbf` or `iat` lie in the future.
    NotYetValid,
    /// The token was sent with the `Bearer` scheme where only `DPoP` is accepted.
    SchemeNotAccepted,
    /// The signature does not verify.
    SignatureInvalid,
    /// The token is larger than is accepted.
    TooLong,
    /// The `typ` is not `at+jwt` (RFC 9068 section 4).
    TypInvalid,
    /// The token is bound where a handler takes only tokens that are bound to nothing.
    UnboundNeeded,
}

impl TokenErrorKind {
    /// A stable code in snake case, for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AlgNotAllowed => "token_alg_not_allowed",
            Self::AudienceMismatch => "token_audience_mismatch",
            Self::BindingMismatch => "token_binding_mismatch",
            Self::BoundAsBearer => "token_bound_as_bearer",
            Self::ConfirmationInvalid => "token_confirmation_invalid",
            Self::ConfirmationNotSupported => "token_confirmation_not_supported",
            Self::CritNotSupported => "token_crit_not_supported",
            Self::Expired => "token_expired",
            Self::InvalidClaim => "token_invalid_claim",
            Self::IssuerMismatch => "token_issuer_mismatch",
            Self::KeyUnknown => "token_key_unknown",
            Self::KeysUnavailable => "keys_unavailable",
            Self::Malformed => "token_malformed",
            Self::MissingClaim => "token_missing_claim",
            Self::NotBound => "token_not_bound",
            Self::NotYetValid => "token_not_yet_valid",
            Self::SchemeNotAccepted => "token_scheme_not_accepted",
            Self::SignatureInvalid => "token_signature_invalid",
            Self::TooLong => "token_too_long",
            Self::TypInvalid => "token_typ_invalid",
            Self::UnboundNeeded => "token_unbound_needed",
        }
    }

    /// What went wrong in a few words that are safe to send to the client: static, without quotes
    /// or backslashes (RFC 6750 section 3).
    pub const fn description(self) -> &'static str {
        match self {
            Self::AlgNotAllowed => "the token's alg is not allowed",
            Self::AudienceMismatch => "the token is for another audience",
            Self::BindingMismatch => "the token is bound to another key",
            Self::BoundAsBearer => "the token is bound to a key and needs the DPoP scheme",
            Self::ConfirmationInvalid => "the token's cnf is malformed",
            Self::ConfirmationNotSupported => "the token's kind of binding is not supported",
            Self::CritNotSupported => "the token has a critical extension",
            Self::Expired => "the token has expired",
            Self::InvalidClaim => "a claim of the token is invalid",
            Self::IssuerMismatch => "the token is of another issuer",
            Self::KeyUnknown => "the token is signed with an unknown key",
            Self::KeysUnavailable => "the issuer's keys are not available",
            Self::Malformed => "the token is not a well-formed JWT",
            Self::MissingClaim => "a required claim of the token is missing",
            Self::NotBound => "the token is not bound to a key",
            Self::NotYetValid => "the token is not valid yet",
            Self::SchemeNotAccepted => "only DPoP-bound tokens with the DPoP scheme are accepted",
            Self::SignatureInvalid => "the token's signature is invalid",
            Self::TooLong => "the token is too long",
            Self::TypInvalid => "the token's typ is not at+jwt",
            Self::UnboundNeeded => "only tokens that are bound to nothing are accepted",
        }
    }
}

impl TokenError {
    /// Which check failed.
    pub const fn kind(&self) -> TokenErrorKind {
        self.kind
    }

    pub(crate) const fn missing(claim: &'static str) -> Self {
        Self {
            kind: TokenErrorKind::MissingClaim,
            detail: Detail::Claim(claim),
        }
    }

    pub(crate) const fn invalid(claim: &'static str) -> Self {
        Self {
            kind: TokenErrorKind::InvalidClaim,
            detail: Detail::Claim(claim),
        }
    }

    /// With words for the operator, which have nothing of the token in them.
    pub(crate) fn explained(kind: TokenErrorKind, setting: impl Into<Arc<str>>) -> Self {
        Self {
            kind,
            detail: Detail::Setting(setting.into()),
        }
    }
}

impl From<TokenErrorKind> for TokenError {
    fn from(kind: TokenErrorKind) -> Self {
        Self {
            kind,
            detail: Detail::None,
        }
    }
}

impl From<KeysUnavailable> for TokenError {
    fn from(_: KeysUnavailable) -> Self {
        TokenErrorKind::KeysUnavailable.into()
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.description())?;
        match &self.detail {
            Detail::None => Ok(()),
            Detail::Claim(claim) => write!(f, ": {claim}"),
            Detail::Setting(setting) => write!(f, ": {setting}"),
        }
    }
}

impl fmt::Debug for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenError({:?}: {self})", self.kind)
    }
}

impl Error for TokenError {}
