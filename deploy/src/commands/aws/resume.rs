//! `resume --target aws`: redrives a run, or says what to do instead.

use anyhow::Result;

use super::super::results::run_id;
use crate::cli::ResumeArgs;
use limit_increase::remote::executions::{self, Redrive};
use limit_increase::remote::{Account, Place};
use limit_increase::terminal::{Exit, Problem, Ui};

pub(super) async fn run(ui: &Ui, place: &Place, arguments: &ResumeArgs) -> Result<Exit> {
    let run = run_id(&arguments.run)?;
    let account = Account::open(place).await?;
    let arn = executions::arn_of(&account, run.as_str())?;
    let execution = executions::described(&account, &arn).await?;
    match executions::judge(&execution) {
        Redrive::Impossible { why, instead } => {
            return Err(Problem::usage(why).at(arn).next(account.command(&instead)).into());
        }
        Redrive::Possible { dry_run: false } => {
            super::agree(ui, &account, &format!("Resume the run {run}"), arguments.yes)?;
        }
        Redrive::Possible { dry_run: true } => {}
    }

    executions::redrive(&account, &execution).await?;
    super::watch(ui, &account, &arn).await
}
