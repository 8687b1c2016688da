use bytes::Bytes;
use http::{HeaderValue, Response, header};
use serde::Serialize;

use super::{Rejection, RejectionResponse};

/// Answers rejected requests with a body of `application/problem+json` (RFC 9457).
///
/// The body says what the challenge says, for clients that look no further than the body: `status`,
/// `title` (the status in words), `detail` (the `error_description`) and `error` (its code, where there
/// is one).
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
#[derive(Clone, Copy, Debug, Default)]
pub struct ProblemDetails;

#[derive(Serialize)]
struct Problem {
    status: u16,
    title: &'static str,
    detail: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
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
    };
    // Numbers and texts always serialise.
    serde_json::to_string(&problem).unwrap_or_default()
}
