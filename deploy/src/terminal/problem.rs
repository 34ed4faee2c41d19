//! The form of every error that a person sees: what went wrong, where, and what to do next.

use std::fmt;

use serde::Serialize;

/// The exit code of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(into = "u8")]
pub enum Exit {
    /// The command did what it was asked (0).
    Ok,
    /// The command failed (1).
    Failed,
    /// The command line or the given data is wrong (2).
    Usage,
    /// The execution ended with a status other than SUCCEEDED (3).
    RunFailed,
}

impl From<Exit> for u8 {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Ok => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::RunFailed => 3,
        }
    }
}

/// An error that the person at the terminal can act on.
#[derive(Debug, Clone, Serialize)]
pub struct Problem {
    /// What went wrong, as one sentence without a full stop.
    pub what: String,
    /// The place: a file and line, a service, or a state of the workflow.
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    pub(crate) place: Option<String>,
    /// The advice: what the person can do next, often a command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
    /// The exit code that the process ends with.
    #[serde(rename = "exit_code")]
    pub exit: Exit,
}

impl Problem {
    /// A problem in what the command does; the exit code is 1.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), place: None, next: None, exit: Exit::Failed }
    }

    /// A problem of the command line or of the given data; the exit code is 2.
    pub fn usage(what: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, ..Self::new(what) }
    }

    /// Adds the place of the problem.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.place = Some(place.into());
        self
    }

    /// Adds the advice on what to do next.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// The problem as the terminal and `--json` show it. Any other error becomes one, with its
    /// causes in `what`.
    #[must_use]
    pub fn of(error: &anyhow::Error) -> Self {
        match error.downcast_ref::<Self>() {
            Some(problem) => {
                // The context says what the program was doing, and the problem says why that
                // failed.
                let mut shown = problem.clone();
                let outer = error.to_string();
                if outer != problem.to_string() {
                    shown.what = format!("{outer}: {}", problem.what);
                }

                shown
            }
            None => Self::new(chain(error)),
        }
    }
}

/// The error and its causes in one line, each text only once.
fn chain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let part = cause.to_string();
        if text.is_empty() {
            text = part;
        } else if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
    }

    text
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if let Some(place) = &self.place {
            write!(f, " ({place})")?;
        }

        if let Some(next) = &self.next {
            write!(f, "; next: {next}")?;
        }

        Ok(())
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn context_goes_before_what_went_wrong_and_keeps_the_advice() {
        let error = Err::<(), _>(Problem::usage("line 3 is wrong").at("a.csv").next("mend it"))
            .context("could not load the customers")
            .unwrap_err();
        let problem = Problem::of(&error);
        assert_eq!(problem.what, "could not load the customers: line 3 is wrong");
        assert_eq!(problem.next.as_deref(), Some("mend it"));
        assert_eq!(problem.exit, Exit::Usage);
    }

    #[test]
    fn another_error_shows_each_cause_once() {
        let error =
            anyhow::anyhow!("connection refused").context("cannot reach S3: connection refused");
        assert_eq!(Problem::of(&error).what, "cannot reach S3: connection refused");
    }
}
