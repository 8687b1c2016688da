use bytes::Bytes;
use http::{HeaderValue, Response, header};
use serde::Serialize;

use super::{Rejection, RejectionResponse};

/// Answers rejected requests with a body of the type `application/problem+json` (RFC 9457).
///
/// The body repeats the challenge for clients that do not parse `WWW-Authenticate`. It has these members:
///
/// | member | value |
/// |---|---|
/// | `status` | the status code |
/// | `title` | the status in words |
/// | `detail` | the `error_description` of the challenge |
/// | `error` | the `error` of the challenge, if it has one |
/// | `reason` | the code of the failed check, as in the log; see [`Rejection::reason`] |
///
/// ```
/// # #[cfg(feature = "test-util")] {
/// use dpop_tower::{DpopConfig, DpopLayer, PublicOrigin, rejection::ProblemDetails};
/// # use dpop_tower::test_util::TestIssuer;
///
/// # let origin = PublicOrigin::new("https://api.example.com")?;
/// let config = DpopConfig::builder(origin, TestIssuer::new().tokens()).build()?;
/// let layer = DpopLayer::new(config).with_rejection_response(ProblemDetails);
/// # }
/// # Ok::<(), dpop_tower::ConfigError>(())
/// ```
///
/// A request without a token gets this body:
///
/// ```json
/// {
///   "status": 401,
///   "title": "Unauthorized",
///   "detail": "no access token was sent",
///   "reason": "credentials_missing"
/// }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ProblemDetails;

#[derive(Serialize)]
struct Problem {
    status: u16,
    title: &'static str,
    detail: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    reason: &'static str,
}

impl RejectionResponse for ProblemDetails {
    fn response(&self, rejection: &Rejection) -> Response<Bytes> {
        let mut response = Response::new(body(rejection).into());
        let media_type = HeaderValue::from_static("application/problem+json");
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, media_type);
        response
    }
}

pub(super) fn body(rejection: &Rejection) -> String {
    let status = rejection.status();
    let problem = Problem {
        status: status.as_u16(),
        title: status.canonical_reason().unwrap_or_default(),
        detail: rejection.description(),
        error: rejection.kind().error_code(),
        reason: rejection.reason(),
    };
    // Numbers and texts always serialise.
    serde_json::to_string(&problem).unwrap_or_default()
}
