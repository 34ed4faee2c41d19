//! The terminal: the only module that prints.
//!
//! Progress goes to standard error and answers go to standard output, so that
//! `limit-increase results --json | jq` works. On a terminal, progress is a coloured spinner.
//! Elsewhere it is plain lines, and with `--json` it is not shown.

use std::io::{IsTerminal as _, Write as _};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde::Serialize;

use super::format::duration;
use super::problem::Problem;

/// The spinners of the tasks that are running, shown below all other lines.
static TASKS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// The way to show progress and answers: to a person, or as JSON to a program.
#[derive(Debug, Clone, Copy)]
pub struct Ui {
    json: bool,
    terminal: bool,
    quiet: bool,
}

impl Ui {
    /// The terminal of the command line; with `json` the answer is JSON and progress is hidden.
    #[must_use]
    pub fn new(json: bool) -> Self {
        Self { json, terminal: std::io::stderr().is_terminal() && !json, quiet: json }
    }

    /// A terminal that shows no progress, for tests and programs that call the library.
    #[must_use]
    pub(crate) const fn silent() -> Self {
        Self { json: true, terminal: false, quiet: true }
    }

    /// Whether the answer is JSON.
    #[must_use]
    pub const fn is_json(&self) -> bool {
        self.json
    }

    /// Whether a person is there to answer a question.
    #[must_use]
    pub fn can_ask(&self) -> bool {
        self.terminal && std::io::stdin().is_terminal()
    }

    /// Prints a line of the answer, unless the answer is JSON.
    pub fn line(&self, text: impl AsRef<str>) {
        if !self.json {
            write_stdout(text.as_ref());
        }
    }

    /// Prints the answer as JSON, if JSON was asked for.
    pub fn json(&self, answer: &impl Serialize) -> anyhow::Result<()> {
        if self.json {
            write_stdout(&serde_json::to_string_pretty(answer)?);
        }

        Ok(())
    }

    /// Prints a line of progress, above the spinners.
    pub fn note(&self, text: impl AsRef<str>) {
        if !self.quiet {
            TASKS.suspend(|| write_stderr(text.as_ref()));
        }
    }

    /// Prints a warning: something that the person should know, but that stops nothing.
    pub fn warn(&self, text: impl AsRef<str>) {
        self.note(format!(
            "{} {}",
            console::style("!").yellow().bold().for_stderr(),
            text.as_ref()
        ));
    }

    /// Prints a heading of the answer.
    pub fn heading(&self, text: impl AsRef<str>) {
        self.line(format!("\n{}", console::style(text.as_ref()).bold()));
    }

    /// Shows that a piece of work has started; `name` is the first word of its line.
    #[must_use]
    pub fn task(&self, name: &str) -> Task {
        let bar = if self.terminal {
            TASKS.add(ProgressBar::new_spinner())
        } else {
            ProgressBar::hidden()
        };
        if self.terminal {
            bar.set_style(spinner_style());
            bar.set_prefix(format!("{name:<NAME_WIDTH$}"));
            bar.enable_steady_tick(Duration::from_millis(100));
        }

        Task { ui: *self, name: name.to_owned(), bar, started: Instant::now(), last: String::new() }
    }

    /// Shows an error: as one JSON object on standard output with `--json`, otherwise as text on
    /// standard error.
    pub fn problem(&self, problem: &Problem) {
        if self.json {
            let object = serde_json::json!({ "error": problem });
            write_stdout(
                &serde_json::to_string_pretty(&object).unwrap_or_else(|_| object.to_string()),
            );

            return;
        }

        let mut text =
            format!("{} {}", console::style("error:").red().bold().for_stderr(), problem.what);
        if let Some(place) = &problem.place {
            text.push_str(&format!("\n  where: {place}"));
        }

        if let Some(next) = &problem.next {
            text.push_str(&format!("\n  next:  {}", next.replace('\n', "\n         ")));
        }

        write_stderr(&text);
    }

    /// Asks a yes-or-no question. Every answer other than `y` or `yes` counts as no.
    pub fn ask(&self, question: &str) -> anyhow::Result<bool> {
        write_stderr_raw(&format!("{question} [y/N] "));
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
    }
}

/// Width of the column of task names, in characters.
const NAME_WIDTH: usize = 12;

fn spinner_style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner:.cyan} {prefix:.bold} {wide_msg} {elapsed:.dim}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// One piece of work that is shown on the terminal. A task that is dropped disappears from it,
/// because the error that follows says what happened.
#[derive(Debug)]
pub struct Task {
    ui: Ui,
    name: String,
    bar: ProgressBar,
    started: Instant,
    last: String,
}

impl Task {
    /// Shows that a new phase of the work has begun. A log gets a line for it.
    pub fn phase(&mut self, text: impl Into<String>) {
        let text = text.into();
        if self.last == text {
            return;
        }

        self.bar.set_message(text.clone());
        if !self.ui.terminal {
            self.ui.note(format!("  {:<NAME_WIDTH$} {text}", self.name));
        }

        self.last = text;
    }

    /// Shows a short text beside the spinner; a log does not get it.
    pub fn tick(&self, text: impl Into<String>) {
        self.bar.set_message(text.into());
    }

    /// Prints a line above the spinner, for instance for a state that was left.
    pub(crate) fn log(&self, text: impl AsRef<str>) {
        self.ui.note(text.as_ref());
    }

    /// Ends the task with a line that says what was done, and how long it took above 0.3 s.
    pub fn done(self, text: impl AsRef<str>) {
        let took = self.started.elapsed();
        self.bar.finish_and_clear();
        let time = if took >= Duration::from_millis(300) {
            format!(" ({})", duration(took))
        } else {
            String::new()
        };

        self.ui.note(format!(
            "{} {:<NAME_WIDTH$} {}{}",
            console::style("✓").green().for_stderr(),
            console::style(format!("{:<NAME_WIDTH$}", self.name)).bold().for_stderr(),
            text.as_ref(),
            console::style(time).dim().for_stderr()
        ));
    }

    /// Ends the task without a line.
    pub fn clear(self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if !self.bar.is_finished() {
            self.bar.finish_and_clear();
        }
    }
}

// An error is ignored here: a pipe that was closed, as by `| head`, is not a failure.
fn write_stdout(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

fn write_stderr(text: &str) {
    write_stderr_raw(&format!("{text}\n"));
}

fn write_stderr_raw(text: &str) {
    let mut out = std::io::stderr().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
