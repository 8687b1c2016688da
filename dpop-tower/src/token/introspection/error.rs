use std::{error::Error, fmt, time::Duration};

use crate::token::{TokenError, TokenErrorKind};

/// The reason why there is no verdict on a token. Its text is for the log and contains nothing of the token.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// Too many calls wait for their turn.
    Busy,
    /// There is no answer. Contains the chain of causes.
    Connection(String),
    /// The answer has another media type.
    ContentType,
    /// The call ended with its runtime, or panicked.
    GivenUp,
    /// The issuer's keys for signed answers are not available.
    Keys,
    /// The answer is of the right form, but the part with this name is not.
    Malformed(&'static str),
    /// The metadata does not name the endpoint.
    Metadata(String),
    NoRuntime,
    /// The call could not be signed.
    Signing,
    /// The signed answer is not one of this issuer for this API.
    SignedAnswer(&'static str),
    Status(u16),
    /// The endpoint has failed too often. It is called again after this time.
    Suspended(Duration),
    TimedOut,
    TooLong,
}

/// What a failure says about the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blame {
    /// The endpoint does not work.
    Endpoint,
    /// The endpoint works. Another token may get a verdict.
    Token,
    /// The failure says nothing about the endpoint.
    Nobody,
}

impl Failure {
    pub(super) const fn blame(&self) -> Blame {
        match self {
            // An endpoint may answer like this because of what a stranger has sent as a token.
            Self::Status(400) | Self::Malformed(_) => Blame::Token,
            Self::Connection(_)
            | Self::ContentType
            | Self::SignedAnswer(_)
            | Self::Status(_)
            | Self::TimedOut
            | Self::TooLong => Blame::Endpoint,
            Self::Busy
            | Self::GivenUp
            | Self::Keys
            | Self::Metadata(_)
            | Self::NoRuntime
            | Self::Signing
            | Self::Suspended(_) => Blame::Nobody,
        }
    }

    /// Returns the status if the endpoint rejects the call itself. The operator has to change something then.
    pub(super) const fn rejected_call(&self) -> Option<u16> {
        match self {
            Self::Status(status @ (400 | 401 | 403)) => Some(*status),
            _ => None,
        }
    }

    /// Makes a failure of what reqwest reports.
    pub(super) fn of_connection(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            return Self::TimedOut;
        }
        let error = error.without_url();
        let mut chain = error.to_string();
        let mut next = error.source();
        while let Some(cause) = next {
            chain = format!("{chain}: {cause}");
            next = cause.source();
        }
        Self::Connection(chain)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("too many introspection calls are waiting"),
            Self::Connection(chain) => {
                write!(f, "no answer of the introspection endpoint: {chain:?}")
            }
            Self::ContentType => {
                f.write_str("the introspection answer has another content type than was asked for")
            }
            Self::GivenUp => f.write_str("the introspection call was given up with its runtime"),
            Self::Keys => f.write_str("the issuer's keys for signed answers are not available"),
            Self::Malformed(part) => write!(f, "the introspection answer is malformed: {part}"),
            Self::Metadata(why) => f.write_str(why),
            Self::NoRuntime => {
                f.write_str("introspection takes a tokio runtime, and there is none")
            }
            Self::Signing => f.write_str("the introspection call could not be signed"),
            Self::SignedAnswer(why) => {
                write!(f, "the signed introspection answer cannot be used: {why}")
            }
            Self::Status(status) => {
                write!(f, "the introspection endpoint answers with status {status}")
            }
            Self::Suspended(rest) => write!(
                f,
                "the introspection endpoint has failed, and is not called for another {rest:.1?}"
            ),
            Self::TimedOut => f.write_str("the introspection endpoint does not answer in time"),
            Self::TooLong => f.write_str("the introspection answer is too long"),
        }
    }
}

impl Error for Failure {}

impl From<Failure> for TokenError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Keys => TokenErrorKind::KeysUnavailable.into(),
            Failure::Suspended(rest) => Self::unavailable(failure).with_retry_after(rest),
            failure => Self::unavailable(failure),
        }
    }
}
