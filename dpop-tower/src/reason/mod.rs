//! The reasons for rejections, in one table for each part of a request, and their mapping to the response.
//!
//! A table lists each reason once, with its code, its [`RejectionKind`] and its description.

use http::StatusCode;

/// The part of a rejection that the client learns: the status and the error code.
///
/// Several reasons map to one kind. [`Rejection`](crate::rejection::Rejection) has the reason itself, for
/// logs and metrics.
///
/// ```
/// use dpop_tower::{proof::ProofErrorKind, rejection::RejectionKind};
///
/// let kind = RejectionKind::from(ProofErrorKind::NonceMissing);
/// assert_eq!(kind.status(), 401);
/// assert_eq!(kind.error_code(), Some("use_dpop_nonce"));
/// // UNAUTHENTICATED
/// assert_eq!(kind.grpc_status(), 16);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionKind {
    /// There are no credentials: 401 with a challenge that has no error code (RFC 6750 section 3.1).
    CredentialsMissing,
    /// The policy rejects every request, whatever the token: 403 without a challenge.
    Forbidden,
    /// `insufficient_scope`, 403 (RFC 6750 section 3.1).
    InsufficientScope,
    /// `insufficient_user_authentication`, 401 (RFC 9470 section 3).
    InsufficientUserAuthentication,
    /// `invalid_dpop_proof`, 401 (RFC 9449 section 7.1).
    InvalidDpopProof,
    /// `invalid_grant`, 400 (RFC 6749 section 5.2), at the [token endpoint](crate::token_endpoint) of an authorization
    /// server.
    InvalidGrant,
    /// `invalid_request`, 400 (RFC 6750 section 3.1).
    InvalidRequest,
    /// `invalid_token`, 401 (RFC 6750 section 3.1).
    InvalidToken,
    /// The keys or the replay store are out of reach, or the store is full: 503 without a challenge,
    /// because other credentials do not help.
    Unavailable,
    /// `use_dpop_nonce`, 401 (RFC 9449 section 9).
    UseDpopNonce,
}

impl RejectionKind {
    /// Returns the status of the response. A gRPC response has status 200 and the
    /// [`grpc_status`](Self::grpc_status).
    pub const fn status(self) -> StatusCode {
        match self {
            Self::InvalidGrant | Self::InvalidRequest => StatusCode::BAD_REQUEST,
            Self::Forbidden | Self::InsufficientScope => StatusCode::FORBIDDEN,
            Self::CredentialsMissing
            | Self::InsufficientUserAuthentication
            | Self::InvalidDpopProof
            | Self::InvalidToken
            | Self::UseDpopNonce => StatusCode::UNAUTHORIZED,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Returns the `error` parameter of the challenge, or `None` if there is no challenge or no error code.
    pub const fn error_code(self) -> Option<&'static str> {
        match self {
            Self::CredentialsMissing | Self::Forbidden | Self::Unavailable => None,
            Self::InsufficientScope => Some("insufficient_scope"),
            Self::InsufficientUserAuthentication => Some("insufficient_user_authentication"),
            Self::InvalidDpopProof => Some("invalid_dpop_proof"),
            Self::InvalidGrant => Some("invalid_grant"),
            Self::InvalidRequest => Some("invalid_request"),
            Self::InvalidToken => Some("invalid_token"),
            Self::UseDpopNonce => Some("use_dpop_nonce"),
        }
    }

    /// Returns the `grpc-status`: `PERMISSION_DENIED` (7), `UNAVAILABLE` (14) or `UNAUTHENTICATED` (16).
    pub const fn grpc_status(self) -> u8 {
        match self {
            Self::Forbidden | Self::InsufficientScope => 7,
            Self::Unavailable => 14,
            Self::CredentialsMissing
            | Self::InsufficientUserAuthentication
            | Self::InvalidDpopProof
            | Self::InvalidGrant
            | Self::InvalidRequest
            | Self::InvalidToken
            | Self::UseDpopNonce => 16,
        }
    }
}

/// Makes an enum of reasons from a table. An entry has a name, a code, a [`RejectionKind`] and an
/// `error_description`. A different text for the log can follow after `logged as`.
macro_rules! reasons {
    (
        $(#[$about:meta])*
        pub enum $name:ident {
            $(
                $(#[$doc:meta])*
                $reason:ident = $code:literal, $kind:ident,
                    $description:expr $(, logged as $log:literal)?;
            )+
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$doc])* $reason,)+
        }

        impl $name {
            /// All reasons.
            #[cfg(test)]
            pub(crate) const ALL: &'static [Self] = &[$(Self::$reason),+];

            /// Returns a stable code in snake case, for logs and metrics.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$reason => $code,)+
                }
            }

            /// Returns a short description that is safe to send to the client: static text without
            /// quotes or backslashes (RFC 6750 section 3).
            pub const fn description(self) -> &'static str {
                match self {
                    $(Self::$reason => $description,)+
                }
            }
        }

        impl From<$name> for $crate::reason::RejectionKind {
            fn from(reason: $name) -> Self {
                match reason {
                    $($name::$reason => Self::$kind,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self {
                    $(Self::$reason => $crate::reason::first!($($log,)? $description),)+
                })
            }
        }
    };
}

macro_rules! first {
    ($first:expr $(, $other:expr)?) => {
        $first
    };
}

pub(crate) use {first, reasons};

#[cfg(test)]
mod tests;
