//! Runs the cases of a suite against one environment, one after the other, and stops the
//! environment afterwards.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use libtest_mimic::{Arguments, Failed, Trial};

use crate::Environment;

/// The cases of a suite, in their order. A case is called like the function that carries it out.
///
/// ```
/// # use limit_increase_tests::{Environment, cases, suite::Case};
/// fn a_run_decides_everybody(_: &Environment) -> anyhow::Result<()> {
///     Ok(())
/// }
///
/// let cases: [Case; 1] = cases![a_run_decides_everybody];
/// assert_eq!(cases[0].name, "a_run_decides_everybody");
/// ```
#[macro_export]
macro_rules! cases {
    ($($case:ident),+ $(,)?) => {
        [$($crate::suite::Case { name: stringify!($case), run: $case }),+]
    };
}

/// A case of a suite.
#[derive(Debug)]
pub struct Case<E = Environment> {
    /// A sentence that says what holds.
    pub name: &'static str,
    /// Shows that it holds.
    pub run: fn(&E) -> Result<()>,
}

/// Starts an environment, runs the cases that the command line selects, and stops the environment
/// whatever happens. The environment's logs are kept when a case fails.
///
/// The arguments are those of the standard test harness (`--list`, a filter, `--exact`).
#[must_use]
pub fn run(name: &str, cases: &[Case]) -> ExitCode {
    run_in(|| Environment::start(name), cases, Environment::keep_logs)
}

/// Like [`run`], in an environment of another type.
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
        let trials = cases.iter().map(|case| Trial::test(case.name, || Ok(()))).collect();
        return libtest_mimic::run(&arguments, trials).exit_code();
    }

    let environment = match start() {
        Ok(environment) => Arc::new(environment),
        Err(error) => {
            eprintln!("the tests' environment does not start: {error:?}");
            return ExitCode::FAILURE;
        }
    };

    let trial = |case: &Case<E>| {
        let (environment, run) = (environment.clone(), case.run);
        Trial::test(case.name, move || {
            run(&environment).map_err(|error| Failed::from(format!("{error:?}")))
        })
    };

    let conclusion = libtest_mimic::run(&arguments, cases.iter().map(trial).collect());
    if conclusion.has_failed() {
        after_failure(&environment);
    }

    drop(environment);
    conclusion.exit_code()
}
