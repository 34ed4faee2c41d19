//! `test-schedule`: shows the nightly rule, and proves that an event starts a run.

use std::sync::Arc;

use anyhow::Result;
use chrono::Utc;

use crate::cli::TestScheduleArgs;
use limit_increase::deployment::schedule::{self, Schedule};
use limit_increase::local::Context;
use limit_increase::runs;
use limit_increase::runs::execution::{self, WatchEnd};
use limit_increase::terminal::{Problem, Ui};

pub(super) async fn run(context: &Context, arguments: &TestScheduleArgs) -> Result<()> {
    if arguments.dry_run {
        let problem = Problem::usage("--dry-run is for the schedule of a stack on AWS");
        return Err(problem.next("add --target aws, or leave the option out").into());
    }

    let ready = runs::prepare(context).await?;
    let found = schedule::read(&ready.aws, ready.stack.output("EventBridgeRuleName")?).await?;
    let ui = &context.ui;
    show(ui, &found);
    ui.line("");
    let mut task = ui.task("EventBridge");
    task.phase("sending an event through a rule with the same role and target");
    let arn = schedule::fire(&ready.aws, &found).await?;
    task.done(format!("started {}", execution::name_of(&arn)));
    let followed = execution::follow(&ready.aws, &arn, &Arc::default(), ui).await?;
    let WatchEnd::Ended(finished) = followed else {
        return Err(Problem::new("the run was left running").into());
    };

    if !finished.succeeded() {
        return Err(finished
            .problem()
            .next("limit-increase results shows the ledger; the functions' logs say more")
            .into());
    }

    ui.line(format!("The event started an execution, and it {}.", finished.status));
    ui.json(&serde_json::json!({ "schedule": found, "execution": finished }))
}

/// Shows the rule, and what it starts.
pub(super) fn show(ui: &Ui, found: &Schedule) {
    ui.heading("Schedule");
    ui.line(format!("  Rule          {} ({})", found.rule, found.state));
    ui.line(format!("  Schedule      {}, in UTC", found.expression));
    if let Some(next) = found.next_start(Utc::now()) {
        ui.line(format!("  Next start    {} UTC", next.format("%Y-%m-%d %H:%M")));
    }

    ui.line(format!("  Starts        {}", found.target));
    ui.line(format!("  With role     {}", found.role));
    ui.line(format!(
        "  Failures      {} retries, then {}",
        found
            .retries
            .map_or_else(|| "the default number of".to_owned(), |retries| retries.to_string()),
        found.dead_letters.as_deref().unwrap_or("nowhere")
    ));
}
