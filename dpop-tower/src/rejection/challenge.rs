use std::{fmt, fmt::Write as _, sync::Arc};

use http::HeaderValue;

use crate::crypto::Algorithm;

/// What a refused client is asked for: the parameters of `WWW-Authenticate` that do not depend on
/// the error.
#[derive(Clone)]
pub(crate) struct Challenge {
    algs: Arc<str>,
    bearer: Bearer,
}

/// Whether the route takes bearer tokens too, and which challenge then brings the error: that of the
/// scheme which the client used (RFC 9449 section 7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bearer {
    NotAccepted,
    Accepted,
    /// Accepted, and the client sent one.
    Presented,
    /// Accepted, and the client used more than one scheme, or one of them twice.
    Ambiguous,
}

impl Challenge {
    pub(crate) const fn new(algs: Arc<str>, bearer: Bearer) -> Self {
        Self { algs, bearer }
    }

    /// The same for a handler that no bearer token will do for.
    #[cfg(feature = "axum")]
    pub(crate) fn without_bearer(&self) -> Self {
        Self::new(Arc::clone(&self.algs), Bearer::NotAccepted)
    }

    /// The `algs` parameter (RFC 9449 section 7.1).
    pub(crate) fn algs(algorithms: &[Algorithm]) -> Arc<str> {
        let names: Vec<&str> = algorithms.iter().map(|alg| alg.as_str()).collect();
        names.join(" ").into()
    }

    /// The values of `WWW-Authenticate`. `DPoP` comes first and in this spelling: there are clients
    /// that look no further.
    pub(crate) fn values(
        &self,
        error: Option<&'static str>,
        description: &'static str,
    ) -> impl Iterator<Item = HeaderValue> {
        let (of_dpop, of_bearer) = match self.bearer {
            Bearer::NotAccepted => (error, None),
            Bearer::Accepted => (error, Some(None)),
            Bearer::Presented => (None, Some(error)),
            Bearer::Ambiguous => (error, Some(error)),
        };
        let bearer = of_bearer.map(|error| value("Bearer", error, description, None));
        std::iter::once(value("DPoP", of_dpop, description, Some(&self.algs))).chain(bearer)
    }
}

/// Every part is a constant of this crate without quotes, backslashes or controls.
fn value(
    scheme: &'static str,
    error: Option<&'static str>,
    description: &'static str,
    algs: Option<&str>,
) -> HeaderValue {
    let mut text = String::with_capacity(128);
    text.push_str(scheme);
    let mut separator = " ";
    let mut parameter = |name: &str, value: &str| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{separator}{name}=\"{value}\"");
        separator = ", ";
    };
    if let Some(error) = error {
        parameter("error", error);
        parameter("error_description", description);
    }
    if let Some(algs) = algs {
        parameter("algs", algs);
    }
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(scheme))
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Challenge")
            .field("algs", &self.algs)
            .field("bearer", &self.bearer)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(bearer: Bearer, error: Option<&'static str>) -> Vec<String> {
        let algs = Challenge::algs(&[Algorithm::Es256, Algorithm::Ed25519]);
        Challenge::new(algs, bearer)
            .values(error, "what is wrong")
            .map(|value| value.to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn a_challenge_without_error_has_no_error_code() {
        assert_eq!(
            values(Bearer::NotAccepted, None),
            ["DPoP algs=\"ES256 Ed25519\""]
        );
        assert_eq!(
            values(Bearer::Accepted, None),
            ["DPoP algs=\"ES256 Ed25519\"", "Bearer"]
        );
    }

    #[test]
    fn rfc_9449_section_7_2_the_error_is_in_the_challenge_of_the_scheme_that_was_used() {
        let plain = "DPoP algs=\"ES256 Ed25519\"";
        let dpop = "DPoP error=\"invalid_token\", error_description=\"what is wrong\", \
                    algs=\"ES256 Ed25519\"";
        let bearer = "Bearer error=\"invalid_token\", error_description=\"what is wrong\"";
        for (case, expected) in [
            (Bearer::NotAccepted, &[dpop][..]),
            (Bearer::Accepted, &[dpop, "Bearer"]),
            (Bearer::Presented, &[plain, bearer]),
            (Bearer::Ambiguous, &[dpop, bearer]),
        ] {
            assert_eq!(values(case, Some("invalid_token")), expected, "{case:?}");
        }
    }
}
