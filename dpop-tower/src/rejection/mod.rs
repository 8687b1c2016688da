//! What a rejected client learns, and what it does not.

mod challenge;
mod problem;
mod response;

#[cfg(feature = "cors")]
pub(crate) use self::response::NONCE;
pub(crate) use self::{
    challenge::{Bearer, Challenge, Terms},
    response::{NO_STORE, nonce_header, write_challenges},
};
pub use self::{
    problem::ProblemDetails,
    response::{DefaultRejectionResponse, RejectionResponse},
};
pub use crate::{reason::RejectionKind, verifier::RequestErrorKind};

use std::{error::Error as _, fmt, sync::Arc, time::Duration};

use http::{HeaderMap, StatusCode, header};

use crate::{
    policy::{Policy, PolicyErrorKind},
    proof::ProofError,
    replay::StoreError,
    token::TokenError,
    verifier::Cause,
};

/// How long clients are asked to wait when keys or a store are out of reach.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// A rejected request: what the client is told, and for the operator why.
///
/// The layer puts it into the response's extensions, whatever the response looks like.
///
/// `Display` says why in words that may be logged.
#[derive(Clone)]
pub struct Rejection {
    kind: RejectionKind,
    rejection: Arc<Cause>,
    challenge: Challenge,
    policy: Policy,
    /// The patterns of the rows that counted.
    route: Option<Arc<str>>,
    hint: Option<Hint>,
}

/// What the operator may have to change, told in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hint {
    /// It is a preflight, which never has a token (Fetch standard, CORS protocol).
    Preflight,
    /// An outer layer has accepted the nonce that this one does not know.
    TwoNonceSources,
}

impl Hint {
    const fn text(self) -> &'static str {
        match self {
            Self::Preflight => {
                "a CORS preflight: the CORS layer has to be outside of the DpopLayer"
            }
            Self::TwoNonceSources => {
                "another layer has accepted this nonce: two configurations around one handler need one \
                 source of nonces, or clients go from one challenge to the next for ever"
            }
        }
    }
}

impl Rejection {
    pub(crate) fn new(
        rejection: Cause,
        challenge: Challenge,
        policy: Policy,
        route: Option<Arc<str>>,
    ) -> Self {
        let kind = match &rejection {
            Cause::Request(kind) => (*kind).into(),
            Cause::Proof(error) => error.kind().into(),
            Cause::Token(error) => error.kind().into(),
            Cause::Policy(kind) => (*kind).into(),
            Cause::Store(error) => error.kind().into(),
        };
        Self {
            kind,
            rejection: Arc::new(rejection),
            challenge,
            policy,
            route,
            hint: None,
        }
    }

    pub(crate) const fn with_hint(mut self, hint: Option<Hint>) -> Self {
        self.hint = hint;
        self
    }

    /// What the client learns.
    pub const fn kind(&self) -> RejectionKind {
        self.kind
    }

    /// The status of the response.
    pub const fn status(&self) -> StatusCode {
        self.kind.status()
    }

    /// A stable code in snake case that says why, for logs and metrics, such as
    /// `proof_htu_mismatch`.
    pub fn reason(&self) -> &'static str {
        self.rejection.code()
    }

    /// What the client is told in words, the `error_description`.
    pub fn description(&self) -> &'static str {
        match &*self.rejection {
            Cause::Request(kind) => kind.description(),
            Cause::Proof(error) => error.kind().description(),
            Cause::Token(error) => error.kind().description(),
            Cause::Policy(kind) => kind.description(),
            Cause::Store(error) => error.kind().description(),
        }
    }

    /// What is wrong with the proof, if it was that.
    pub fn proof_error(&self) -> Option<&ProofError> {
        match &*self.rejection {
            Cause::Proof(error) => Some(error),
            _ => None,
        }
    }

    /// What is wrong with the access token, if it was that.
    pub fn token_error(&self) -> Option<&TokenError> {
        match &*self.rejection {
            Cause::Token(error) => Some(error),
            _ => None,
        }
    }

    /// What the policy asks for and the token does not have, if it was that.
    pub fn policy_error(&self) -> Option<PolicyErrorKind> {
        match &*self.rejection {
            Cause::Policy(kind) => Some(*kind),
            _ => None,
        }
    }

    /// What is wrong with the replay store, if it was that.
    pub fn store_error(&self) -> Option<&StoreError> {
        match &*self.rejection {
            Cause::Store(error) => Some(error),
            _ => None,
        }
    }

    /// Writes what a client must get whatever the response looks like otherwise.
    pub(crate) fn write_headers(&self, headers: &mut HeaderMap, nonce: Option<&str>) {
        headers.insert(header::CACHE_CONTROL, NO_STORE);
        if self.kind == RejectionKind::Forbidden {
            return;
        }
        if self.kind == RejectionKind::Unavailable {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER.as_secs().into());
            return;
        }
        write_challenges(headers, &self.challenge, self.kind, self.description());
        if let Some((name, value)) = nonce.and_then(nonce_header) {
            headers.insert(name, value);
        }
    }

    /// The line for a request that passes all the same. It never contains a token, a proof or what the
    /// caller wrote.
    pub(crate) fn log_reported(&self) {
        self.write_line(tracing::Level::INFO, "would reject request");
    }

    /// One line for every rejection, wherever it is made. It never contains a token, a proof or what the
    /// caller wrote.
    pub(crate) fn log(&self) {
        let (level, message) = match (self.kind, self.hint) {
            (RejectionKind::Unavailable, _) => (tracing::Level::WARN, "cannot check request"),
            (_, Some(Hint::TwoNonceSources)) => (tracing::Level::WARN, "rejected request"),
            // Every client's first request may be one of these.
            (RejectionKind::CredentialsMissing | RejectionKind::UseDpopNonce, None) => {
                (tracing::Level::DEBUG, "challenged request")
            }
            _ => (tracing::Level::INFO, "rejected request"),
        };
        self.write_line(level, message);
    }

    fn write_line(&self, level: tracing::Level, message: &'static str) {
        let (reason, detail) = (self.reason(), &*self.rejection);
        let error = match detail {
            Cause::Store(error) => Some(error as &dyn std::error::Error),
            Cause::Token(error) if error.source().is_some() => Some(error as _),
            _ => None,
        };
        // What a store or a verifier has to say is the error and its causes.
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

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rejection.fmt(f)
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejection")
            .field("kind", &self.kind)
            .field("rejection", &self.rejection)
            .finish_non_exhaustive()
    }
}
