//! What commands print, and how: for people or as JSON, in colours or without.

use std::io::{self, IsTerminal as _, Write as _};

use serde_json::Value;

use crate::failure::Failure;

/// The output of a command.
///
/// Results go to the standard output. Progress and warnings go to the standard error, so a result can be
/// piped.
#[derive(Clone, Copy, Debug)]
pub struct Terminal {
    json: bool,
    colours: bool,
}

impl Terminal {
    /// Returns the terminal of this process. Colours need a terminal, and no `NO_COLOR` in the environment.
    pub fn new(json: bool) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            json,
            colours: !json && !no_color && io::stdout().is_terminal(),
        }
    }

    /// Returns whether results are printed as JSON.
    pub const fn is_json(self) -> bool {
        self.json
    }

    /// Returns whether results may contain colours.
    pub const fn has_colours(self) -> bool {
        self.colours
    }

    /// Prints a result: the text, or with `--json` the value, on one line.
    ///
    /// # Errors
    ///
    /// Returns an error if the standard output is closed.
    pub fn print(self, text: &str, json: &Value) -> Result<(), Failure> {
        let mut output = io::stdout().lock();
        let written = if self.json {
            writeln!(output, "{json}")
        } else {
            writeln!(output, "{}", text.trim_end_matches('\n'))
        };
        written
            .and_then(|()| output.flush())
            .map_err(|error| Failure::wrong_use(format!("cannot write the result: {error}")))
    }

    /// Says what the command waits for, if someone watches.
    pub fn progress(self, text: &str) {
        if io::stderr().is_terminal() {
            eprintln!("{text}");
        }
    }

    /// Warns of something that does not stop the command.
    pub fn warn(self, text: &str) {
        eprintln!("dpop: warning: {text}");
    }
}
