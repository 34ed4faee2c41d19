//! The `limit-increase` program: reads the command line, runs one command, and shows its error.

mod cli;
mod commands;

use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;
use limit_increase::deployment::release;
use limit_increase::local::Project;
use limit_increase::terminal::{Problem, Ui};

use crate::cli::Cli;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.kind() == ErrorKind::DisplayVersion => return print_version(),
        Err(error) => error.exit(),
    };
    let ui = Ui::new(cli.json);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let problem = Problem::new(format!("the program cannot start its threads: {error}"));
            ui.problem(&problem);
            return ExitCode::FAILURE;
        }
    };

    let exit = match runtime.block_on(commands::dispatch(cli, ui)) {
        Ok(exit) => exit,
        Err(error) => {
            let problem = Problem::of(&error);
            ui.problem(&problem);
            problem.exit
        }
    };

    // After an error the build may still run on another thread; the program does not wait for it.
    runtime.shutdown_background();
    ExitCode::from(u8::from(exit))
}

/// Prints the release that `deploy` would deploy. Outside of a checkout its commit is unknown.
fn print_version() -> ExitCode {
    let root = Project::discover().map(|project| project.root().to_owned()).unwrap_or_default();
    Ui::new(false).line(format!("limit-increase {}", release::of(&root)));
    ExitCode::SUCCESS
}
