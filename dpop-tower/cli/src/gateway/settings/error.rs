use std::{error::Error, fmt, ops::Range};

/// Why a file was rejected: where the error is, and what to do about it.
#[derive(Debug)]
pub struct SettingsError {
    file: String,
    place: Option<Position>,
    field: String,
    message: String,
}

/// A position in the file. Lines and columns count from one; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    line: usize,
    column: usize,
}

impl SettingsError {
    /// Returns the line, counted from one, or `None` if the file could not be read.
    pub fn line(&self) -> Option<usize> {
        self.place.map(|place| place.line)
    }

    /// Returns the field, such as `issuer[0].url`. It is empty if the text is not TOML, and for errors
    /// about the file as a whole.
    pub fn field(&self) -> &str {
        &self.field
    }

    pub(super) fn unreadable(file: &str, error: &std::io::Error) -> Self {
        Self {
            file: file.to_owned(),
            place: None,
            field: String::new(),
            message: format!("cannot be read: {error}"),
        }
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(Position { line, column }) = self.place {
            write!(f, ":{line}:{column}")?;
        }
        if !self.field.is_empty() {
            write!(f, ": {}", self.field)?;
        }
        write!(f, ": {}", self.message)
    }
}

impl Error for SettingsError {}

/// The text that the settings were read from, for the position of an error.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) text: String,
}

impl Source {
    pub(super) fn error(
        &self,
        span: Range<usize>,
        field: impl Into<String>,
        message: impl Into<String>,
    ) -> SettingsError {
        SettingsError {
            file: self.name.clone(),
            place: Some(self.place(span.start)),
            field: field.into(),
            message: message.into(),
        }
    }

    fn place(&self, offset: usize) -> Position {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Position {
            line: before.matches('\n').count() + 1,
            column: before.chars().count()
                - before.get(..line_start).map_or(0, |s| s.chars().count())
                + 1,
        }
    }
}

/// Formats an error and all of its sources in one line.
pub(crate) fn explain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
