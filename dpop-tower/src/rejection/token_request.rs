//! The error response of a token endpoint (RFC 6749 section 5.2), which is no challenge.

use std::{error::Error, fmt};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde::Serialize;

use super::{Rejection, RejectionKind};
use crate::{proof::ProofError, reason::reasons, replay::StoreError};

reasons! {
    /// The reason why a valid proof does not fit the grant or the parameters of a request to an authorization server.
    pub enum GrantErrorKind {
        /// The authorization code is bound to a key by `dpop_jkt`, and the request has no proof of it (RFC 9449
        /// section 10).
        CodeKeyMismatch = "grant_code_key_mismatch", InvalidGrant,
            "the code is bound to a key that the request does not prove";
        /// The `dpop_jkt` parameter of a pushed authorization request is not a thumbprint.
        DpopJktMalformed = "grant_dpop_jkt_malformed", InvalidRequest,
            "dpop_jkt is not the base64url of a SHA-256 thumbprint";
        /// The `dpop_jkt` parameter of a pushed authorization request is not the thumbprint of the proof's key (RFC
        /// 9449 section 10.1).
        DpopJktMismatch = "grant_dpop_jkt_mismatch", InvalidRequest,
            "dpop_jkt is not the thumbprint of the proof's key";
        /// The refresh token is bound to a key, and the request has no proof of it (RFC 9449 section 5).
        RefreshTokenKeyMismatch = "grant_refresh_token_key_mismatch", InvalidGrant,
            "the refresh token is bound to a key that the request does not prove";
    }
}

/// A rejected request to an authorization server: what the client is told, and why.
///
/// It is the [`Rejection`] of a token endpoint. The client gets a JSON object with `error` and `error_description` (RFC
/// 6749 section 5.2) in place of a challenge, and these statuses:
///
/// | [`kind`](Self::kind) | status | `error` |
/// |---|---|---|
/// | [`InvalidDpopProof`](RejectionKind::InvalidDpopProof) | 400 | `invalid_dpop_proof` (RFC 9449 section 5) |
/// | [`UseDpopNonce`](RejectionKind::UseDpopNonce) | 400, with `DPoP-Nonce` | `use_dpop_nonce` (RFC 9449 section 8) |
/// | [`InvalidGrant`](RejectionKind::InvalidGrant) | 400 | `invalid_grant` |
/// | [`Unavailable`](RejectionKind::Unavailable) | 503, with `Retry-After` | `temporarily_unavailable` |
/// | [`Forbidden`](RejectionKind::Forbidden) | 400 | `unauthorized_client` |
/// | any other | 400 | `invalid_request` |
///
/// `Display` writes why the request was rejected. Nothing in it is secret, so you may log all of it. With the feature
/// `axum`, a handler can return it.
#[derive(Clone)]
#[must_use = "the client has to be told"]
pub struct TokenRequestRejection(Box<Rejection>);

#[derive(Serialize)]
struct ErrorResponse {
    error: &'static str,
    error_description: &'static str,
}

impl TokenRequestRejection {
    pub(crate) fn new(rejection: Rejection) -> Self {
        Self(Box::new(rejection))
    }

    /// Returns the kind, which decides the status and the error code.
    pub const fn kind(&self) -> RejectionKind {
        self.0.kind()
    }

    /// Returns the status of the response, which is not that of [`RejectionKind::status`].
    pub const fn status(&self) -> StatusCode {
        match self.kind() {
            RejectionKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// Returns the `error` of the response (RFC 6749 section 5.2).
    pub const fn error_code(&self) -> &'static str {
        match self.kind() {
            RejectionKind::InvalidDpopProof => "invalid_dpop_proof",
            RejectionKind::UseDpopNonce => "use_dpop_nonce",
            RejectionKind::InvalidGrant => "invalid_grant",
            RejectionKind::Unavailable => "temporarily_unavailable",
            RejectionKind::Forbidden => "unauthorized_client",
            RejectionKind::CredentialsMissing
            | RejectionKind::InsufficientScope
            | RejectionKind::InsufficientUserAuthentication
            | RejectionKind::InvalidRequest
            | RejectionKind::InvalidToken => "invalid_request",
        }
    }

    /// Returns the code of the failed check, in snake case, such as `proof_htu_mismatch`; see
    /// [`Rejection::reason`].
    pub fn reason(&self) -> &'static str {
        self.0.reason()
    }

    /// Returns the `error_description` of the response.
    pub fn description(&self) -> &'static str {
        self.0.description()
    }

    /// Returns the error of the proof, and `None` if the request was rejected for another reason.
    pub fn proof_error(&self) -> Option<&ProofError> {
        self.0.proof_error()
    }

    /// Returns the error of the replay store, and `None` if the request was rejected for another reason.
    pub fn store_error(&self) -> Option<&StoreError> {
        self.0.store_error()
    }

    /// Returns the headers of the response: `Cache-Control: no-store` and `Content-Type: application/json`, and
    /// `DPoP-Nonce` or `Retry-After` if the client needs them.
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        self.write_headers(&mut headers);
        headers
    }

    fn write_headers(&self, headers: &mut HeaderMap) {
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
        self.0.write_plain_headers(headers);
    }

    /// Returns the body of the response, a JSON object.
    pub fn body(&self) -> String {
        let body = ErrorResponse {
            error: self.error_code(),
            error_description: self.description(),
        };
        // Static texts always serialise.
        serde_json::to_string(&body).unwrap_or_default()
    }

    /// Returns the complete response to the client, which has the rejection in its extensions.
    pub fn into_response(self) -> Response<Bytes> {
        let mut response = Response::new(self.body().into());
        *response.status_mut() = self.status();
        self.write_headers(response.headers_mut());
        response.extensions_mut().insert(self);
        response
    }
}

impl fmt::Display for TokenRequestRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for TokenRequestRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TokenRequestRejection")
            .field(&self.0)
            .finish()
    }
}

impl Error for TokenRequestRejection {}
