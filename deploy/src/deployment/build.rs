//! The four functions as archives that Lambda takes: built by cargo-lambda, zipped so that the same
//! program is the same bytes.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow};
use bytes::Bytes;
use limit_increase_domain::sha256_hex;
use serde::{Deserialize, Serialize};

use super::inputs;
use super::progress::CompileProgress;
use crate::local::python::{self, run_described};
use crate::local::{Project, Venv, write_whole};
use crate::terminal::Problem;
use crate::terminal::{Task, Ui};

/// The file in an output directory that says what was built last.
const BUILD_RECORD: &str = "build.json";

/// A Lambda function of this workspace.
#[derive(Debug, Clone, Copy)]
pub struct Function {
    /// Its package and program.
    pub name: &'static str,
    /// The template's parameter for its archive.
    pub(crate) code_parameter: &'static str,
}

/// The four functions.
pub const FUNCTIONS: [Function; 4] = [
    Function { name: "query-batch-scores", code_parameter: "QueryBatchScoresCodeKey" },
    Function { name: "score-customers", code_parameter: "ScoreCustomersCodeKey" },
    Function { name: "evaluate-limit-increase", code_parameter: "EvaluateLimitIncreaseCodeKey" },
    Function { name: "update-database", code_parameter: "UpdateDatabaseCodeKey" },
];

/// The processor that functions are built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Architecture {
    /// Graviton; the cheaper one on AWS.
    Arm64,
    /// Intel and AMD.
    #[value(name = "x86_64")]
    X86_64,
}

impl Architecture {
    /// This machine's.
    #[must_use]
    pub const fn host() -> Self {
        if cfg!(target_arch = "aarch64") { Self::Arm64 } else { Self::X86_64 }
    }

    /// As the template's parameter has it.
    #[must_use]
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Arm64 => "arm64",
            Self::X86_64 => "x86_64",
        }
    }

    const fn option(self) -> &'static str {
        match self {
            Self::Arm64 => "--arm64",
            Self::X86_64 => "--x86-64",
        }
    }
}

/// How the functions are compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// For this machine, unoptimised, out of the crates that the command line and the tests are
    /// compiled of.
    Dev,
    /// Optimised, for the processor and the C library of AWS.
    Release,
}

impl Profile {
    /// The profile of the local AWS: `dev`, unless `LIMIT_INCREASE_PROFILE` says `release`.
    ///
    /// # Errors
    /// When the variable names another profile.
    pub fn local() -> Result<Self> {
        match std::env::var("LIMIT_INCREASE_PROFILE").as_deref() {
            Err(_) | Ok("" | "dev") => Ok(Self::Dev),
            Ok("release") => Ok(Self::Release),
            Ok(other) => Err(Problem::usage(format!("there is no profile {other:?}"))
                .at("the environment variable LIMIT_INCREASE_PROFILE")
                .next("set it to dev or release, or leave it unset")
                .into()),
        }
    }

    fn lambda_directory(self, target: &Path, architecture: Architecture) -> PathBuf {
        let name = match self {
            Self::Dev => "dev",
            Self::Release => architecture.name(),
        };
        target.join("lambda").join(name)
    }

    fn arguments(self, architecture: Architecture) -> Vec<&'static str> {
        match self {
            // cargo-lambda would link with zig, and cargo would compile every crate again for it.
            // Programs are chosen by --bin: with --package, cargo would select other features than
            // for the command line.
            Self::Dev => {
                let programs = FUNCTIONS.iter().flat_map(|function| ["--bin", function.name]);
                ["--compiler", "cargo"].into_iter().chain(programs).collect()
            }
            Self::Release => {
                let packages = FUNCTIONS.iter().flat_map(|function| ["--package", function.name]);
                ["--release", architecture.option()].into_iter().chain(packages).collect()
            }
        }
    }
}

/// A function's archive.
#[derive(Debug, Clone)]
pub struct Archive {
    /// The function.
    pub(crate) function: Function,
    /// The key that it goes under: it has the program's hash, so that an unchanged program is an
    /// unchanged key.
    pub(crate) key: String,
    /// The file.
    pub(crate) path: PathBuf,
    /// The program in it.
    pub program: PathBuf,
}

