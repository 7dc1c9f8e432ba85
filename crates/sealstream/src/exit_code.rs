//! Exit codes, the same for every command, and the errors that lead to them.

use std::fmt;
use std::process;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExitCode {
    /// Everything was done.
    Complete,
    /// Something is undelivered, unreadable, rejected or unread.
    Incomplete,
    /// A flag, variable or file is wrong; nothing was done.
    Usage,
    /// An operator must act: credentials, permissions, a missing key, stream or table.
    Operator,
    /// SIGINT ended the command before it was finished.
    Interrupted,
    /// SIGTERM ended the command before it was finished.
    Terminated,
}

impl ExitCode {
    /// Returns [`Complete`](Self::Complete) or [`Incomplete`](Self::Incomplete).
    pub(crate) fn complete_if(is_complete: bool) -> Self {
        if is_complete { Self::Complete } else { Self::Incomplete }
    }
}

impl From<ExitCode> for u8 {
    fn from(code: ExitCode) -> Self {
        match code {
            ExitCode::Complete => 0,
            ExitCode::Incomplete => 1,
            ExitCode::Usage => 2,
            ExitCode::Operator => 3,
            // As a shell reports a process that the signal has ended.
            ExitCode::Interrupted => 130,
            ExitCode::Terminated => 143,
        }
    }
}

impl From<ExitCode> for process::ExitCode {
    fn from(code: ExitCode) -> Self {
        u8::from(code).into()
    }
}

/// An error that ends a command, with its exit code and the next step for the user.
///
/// Any other error becomes one with [`ExitCode::Incomplete`] through `?`.
#[derive(Debug)]
pub(crate) struct CommandError {
    pub(crate) exit_code: ExitCode,
    error: anyhow::Error,
    next_step: Option<String>,
}

impl CommandError {
    pub(crate) fn new(exit_code: ExitCode, error: impl Into<anyhow::Error>) -> Self {
        Self { exit_code, error: error.into(), next_step: None }
    }

    /// Adds what the user can do, such as "check --stream". It is printed on a line of its own.
    pub(crate) fn with_next_step(mut self, next_step: impl Into<Option<String>>) -> Self {
        self.next_step = next_step.into();
        self
    }
}

impl<E: Into<anyhow::Error>> From<E> for CommandError {
    fn from(error: E) -> Self {
        Self::new(ExitCode::Incomplete, error)
    }
}

/// The message with its causes, then the next step on an indented line.
impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {:#}", self.error)?;
        match &self.next_step {
            None => Ok(()),
            Some(next_step) => write!(f, "\n  {next_step}"),
        }
    }
}

/// Turns an error of a [`Result`] into a [`CommandError`].
pub(crate) trait OrCommandError<T> {
    /// The error ends the command with this exit code.
    fn or_exit(self, exit_code: ExitCode) -> Result<T, CommandError>;

    /// The error is a wrong flag, variable or file, and nothing was done.
    fn or_usage(self) -> Result<T, CommandError>
    where
        Self: Sized,
    {
        self.or_exit(ExitCode::Usage)
    }
}

impl<T, E: Into<anyhow::Error>> OrCommandError<T> for Result<T, E> {
    fn or_exit(self, exit_code: ExitCode) -> Result<T, CommandError> {
        self.map_err(|error| CommandError::new(exit_code, error))
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn codes_are_documented_numbers() {
        for (code, number) in [
            (ExitCode::Complete, 0),
            (ExitCode::Incomplete, 1),
            (ExitCode::Usage, 2),
            (ExitCode::Operator, 3),
            (ExitCode::Interrupted, 130),
            (ExitCode::Terminated, 143),
        ] {
            assert_eq!(u8::from(code), number, "{code:?}");
        }
        assert_eq!(ExitCode::complete_if(true), ExitCode::Complete);
        assert_eq!(ExitCode::complete_if(false), ExitCode::Incomplete);
    }

    #[test]
    fn an_error_shows_its_causes_and_the_next_step() {
        let error = || anyhow!("no such file").context("cannot open a.ndjson");
        assert_eq!(CommandError::from(error()).exit_code, ExitCode::Incomplete);
        let usage = Err::<(), _>(error()).or_usage().unwrap_err();
        assert_eq!(usage.exit_code, ExitCode::Usage);
        assert_eq!(usage.to_string(), "error: cannot open a.ndjson: no such file");
        let operator = CommandError::new(ExitCode::Operator, error())
            .with_next_step("check the name".to_owned());
        assert_eq!(operator.exit_code, ExitCode::Operator);
        assert_eq!(
            operator.to_string(),
            "error: cannot open a.ndjson: no such file\n  check the name"
        );
    }
}
