//! Challenges in `WWW-Authenticate` (RFC 9110 section 11.6.1).

use http::{HeaderMap, header};

/// One challenge. Its texts come from the server.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    pub(super) scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    pub(super) fn is_dpop(&self) -> bool {
        self.scheme.eq_ignore_ascii_case("DPoP")
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut parameters = self.parameters.iter();
        let (_, value) = parameters.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    /// RFC 9449 section 9
    pub(super) fn wants_nonce(&self) -> bool {
        self.is_dpop() && self.get("error") == Some("use_dpop_nonce")
    }
}

/// Returns the challenges of a response, as far as they can be read.
pub(super) fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    let mut challenges = Vec::new();
    for value in headers.get_all(header::WWW_AUTHENTICATE) {
        read(&String::from_utf8_lossy(value.as_bytes()), &mut challenges);
    }
    challenges
}

fn read(mut rest: &str, challenges: &mut Vec<Challenge>) {
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (word, after) = token(rest);
        if word.is_empty() {
            return;
        }
        let spaced = after.trim_start_matches([' ', '\t']);
        match spaced.strip_prefix('=') {
            // A parameter of the challenge that was last begun.
            Some(value) if !value.starts_with('=') => {
                let (value, after) = text(value.trim_start_matches([' ', '\t']));
                if let Some(challenge) = challenges.last_mut() {
                    challenge.parameters.push((word.to_owned(), value));
                }
                rest = after;
            }
            _ => {
                challenges.push(Challenge {
                    scheme: word.to_owned(),
                    parameters: Vec::new(),
                });
                rest = after;
            }
        }
    }
}

/// Splits off a token (RFC 9110 section 5.6.2).
fn token(text: &str) -> (&str, &str) {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    text.split_at(end)
}

/// Splits off a token or a quoted string.
fn text(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = token(text);
        return (value.to_owned(), rest);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return (value, quoted.get(index + 1..).unwrap_or_default()),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}
