//! Rejections: what the client of a rejected request learns, and what the operator learns.
//!
//! A [`Rejection`] has a [kind](RejectionKind), which decides the status and the challenge, and a
//! [reason](Rejection::reason), which names the failed check. No part of it contains a token, a proof or a
//! key, so you may log all of it.
//!
//! # A body of your own
//!
//! The layer writes the status and the headers. A [`RejectionResponse`] only chooses the body, and a
//! closure or a function is enough:
//!
//! ```
//! # #[cfg(feature = "test-util")]
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use dpop_tower::{DpopConfig, DpopLayer, PublicOrigin, rejection::Rejection};
//! # use dpop_tower::test_util::TestIssuer;
//! use http::{HeaderValue, Request, Response, header};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! fn as_json(rejection: &Rejection) -> Response<String> {
//!     let mut response = Response::new(format!(r#"{{"code":"{}"}}"#, rejection.reason()));
//!     let json = HeaderValue::from_static("application/json");
//!     response.headers_mut().insert(header::CONTENT_TYPE, json);
//!     response
//! }
//!
//! # let origin = PublicOrigin::new("https://api.example.com")?;
//! # let config = DpopConfig::builder(origin, TestIssuer::new().tokens()).build()?;
//! let service = ServiceBuilder::new()
//!     .layer(DpopLayer::new(config).with_rejection_response(as_json))
//!     .service(service_fn(async |_: Request<()>| Ok::<_, std::io::Error>(Response::new(()))));
//!
//! let response = service.oneshot(Request::new(())).await?;
//! assert_eq!(response.status(), 401);
//! assert_eq!(response.headers()["content-type"], "application/json");
//! assert!(response.headers().contains_key("www-authenticate"));
//! # Ok(()) }
//! # #[cfg(not(feature = "test-util"))] fn main() {}
//! ```
//!
//! # Reading a rejection outside the layer
//!
//! The rejection is in the extensions of the response. An outer layer can read it there, for example to
//! write an audit log:
//!
//! ```
//! # #[cfg(feature = "test-util")]
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use dpop_tower::{DpopConfig, DpopLayer, PublicOrigin, rejection::Rejection};
//! # use dpop_tower::test_util::TestIssuer;
//! use http::{HeaderValue, Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! fn audit<B>(mut response: Response<B>) -> Response<B> {
//!     if let Some(rejection) = response.extensions().get::<Rejection>() {
//!         let reason = HeaderValue::from_static(rejection.reason());
//!         response.headers_mut().insert("x-audit", reason);
//!     }
//!     response
//! }
//!
//! # let origin = PublicOrigin::new("https://api.example.com")?;
//! # let config = DpopConfig::builder(origin, TestIssuer::new().tokens()).build()?;
//! let service = ServiceBuilder::new()
//!     .map_response(audit)
//!     .layer(DpopLayer::new(config))
//!     .service(service_fn(async |_: Request<()>| Ok::<_, std::io::Error>(Response::new(()))));
//!
//! let response = service.oneshot(Request::new(())).await?;
//! assert_eq!(response.headers()["x-audit"], "credentials_missing");
//! # Ok(()) }
//! # #[cfg(not(feature = "test-util"))] fn main() {}
//! ```
//!
//! # Other frameworks
//!
//! A [`Verifier`](crate::Verifier) returns the rejection. If your framework has response types of its
//! own, build the response from the parts:
//!
//! ```
//! # #[cfg(feature = "test-util")]
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use dpop_tower::{DpopConfig, PublicOrigin, RequestHead, Verdict, Verifier};
//! # use dpop_tower::test_util::TestIssuer;
//!
//! # let origin = PublicOrigin::new("https://api.example.com")?;
//! # let config = DpopConfig::builder(origin, TestIssuer::new().tokens()).build()?;
//! let verifier = Verifier::new(config);
//! let request = http::Request::get("/orders").body(())?;
//! let head = RequestHead::new(request.method(), request.uri(), request.headers());
//!
//! let Verdict::Rejected(rejection) = verifier.verify_request(head).await else {
//!     panic!("a request without a token was admitted");
//! };
//! assert_eq!(rejection.status(), 401);
//! assert_eq!(rejection.headers()["cache-control"], "no-store");
//! assert!(rejection.problem().contains(r#""reason":"credentials_missing""#));
//! # Ok(()) }
//! # #[cfg(not(feature = "test-util"))] fn main() {}
//! ```
//!
//! # Security
//!
//! Send every header of [`Rejection::headers`], whatever the body looks like. Without the challenge a
//! client cannot tell a missing nonce from an invalid token (RFC 9449 section 7.1), and without `no-store`
//! a cache may keep a nonce (RFC 9449 section 8.2).

mod cause;
mod challenge;
pub(crate) mod grpc;
mod log;
mod problem;
mod response;
pub(crate) mod token_request;

pub(crate) use self::{
    cause::Cause,
    challenge::{Bearer, Challenge, ChallengeParams},
    log::Hint,
    response::{NO_STORE, nonce_value},
    token_request::{GrantErrorKind, TokenRequestRejection},
};
pub use self::{
    problem::ProblemDetails,
    response::{DefaultRejectionResponse, RejectionResponse},
};
pub use crate::{credentials::RequestErrorKind, reason::RejectionKind};

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use crate::{
    header::DPOP_NONCE,
    policy::{Policy, PolicyErrorKind},
    proof::ProofError,
    replay::StoreError,
    token::TokenError,
};

