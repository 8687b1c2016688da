//! Error responses (RFC 6749 section 5.2).

use std::borrow::Cow;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use dpop_tower::token_endpoint::TokenRequestRejection;
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

/// What a client is told in place of a token.
#[derive(Debug)]
pub(super) enum OauthError {
    Error {
        status: StatusCode,
        code: &'static str,
        description: Cow<'static, str>,
    },
    /// The proof was rejected, or a grant that is bound to a key.
    Proof(TokenRequestRejection),
}

impl OauthError {
    pub(super) fn new(code: &'static str, description: impl Into<Cow<'static, str>>) -> Self {
        Self::Error {
            status: StatusCode::BAD_REQUEST,
            code,
            description: description.into(),
        }
    }

    pub(super) fn invalid_request(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new("invalid_request", description)
    }

    pub(super) fn invalid_grant(description: &'static str) -> Self {
        Self::new("invalid_grant", description)
    }

    pub(super) const fn invalid_client() -> Self {
        Self::Error {
            status: StatusCode::UNAUTHORIZED,
            code: "invalid_client",
            description: Cow::Borrowed("the client is unknown, or its secret is wrong"),
        }
    }

    /// Says that there is no room for another entry.
    pub(super) const fn full() -> Self {
        Self::Error {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: "temporarily_unavailable",
            description: Cow::Borrowed("the issuer holds as much as it can: try again later"),
        }
    }

    /// Says that something is wrong with this program or this machine.
    pub(super) const fn server_error() -> Self {
        Self::Error {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            code: "server_error",
            description: Cow::Borrowed("the issuer failed"),
        }
    }

    /// Returns the code and the description for a redirect.
    pub(super) fn parts(&self) -> (&'static str, Cow<'static, str>) {
        match self {
            Self::Error {
                code, description, ..
            } => (code, description.clone()),
            Self::Proof(rejection) => (rejection.error_code(), rejection.description().into()),
        }
    }
}

impl From<TokenRequestRejection> for OauthError {
    fn from(rejection: TokenRequestRejection) -> Self {
        Self::Proof(rejection)
    }
}

impl IntoResponse for OauthError {
    fn into_response(self) -> Response {
        let (status, code, description) = match self {
            Self::Proof(rejection) => return IntoResponse::into_response(rejection),
            Self::Error {
                status,
                code,
                description,
            } => (status, code, description),
        };
        let body = json!({ "error": code, "error_description": description });
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        let no_store = HeaderValue::from_static("no-store");
        headers.insert(header::CACHE_CONTROL, no_store);
        if status == StatusCode::UNAUTHORIZED {
            let basic = HeaderValue::from_static("Basic realm=\"dpop idp\"");
            headers.insert(header::WWW_AUTHENTICATE, basic);
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}
