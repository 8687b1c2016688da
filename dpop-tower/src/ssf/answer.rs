//! The response to a transmitter (RFC 8935 sections 2.2 to 2.4).

use http::{HeaderValue, Response, StatusCode, header};

use crate::telemetry;

/// How long a transmitter should wait before it tries again, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("10");

/// What becomes of a request.
#[derive(Debug)]
pub(super) enum Answer {
    /// The SET is acknowledged, with this outcome for the metrics.
    Accepted(Outcome),
    /// The SET is rejected (RFC 8935 section 2.4).
    Rejected(Rejection),
    /// The SET can be delivered later.
    Unavailable,
    /// The request is not one that delivers a SET.
    Http(StatusCode),
}

/// The effect of a SET that is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    NoEffect,
    Repeated,
    Revoked,
    Stream,
}

/// The reason why a SET is rejected. The description contains nothing of the SET.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rejection {
    pub(super) err: &'static str,
    pub(super) description: &'static str,
}

impl Rejection {
    pub(super) const fn request(description: &'static str) -> Self {
        Self {
            err: "invalid_request",
            description,
        }
    }

    pub(super) const KEY: Self = Self {
        err: "invalid_key",
        description: "no key of the transmitter verifies it",
    };

    pub(super) const ISSUER: Self = Self {
        err: "invalid_issuer",
        description: "its iss is that of no configured transmitter",
    };

    pub(super) const AUDIENCE: Self = Self {
        err: "invalid_audience",
        description: "its aud does not name this receiver",
    };

    pub(super) const AUTHENTICATION: Self = Self {
        err: "authentication_failed",
        description: "the Authorization header is not that of the transmitter",
    };

    pub(super) const ACCESS: Self = Self {
        err: "access_denied",
        description: "its subject is of an issuer that the transmitter does not speak for",
    };
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::NoEffect => "no_effect",
            Self::Repeated => "repeated",
            Self::Revoked => "revoked",
            Self::Stream => "stream",
        }
    }
}

impl Answer {
    /// Returns the label of the metrics.
    const fn outcome(&self) -> &'static str {
        match self {
            Self::Accepted(outcome) => outcome.as_str(),
            Self::Rejected(_) | Self::Http(_) => "rejected",
            Self::Unavailable => "unavailable",
        }
    }

    pub(super) fn into_response(self) -> Response<String> {
        telemetry::security_event(self.outcome());
        let (status, body) = match &self {
            Self::Accepted(_) => (StatusCode::ACCEPTED, String::new()),
            Self::Rejected(Rejection { err, description }) => {
                let body = serde_json::json!({ "err": err, "description": description });
                (StatusCode::BAD_REQUEST, body.to_string())
            }
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, String::new()),
            Self::Http(status) => (*status, String::new()),
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match self {
            Self::Rejected(_) => {
                let json = HeaderValue::from_static("application/json");
                headers.insert(header::CONTENT_TYPE, json);
                headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static("en"));
            }
            Self::Unavailable => {
                headers.insert(header::RETRY_AFTER, RETRY_AFTER);
            }
            Self::Http(StatusCode::METHOD_NOT_ALLOWED) => {
                headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
            }
            Self::Accepted(_) | Self::Http(_) => {}
        }
        response
    }
}

impl From<Rejection> for Answer {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}
