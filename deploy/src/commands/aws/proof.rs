//! `explain`, `replay` and `verify` with `--target aws`. The first two read the records in S3 alone.

use anyhow::Result;

use super::super::results::run_id;
use super::super::{explain, replay, verify};
use crate::cli::{ExplainArgs, ReplayArgs, VerifyArgs};
use limit_increase::database;
use limit_increase::proof::find;
use limit_increase::proof::run_files::RunFiles;
use limit_increase::remote::{Account, Place};
use limit_increase::terminal::{Exit, Problem, Ui};

pub(super) async fn explain(ui: &Ui, place: &Place, arguments: &ExplainArgs) -> Result<Exit> {
    let Some(run) = &arguments.run else {
        return Err(Problem::usage("on AWS the history is in a database that is not connected to")
            .next("name the run that decided: --run RUN; batch_scores and the history have it")
            .into());
    };

    let run = run_id(run)?;
    let account = Account::open(place).await?;
    let files = RunFiles::open(&account.aws, account.stack.output("BucketName")?, &run).await?;
    let task = ui.task("search");
    let found = find::in_run(&files, &arguments.customer, &task).await?;
    task.clear();

    explain::show(ui, &files, &found, arguments).await?;
    Ok(Exit::Ok)
}

pub(super) async fn replay(ui: &Ui, place: &Place, arguments: &ReplayArgs) -> Result<Exit> {
    let run = run_id(&arguments.run)?;
    let account = Account::open(place).await?;
    let files = RunFiles::open(&account.aws, account.stack.output("BucketName")?, &run).await?;
    replay::show(ui, &files, arguments).await
}

/// The ledger is in the database, so this command needs an address of it that this machine reaches.
pub(super) async fn verify(
    ui: &Ui,
    place: &Place,
    arguments: &VerifyArgs,
    database_url: Option<&str>,
) -> Result<Exit> {
    let Some(url) = database_url.filter(|url| !url.is_empty()) else {
        return Err(Problem::usage("the seals are in the ledger, and no database was named")
            .next("add --database-url postgresql://.., as this machine reaches it (docs/aws.md)")
            .into());
    };

    let account = Account::open(place).await?;
    let mut client = database::connect(url).await?;
    let bucket = account.stack.output("BucketName")?;
    verify::show(ui, &account.aws, bucket, &mut client, arguments).await
}
