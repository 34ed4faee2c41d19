//! `replay`: scores and decides a run again, and says what came out differently.

use anyhow::Result;
use limit_increase_evidence::replay::{Replay, ReplayDifference};
use serde_json::json;

use super::results::run_id;
use crate::cli::ReplayArgs;
use limit_increase::aws::Aws;
use limit_increase::local::{Context, services};
use limit_increase::model::BUCKET;
use limit_increase::proof::replay::replay;
use limit_increase::proof::run_files::RunFiles;
use limit_increase::terminal::{Exit, Ui, table, thousands};

pub(super) async fn run(context: &Context, arguments: &ReplayArgs) -> Result<Exit> {
    let run = run_id(&arguments.run)?;
    let services = services::ensure(context).await?;
    let files = RunFiles::open(&Aws::local(services.localstack_port), BUCKET, &run).await?;
    show(&context.ui, &files, arguments).await
}

/// Replays the run and shows the result. The exit code says whether anything differs.
pub(super) async fn show(ui: &Ui, files: &RunFiles, arguments: &ReplayArgs) -> Result<Exit> {
    let mut task = ui.task("replay");
    task.phase(format!(
        "{} customers in {} shards",
        thousands(files.customers()),
        files.shards.len()
    ));
    let replayed = replay(files, arguments.sample, &task).await?;
    task.done(format!("{} customers", thousands(replayed.customers)));

    ui.line(text(files, &replayed));
    ui.json(&json!({
        "run_id": files.run(),
        "model_sha256": files.facts.model.sha256,
        "policy_sha256": files.facts.policy_sha256,
        "release": files.facts.release,
        "replay": replayed,
    }))?;
    Ok(if replayed.differences == 0 { Exit::Ok } else { Exit::Failed })
}

fn text(files: &RunFiles, replayed: &Replay) -> String {
    let customers = thousands(replayed.customers);
    let of =
        format!("{customers} of {} customers of run {}", thousands(files.customers()), files.run());
    if replayed.differences == 0 {
        return format!(
            "{of}: every score, SHAP value, reason and limit came out again, bit for bit.\n\
             model {}\npolicy {}",
            files.facts.model.sha256, files.facts.policy_sha256
        );
    }

    format!(
        "{of}: {} cells differ.\n{}",
        thousands(replayed.differences),
        differences(&replayed.first)
    )
}

fn differences(first: &[ReplayDifference]) -> comfy_table::Table {
    let mut rows = table(&["Stage", "Column", "Row", "Recorded", "Replayed"]);
    for difference in first {
        rows.add_row([
            difference.stage.to_owned(),
            difference.column.clone(),
            difference.row.map_or_else(|| "all".to_owned(), |row| row.to_string()),
            difference.recorded.clone(),
            difference.replayed.clone(),
        ]);
    }

    rows
}
