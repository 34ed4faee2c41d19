//! Python 3.11 and the pinned environments that are made with it.

use std::io::BufReader;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use crate::local::{Project, Venv};
use crate::terminal::Problem;
use crate::terminal::{Task, Ui};

/// The lines that are kept of what a program said before it failed. The trainer has one for each
/// column that cannot be used.
const SAID_LINES: usize = 400;

/// The interpreter for the environments: LocalStack 4.9 runs on Python 3.11 and no other.
pub fn find() -> Result<PathBuf> {
    let asked = std::env::var_os("PYTHON").filter(|value| !value.is_empty()).map(PathBuf::from);
    let candidates: Vec<PathBuf> = match &asked {
        Some(path) => vec![path.clone()],
        None => vec!["python3.11".into(), "python3".into(), "python".into()],
    };

    let mut found = Vec::new();
    for candidate in &candidates {
        match version(candidate) {
            Some((3, 11)) => return Ok(candidate.clone()),
            Some((major, minor)) => {
                found.push(format!("{} is Python {major}.{minor}", candidate.display()));
            }
            None => found.push(format!("{} does not run", candidate.display())),
        }
    }

    Err(Problem::usage(format!("Python 3.11 is needed, but {}", found.join(", ")))
        .at(if asked.is_some() { "the environment variable PYTHON" } else { "PATH" })
        .next("install Python 3.11 (with its venv module), or name it: PYTHON=/path/to/python3.11")
        .into())
}

fn version(python: &PathBuf) -> Option<(u32, u32)> {
    let output = Command::new(python)
        .args(["-c", "import sys; print(*sys.version_info[:2])"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (major, minor) = text.trim().split_once(' ')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Makes the environment, or finds it made.
pub fn ensure_venv(project: &Project, venv: Venv, ui: &Ui) -> Result<()> {
    let python = find()?;
    let mut task = ui.task("Python");
    let existed = project.venv_program(venv, "python").exists();
    if !existed {
        task.phase(format!("installing the pinned packages of {}", venv.name()));
    }

    let mut command = Command::new(python);
    command
        .arg(project.root().join("deploy/localstack/install.py"))
        .arg(venv.name())
        .env("LIMIT_INCREASE_VENVS", project.venvs());
    run_shown(&mut command, &task)
        .with_context(|| format!("cannot install the Python environment {}", venv.name()))?;
    if existed {
        task.clear();
    } else {
        task.done(format!("{} installed", venv.name()));
    }

    Ok(())
}

/// Runs a program, its last line on the screen while it runs, its whole output in the error if it
/// fails.
pub(crate) fn run_shown(command: &mut Command, task: &Task) -> Result<String> {
    run_described(command, task, str::to_owned)
}

/// As [`run_shown`], with each line put into other words by `describe`.
pub(crate) fn run_described(
    command: &mut Command,
    task: &Task,
    describe: impl FnMut(&str) -> String,
) -> Result<String> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    let stderr = child.stderr.take().context("no standard error")?;
    let stdout = child.stdout.take().context("no standard output")?;
    let (output, errors) = std::thread::scope(|scope| {
        let reader = scope.spawn(move || std::io::read_to_string(stdout).unwrap_or_default());
        let errors = follow(BufReader::new(stderr), task, describe);
        (reader.join().unwrap_or_default(), errors)
    });

    let status = child.wait()?;
    if status.success() {
        return Ok(output);
    }

    let said = [errors.trim(), output.trim()]
        .into_iter()
        .find(|text| !text.is_empty())
        .unwrap_or("it said nothing");
    Err(Problem::new(format!("{} ended with {status}", program_name(command)))
        .next(format!("it said:\n{}", last_lines(said, SAID_LINES)))
        .into())
}

/// Shows each line, and returns all of them but those that a progress bar has overwritten.
fn follow(
    stream: impl std::io::BufRead,
    task: &Task,
    mut describe: impl FnMut(&str) -> String,
) -> String {
    let mut all = String::new();
    let mut line = Vec::new();
    for byte in stream.bytes().map_while(std::io::Result::ok) {
        if byte != b'\n' && byte != b'\r' {
            line.push(byte);
            continue;
        }

        // A progress bar ends its line with a carriage return and writes over it.
        let text = String::from_utf8_lossy(&line);
        if !text.trim().is_empty() {
            task.tick(describe(text.trim()));
            if byte == b'\n' {
                all.push_str(text.trim_end());
                all.push('\n');
            }
        }

        line.clear();
    }

    all.push_str(String::from_utf8_lossy(&line).trim_end());
    all
}

fn program_name(command: &Command) -> String {
    let script = command.get_args().next().filter(|arg| arg.to_string_lossy().ends_with(".py"));
    let shown = script.unwrap_or_else(|| command.get_program());
    std::path::Path::new(shown).file_name().unwrap_or(shown).to_string_lossy().into_owned()
}

/// The end of a long output.
#[must_use]
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
