//! A whole run by the functions for arm64, the processor that AWS uses by default. On another
//! processor an emulator of single programs runs them.
//!
//! The suite is not a part of `cargo test`, because it needs the functions built for arm64.
//! `tests/arm64/run.py` builds them, checks which C library they need, and runs it:
//!
//! ```sh
//! ARM64_FUNCTIONS=target/lambda/arm64 ARM64_RUNNER='qemu-aarch64 -L /usr/aarch64-linux-gnu' \
//!   cargo test --workspace --test arm64
//! ```
#![allow(missing_docs)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use limit_increase::deployment::build::FUNCTIONS;
use limit_increase_tests::environment::Environment;
use limit_increase_tests::faults::lab::Lab;
use limit_increase_tests::faults::schedule::run_undisturbed;
use limit_increase_tests::records::decisions;
use limit_increase_tests::{cases, suite};
use serde_json::json;

fn main() -> ExitCode {
    suite::run("arm64", &cases![a_run_for_arm64_decides_as_one_of_this_machine])
}

/// The programs of the four functions in a directory of cargo-lambda.
fn functions_for_arm64(root: &Path) -> Result<HashMap<&'static str, PathBuf>> {
    let directory = std::env::var("ARM64_FUNCTIONS")
        .context("name the directory of the functions: ARM64_FUNCTIONS=target/lambda/arm64")?;
    let directory = root.join(directory);
    FUNCTIONS
        .iter()
        .map(|function| {
            let program = directory.join(function.name).join("bootstrap");
            ensure!(program.is_file(), "there is no {}", program.display());
            Ok((function.name, program))
        })
        .collect()
}

/// Promise 2: the decisions, their limits and their reasons do not depend on the processor.
fn a_run_for_arm64_decides_as_one_of_this_machine(environment: &Environment) -> Result<()> {
    let request = json!({ "limit": null, "shard_size": 20 });
    let native = Lab::open(environment)?;
    environment.block_on(native.reset())?;
    environment.block_on(run_undisturbed(&native, "of-this-machine", &request))?;
    let expected = decisions(environment)?;
    ensure!(expected.len() > 20, "more than one shard should be decided: {}", expected.len());

    let functions = functions_for_arm64(&environment.context.project.root())?;
    let runner = std::env::var("ARM64_RUNNER").unwrap_or_default();
    let runner: Vec<String> = runner.split_whitespace().map(str::to_owned).collect();
    let arm64 = Lab::open_with(environment, &functions, &runner)?;
    environment.block_on(arm64.reset())?;
    environment.block_on(run_undisturbed(&arm64, "for-arm64", &request))?;
    let found = decisions(environment)?;
    ensure!(
        found == expected,
        "promise 2: both processors should decide alike: {found:?}, not {expected:?}"
    );
    ensure!(arm64.pool.started() >= 4, "every function for arm64 should have run");
    Ok(())
}
