//! Parsing `WWW-Authenticate` (RFC 9110 section 11.6.1), as any server may write it.

/// Further challenges and parameters are ignored.
const MAX_PARTS: usize = 64;

/// A challenge: a scheme and its parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Challenge {
    pub(super) scheme: String,
    pub(super) params: Vec<(String, String)>,
}

impl Challenge {
    /// Returns a parameter. Names are case-insensitive.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut params = self.params.iter();
        let (_, value) = params.find(|(other, _)| other.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    pub(super) fn is_of(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }
}

/// Returns whether a line is a challenge and not a token: a scheme that is followed by a parameter.
pub(super) fn is_challenge(line: &str) -> bool {
    let challenges = parse(line);
    (challenges.first()).is_some_and(|first| !first.params.is_empty() && !first.scheme.is_empty())
}

/// Parses the challenges of one field value. What cannot be parsed is skipped.
pub(super) fn parse(value: &str) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = Vec::new();
    let mut rest = value;
    for _ in 0..MAX_PARTS {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let word = token(rest);
        if word.is_empty() {
            break;
        }
        rest = rest.get(word.len()..).unwrap_or_default();
        let after = rest.trim_start_matches([' ', '\t']);
        match (after.strip_prefix('='), challenges.last_mut()) {
            (Some(value), Some(challenge)) => {
                let (value, behind) = parameter_value(value.trim_start_matches([' ', '\t']));
                challenge.params.push((word.to_owned(), value));
                rest = behind;
            }
            (Some(_), None) => break,
            (None, _) => challenges.push(Challenge {
                scheme: word.to_owned(),
                params: Vec::new(),
            }),
        }
    }
    challenges
}

/// Returns the longest `token` (RFC 9110 section 5.6.2) at the start.
fn token(text: &str) -> &str {
    let is_other = |byte: u8| !(byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
    let end = text.bytes().position(is_other).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

/// Returns a token or the contents of a quoted string, and what is behind it.
fn parameter_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let value = token(text);
        return (
            value.to_owned(),
            text.get(value.len()..).unwrap_or_default(),
        );
    };
    let mut value = String::new();
    let mut chars = quoted.chars();
    while let Some(char) = chars.next() {
        match char {
            '"' => break,
            '\\' => value.extend(chars.next()),
            _ => value.push(char),
        }
    }
    (value, chars.as_str())
}
