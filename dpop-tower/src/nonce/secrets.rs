use std::fmt;

use base64::{
    Engine as _,
    alphabet::{self, Alphabet},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::NonceSecret;
use crate::error::{ConfigError, ConfigErrorKind};

/// The secrets of several nodes while they change from one to the next.
///
/// Nonces are made with the current secret, and those of the previous and the next one are accepted as well. Nodes
/// that learn of a change at different times therefore accept each other's nonces, as long as no two of them are
/// more than one of these steps apart:
///
/// | step | `previous` | `current` | `next` |
/// |---|---|---|---|
/// | before | | A | |
/// | announce the new secret | | A | B |
/// | use it | A | B | |
/// | retire the old one, two periods after the last node has taken the step before | | B | |
///
/// A nonce of a retired secret is rejected with `use_dpop_nonce`.
///
/// ```
/// use dpop_tower::nonce::{NonceSecret, NonceSecrets, StatelessNonces};
///
/// let (old, new) = (NonceSecret::random()?, NonceSecret::random()?);
/// let nonces = StatelessNonces::new(NonceSecrets::new(old.clone()).next(new.clone()));
/// // Later, while requests are served:
/// nonces.replace_secrets(NonceSecrets::new(new).previous(old));
/// # Ok::<(), dpop_tower::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct NonceSecrets {
    pub(super) current: NonceSecret,
    pub(super) accepted: Vec<NonceSecret>,
}

impl NonceSecrets {
    /// Makes and accepts nonces of this secret only.
    pub const fn new(current: NonceSecret) -> Self {
        Self {
            current,
            accepted: Vec::new(),
        }
    }

    /// Also accepts nonces of the secret that was the current one before.
    #[must_use]
    pub fn previous(self, secret: NonceSecret) -> Self {
        self.accept(secret)
    }

    /// Also accepts nonces of the secret that other nodes may already use.
    #[must_use]
    pub fn next(self, secret: NonceSecret) -> Self {
        self.accept(secret)
    }

    pub(super) fn accept(mut self, secret: NonceSecret) -> Self {
        self.accepted.push(secret);
        self
    }

    /// Reads the secrets from text, which has one line for each: its name, `=`, and at least 32 bytes in base64 or
    /// base64url. Empty lines and lines that begin with `#` are ignored.
    ///
    /// ```
    /// use dpop_tower::nonce::NonceSecrets;
    ///
    /// let secrets = NonceSecrets::parse(
    ///     "# openssl rand -base64 32\n\
    ///      previous = cHJldmlvdXMgc2VjcmV0IG9mIDMyIHJhbmRvbSBieXRlcw==\n\
    ///      current = Y3VycmVudCBzZWNyZXQgb2YgMzIgcmFuZG9tIGJ5dGVz\n",
    /// )?;
    /// # Ok::<(), dpop_tower::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] that names the line, and contains nothing of it, if a line is anything else, if a
    /// secret is short, if a name or a secret occurs twice, or if there is no `current`.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        const NAMES: [&str; 3] = ["current", "previous", "next"];
        let error = |message: String| ConfigError::new(ConfigErrorKind::Nonces, message);
        let mut named: Vec<(&str, NonceSecret)> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let at = |what: &str| error(format!("line {} {what}", index.saturating_add(1)));
            let (name, value) = (line.split_once('='))
                .and_then(|(name, value)| {
                    let name = NAMES.into_iter().find(|known| *known == name.trim())?;
                    Some((name, value.trim()))
                })
                .ok_or_else(|| at("is not `current`, `previous` or `next`, `=` and a secret"))?;
            let bytes = decode(value).ok_or_else(|| at("has a secret that is not base64"))?;
            let secret =
                NonceSecret::new(bytes).map_err(|_| at("has a secret of fewer than 32 bytes"))?;
            if named.iter().any(|(other, _)| *other == name) {
                return Err(at("has the name of an earlier line"));
            }
            if named.iter().any(|(_, other)| other.bytes == secret.bytes) {
                return Err(at("has the secret of an earlier line"));
            }
            named.push((name, secret));
        }
        let current = (named.iter().position(|(name, _)| *name == "current"))
            .ok_or_else(|| error("no line begins with `current =`".to_owned()))?;
        let (_, current) = named.swap_remove(current);
        let secrets = Self::new(current);
        Ok((named.into_iter()).fold(secrets, |secrets, (_, secret)| secrets.accept(secret)))
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &NonceSecret> {
        std::iter::once(&self.current).chain(&self.accepted)
    }
}

impl From<NonceSecret> for NonceSecrets {
    fn from(secret: NonceSecret) -> Self {
        Self::new(secret)
    }
}

/// Shows how many secrets there are.
impl fmt::Debug for NonceSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NonceSecrets({})", self.all().count())
    }
}

/// Decodes either alphabet, with or without padding, because programs that generate secrets differ.
fn decode(text: &str) -> Option<Vec<u8>> {
    let alphabet: &Alphabet = match text.contains(['-', '_']) {
        true => &alphabet::URL_SAFE,
        false => &alphabet::STANDARD,
    };
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(alphabet, config).decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 32 bytes of 1, of 2, and of 255.
    const ONE: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
    const TWO: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
    const LAST: &str = "//////////////////////////////////////////8=";

    fn bytes(text: &str) -> Vec<u8> {
        let secrets = NonceSecrets::parse(text).unwrap();
        secrets.all().map(|secret| secret.bytes[0]).collect()
    }

    fn rejected(text: &str) -> String {
        NonceSecrets::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn the_current_secret_comes_first_wherever_its_line_is() {
        assert_eq!(bytes(&format!("current={ONE}")), [1]);
        let text =
            format!("\n# next week\r\n next = {TWO}\r\n\tprevious={LAST} \n current = {ONE}\n");
        let all = bytes(&text);
        assert_eq!(all.first(), Some(&1));
        assert_eq!(all.len(), 3);
    }

    #[test]
    fn either_alphabet_is_read_with_and_without_padding() {
        for secret in [LAST, LAST.trim_end_matches('='), &LAST.replace('/', "_")] {
            assert_eq!(bytes(&format!("current = {secret}")), [255], "{secret}");
        }
    }

    #[test]
    fn an_error_names_the_line_and_contains_nothing_of_it() {
        for (text, line) in [
            (format!("current = {ONE}\nold = {TWO}"), "line 2 is not"),
            (format!("Current = {ONE}"), "line 1 is not"),
            (ONE.trim_end_matches('=').to_owned(), "line 1 is not"),
            (
                format!("current = {ONE}\ncurrent = {TWO}"),
                "line 2 has the name",
            ),
            (
                format!("current = {ONE}\n\nnext = {ONE}"),
                "line 3 has the secret",
            ),
            (
                "current = AQEBAQ==".to_owned(),
                "line 1 has a secret of fewer",
            ),
            ("current = ".to_owned(), "line 1 has a secret of fewer"),
            (
                format!("current = {ONE} {TWO}"),
                "line 1 has a secret that is not",
            ),
            (
                format!("previous = {ONE}"),
                "no line begins with `current =`",
            ),
            (String::new(), "no line begins with `current =`"),
        ] {
            let error = rejected(&text);
            assert!(error.contains(line), "{error}");
            assert!(
                !error.contains("AQEB") && !error.contains("AgIC"),
                "{error}"
            );
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let secrets = NonceSecrets::parse(&format!("current={ONE}\nnext={TWO}")).unwrap();
        assert_eq!(format!("{secrets:?}"), "NonceSecrets(2)");
    }
}