/// The `Retry-After` of responses when keys or a store cannot be reached, unless it is known better.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// A rejected request: what the client is told, and why.
///
/// The layer puts it into the response's extensions, whatever the response looks like. A
/// [`Verifier`](crate::Verifier) returns it, and [`into_response`](Self::into_response) makes the
/// response. If you cannot use that response, take its parts from [`status`](Self::status),
/// [`headers`](Self::headers) and [`problem`](Self::problem).
///
/// `Display` writes why the request was rejected. The text is safe to log.
///
/// ```
/// use dpop_tower::{proof::ProofErrorKind, rejection::Rejection};
///
/// /// Returns whether the clock of a client seems to be wrong.
/// fn has_wrong_clock(rejection: &Rejection) -> bool {
///     rejection.proof_error().is_some_and(|error| {
///         matches!(error.kind(), ProofErrorKind::TooOld | ProofErrorKind::FromFuture)
///     })
/// }
/// ```
#[derive(Clone)]
#[must_use = "the client has to be told"]
pub struct Rejection {
    kind: RejectionKind,
    cause: Arc<Cause>,
    challenge: Challenge,
    policy: Policy,
    /// The patterns of the table rows that applied.
    route: Option<Arc<str>>,
    hint: Option<Hint>,
    /// The nonce for the client's next proof.
    pub(crate) nonce: Option<HeaderValue>,
    /// Is `true` if the nonce is also for a client that gets no challenge.
    pub(crate) offers_nonce: bool,
    /// The content type of the response to a gRPC request, and `None` for any other request.
    grpc: Option<&'static str>,
}

impl Rejection {
    pub(crate) fn new(
        cause: Cause,
        challenge: Challenge,
        policy: Policy,
        route: Option<Arc<str>>,
        hint: Option<Hint>,
        grpc: Option<&'static str>,
    ) -> Self {
        Self {
            kind: cause.kind(),
            cause: Arc::new(cause),
            challenge,
            policy,
            route,
            hint,
            nonce: None,
            offers_nonce: false,
            grpc,
        }
    }

    /// Returns the kind, which decides the status and the challenge.
    pub const fn kind(&self) -> RejectionKind {
        self.kind
    }

    /// Returns the status of the response.
    ///
    /// A gRPC response has the status 200 and an equivalent code in `grpc-status`.
    pub const fn status(&self) -> StatusCode {
        self.kind.status()
    }

    /// Returns the code of the failed check, in snake case, such as `proof_htu_mismatch`.
    ///
    /// Codes are stable, so you can use them in logs, metrics and tests.
    pub fn reason(&self) -> &'static str {
        self.cause.code()
    }

    /// Returns the text that the client gets as `error_description` (RFC 6750 section 3).
    pub fn description(&self) -> &'static str {
        self.cause.description()
    }

    /// Returns the error of the proof, and `None` if the request was rejected for another reason.
    pub fn proof_error(&self) -> Option<&ProofError> {
        match &*self.cause {
            Cause::Proof(error) => Some(error),
            _ => None,
        }
    }

    /// Returns the error of the access token, and `None` if the request was rejected for another reason.
    pub fn token_error(&self) -> Option<&TokenError> {
        match &*self.cause {
            Cause::Token(error) => Some(error),
            _ => None,
        }
    }

    /// Returns the requirement of the policy that the token does not satisfy.
    ///
    /// Returns `None` if the request was rejected for another reason.
    pub fn policy_error(&self) -> Option<PolicyErrorKind> {
        match &*self.cause {
            Cause::Policy(kind) => Some(*kind),
            _ => None,
        }
    }

    /// Returns the error of the replay store, and `None` if the request was rejected for another reason.
    pub fn store_error(&self) -> Option<&StoreError> {
        match &*self.cause {
            Cause::Store(error) => Some(error),
            _ => None,
        }
    }

    /// Returns the headers that every response to this request needs.
    ///
    /// | header | sent |
    /// |---|---|
    /// | `Cache-Control: no-store` | always |
    /// | `WWW-Authenticate` | unless the status is 503, or the policy is [`Policy::deny`] |
    /// | `DPoP-Nonce` | with a challenge, if nonces are required; always, if they are offered |
    /// | `Retry-After`, in seconds | with the status 503: 5, unless the verifier of tokens [knows better](TokenError::with_retry_after) |
    ///
    /// `WWW-Authenticate` may have two values, one a scheme. Append them, and do not replace one by the
    /// other.
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        self.write_headers(&mut headers);
        headers
    }

    /// Returns the body that [`ProblemDetails`] sends.
    ///
    /// Its media type is `application/problem+json` (RFC 9457).
    pub fn problem(&self) -> String {
        problem::body(self)
    }

    /// Returns the complete response to the client, with the body that `responder` makes.
    ///
    /// A gRPC request gets a response without a body, and `responder` is not called. The response has the
    /// rejection in its extensions.
    ///
    /// The layers and extractors of this crate use this function too.
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
        self.write_plain_headers(headers);
        if self.has_challenge() {
            headers.remove(header::WWW_AUTHENTICATE);
            for value in self.challenge.values(self.kind, self.description()) {
                headers.append(header::WWW_AUTHENTICATE, value);
            }
        }
    }

    /// Writes the headers that do not belong to a challenge of a resource server.
    fn write_plain_headers(&self, headers: &mut HeaderMap) {
        headers.insert(header::CACHE_CONTROL, NO_STORE);
        if let Some(nonce) = &self.nonce
            && (self.has_challenge() || self.offers_nonce)
        {
            headers.insert(DPOP_NONCE, nonce.clone());
        }
        if self.kind == RejectionKind::Unavailable {
            let known = self.cause.retry_after().map(|secs| secs.get().into());
            let secs = known.unwrap_or(RETRY_AFTER.as_secs());
            headers.insert(header::RETRY_AFTER, secs.into());
        }
    }

    /// Returns whether other credentials may help.
    fn has_challenge(&self) -> bool {
        !matches!(
            self.kind,
            RejectionKind::Forbidden | RejectionKind::Unavailable
        )
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
