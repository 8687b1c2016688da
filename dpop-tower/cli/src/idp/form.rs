//! The parameters of a request (RFC 6749 section 3.1 and appendix B).

use std::fmt;

use http::{HeaderMap, header};

use super::error::OauthError;

/// The parameters of a query or of a form, each of them once.
#[derive(Clone, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    pub(super) fn parse(text: &[u8]) -> Result<Self, OauthError> {
        let mut form = Self::default();
        for (name, value) in form_urlencoded::parse(text) {
            // RFC 8707 section 2: there may be several resources.
            if name != "resource" && form.0.iter().any(|(other, _)| *other == name) {
                return Err(OauthError::invalid_request("a parameter is there twice"));
            }
            form.0.push((name.into_owned(), value.into_owned()));
        }
        Ok(form)
    }

    /// Parses the body of a `POST`.
    pub(super) fn of_body(headers: &HeaderMap, body: &[u8]) -> Result<Self, OauthError> {
        let content_type = headers.get(header::CONTENT_TYPE);
        let media_type = content_type
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .unwrap_or_default();
        if !(media_type.trim()).eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(OauthError::invalid_request(
                "the body is not application/x-www-form-urlencoded",
            ));
        }
        Self::parse(body)
    }

    /// Returns a parameter. An empty one counts as absent (RFC 6749 section 3.1).
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut of_this_name = self.0.iter().filter(|(other, _)| other == name);
        let (_, value) = of_this_name.next()?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }

    pub(super) fn all<'f>(&'f self, name: &'f str) -> impl Iterator<Item = &'f str> {
        let of_this_name = self.0.iter().filter(move |(other, _)| other == name);
        of_this_name
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    pub(super) fn required(&self, name: &'static str) -> Result<&str, OauthError> {
        self.get(name)
            .ok_or_else(|| OauthError::invalid_request(format!("{name} is missing")))
    }

    /// Returns the form without a parameter.
    pub(super) fn without(mut self, name: &str) -> Self {
        self.0.retain(|(other, _)| other != name);
        self
    }

    /// Returns the form with this value of a parameter in place of any other.
    pub(super) fn with(self, name: &str, value: &str) -> Self {
        let mut form = self.without(name);
        form.0.push((name.to_owned(), value.to_owned()));
        form
    }

    /// Writes the parameters as text that [`parse`](Self::parse) reads.
    pub(super) fn to_text(&self) -> String {
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&self.0)
            .finish()
    }
}

/// Hides the values, which may be secrets.
impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.iter().map(|(name, _)| name);
        f.debug_list().entries(names).finish()
    }
}
