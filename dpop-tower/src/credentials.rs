//! The access token and the proof in the headers of a request.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{header::DPOP, proof::ProofErrorKind, reason::reasons, token::MAX_TOKEN_LEN};

reasons! {
    /// The reason why a request is rejected before its proof and its token are checked.
    pub enum RequestErrorKind {
        /// A trusted proxy has sent a malformed client certificate, or several; see
        /// [`ClientCertificates`](crate::target::ClientCertificates).
        ClientCertificateMalformed = "client_certificate_malformed", InvalidRequest,
            "the client certificate in the header of a proxy is malformed";
        /// The `Authorization` header does not consist of a scheme and a `token68` (RFC 9110 section 11.4).
        CredentialsMalformed = "credentials_malformed", InvalidRequest,
            "the Authorization header is malformed";
        /// There is no `Authorization` header with the scheme `DPoP` or `Bearer`.
        CredentialsMissing = "credentials_missing", CredentialsMissing,
            "no access token was sent";
        /// There is more than one `Authorization` header.
        CredentialsMultiple = "credentials_multiple", InvalidRequest,
            "there is more than one Authorization header";
        /// A [`PolicyTable`](crate::PolicyTable) rejects the path; see
        /// [`MalformedPath`](crate::policy::MalformedPath).
        PathMalformed = "path_malformed", InvalidRequest,
            "the path has a dot segment, a backslash, a control character or an invalid escape";
        /// No proof can be made for the target of the request, such as `*`.
        TargetInvalid = "target_invalid", InvalidRequest,
            "the request target is not a valid path";
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Bearer,
    Dpop,
}

pub(crate) struct Credentials<'a> {
    pub(crate) scheme: Scheme,
    pub(crate) token: &'a str,
}

/// The reason why a request has no usable credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    Request(RequestErrorKind),
    TokenTooLong,
}

impl From<RequestErrorKind> for Unusable {
    fn from(kind: RequestErrorKind) -> Self {
        Self::Request(kind)
    }
}

impl<'a> Credentials<'a> {
    pub(crate) fn from_headers(headers: &'a HeaderMap) -> Result<Self, Unusable> {
        let value = single(headers, &header::AUTHORIZATION)
            .map_err(|Several| RequestErrorKind::CredentialsMultiple)?
            .ok_or(RequestErrorKind::CredentialsMissing)?;
        let malformed = RequestErrorKind::CredentialsMalformed;
        let value = value.to_str().map_err(|_| malformed)?;
        let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
        if scheme.is_empty() {
            return Err(malformed.into());
        }
        let scheme = Scheme::parse(scheme).ok_or(RequestErrorKind::CredentialsMissing)?;
        let token = token.trim_start_matches(' ');
        if token.len() > MAX_TOKEN_LEN {
            return Err(Unusable::TokenTooLong);
        }
        if !is_token68(token) {
            return Err(malformed.into());
        }
        Ok(Self { scheme, token })
    }
}

impl Scheme {
    fn parse(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("DPoP") {
            Some(Self::Dpop)
        } else if name.eq_ignore_ascii_case("Bearer") {
            Some(Self::Bearer)
        } else {
            None
        }
    }
}

/// The scheme that the client used, which decides the form of a challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presented {
    Nothing,
    One(Scheme),
    Several,
}

impl Presented {
    pub(crate) fn in_headers(headers: &HeaderMap) -> Self {
        match single(headers, &header::AUTHORIZATION) {
            Err(Several) => Self::Several,
            Ok(value) => value
                .and_then(|value| value.to_str().ok())
                .and_then(|value| Scheme::parse(value.split(' ').next()?))
                .map_or(Self::Nothing, Self::One),
        }
    }
}

/// Returns whether the text is a `token68` (RFC 9110 section 11.2).
fn is_token68(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    // Without an early return, the compiler can vectorise the loop.
    let is_good = |all_good, byte: &u8| {
        let is_good =
            byte.is_ascii_alphanumeric() | matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
        all_good & is_good
    };
    !body.is_empty() & body.as_bytes().iter().fold(true, is_good)
}

/// Returns the proof of the request, which has to be the only one.
pub(crate) fn proof(headers: &HeaderMap) -> Result<&str, ProofErrorKind> {
    single(headers, &DPOP)
        // RFC 9449 section 4.3 item 1
        .map_err(|Several| ProofErrorKind::Multiple)?
        .ok_or(ProofErrorKind::Missing)?
        .to_str()
        .map_err(|_| ProofErrorKind::Malformed)
}

struct Several;

/// Returns the only value of a header. `HeaderMap::get` would return the first and ignore the others.
fn single<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a HeaderValue>, Several> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Several);
    }
    Ok(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rejection::Cause;

    fn parse(values: &[&'static str]) -> Result<(Scheme, String), &'static str> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_static(value));
        }
        Credentials::from_headers(&headers)
            .map(|credentials| (credentials.scheme, credentials.token.to_owned()))
            .map_err(|unusable| Cause::from(unusable).code())
    }

    #[test]
    fn scheme_names_have_no_case() {
        for scheme in ["DPoP a", "dpop a", "DPOP a", "DPoP   a"] {
            assert_eq!(
                parse(&[scheme]),
                Ok((Scheme::Dpop, "a".to_owned())),
                "{scheme}"
            );
        }
        for scheme in ["Bearer a", "bearer a", "BEARER a"] {
            assert_eq!(
                parse(&[scheme]),
                Ok((Scheme::Bearer, "a".to_owned())),
                "{scheme}"
            );
        }
    }

    #[test]
    fn only_a_token68_is_a_token() {
        let token = "aZ09-._~+/==";
        assert_eq!(
            parse(&["DPoP aZ09-._~+/=="]),
            Ok((Scheme::Dpop, token.to_owned()))
        );
        for wrong in [
            "",
            "DPoP",
            "DPoP ",
            "DPoP a b",
            "DPoP a,b",
            "DPoP =",
            "DPoP a=b",
            "DPoP \"a\"",
            " a",
            "DPoP a, DPoP b",
            "DPoP\ta",
        ] {
            let code = parse(&[wrong]).unwrap_err();
            // A scheme that is not known, such as `DPoP\ta`, is no credentials at all.
            let expected = if wrong == "DPoP\ta" {
                "credentials_missing"
            } else {
                "credentials_malformed"
            };
            assert_eq!(code, expected, "{wrong:?}");
        }
    }

    #[test]
    fn other_schemes_and_no_header_are_no_credentials() {
        for values in [&[][..], &["Basic YTpi"], &["Negotiate"], &["DPoPx a"]] {
            assert_eq!(parse(values), Err("credentials_missing"), "{values:?}");
        }
    }

    #[test]
    fn two_authorization_headers_are_rejected_even_if_equal() {
        assert_eq!(parse(&["DPoP a", "DPoP a"]), Err("credentials_multiple"));
        assert_eq!(parse(&["DPoP a", "Bearer b"]), Err("credentials_multiple"));
        assert_eq!(parse(&["Basic a", "DPoP b"]), Err("credentials_multiple"));
    }

    #[test]
    fn an_overlong_token_is_rejected_by_its_length() {
        let with = |len: usize| {
            let mut headers = HeaderMap::new();
            let value = format!("DPoP {}", "a".repeat(len));
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            Credentials::from_headers(&headers)
                .map(|_| ())
                .map_err(|unusable| Cause::from(unusable).code())
        };
        assert_eq!(with(16_384), Ok(()));
        assert_eq!(with(16_385), Err("token_too_long"));
    }
}
