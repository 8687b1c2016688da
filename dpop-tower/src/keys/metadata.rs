//! An issuer's metadata (RFC 8414, OpenID Connect Discovery 1.0).

use reqwest::Url;

use super::{BYTE_ORDER_MARK, endpoint::Endpoint, error::Unhelpful};
use crate::jose::json::{Object, Value};

/// Returns the URL in `member`, if this is a document of `issuer`.
pub(super) fn url(
    document: &[u8],
    member: &'static str,
    issuer: &str,
    endpoint: &Endpoint,
) -> Result<Url, Unhelpful> {
    let metadata = of_issuer(document, issuer)?;
    required(&metadata, member, endpoint)
}

/// What a client needs to know of an authorization server (RFC 8414 section 2).
#[cfg(feature = "client-tokens")]
#[derive(Clone, Debug)]
pub(crate) struct AuthorizationServer {
    pub(crate) token: Url,
    pub(crate) authorization: Option<Url>,
    /// RFC 8628 section 4
    pub(crate) device_authorization: Option<Url>,
    /// RFC 9126 section 5
    pub(crate) pushed_authorization: Option<Url>,
    pub(crate) requires_pushed_authorization: bool,
    /// RFC 9207 section 3
    pub(crate) sends_issuer: bool,
    /// RFC 9449 section 5.1
    pub(crate) proof_algorithms: Option<Vec<String>>,
}

/// Returns the endpoints, if this is a document of `issuer`.
#[cfg(feature = "client-tokens")]
pub(super) fn server(
    document: &[u8],
    issuer: &str,
    endpoint: &Endpoint,
) -> Result<AuthorizationServer, Unhelpful> {
    let metadata = of_issuer(document, issuer)?;
    let optional = |member| match metadata.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(_) => required(&metadata, member, endpoint).map(Some),
    };
    let is_true = |member| matches!(metadata.get(member), Some(Value::Bool(true)));
    let algorithms = match metadata.get("dpop_signing_alg_values_supported") {
        Some(Value::Array(names)) => {
            let names = names.iter().filter_map(Value::as_str);
            Some(names.map(str::to_owned).collect())
        }
        _ => None,
    };
    Ok(AuthorizationServer {
        token: required(&metadata, "token_endpoint", endpoint)?,
        authorization: optional("authorization_endpoint")?,
        device_authorization: optional("device_authorization_endpoint")?,
        pushed_authorization: optional("pushed_authorization_request_endpoint")?,
        requires_pushed_authorization: is_true("require_pushed_authorization_requests"),
        sends_issuer: is_true("authorization_response_iss_parameter_supported"),
        proof_algorithms: algorithms,
    })
}

fn of_issuer<'d>(document: &'d [u8], issuer: &str) -> Result<Object<'d>, Unhelpful> {
    let document = document.strip_prefix(BYTE_ORDER_MARK).unwrap_or(document);
    let metadata = Object::parse(document).ok_or(Unhelpful::NotAnObject)?;
    // RFC 8414 section 3.3: exactly equal. Metadata of another issuer would name other keys.
    match metadata.get("issuer").and_then(Value::as_str) {
        Some(named) if named == issuer => Ok(metadata),
        named => Err(Unhelpful::Issuer(named.map(str::to_owned))),
    }
}

fn required(
    metadata: &Object<'_>,
    member: &'static str,
    endpoint: &Endpoint,
) -> Result<Url, Unhelpful> {
    let url = metadata.get(member).and_then(Value::as_str);
    let url = url.ok_or(Unhelpful::NoUrl(member))?;
    endpoint
        .accept(url)
        .ok_or_else(|| Unhelpful::Url(member, url.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{PlainHttp, error::FetchError};

    const ISSUER: &str = "https://idp.example.com";

    fn read(document: &str) -> Result<String, String> {
        let endpoint = Endpoint::discover(ISSUER, PlainHttp::Never).unwrap();
        let at = Url::parse("https://idp.example.com/x").unwrap();
        match url(document.as_bytes(), "jwks_uri", ISSUER, &endpoint) {
            Ok(url) => Ok(url.into()),
            Err(why) => Err(
                FetchError::Metadata("jwks_uri", ISSUER.to_owned(), vec![(at, why)]).to_string(),
            ),
        }
    }

    #[test]
    fn metadata_of_the_issuer_names_the_keys() {
        let document = format!(
            r#"{{"jwks_uri":"https://keys.example.com/k?x=1","issuer":"{ISSUER}","other":[null]}}"#
        );
        let expected = Ok("https://keys.example.com/k?x=1".to_owned());
        assert_eq!(read(&document), expected);
        assert_eq!(read(&format!("\u{feff}{document}\n")), expected);
    }

    #[test]
    fn what_does_not_help_is_explained() {
        let start = "no metadata that names the keys; https://idp.example.com/x: ";
        let of = |issuer: &str| format!(r#"{{"issuer":{issuer},"jwks_uri":"https://a.test/"}}"#);
        let long = "x".repeat(100_000);
        for (document, why) in [
            (
                "<!doctype html>".to_owned(),
                "it is not a JSON object, or has a member twice",
            ),
            (
                String::new(),
                "it is not a JSON object, or has a member twice",
            ),
            (
                "[]".to_owned(),
                "it is not a JSON object, or has a member twice",
            ),
            (format!(r#"{{"issuer":"{ISSUER}"}}"#), "it has no jwks_uri"),
            (
                format!(r#"{{"issuer":"{ISSUER}","jwks_uri":null}}"#),
                "it has no jwks_uri",
            ),
            (
                format!(r#"{{"issuer":"{ISSUER}","jwks_uri":"http://a.test/"}}"#),
                r#"its jwks_uri "http://a.test/" cannot be used"#,
            ),
            (of("null"), "it names no issuer"),
            (of("[]"), "it names no issuer"),
            (
                of(r#""https://other.example""#),
                r#"it is of the issuer "https://other.example", and the configured issuer is "https://idp.example.com""#,
            ),
            (
                of(r#""https://idp.example.com/""#),
                r#"it is of the issuer "https://idp.example.com/", and the configured issuer is "https://idp.example.com": check the slash at the end"#,
            ),
            (
                of(r#""a\n\u001b[2Jb""#),
                r#"it is of the issuer "a\n\u{1b}[2Jb", and the configured issuer is "https://idp.example.com""#,
            ),
            (
                of(&format!("{long:?}")),
                &format!(
                    r#"it is of the issuer "{}"..., and the configured issuer is "https://idp.example.com""#,
                    &long[..200]
                ),
            ),
        ] {
            assert_eq!(read(&document), Err(format!("{start}{why}")));
        }
    }
}
