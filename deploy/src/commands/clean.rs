//! `clean`: stops the services and removes the files of the local environment.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::cli::CleanArgs;
use limit_increase::local::Context;
use limit_increase::local::services;
use limit_increase::terminal::Problem;

pub(super) fn run(context: &Context, arguments: &CleanArgs) -> Result<()> {
    let root = context.home.root();
    let question =
        format!("Remove the local database, the model and all results in {}?", root.display());
    if !arguments.yes && context.ui.can_ask() && !context.ui.ask(&question)? {
        return Err(Problem::usage("nothing was removed").next("answer y, or give --yes").into());
    }

    services::stop(context, true)?;
    let removed = remove_home(context)?;
    let venvs = context.project.venvs();
    if arguments.all && venvs.exists() {
        std::fs::remove_dir_all(venvs)
            .with_context(|| format!("cannot remove {}", venvs.display()))?;
    }

    context.ui.line(format!(
        "Removed {}.",
        if removed.is_empty() { "nothing".to_owned() } else { removed.join(", ") }
    ));

    context.ui.json(&serde_json::json!({ "removed": removed, "venvs_removed": arguments.all }))
}

/// Removes the files that this program puts into the home, and returns their names. Other files
/// stay.
fn remove_home(context: &Context) -> Result<Vec<String>> {
    const OURS: [&str; 11] = [
        "postgres",
        "localstack",
        "logs",
        "model",
        "portfolio.csv",
        "deployment-local.json",
        "state.json",
        "lock",
        "tmp",
        "sagemaker",
        "pipeline",
    ];

    let root = context.home.root();
    let stages = stage_records(root);
    let mut removed = Vec::new();
    for name in OURS.into_iter().chain(stages.iter().map(String::as_str)) {
        let path = root.join(name);
        if path.symlink_metadata().is_ok() {
            remove(&path).with_context(|| format!("cannot remove {}", path.display()))?;
            removed.push(name.to_owned());
        }
    }

    // This fails, as it should, if the home still has the user's files or the Python environments.
    let _ = std::fs::remove_dir(root);
    Ok(removed)
}

/// The records of deployments to stacks of other names than the default one.
fn stage_records(root: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(root) else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with("deployment-local-") && name.ends_with(".json"))
        .collect()
}

fn remove(path: &Path) -> std::io::Result<()> {
    if path.symlink_metadata()?.is_dir() {
        std::fs::remove_dir_all(path)
    } else {
        std::fs::remove_file(path)
    }
}
