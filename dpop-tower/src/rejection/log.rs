//! The log line of a rejection. It never contains a token, a proof or text of the caller.

use std::error::Error;

use super::{Cause, Rejection, RejectionKind};

/// A mistake in the setup that the log points out to the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hint {
    /// The request is a preflight, which never has a token (Fetch standard, CORS protocol).
    Preflight,
    /// An outer layer of another configuration has accepted this proof.
    TwoConfigurations,
    /// An outer layer has accepted a nonce that this layer does not know.
    TwoNonceSources,
}

impl Hint {
    const fn text(self) -> &'static str {
        match self {
            Self::Preflight => {
                "a CORS preflight: the CORS layer has to be outside of the DpopLayer"
            }
            Self::TwoConfigurations => {
                "an outer layer of another configuration has accepted this proof: two configurations \
                 around one handler need a replay store each, and no layer of one may stand between two \
                 of the other"
            }
            Self::TwoNonceSources => {
                "another layer has accepted this nonce: two configurations around one handler need one \
                 source of nonces, or clients go from one challenge to the next for ever"
            }
        }
    }

    /// Returns whether this mistake makes every request fail.
    const fn is_urgent(self) -> bool {
        matches!(self, Self::TwoConfigurations | Self::TwoNonceSources)
    }
}

impl Rejection {
    /// Logs a request that would be rejected, but passes.
    pub(crate) fn log_reported(&self) {
        self.write_line(tracing::Level::INFO, "would reject request");
    }

    pub(crate) fn log(&self) {
        let (level, message) = match (self.kind, self.hint) {
            (RejectionKind::Unavailable, _) => (tracing::Level::WARN, "cannot check request"),
            (_, Some(hint)) if hint.is_urgent() => (tracing::Level::WARN, "rejected request"),
            // The first request of any client may be rejected like this.
            (RejectionKind::CredentialsMissing | RejectionKind::UseDpopNonce, None) => {
                (tracing::Level::DEBUG, "challenged request")
            }
            _ => (tracing::Level::INFO, "rejected request"),
        };
        self.write_line(level, message);
    }

    fn write_line(&self, level: tracing::Level, message: &'static str) {
        let (reason, detail) = (self.reason(), &*self.cause);
        let error = match detail {
            Cause::Store(error) => Some(error as &dyn Error),
            Cause::Token(error) if error.source().is_some() => Some(error as _),
            _ => None,
        };
        // The error of a store or a verifier is logged with its causes instead.
        let detail = error.is_none().then(|| tracing::field::display(detail));
        let route = self.route.as_deref();
        let asks_for = matches!(
            self.kind,
            RejectionKind::Forbidden
                | RejectionKind::InsufficientScope
                | RejectionKind::InsufficientUserAuthentication
        );
        let policy = asks_for.then(|| tracing::field::display(&self.policy));
        let hint = self.hint.map(Hint::text);
        macro_rules! line {
            ($event:ident) => {
                tracing::$event!(
                    target: "dpop_tower::rejection",
                    reason,
                    detail,
                    error,
                    policy,
                    route,
                    hint,
                    "{message}"
                )
            };
        }
        match level {
            tracing::Level::WARN => line!(warn),
            tracing::Level::INFO => line!(info),
            _ => line!(debug),
        }
    }
}
