use std::{fmt::Write as _, sync::Arc};

use http::HeaderValue;

use super::RejectionKind;
use crate::{crypto::Algorithm, policy::Policy};

/// The parameters of `WWW-Authenticate` that do not depend on the error.
#[derive(Clone, Debug)]
pub(crate) struct Challenge {
    params: Arc<ChallengeParams>,
    bearer: Bearer,
    /// The URL of the metadata, in characters that need no escapes.
    resource_metadata: Option<Arc<str>>,
}

/// The requirements of a policy, as parameters of a challenge.
#[derive(Debug, Default)]
pub(crate) struct ChallengeParams {
    /// RFC 9449 section 7.1; `None` if no algorithm is left.
    algs: Option<String>,
    /// RFC 6750 section 3.
    scope: Option<String>,
    /// RFC 9470 section 3.
    acr_values: Option<String>,
    max_age: Option<String>,
}

impl ChallengeParams {
    /// Returns the parameters of a policy, with the algorithms that the configuration also allows.
    pub(crate) fn of<S>(policy: &Policy<S>, algorithms: &[Algorithm]) -> Self {
        let requirements = policy.requirements();
        let allowed = requirements.allowed_algorithms(algorithms);
        let names: Vec<&str> = allowed.iter().map(|alg| alg.as_str()).collect();
        Self {
            algs: (!names.is_empty()).then(|| names.join(" ")),
            scope: requirements.scope(),
            acr_values: requirements.acr_values(),
            max_age: requirements
                .max_auth_age
                .map(|max_age| max_age.as_secs().to_string()),
        }
    }

    /// Returns the parameters for a rejection of this kind, except `algs`.
    fn parameters(&self, kind: RejectionKind) -> impl Iterator<Item = (&'static str, &str)> {
        let step_up = kind == RejectionKind::InsufficientUserAuthentication;
        let scope = matches!(
            kind,
            RejectionKind::CredentialsMissing | RejectionKind::InsufficientScope
        );
        [
            ("scope", self.scope.as_deref().filter(|_| scope)),
            ("acr_values", self.acr_values.as_deref().filter(|_| step_up)),
            ("max_age", self.max_age.as_deref().filter(|_| step_up)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    }
}

/// The bearer challenge of a route.
///
/// The error is in the challenge of the scheme that the client used (RFC 9449 section 7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bearer {
    NotAccepted,
    Accepted,
    /// Bearer tokens are accepted, and the client sent one.
    Presented,
    /// Bearer tokens are accepted, and the client sent several `Authorization` headers.
    Ambiguous,
}

impl Challenge {
    pub(crate) const fn new(params: Arc<ChallengeParams>, bearer: Bearer) -> Self {
        Self {
            params,
            bearer,
            resource_metadata: None,
        }
    }

    /// Names the metadata of the protected resource (RFC 9728 section 5.1), if there is any.
    pub(crate) fn with_resource_metadata(mut self, url: Option<Arc<str>>) -> Self {
        self.resource_metadata = url;
        self
    }

    /// Returns the values of `WWW-Authenticate`.
    ///
    /// `DPoP` comes first and in this spelling, since some clients read nothing else.
    pub(crate) fn values(
        &self,
        kind: RejectionKind,
        description: &'static str,
    ) -> impl Iterator<Item = HeaderValue> {
        let (of_dpop, of_bearer) = match self.bearer {
            Bearer::NotAccepted => (true, None),
            Bearer::Accepted => (true, Some(false)),
            Bearer::Presented => (false, Some(true)),
            Bearer::Ambiguous => (true, Some(true)),
        };
        let dpop = Value::new("DPoP")
            .error(of_dpop.then_some(kind), description)
            .params(&self.params, kind, of_dpop);
        let dpop = match &self.params.algs {
            Some(algs) => dpop.parameter("algs", algs),
            None => dpop,
        };
        let url = self.resource_metadata.as_deref();
        let bearer = of_bearer.map(|is_used| {
            Value::new("Bearer")
                .error(is_used.then_some(kind), description)
                .params(&self.params, kind, is_used)
        });
        let with_metadata = move |value: Value| match url {
            Some(url) => value.parameter("resource_metadata", url),
            None => value,
        };
        (std::iter::once(dpop).chain(bearer)).map(move |value| with_metadata(value).finish())
    }
}

/// A challenge that is being written.
///
/// Every part is a constant of this crate, or was checked to have no quotes, backslashes or controls.
struct Value {
    scheme: &'static str,
    text: String,
    separator: &'static str,
}

impl Value {
    fn new(scheme: &'static str) -> Self {
        let mut text = String::with_capacity(128);
        text.push_str(scheme);
        Self {
            scheme,
            text,
            separator: " ",
        }
    }

