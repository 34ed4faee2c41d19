//! `awslocal`: runs the AWS command line against this environment.

use std::process::Command;

use anyhow::{Context as _, Result};

use crate::cli::AwslocalArgs;
use limit_increase::aws::clients::send_to_local;
use limit_increase::local::Context;
use limit_increase::local::Venv;
use limit_increase::local::services;
use limit_increase::terminal::Exit;

pub(super) async fn run(context: &Context, arguments: &AwslocalArgs) -> Result<Exit> {
    let services = services::ensure(context).await?;
    let program = context.project.venv_program(Venv::LocalStack, "awslocal");
    let mut command = Command::new(&program);
    command.args(&arguments.arguments);
    send_to_local(&mut command, services.localstack_port);

    let status = command.status().with_context(|| format!("cannot start {}", program.display()))?;
    Ok(if status.success() { Exit::Ok } else { Exit::Failed })
}
