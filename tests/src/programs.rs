//! The programs under test: the four functions and the command line, built as `make` builds them.
//!
//! They are built with the local profile. `LIMIT_INCREASE_PROFILE=release` selects the release
//! profile instead.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, bail, ensure};
use limit_increase::aws::build::{self, Architecture, FUNCTIONS};
use limit_increase::context::Context;
use limit_increase::local::python;
use limit_increase::project::{Project, Venv};

/// The variable that selects the profile. The build of the functions reads it too.
pub const PROFILE_VARIABLE: &str = "LIMIT_INCREASE_PROFILE";

/// How the programs under test are compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Profile {
    /// The profile of everything local: quick to compile.
    Local,
    /// The profile of AWS: quick to run.
    Release,
}

impl Profile {
    fn from_environment() -> Result<Self> {
        Self::parse(&std::env::var(PROFILE_VARIABLE).unwrap_or_default())
    }

    fn parse(name: &str) -> Result<Self> {
        match name {
            "" | "local" | "dev" => Ok(Self::Local),
            "release" => Ok(Self::Release),
            other => bail!("{PROFILE_VARIABLE}: {other:?} is not one of local, release"),
        }
    }

    const fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Local => &[],
            Self::Release => &["--release"],
        }
    }

    /// The folder of the target directory that cargo writes to.
    const fn folder(self) -> &'static str {
        match self {
            Self::Local => "debug",
            Self::Release => "release",
        }
    }
}

/// The programs of the four functions, built as they are deployed, by the functions' names.
///
/// # Errors
/// When they do not build.
pub fn functions(context: &Context) -> Result<HashMap<&'static str, PathBuf>> {
    python::ensure_venv(&context.project, Venv::Build, &context.ui)?;
    let archives = build::build(&context.project, Architecture::host(), &context.ui)?;

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

    let profile = Profile::from_environment()?;
    let mut command = Command::new("cargo");
    // Without --package or --workspace, cargo selects the features of the default members, as
    // `make` does. So this compiles nothing that is not compiled already.
    command
        .args(["build", "--quiet", "--locked", "--bin", "limit-increase"])
        .args(profile.arguments())
        .current_dir(project.root())
        .stdin(Stdio::null());
    build::forget_current_package(&mut command);

    let status = command.status().context("cannot start cargo")?;
    ensure!(status.success(), "the command line does not build: cargo ended with {status}");

    let program = build::target_dir(project).join(profile.folder()).join("limit-increase");
    ensure!(program.exists(), "cargo built no {}", program.display());
    Ok(PROGRAM.get_or_init(|| program).clone())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_local_profile_is_the_default_and_an_unknown_one_is_refused() {
        assert_eq!(Profile::parse("").unwrap(), Profile::Local);
        assert_eq!(Profile::parse("release").unwrap(), Profile::Release);
        assert!(Profile::parse("fast").unwrap_err().to_string().contains("\"fast\""));
    }
}
