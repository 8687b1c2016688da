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
    let document = document.strip_prefix(BYTE_ORDER_MARK).unwrap_or(document);
    let metadata = Object::parse(document).ok_or(Unhelpful::NotAnObject)?;
    let text = |name| metadata.get(name).and_then(Value::as_str);
    // RFC 8414 section 3.3: exactly equal. Metadata of another issuer would name other keys.
    match text("issuer") {
        Some(named) if named == issuer => {}
        named => return Err(Unhelpful::Issuer(named.map(str::to_owned))),
    }
    let url = text(member).ok_or(Unhelpful::NoUrl(member))?;
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
