//! A parser of challenges that is stricter than clients have to be.

use http::{HeaderMap, header};

/// A challenge of the form `scheme` or `scheme name="value", …`.
#[derive(Debug, PartialEq)]
pub struct Challenge {
    pub scheme: String,
    params: Vec<(String, String)>,
}

impl Challenge {
    /// Parses a challenge more strictly than RFC 9110 section 11.6.1 requires: only the syntax of RFC
    /// 6750 section 3 and RFC 9449 section 7.1, since some clients parse no more than that.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("{what} in {text:?}");
        let is_token = |text: &str| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        let (scheme, mut rest) = match text.split_once(' ') {
            Some((_, "")) => return Err(wrong("trailing space")),
            Some(split) => split,
            None => (text, ""),
        };
        if !is_token(scheme) {
            return Err(wrong("scheme"));
        }
        let mut params: Vec<(String, String)> = Vec::new();
        while !rest.is_empty() {
            let (name, value) = rest.split_once("=\"").ok_or_else(|| wrong("parameter"))?;
            if !is_token(name) || params.iter().any(|(other, _)| other == name) {
                return Err(wrong("name"));
            }
            let (value, after) = value.split_once('"').ok_or_else(|| wrong("open quote"))?;
            // RFC 6750 section 3 excludes the quote and the backslash.
            let is_plain = |byte| (0x20..0x7f).contains(&byte) && byte != b'\\';
            if value.is_empty() || !value.bytes().all(is_plain) {
                return Err(wrong("value"));
            }
            params.push((name.to_owned(), value.to_owned()));
            rest = match after.strip_prefix(", ") {
                Some("") => return Err(wrong("trailing comma")),
                Some(next) => next,
                None if after.is_empty() => after,
                None => return Err(wrong("separator")),
            };
        }
        Ok(Self {
            scheme: scheme.to_owned(),
            params,
        })
    }

    /// Returns all challenges of a response, in order.
    pub fn all(headers: &HeaderMap) -> Vec<Self> {
        headers
            .get_all(header::WWW_AUTHENTICATE)
            .iter()
            .map(|value| Self::parse(value.to_str().unwrap()).unwrap())
            .collect()
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        let mut found = self.params.iter().filter(|(other, _)| other == name);
        found.next().map(|(_, value)| value.as_str())
    }

    pub fn names(&self) -> Vec<&str> {
        self.params.iter().map(|(name, _)| name.as_str()).collect()
    }
}
