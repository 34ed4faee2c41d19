//! `run`: starts one run of the workflow and watches it to its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result};
use limit_increase_workflow::{RunId, RunRequest, RunSummary};

use super::results;
use crate::cli::{Limit, RunArgs};
use limit_increase::database;
use limit_increase::local::Context;
use limit_increase::model::BUCKET;
use limit_increase::remote::records::{self, Records};
use limit_increase::runs::execution::{self, ExecutionReport, WatchEnd};
use limit_increase::runs::step_counts::StepCounts;
use limit_increase::runs::{self, RunEnvironment};
use limit_increase::terminal::{self, Ui, money};
use limit_increase::terminal::{Exit, Problem};

/// Increases that are shown after a run.
pub(super) const TOP: u32 = 6;

pub(super) async fn run(context: &Context, arguments: RunArgs) -> Result<Exit> {
    // The arguments are checked before anything is started, since starting can take minutes.
    let request = request(&arguments)?;
    let given = given_name(&arguments)?;
    let ready = runs::prepare(context).await?;
    // The name holds the time of the start, so it is made after the preparation, which can take
    // minutes.
    let name = given.unwrap_or_else(runs::new_name);
    let interrupted = Arc::new(AtomicBool::new(false));
    stop_watching_on_interrupt(&interrupted)?;
    let followed = if arguments.follow.is_some() {
        let arn = execution::arn_of(ready.stack.output("StateMachineArn")?, &name);
        execution::follow(&ready.aws, &arn, &interrupted, &context.ui).await?
    } else {
        runs::run(context, &ready, &name, &request, &interrupted).await?
    };

    match followed {
        WatchEnd::Ended(finished) if finished.succeeded() => {
            succeeded(context, &ready, &finished).await
        }
        WatchEnd::Ended(finished) => Err(run_error(context, &finished).into()),
        WatchEnd::LeftRunning => {
            context.ui.note(format!(
                "\nThe run goes on. Follow it again: limit-increase run --follow {name}"
            ));

            context.ui.json(&serde_json::json!({ "run_id": name, "status": "RUNNING" }))?;
            Ok(Exit::Ok)
        }
    }
}

/// The name that was typed for a run, new or old.
pub(super) fn given_name(arguments: &RunArgs) -> Result<Option<String>> {
    let given = arguments.follow.clone().or(arguments.name.clone());
    if let Some(name) = given.clone() {
        RunId::try_from(name)
            .map_err(|error| Problem::usage(error.to_string()).next("choose another --name"))?;
    }

    Ok(given)
}

/// The request that was typed, checked.
pub(super) fn request(arguments: &RunArgs) -> Result<RunRequest> {
    let defaults = RunRequest::default();
    let request = RunRequest {
        limit: match arguments.limit {
            None => defaults.limit,
            Some(Limit::All) => None,
            Some(Limit::AtMost(number)) => Some(number),
        },
        shard_size: arguments.shard_size.unwrap_or(defaults.shard_size),
        as_of: arguments.as_of,
        dry_run: arguments.dry_run,
        policy: arguments.policy.as_deref().map(runs::policy::read).transpose()?,
    };

    request.validate().map_err(|error| {
        Problem::usage(error.to_string()).next("correct the option or the policy of that name")
    })?;

    Ok(request)
}

/// Lets the first Ctrl-C only set `flag`, which ends the watching. A second one ends the program.
pub(super) fn stop_watching_on_interrupt(flag: &Arc<AtomicBool>) -> Result<()> {
    let signal = signal_hook::consts::SIGINT;
    signal_hook::flag::register_conditional_default(signal, Arc::clone(flag))
        .and_then(|_| signal_hook::flag::register(signal, Arc::clone(flag)))
        .context("cannot listen for Ctrl-C")?;
    flag.store(false, Ordering::Relaxed);
    Ok(())
}

async fn succeeded(
    context: &Context,
    ready: &RunEnvironment,
    finished: &ExecutionReport,
) -> Result<Exit> {
    let run = RunId::try_from(finished.name.clone())?;
    let Records { summary, steps, .. } =
        records::read(&ready.aws, BUCKET, &run, TOP as usize).await?;
    let mut client = database::connect(&ready.services.database_url).await?;
    let policy = runs::policy::in_force(&ready.aws, BUCKET).await?;
    let results = runs::results::read(&mut client, i64::from(TOP), &policy.eligibility).await?;
    show_summary(&context.ui, &summary, &steps, finished);
    if summary.eligible > 0 {
        results::show(&context.ui, &results);
    } else {
        context.ui.line("  To start over with the sample: limit-increase setup-db --reset");
    }

    context.ui.json(&serde_json::json!({
        "execution": finished,
        "summary": summary,
        "steps": steps,
        "totals": results.totals,
    }))?;

    Ok(Exit::Ok)
}

/// Shows how a run ended, and what each step did with the customers.
pub(super) fn show_summary(
    ui: &Ui,
    summary: &RunSummary,
    steps: &StepCounts,
    finished: &ExecutionReport,
) {
    let took = terminal::duration(std::time::Duration::from_secs_f64(finished.seconds));
    let style = console::style("SUCCEEDED").green().bold();
    ui.line(format!(
        "\n{style}  {} in {took}{}",
        summary.run_id,
        if summary.dry_run { "  (dry run: the table is as it was)" } else { "" }
    ));

    if summary.eligible == 0 {
        ui.line("  Nothing to do: no customer is eligible and undecided.");
        return;
    }

    for line in steps.lines() {
        ui.line(format!("  {line}"));
    }

    ui.line(format!("  Limits raised by {} in total", money(summary.total_increase)));

    ui.line(format!(
        "  Model s3://{}/{} (sha256 {:.12})",
        summary.model.bucket, summary.model.key, summary.model.sha256
    ));
    ui.line(format!("  Release {}", summary.release));
}

fn run_error(context: &Context, finished: &ExecutionReport) -> Problem {
    finished.problem().next(format!(
        "correct the cause, then start a new run: limit-increase run \
         (customers who are decided are not taken again; \
         on AWS, redrive-execution goes on with this one)\nlogs: {} and {}",
        context.home.logs().join("localstack.log").display(),
        context.home.localstack().join("logs").display()
    ))
}
