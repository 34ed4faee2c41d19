//! The programs under test: the four functions and the command line, built as `make` builds them.
//!
//! They are built with the profile of everything local. `LIMIT_INCREASE_PROFILE=release` builds the
//! functions as for AWS instead.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, ensure};
use limit_increase::deployment::build::{self, Architecture, FUNCTIONS, Profile};
use limit_increase::local::Context;
use limit_increase::local::Project;

/// The programs of the four functions, built as they are deployed, by the functions' names.
///
/// # Errors
/// When they do not build.
pub fn functions(context: &Context) -> Result<HashMap<&'static str, PathBuf>> {
    let archives =
        build::build(&context.project, Architecture::host(), Profile::local()?, &context.ui)?;

    Ok(FUNCTIONS
        .iter()
        .map(|function| function.name)
        .zip(archives.into_iter().map(|built| built.program))
        .collect())
}

/// The command line's program. It is built once in a process.
///
/// # Errors
/// When it does not build.
pub fn command_line(project: &Project) -> Result<PathBuf> {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    if let Some(program) = PROGRAM.get() {
        return Ok(program.clone());
    }

    let mut command = Command::new("cargo");
    // Without --package or --workspace, cargo selects the features of the default members, as
    // `make` does. So this compiles nothing that is not compiled already.
    command
        .args(["build", "--quiet", "--locked", "--bin", "limit-increase"])
        .current_dir(project.root())
        .stdin(Stdio::null());
    build::forget_current_package(&mut command);

    let status = command.status().context("cannot start cargo")?;
    ensure!(status.success(), "the command line does not build: cargo ended with {status}");

    // This test is target/<host>/debug/deps/<name>-<hash>.
    let own = std::env::current_exe().context("cannot find this test's own program")?;
    let directory = own.ancestors().nth(2).context("the test lies outside a target directory")?;
    let program = directory.join("limit-increase");
    ensure!(program.exists(), "cargo built no {}", program.display());
    Ok(PROGRAM.get_or_init(|| program).clone())
}