impl Archive {
    /// The archive of this file name in an output directory.
    fn of(output: &Path, function: Function, name: &str) -> Self {
        Self {
            function,
            key: format!("functions/{name}"),
            path: output.join("archives").join(name),
            program: output.join(function.name).join("bootstrap"),
        }
    }

    /// The archive's bytes.
    pub(crate) fn read(&self) -> Result<Bytes> {
        Ok(std::fs::read(&self.path)
            .with_context(|| format!("cannot read {}", self.path.display()))?
            .into())
    }
}

/// Builds the functions. If nothing has changed that they are built of, the archives of the last
/// build are the answer; otherwise cargo-lambda, installed if it is missing, decides what is out of
/// date.
pub fn build(
    project: &Project,
    architecture: Architecture,
    profile: Profile,
    ui: &Ui,
) -> Result<Vec<Archive>> {
    let mut task = ui.task("Functions");
    let output = profile.lambda_directory(&target_dir(project), architecture);
    let inputs = inputs::digest(project.root())?;
    if let Some(archives) = last_build(&output, &inputs) {
        task.done(format!("{} functions are up to date", archives.len()));
        return Ok(archives);
    }

    let first = !output.exists();
    task.phase(format!(
        "building for {}{}",
        architecture.name(),
        if first { "; the first time takes some minutes" } else { "" }
    ));
    let _lock = lock(&output, &mut task)?;
    // Another build may have done it while this one waited.
    let archives = match last_build(&output, &inputs) {
        Some(archives) => archives,
        None => {
            python::ensure_venv(project, Venv::Build, ui)?;
            // From here on the programs may be newer than the record, if this build is interrupted.
            forget_last_build(&output)?;
            compile(project, &output, profile.arguments(architecture), &task)?;
            let archives = archives(&output)?;
            remember(&output, &inputs, &archives)?;
            archives
        }
    };

    task.done(format!("{} functions built for {}", archives.len(), architecture.name()));
    Ok(archives)
}

fn compile(project: &Project, output: &Path, arguments: Vec<&str>, task: &Task) -> Result<()> {
    let path = std::env::join_paths(
        std::iter::once(project.venvs().join(Venv::Build.name()).join("bin"))
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    )?;

    let mut command = Command::new("cargo");
    command
        .args(["lambda", "build", "--locked", "--lambda-dir"])
        .arg(output)
        .args(arguments)
        .current_dir(project.root())
        .env("PATH", path)
        .env("CARGO_TERM_COLOR", "never");
    forget_current_package(&mut command);
    // Without a terminal cargo shows no progress unless it is told to, and then wants a width.
    command.env("CARGO_TERM_PROGRESS_WHEN", "always").env("CARGO_TERM_PROGRESS_WIDTH", "80");

    let (mut progress, started) = (CompileProgress::default(), Instant::now());
    run_described(&mut command, task, |line| progress.describe(line, started.elapsed()))
        .context("the functions do not build")?;
    Ok(())
}

/// What was built last into a directory.
#[derive(Debug, Serialize, Deserialize)]
struct BuildRecord {
    /// The digest of what it was built of.
    inputs: String,
    /// The archives' file names, in the order of [`FUNCTIONS`].
    archives: Vec<String>,
}

/// The archives of the last build, if it was built of these inputs and is still there.
fn last_build(output: &Path, inputs: &str) -> Option<Vec<Archive>> {
    let record = std::fs::read(output.join(BUILD_RECORD)).ok()?;
    let record: BuildRecord = serde_json::from_slice(&record).ok()?;
    if record.inputs != inputs || record.archives.len() != FUNCTIONS.len() {
        return None;
    }

    let archives: Vec<Archive> = FUNCTIONS
        .iter()
        .zip(&record.archives)
        .map(|(function, name)| Archive::of(output, *function, name))
        .collect();
    archives
        .iter()
        .all(|archive| archive.path.is_file() && archive.program.is_file())
        .then_some(archives)
}

fn forget_last_build(output: &Path) -> Result<()> {
    match std::fs::remove_file(output.join(BUILD_RECORD)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).context("cannot remove the record of the last build")
        }
        _ => Ok(()),
    }
}

