use std::fmt;

/// A foreign text for the log, which is quoted, escaped and shortened.
pub(super) struct Quoted<'a> {
    text: &'a str,
    most: usize,
}

impl<'a> Quoted<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, most: 200 }
    }

    /// Allows a longer text, for a chain of errors.
    #[cfg(feature = "jwks")]
    pub(super) const fn long(text: &'a str) -> Self {
        Self { text, most: 500 }
    }
}

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kept, more) = match self.text.char_indices().nth(self.most) {
            Some((end, _)) => (self.text.get(..end).unwrap_or_default(), "..."),
            None => (self.text, ""),
        };
        write!(f, "{kept:?}{more}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_is_escaped_and_bounded() {
        let quoted = |text: &str| Quoted::new(text).to_string();
        assert_eq!(quoted("a b"), r#""a b""#);
        assert_eq!(
            quoted("a\n\"\u{1b}[31m\u{202e}"),
            r#""a\n\"\u{1b}[31m\u{202e}""#
        );
        let whole = "ä".repeat(200);
        assert_eq!(quoted(&whole), format!("\"{whole}\""));
        assert_eq!(quoted(&format!("{whole}x")), format!("\"{whole}\"..."));
    }
}
