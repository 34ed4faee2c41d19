//! One module for each command. It takes the arguments, calls the library, and shows the answer.

mod aws;
mod awslocal;
mod backtest;
mod clean;
mod compare;
mod deploy;
mod explain;
mod forecast;
mod pipeline;
mod replay;
mod report;
mod results;
mod run;
mod setup_db;
mod start;
mod status;
mod stop;
mod test_schedule;
mod test_services;
mod train;
mod train_sagemaker;
mod verify;

use anyhow::Result;

use crate::cli::{Cli, Command};
use limit_increase::local::{Context, ServiceOptions};
use limit_increase::remote;
use limit_increase::terminal::Exit;
use limit_increase::terminal::Ui;

/// Runs the command that was typed.
///
/// A command with `--target aws` needs no checkout and no home, only the terminal.
pub(crate) async fn dispatch(cli: Cli, ui: Ui) -> Result<Exit> {
    if let Some(place) = aws::place(&cli.command)? {
        let url = cli.services.database_url.as_deref();
        return aws::dispatch(&cli.command, &place, &ui, url).await.map_err(remote::explain);
    }

    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let options = ServiceOptions {
        runtime: cli.services.runtime,
        database_url: given(cli.services.database_url),
        postgres_port: cli.services.postgres_port,
        localstack_port: cli.services.localstack_port,
    };

    let home = cli.home.filter(|home| !home.as_os_str().is_empty());
    let context = Context::new(home, options, ui)?;
    match cli.command {
        Command::Start => start::run(&context).await?,
        Command::Train(arguments) => train::run(&context, arguments).await?,
        Command::TrainSagemaker(arguments) => train_sagemaker::run(&context, &arguments)?,
        Command::SetupDb(arguments) => setup_db::run(&context, arguments).await?,
        Command::Deploy(arguments) => deploy::run(&context, arguments).await?,
        Command::Run(arguments) => return run::run(&context, arguments).await,
        Command::Resume(arguments) => return Err(aws::no_local_redrive(&arguments.run).into()),
        Command::Results(arguments) => results::run(&context, &arguments).await?,
        Command::Explain(arguments) => explain::run(&context, &arguments).await?,
        Command::Replay(arguments) => return replay::run(&context, &arguments).await,
        Command::Verify(arguments) => return verify::run(&context, &arguments).await,
        Command::Report(arguments) => report::run(&context, &arguments).await?,
        Command::Compare(arguments) => compare::run(&context, &arguments).await?,
        Command::Backtest(arguments) => backtest::run(&context, &arguments).await?,
        Command::Status(_) => status::run(&context).await?,
        Command::Stop => stop::run(&context)?,
        Command::Clean(arguments) => clean::run(&context, &arguments)?,
        Command::TestServices => return test_services::run(&context).await,
        Command::TestSchedule(arguments) => test_schedule::run(&context, &arguments).await?,
        Command::Pipeline(arguments) => return pipeline::run(&context, &arguments).await,
        Command::Awslocal(arguments) => return awslocal::run(&context, &arguments).await,
    }

    Ok(Exit::Ok)
}
