//! The programs under test: the four functions and the command line, built as `make` builds them.
//!
//! The functions have the local profile. `LIMIT_INCREASE_PROFILE=release` selects the release
//! profile, as for AWS. The command line always has the local profile, because it runs on a laptop.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, ensure};
use limit_increase::aws::build::{self, Architecture, FUNCTIONS, Profile};
use limit_increase::context::Context;
use limit_increase::local::python;
use limit_increase::project::{Project, Venv};

/// The programs of the four functions, built as they are deployed, by the functions' names.
///
/// # Errors
/// When they do not build.
pub fn functions(context: &Context) -> Result<HashMap<&'static str, PathBuf>> {
    python::ensure_venv(&context.project, Venv::Build, &context.ui)?;
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

    // This program is target/<host>/<profile>/deps/<suite>-<hash>.
    let own = std::env::current_exe()?;
    let target = own.ancestors().nth(3).context("the suite is not in cargo's target directory")?;
    let program = target.join("debug/limit-increase");
    ensure!(program.exists(), "cargo built no {}", program.display());
    Ok(PROGRAM.get_or_init(|| program).clone())
}