fn remember(output: &Path, inputs: &str, archives: &[Archive]) -> Result<()> {
    let name = |archive: &Archive| {
        archive.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    };
    let record =
        BuildRecord { inputs: inputs.to_owned(), archives: archives.iter().map(name).collect() };
    write_whole(&output.join(BUILD_RECORD), &serde_json::to_vec_pretty(&record)?)
}

/// Keeps other builds from this output until the guard is dropped: cargo-lambda moves the programs
/// there after cargo has given up its own lock, and two that do so simultaneously fail.
fn lock(output: &Path, task: &mut Task) -> Result<File> {
    std::fs::create_dir_all(output)
        .with_context(|| format!("cannot make the directory {}", output.display()))?;
    let path = output.join("build.lock");
    let file = File::create(&path).with_context(|| format!("cannot open {}", path.display()))?;
    if file.try_lock().is_err() {
        task.phase("waiting for another build");
        file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    }

    Ok(file)
}

/// Takes from a cargo command the variables that describe the program that runs now, under `cargo
/// run` or `cargo test`.
///
/// Build scripts that watch these variables (ring's does) would see a change, and everything would
/// be built again.
pub fn forget_current_package(command: &mut Command) {
    for (name, _) in std::env::vars_os().filter(|(name, _)| describes_a_package(name)) {
        command.env_remove(name);
    }
}

/// Whether cargo sets this variable for the one package that it runs, as opposed to a setting of
/// the person's own.
fn describes_a_package(name: &std::ffi::OsStr) -> bool {
    let name = name.to_string_lossy();
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"].iter().any(|prefix| name.starts_with(prefix))
        || ["CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE", "OUT_DIR"].contains(&&*name)
}

fn target_dir(project: &Project) -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(path) if !path.is_empty() => project.root().join(path),
        _ => project.root().join("target"),
    }
}

/// Hashes and packs the programs, each on a thread of its own: they are large, and mostly
/// unchanged.
fn archives(output: &Path) -> Result<Vec<Archive>> {
    std::thread::scope(|scope| {
        let packing: Vec<_> =
            FUNCTIONS.iter().map(|function| scope.spawn(|| archive(output, *function))).collect();

        packing
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow!("packing a function panicked"))?)
            .collect()
    })
}

fn archive(output: &Path, function: Function) -> Result<Archive> {
    let program = output.join(function.name).join("bootstrap");
    let content = std::fs::read(&program).map_err(|error| {
        Problem::new(format!("cargo lambda built no program for {}: {error}", function.name))
            .at(program.display().to_string())
            .next("see whether the package has a program of that name: cargo metadata")
    })?;

    let hash = sha256_hex(&content);
    let archive = Archive::of(output, function, &format!("{}-{}.zip", function.name, &hash[..32]));
    if !archive.path.exists() {
        write_whole(&archive.path, &zipped(&content)?)?;
    }

    Ok(archive)
}

/// A zip with one entry, `bootstrap`, executable, without the time of day.
fn zipped(program: &[u8]) -> Result<Vec<u8>> {
    let options = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Deflated)
        .last_modified_time(zip::DateTime::default())
        .unix_permissions(0o755);
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    writer.start_file("bootstrap", options)?;
    writer.write_all(program)?;
    Ok(writer.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_persons_own_settings_reach_the_build_and_what_describes_this_program_does_not() {
        for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CARGO_CRATE_NAME"] {
            assert!(describes_a_package(name.as_ref()), "{name}");
        }

        for name in [
            "CARGO_HOME",
            "CARGO_TARGET_DIR",
            "CARGO_PROFILE_RELEASE_LTO",
            "CARGO_BUILD_JOBS",
            "PATH",
        ] {
            assert!(!describes_a_package(name.as_ref()), "{name}");
        }
    }

    #[test]
    fn the_same_program_is_the_same_archive() {
        assert_eq!(zipped(b"program").unwrap(), zipped(b"program").unwrap());
        assert_ne!(zipped(b"program").unwrap(), zipped(b"another").unwrap());
        let mut archive =
            zip::ZipArchive::new(std::io::Cursor::new(zipped(b"program").unwrap())).unwrap();
        assert_eq!(archive.len(), 1);
        let entry = archive.by_index(0).unwrap();
        assert_eq!((entry.name(), entry.unix_mode().unwrap() & 0o777), ("bootstrap", 0o755));
    }
}
