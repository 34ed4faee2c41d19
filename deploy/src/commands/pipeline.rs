//! `pipeline`: runs the job as a SageMaker pipeline, with the SDK of SageMaker.
//!
//! The SDK is a Python library, so the program is one too: `pipeline/sagemaker_pipeline.py`. This
//! command prepares what the program needs, and passes on what was typed.

use std::process::{Command, ExitStatus};

use anyhow::{Context as _, Result};

use crate::cli::PipelineArgs;
use limit_increase::aws::clients::send_to_local;
use limit_increase::local::{Context, Venv, python};
use limit_increase::runs;
use limit_increase::terminal::Exit;

pub(super) async fn run(context: &Context, arguments: &PipelineArgs) -> Result<Exit> {
    let typed = &arguments.arguments;
    let program = program(context, typed).await?;
    let mut command = Command::new(&program);
    command
        .arg(context.project.root().join("pipeline/sagemaker_pipeline.py"))
        .args(typed)
        .args(context.ui.is_json().then_some("--json"))
        .env("LIMIT_INCREASE_HOME", context.home.root());

    if needs_stack(typed) {
        // What was typed is checked before anything is started, since starting can take minutes.
        let checked = Command::new(&program)
            .args(command.get_args())
            .arg("--check")
            .status()
            .with_context(|| format!("cannot start {}", program.display()))?;
        if !checked.success() {
            return Ok(exit(checked));
        }

        let ready = runs::prepare(context).await?;
        send_to_local(&mut command, ready.services.localstack_port);
    }

    let status = command.status().with_context(|| format!("cannot start {}", program.display()))?;
    Ok(exit(status))
}

fn exit(status: ExitStatus) -> Exit {
    match status.code() {
        Some(0) => Exit::Ok,
        Some(2) => Exit::Usage,
        Some(3) => Exit::RunFailed,
        _ => Exit::Failed,
    }
}

/// The Python of the environment, which is made when it is first needed.
async fn program(context: &Context, typed: &[String]) -> Result<std::path::PathBuf> {
    let shared = context.clone();
    let ensure = move || python::ensure_venv(&shared.project, Venv::Pipeline, &shared.ui);
    tokio::task::spawn_blocking(ensure)
        .await?
        .with_context(|| format!("`pipeline {}` needs the SDK of SageMaker", typed.join(" ")))?;
    Ok(context.project.venv_program(Venv::Pipeline, "python"))
}

/// Whether the command calls the functions of the local stack, or names them.
fn needs_stack(typed: &[String]) -> bool {
    let word = |wanted: &str| typed.iter().any(|word| word == wanted);
    let on_aws = word("--target=aws")
        || typed.windows(2).any(|pair| pair[0] == "--target" && pair[1] == "aws");
    let command = typed.iter().find(|word| !word.starts_with('-')).map(String::as_str);
    !on_aws
        && !word("--help")
        && !word("-h")
        && matches!(command, Some("render" | "upsert" | "start"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_names_local_functions_prepares_them() {
        for (typed, expected) in [
            ("start", true),
            ("start --limit 5", true),
            ("render", true),
            ("upsert --json", true),
            ("list", false),
            ("describe 1f0c5b9d3a7e", false),
            ("start --target aws", false),
            ("start --target=aws --yes", false),
            ("start --target local", true),
            ("start --help", false),
            ("--help", false),
        ] {
            let typed: Vec<String> = typed.split(' ').map(str::to_owned).collect();
            assert_eq!(needs_stack(&typed), expected, "{typed:?}");
        }
    }
}
