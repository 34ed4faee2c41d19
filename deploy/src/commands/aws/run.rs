//! `run --target aws`: starts an execution of the stack's state machine, and follows it.

use anyhow::Result;

use super::super::run::{given_name, request};
use crate::cli::RunArgs;
use limit_increase::remote::{Account, Place, executions};
use limit_increase::runs;
use limit_increase::terminal::{Exit, Ui, thousands};
use limit_increase_workflow::RunRequest;

pub(super) async fn run(ui: &Ui, place: &Place, arguments: &RunArgs) -> Result<Exit> {
    let request = request(arguments)?;
    let given = given_name(arguments)?;
    let starts_live = arguments.follow.is_none() && !request.dry_run;
    if starts_live {
        super::require_answer(ui, arguments.yes)?;
    }

    let account = Account::open(place).await?;
    if starts_live {
        super::agree(ui, &account, &question(&request), arguments.yes)?;
    }

    let name = given.unwrap_or_else(runs::new_name);
    let arn = match &arguments.follow {
        Some(name) => executions::arn_of(&account, name)?,
        None => executions::start(&account, &name, &request).await?,
    };
    super::watch(ui, &account, &arn).await
}

/// What would be started, as the beginning of a question.
fn question(request: &RunRequest) -> String {
    let customers = match request.limit {
        Some(limit) => format!("at most {} customers", thousands(limit)),
        None => "all eligible customers".to_owned(),
    };
    let policy = if request.policy.is_some() { ", with a policy of its own," } else { "" };
    format!("Start a run of {customers}{policy}")
}
