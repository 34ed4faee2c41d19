//! The commands with `--target aws`: each looks at a stack in an account, or starts something there.
//!
//! None of them connects to the database but `verify`, by the address that it is given. What can
//! raise limits asks first.

mod proof;
mod report;
mod results;
mod resume;
mod run;
mod status;
mod test_schedule;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Result;

use super::results::render_records;
use super::run::{TOP, show_summary, stop_watching_on_interrupt};
use super::{backtest, compare};
use crate::cli::Command;
use limit_increase::remote::{Account, Place, records};
use limit_increase::runs::execution::{self, WatchEnd};
use limit_increase::terminal::{Exit, Problem, Ui};
use limit_increase_workflow::RunId;

/// The stack that a command means, if it is one on AWS.
pub(super) fn place(command: &Command) -> Result<Option<Place>> {
    let place = match command {
        Command::Run(arguments) => &arguments.place,
        Command::Resume(arguments) => &arguments.place,
        Command::Results(arguments) => &arguments.place,
        Command::Explain(arguments) => &arguments.place,
        Command::Replay(arguments) => &arguments.place,
        Command::Verify(arguments) => &arguments.place,
        Command::Report(arguments) => &arguments.place,
        Command::Compare(arguments) => &arguments.place,
        Command::Backtest(arguments) => &arguments.place,
        Command::Status(arguments) => &arguments.place,
        Command::TestSchedule(arguments) => &arguments.place,
        _ => return Ok(None),
    };
    place.on_aws()
}

/// Runs a command for the stack that [`place`] found.
///
/// `database_url` is that of `--database-url`, for the one command that reads the ledger.
pub(super) async fn dispatch(
    command: &Command,
    place: &Place,
    ui: &Ui,
    database_url: Option<&str>,
) -> Result<Exit> {
    match command {
        Command::Run(arguments) => run::run(ui, place, arguments).await,
        Command::Resume(arguments) => resume::run(ui, place, arguments).await,
        Command::Results(arguments) => results::run(ui, place, arguments).await,
        Command::Explain(arguments) => proof::explain(ui, place, arguments).await,
        Command::Replay(arguments) => proof::replay(ui, place, arguments).await,
        Command::Verify(arguments) => proof::verify(ui, place, arguments, database_url).await,
        Command::Report(arguments) => report::run(ui, place, arguments).await,
        Command::Compare(arguments) => compare::run_on_aws(ui, place, arguments).await,
        Command::Backtest(arguments) => backtest::run_on_aws(ui, place, arguments).await,
        Command::Status(_) => status::run(ui, place).await,
        Command::TestSchedule(arguments) => test_schedule::run(ui, place, arguments).await,
        _ => Err(Problem::usage("this command works on the local AWS alone").into()),
    }
}

/// The answer to `resume` without `--target aws`.
pub(super) fn no_local_redrive(run: &str) -> Problem {
    Problem::usage("the local AWS has no redrive, so a run cannot be resumed there")
        .at(format!("run {run}"))
        .next(
            "start a new run, which takes who is undecided: limit-increase run; \
             for a run on AWS add --target aws",
        )
}

/// Refuses what may raise limits when there is nobody to ask, before anything is connected to.
fn require_answer(ui: &Ui, yes: bool) -> Result<()> {
    if yes || ui.can_ask() {
        return Ok(());
    }

    Err(Problem::usage("there is nobody to ask whether this run may raise limits")
        .next("give --yes, or run the command in a terminal, or make it a --dry-run; nothing was started")
        .into())
}

/// Asks whether a run may raise limits.
fn agree(ui: &Ui, account: &Account, what: &str, yes: bool) -> Result<()> {
    require_answer(ui, yes)?;
    let question = format!("{what} in {}? It may raise limits.", account.location());
    if yes || ui.ask(&question)? {
        return Ok(());
    }

    Err(Problem::usage("nothing was started").next("answer y, or give --yes").into())
}

/// Follows an execution to its end, and shows what it decided.
async fn watch(ui: &Ui, account: &Account, arn: &str) -> Result<Exit> {
    let interrupted = Arc::new(AtomicBool::new(false));
    stop_watching_on_interrupt(&interrupted)?;
    let finished = match execution::follow(&account.aws, arn, &interrupted, ui).await? {
        WatchEnd::Ended(finished) => finished,
        WatchEnd::LeftRunning => {
            let name = execution::name_of(arn);
            let command = account.command(&format!("run --follow {name}"));
            ui.note(format!("\nThe run goes on. Follow it again: {command}"));
            ui.json(&serde_json::json!({ "run_id": name, "status": "RUNNING" }))?;
            return Ok(Exit::Ok);
        }
    };

    if !finished.succeeded() {
        let resume = account.command(&format!("resume {}", finished.name));
        let next = format!("correct the cause, which docs/runbook.md explains, then: {resume}");
        return Err(finished.problem().next(next).into());
    }

    let run = RunId::try_from(finished.name.clone())?;
    let bucket = account.stack.output("BucketName")?;
    let records = records::read(&account.aws, bucket, &run, TOP as usize).await?;
    show_summary(ui, &records.summary, &records.steps, &finished);
    if records.summary.eligible > 0 {
        ui.line(format!("\n{}", render_records(&records)));
    }

    let steps = records.steps;
    ui.json(&serde_json::json!({ "execution": finished, "steps": steps, "records": records }))?;
    Ok(Exit::Ok)
}
