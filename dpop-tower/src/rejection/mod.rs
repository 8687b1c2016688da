//! What a rejected client learns, and what it does not.

mod cause;
mod challenge;
pub(crate) mod grpc;
mod log;
mod problem;
mod response;

pub(crate) use self::{
    cause::Cause,
    challenge::{Bearer, Challenge, Terms},
    log::Hint,
    response::{NO_STORE, nonce_value},
};
pub use self::{
    problem::ProblemDetails,
    response::{DefaultRejectionResponse, RejectionResponse},
};
pub use crate::{credentials::RequestErrorKind, reason::RejectionKind};

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use self::response::write_challenges;
use crate::{
    header::DPOP_NONCE,
    policy::{Policy, PolicyErrorKind},
    proof::ProofError,
    replay::StoreError,
    token::TokenError,
};

/// How long clients are asked to wait when keys or a store are out of reach.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// A rejected request: what the client is told, and for the operator why.
///
/// The layer puts it into the response's extensions, whatever the response looks like. A
/// [`Verifier`](crate::Verifier) gives it to you, and [`into_response`](Self::into_response) makes the
/// response; where that is of no use, [`status`](Self::status), [`headers`](Self::headers) and
/// [`problem`](Self::problem) have its parts.
///
/// `Display` says why in words that may be logged.
#[derive(Clone)]
#[must_use = "the client has to be told"]
pub struct Rejection {
    kind: RejectionKind,
    cause: Arc<Cause>,
    challenge: Challenge,
    policy: Policy,
    /// The patterns of the rows that counted.
    route: Option<Arc<str>>,
    hint: Option<Hint>,
    /// What the client has to put into its next proof.
    nonce: Option<HeaderValue>,
    /// The content type of the response, if the request is a gRPC one.
    grpc: Option<&'static str>,
}

impl Rejection {
    pub(crate) fn new(
        cause: Cause,
        challenge: Challenge,
        policy: Policy,
        route: Option<Arc<str>>,
        grpc: Option<&'static str>,
    ) -> Self {
        Self {
            kind: cause.kind(),
            cause: Arc::new(cause),
            challenge,
            policy,
            route,
            hint: None,
            nonce: None,
            grpc,
        }
    }

    pub(crate) fn with_nonce(mut self, nonce: Option<HeaderValue>) -> Self {
        self.nonce = nonce;
        self
    }

    /// What the client learns.
    pub const fn kind(&self) -> RejectionKind {
        self.kind
    }

    /// The status of the response. A gRPC response has 200, and says it in `grpc-status`.
    pub const fn status(&self) -> StatusCode {
        self.kind.status()
    }

    /// A stable code in snake case that says why, for logs and metrics, such as
    /// `proof_htu_mismatch`.
    pub fn reason(&self) -> &'static str {
        self.cause.code()
    }

    /// What the client is told in words, the `error_description`.
    pub fn description(&self) -> &'static str {
        self.cause.description()
    }

    /// What is wrong with the proof, if it was that.
    pub fn proof_error(&self) -> Option<&ProofError> {
        match &*self.cause {
            Cause::Proof(error) => Some(error),
            _ => None,
        }
    }

    /// What is wrong with the access token, if it was that.
    pub fn token_error(&self) -> Option<&TokenError> {
        match &*self.cause {
            Cause::Token(error) => Some(error),
            _ => None,
        }
    }

    /// What the policy asks for and the token does not have, if it was that.
    pub fn policy_error(&self) -> Option<PolicyErrorKind> {
        match &*self.cause {
            Cause::Policy(kind) => Some(*kind),
            _ => None,
        }
    }

    /// What is wrong with the replay store, if it was that.
    pub fn store_error(&self) -> Option<&StoreError> {
        match &*self.cause {
            Cause::Store(error) => Some(error),
            _ => None,
        }
    }

    /// The headers that the client has to get, whatever the response looks like otherwise:
    /// `WWW-Authenticate`, `DPoP-Nonce`, `Cache-Control: no-store` and `Retry-After`, each where it
    /// applies.
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        self.write_headers(&mut headers);
        headers
    }

    /// The body of [`ProblemDetails`], of the media type `application/problem+json` (RFC 9457).
    pub fn problem(&self) -> String {
        problem::body(self)
    }

    /// The response to the client, complete: of headers alone to a gRPC request, and to any other
    /// with the body that `responder` makes. It has the rejection in its extensions.
    ///
    /// Every rejection of this crate leaves by this function.
    pub fn into_response(self, responder: &dyn RejectionResponse) -> Response<Bytes> {
        let mut response = match self.grpc {
            Some(content_type) => {
                let (code, description) = (self.reason(), self.description());
                grpc::trailers_only(content_type, self.kind, code, description)
            }
            None => {
                let mut response = responder.response(&self);
                *response.status_mut() = self.status();
                response
            }
        };
        self.write_headers(response.headers_mut());
        response.extensions_mut().insert(self);
        response
    }

    fn write_headers(&self, headers: &mut HeaderMap) {
        headers.insert(header::CACHE_CONTROL, NO_STORE);
        if self.kind == RejectionKind::Forbidden {
            return;
        }
        if self.kind == RejectionKind::Unavailable {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER.as_secs().into());
            return;
        }
        write_challenges(headers, &self.challenge, self.kind, self.description());
        if let Some(nonce) = &self.nonce {
            headers.insert(DPOP_NONCE, nonce.clone());
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejection")
            .field("kind", &self.kind)
            .field("rejection", &self.cause)
            .finish_non_exhaustive()
    }
}
