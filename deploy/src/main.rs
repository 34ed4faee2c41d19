//! The `limit-increase` program.

mod cli;
mod commands;

use std::process::ExitCode;

use clap::Parser as _;
use limit_increase::terminal::{Problem, Ui};

use crate::cli::Cli;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let ui = Ui::new(cli.json);
    let exit = match commands::dispatch(cli, ui).await {
        Ok(exit) => exit,
        Err(error) => {
            let problem = Problem::of(&error);
            ui.problem(&problem);
            problem.exit
        }
    };

    ExitCode::from(u8::from(exit))
}
