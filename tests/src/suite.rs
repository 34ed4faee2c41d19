//! Running a file of cases against one environment, one after the other, and stopping it afterwards.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use libtest_mimic::{Arguments, Failed, Trial};

use crate::Environment;

/// A case: what it shows, and how.
pub type Case<E = Environment> = (&'static str, fn(&E) -> Result<()>);

/// Runs the cases that the command line asks for, in their order, and stops the environment whatever happens. Its logs are kept
/// where a case fails.
///
/// The arguments are those of the standard test harness (`--list`, a filter, `--exact`).
#[must_use]
pub fn run(name: &str, cases: &[Case]) -> ExitCode {
    run_in(|| Environment::start(name), cases, Environment::keep_logs)
}

/// As [`run`], in an environment of another kind.
#[must_use]
pub fn run_in<E: Send + Sync + 'static>(
    start: impl FnOnce() -> Result<E>,
    cases: &[Case<E>],
    after_failure: impl FnOnce(&E),
) -> ExitCode {
    let mut arguments = Arguments::from_args();
    // The cases share one environment.
    arguments.test_threads = Some(1);
    if arguments.list {
        let trials = cases.iter().map(|(name, _)| Trial::test(*name, || Ok(()))).collect();
        return libtest_mimic::run(&arguments, trials).exit_code();
    }

    let environment = match start() {
        Ok(environment) => Arc::new(environment),
        Err(error) => {
            eprintln!("the tests' environment does not start: {error:?}");
            return ExitCode::FAILURE;
        }
    };

    let trial = |(name, case): &Case<E>| {
        let (environment, case) = (environment.clone(), *case);
        Trial::test(*name, move || {
            case(&environment).map_err(|error| Failed::from(format!("{error:?}")))
        })
    };

    let conclusion = libtest_mimic::run(&arguments, cases.iter().map(trial).collect());
    if conclusion.has_failed() {
        after_failure(&environment);
    }

    drop(environment);
    conclusion.exit_code()
}
