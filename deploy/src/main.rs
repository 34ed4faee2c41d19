//! The `limit-increase` program.

use std::process::ExitCode;

use clap::Parser as _;
use limit_increase::cli::Cli;
use limit_increase::commands;
use limit_increase::problem::Problem;
use limit_increase::ui::Ui;

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
