//! Running a file of cases against one environment, one after the other, and stopping it afterwards.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use libtest_mimic::{Arguments, Failed, Trial};

use crate::Environment;

/// A case: what it shows, and how.
pub type Case = (&'static str, fn(&Environment) -> Result<()>);

/// Runs the cases that the command line asks for, in their order, and stops the environment whatever happens.
///
/// The arguments are those of the standard test harness (`--list`, a filter, `--exact`).
#[must_use]
pub fn run(name: &str, cases: &[Case]) -> ExitCode {
    let mut arguments = Arguments::from_args();
    // The cases share one table.
    arguments.test_threads = Some(1);
    if arguments.list {
        let trials = cases.iter().map(|(name, _)| Trial::test(*name, || Ok(()))).collect();
        return libtest_mimic::run(&arguments, trials).exit_code();
    }
    let environment = match Environment::start(name) {
        Ok(environment) => Arc::new(environment),
        Err(error) => {
            eprintln!("the environment of {name} does not start: {error:?}");
            return ExitCode::FAILURE;
        }
    };
    let trial = |(name, case): &Case| {
        let (environment, case) = (environment.clone(), *case);
        Trial::test(*name, move || case(&environment).map_err(|error| Failed::from(format!("{error:?}"))))
    };
    let conclusion = libtest_mimic::run(&arguments, cases.iter().map(trial).collect());
    if conclusion.has_failed() {
        environment.keep_logs();
    }
    drop(environment);
    conclusion.exit_code()
}