    fn parameter(mut self, name: &str, value: &str) -> Self {
        // Writing to a `String` cannot fail.
        let _ = write!(self.text, "{}{name}=\"{value}\"", self.separator);
        self.separator = ", ";
        self
    }

    fn error(self, kind: Option<RejectionKind>, description: &str) -> Self {
        match kind.and_then(RejectionKind::error_code) {
            Some(error) => self
                .parameter("error", error)
                .parameter("error_description", description),
            None => self,
        }
    }

    fn params(self, params: &ChallengeParams, kind: RejectionKind, is_used: bool) -> Self {
        let no_credentials = kind == RejectionKind::CredentialsMissing;
        params
            .parameters(kind)
            .filter(|_| is_used || no_credentials)
            .fold(self, |value, (name, text)| value.parameter(name, text))
    }

    fn finish(self) -> HeaderValue {
        HeaderValue::try_from(self.text).unwrap_or(HeaderValue::from_static(self.scheme))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn values<S>(policy: &Policy<S>, bearer: Bearer, kind: RejectionKind) -> Vec<String> {
        let params = ChallengeParams::of(policy, &[Algorithm::Es256, Algorithm::Ed25519]);
        Challenge::new(Arc::new(params), bearer)
            .values(kind, "what is wrong")
            .map(|value| value.to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn a_challenge_without_error_has_no_error_code() {
        let plain = "DPoP algs=\"ES256 Ed25519\"";
        for (bearer, expected) in [
            (Bearer::NotAccepted, &[plain][..]),
            (Bearer::Accepted, &[plain, "Bearer"]),
        ] {
            let kind = RejectionKind::CredentialsMissing;
            assert_eq!(values(&Policy::strict(), bearer, kind), expected);
        }
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
            let kind = RejectionKind::InvalidToken;
            assert_eq!(values(&Policy::strict(), case, kind), expected, "{case:?}");
        }
    }

    #[test]
    fn what_the_policy_asks_for_stands_where_clients_look_for_it() {
        let policy = Policy::optional()
            .require_scope("a")
            .require_any_scope(["b", "c"])
            .proof_algorithms([Algorithm::Ed25519])
            .require_acr(["high", "higher"])
            .max_auth_age(Duration::from_secs(300));
        let error = |code: &str| format!("error=\"{code}\", error_description=\"what is wrong\"");
        for (kind, bearer, expected) in [
            (
                RejectionKind::CredentialsMissing,
                Bearer::Accepted,
                [
                    "DPoP scope=\"a b\", algs=\"Ed25519\"".to_owned(),
                    "Bearer scope=\"a b\"".to_owned(),
                ],
            ),
            (
                RejectionKind::InsufficientScope,
                Bearer::Accepted,
                [
                    format!(
                        "DPoP {}, scope=\"a b\", algs=\"Ed25519\"",
                        error("insufficient_scope")
                    ),
                    "Bearer".to_owned(),
                ],
            ),
            (
                RejectionKind::InsufficientUserAuthentication,
                Bearer::Presented,
                [
                    "DPoP algs=\"Ed25519\"".to_owned(),
                    format!(
                        "Bearer {}, acr_values=\"high higher\", max_age=\"300\"",
                        error("insufficient_user_authentication")
                    ),
                ],
            ),
            (
                RejectionKind::InvalidToken,
                Bearer::Accepted,
                [
                    format!("DPoP {}, algs=\"Ed25519\"", error("invalid_token")),
                    "Bearer".to_owned(),
                ],
            ),
        ] {
            assert_eq!(values(&policy, bearer, kind), expected, "{kind:?}");
        }
    }

    #[test]
    fn a_text_that_is_no_scope_does_not_get_into_a_header() {
        let policy = Policy::strict()
            .require_scope("a\", error=\"x")
            .require_scope("b")
            .require_scope("c d")
            .require_scope("\r\n")
            .require_acr(["\"", "e"]);
        let scope = values(
            &policy,
            Bearer::NotAccepted,
            RejectionKind::CredentialsMissing,
        );
        assert_eq!(scope, ["DPoP scope=\"b\", algs=\"ES256 Ed25519\""]);
        let kind = RejectionKind::InsufficientUserAuthentication;
        let acr = values(&policy, Bearer::NotAccepted, kind);
        assert!(acr[0].contains("acr_values=\"e\""), "{acr:?}");
    }
}
