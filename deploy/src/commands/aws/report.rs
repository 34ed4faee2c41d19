//! `report --target aws`: the reports of runs on AWS.

use std::path::PathBuf;

use anyhow::Result;

use super::super::report::{MAX_RUNS, show};
use super::super::results::run_id;
use super::results::newest;
use crate::cli::ReportArgs;
use limit_increase::remote::{Account, Place, executions};
use limit_increase::terminal::{Exit, Ui};
use limit_increase_workflow::RunStatus;

pub(super) async fn run(ui: &Ui, place: &Place, arguments: &ReportArgs) -> Result<Exit> {
    let account = Account::open(place).await?;
    let runs = match (&arguments.run, arguments.all) {
        // The report of a named run outlives its execution, so Step Functions is not asked.
        (Some(name), _) => vec![run_id(name)?],
        (None, false) => {
            let last = executions::last_runs(&account, super::results::RUNS).await?;
            vec![run_id(&newest(&last, &account)?.run_id)?]
        }
        (None, true) => {
            let last = executions::last_runs(&account, MAX_RUNS as i32).await?;
            let succeeded = last.iter().filter(|run| run.status == RunStatus::Succeeded);
            succeeded.map(|run| run_id(&run.run_id)).collect::<Result<_>>()?
        }
    };

    let bucket = account.stack.output("BucketName")?;
    let here = PathBuf::from(".local/reports");
    let directory = arguments.output.as_ref().unwrap_or(&here);
    show(ui, (&account.aws, bucket), &runs, directory, arguments).await?;
    Ok(Exit::Ok)
}
