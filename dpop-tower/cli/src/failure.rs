//! The reasons why a command does not succeed, and the exit codes that tell them apart.

use std::{fmt, process::ExitCode};

/// The exit code of a command that did not succeed. A command that did has 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The other side rejected what was sent, or an inspected value is not valid: 1.
    Rejected,
    /// The arguments, a file or the environment are wrong: 2, as for arguments that clap rejects.
    WrongUse,
    /// The other side could not be reached, or did not answer in time: 3.
    OutOfReach,
}

/// The reason why a command did not succeed, with the next step for the user.
///
/// Neither text may contain a token, a proof or a key.
#[derive(Debug)]
pub struct Failure {
    kind: FailureKind,
    message: String,
    next_step: Option<String>,
}

impl Failure {
    /// Returns a failure with exit code 1.
    pub fn rejected(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Rejected, message)
    }

    /// Returns a failure with exit code 2.
    pub fn wrong_use(message: impl Into<String>) -> Self {
        Self::new(FailureKind::WrongUse, message)
    }

    /// Returns a failure with exit code 3.
    pub fn out_of_reach(message: impl Into<String>) -> Self {
        Self::new(FailureKind::OutOfReach, message)
    }

    fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            next_step: None,
        }
    }

    /// Says what the user can do about it.
    #[must_use]
    pub fn next_step(mut self, next_step: impl Into<String>) -> Self {
        self.next_step = Some(next_step.into());
        self
    }

    /// Says which file, for example, the failure is about.
    #[must_use]
    pub fn within(mut self, what: &str) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// Returns the kind, which is the exit code.
    pub const fn kind(&self) -> FailureKind {
        self.kind
    }

    /// Returns the exit code of the program.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self.kind {
            FailureKind::Rejected => 1,
            FailureKind::WrongUse => 2,
            FailureKind::OutOfReach => 3,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.next_step {
            Some(next_step) => write!(f, "\n  {next_step}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}
