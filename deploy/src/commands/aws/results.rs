//! `results --target aws`: the records of a run in S3, and the last runs.

use anyhow::Result;
use serde_json::json;

use super::super::results::{render_records, run_id, runs};
use crate::cli::ResultsArgs;
use limit_increase::remote::{Account, Place, executions, records};
use limit_increase::runs::results::Run;
use limit_increase::terminal::{Exit, Problem, Ui};
use limit_increase_workflow::RunStatus;

/// The last runs that are shown, and among which the newest that succeeded is looked for.
pub(super) const RUNS: i32 = 5;

pub(super) async fn run(ui: &Ui, place: &Place, arguments: &ResultsArgs) -> Result<Exit> {
    let account = Account::open(place).await?;
    // The records of a named run outlive its execution, so Step Functions is not asked.
    let last = match arguments.run {
        Some(_) => Vec::new(),
        None => executions::last_runs(&account, RUNS).await?,
    };
    let run = match &arguments.run {
        Some(name) => run_id(name)?,
        None => run_id(&newest(&last, &account)?.run_id)?,
    };

    let bucket = account.stack.output("BucketName")?;
    let records = records::read(&account.aws, bucket, &run, arguments.top as usize).await?;
    let sections = [Some(render_records(&records)), runs(&last)];
    ui.line(sections.into_iter().flatten().collect::<Vec<_>>().join("\n\n"));
    ui.json(&json!({ "records": records, "runs": last }))?;
    Ok(Exit::Ok)
}

/// The newest run that succeeded.
pub(super) fn newest<'a>(last: &'a [Run], account: &Account) -> Result<&'a Run> {
    last.iter().find(|run| run.status == RunStatus::Succeeded).ok_or_else(|| {
        Problem::new("none of the last runs has succeeded, so there are no results to show")
            .at(account.location())
            .next(format!("{}; or name an older run", account.command("status")))
            .into()
    })
}
