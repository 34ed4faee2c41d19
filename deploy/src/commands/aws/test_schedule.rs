//! `test-schedule --target aws`: shows the schedule. It starts nothing, unless a dry run is asked for.

use anyhow::Result;
use chrono::Utc;
use serde_json::json;

use super::super::test_schedule::show;
use crate::cli::TestScheduleArgs;
use limit_increase::deployment::schedule;
use limit_increase::remote::{Account, Place, executions, health};
use limit_increase::runs;
use limit_increase::terminal::{Exit, Ui, thousands};
use limit_increase_workflow::RunRequest;

pub(super) async fn run(ui: &Ui, place: &Place, arguments: &TestScheduleArgs) -> Result<Exit> {
    let account = Account::open(place).await?;
    let found = schedule::read(&account.aws, account.stack.output("EventBridgeRuleName")?).await?;
    if arguments.dry_run {
        show(ui, &found);
        let request = RunRequest { limit: Some(1), dry_run: true, ..RunRequest::default() };
        let arn = executions::start(&account, &runs::new_name(), &request).await?;
        return super::watch(ui, &account, &arn).await;
    }

    let waiting = health::undelivered_events(&account).await?;
    show(ui, &found);
    ui.line(format!("  Undelivered   {} events in the queue", thousands(waiting)));
    ui.line("\nNothing was started. --dry-run starts a dry run of one customer.");
    ui.json(&json!({
        "schedule": found,
        "next_start": found.next_start(Utc::now()),
        "nightly_limit": account.stack.parameters.get("NightlyLimit"),
        "undelivered_events": waiting,
    }))?;
    Ok(Exit::Ok)
}
