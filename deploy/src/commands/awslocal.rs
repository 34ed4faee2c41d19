//! `awslocal`: runs the AWS command line against this environment.

use std::process::Command;

use anyhow::{Context as _, Result};

use crate::cli::AwslocalArgs;
use limit_increase::aws::clients::LOCAL_REGION;
use limit_increase::local::Context;
use limit_increase::local::Venv;
use limit_increase::local::services;
use limit_increase::terminal::Exit;

pub(super) async fn run(context: &Context, arguments: &AwslocalArgs) -> Result<Exit> {
    let services = services::ensure(context).await?;
    let program = context.project.venv_program(Venv::LocalStack, "awslocal");
    let status = Command::new(&program)
        .args(&arguments.arguments)
        .env("AWS_ENDPOINT_URL", services.endpoint())
        .env("AWS_DEFAULT_REGION", LOCAL_REGION)
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env_remove("AWS_PROFILE")
        .env_remove("AWS_SESSION_TOKEN")
        .status()
        .with_context(|| format!("cannot start {}", program.display()))?;
    Ok(if status.success() { Exit::Ok } else { Exit::Failed })
}
