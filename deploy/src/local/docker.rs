//! Runs the services in containers with docker-compose.yml, for people who have Docker.

use std::process::{Command, Stdio};

use anyhow::Result;

use crate::local::Project;
use crate::local::localstack;
use crate::local::python::run_shown;
use crate::local::state::{LocalStackState, PostgresState};
use crate::terminal::Problem;
use crate::terminal::Ui;

/// The ports that the containers publish on this machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Published {
    /// The port of PostgreSQL.
    pub(crate) postgres: u16,
    /// The port of LocalStack.
    pub(crate) localstack: u16,
}

/// Starts the containers and waits until both are healthy.
pub(crate) fn start(
    project: &Project,
    ports: Published,
    ui: &Ui,
) -> Result<(PostgresState, LocalStackState)> {
    check_usable()?;
    let mut task = ui.task("Docker");
    task.phase("starting PostgreSQL and LocalStack in containers");
    let mut command = compose(project, ports);
    command.args(["up", "--detach", "--wait"]);
    run_shown(&mut command, &task)?;
    if !localstack::is_healthy(ports.localstack) {
        return Err(Problem::new("LocalStack's container runs, but LocalStack does not answer")
            .at(format!("port {}", ports.localstack))
            .next("docker compose logs localstack")
            .into());
    }

    task.done(format!(
        "PostgreSQL on port {}, LocalStack on port {}",
        ports.postgres, ports.localstack
    ));

    let url = format!("postgresql://postgres:postgres@127.0.0.1:{}/postgres", ports.postgres);
    Ok((PostgresState::External { url }, LocalStackState { port: ports.localstack, process: None }))
}

/// Stops the containers. With `volumes` their data is removed too.
pub(crate) fn stop(project: &Project, ports: Published, volumes: bool, ui: &Ui) -> Result<()> {
    check_usable()?;
    let mut task = ui.task("Docker");
    task.phase("stopping the containers");
    let mut command = compose(project, ports);
    command.arg("down");
    if volumes {
        command.arg("--volumes");
    }

    run_shown(&mut command, &task)?;
    task.done("containers stopped");
    Ok(())
}

/// The address of the database for a function in LocalStack's containers: the name and the port of
/// the service inside the network of Docker Compose.
#[must_use]
pub(crate) fn url_for_functions() -> String {
    "postgresql://postgres:postgres@postgres:5432/postgres".to_owned()
}

fn compose(project: &Project, ports: Published) -> Command {
    let mut command = Command::new("docker");
    command
        .arg("compose")
        .arg("--file")
        .arg(project.root().join("docker-compose.yml"))
        .env("POSTGRES_PORT", ports.postgres.to_string())
        .env("LOCALSTACK_PORT", ports.localstack.to_string());
    command
}

/// Refuses to go on when Docker or its compose plugin does not work.
fn check_usable() -> Result<()> {
    let works = |arguments: &[&str]| {
        Command::new("docker")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };

    let what = if !works(&["compose", "version"]) {
        "`docker compose` does not work here"
    } else if !works(&["info"]) {
        "the Docker engine does not answer"
    } else {
        return Ok(());
    };

    Err(Problem::usage(what)
        .at("RUNTIME=docker")
        .next(
            "install and start Docker with its compose plugin, or leave RUNTIME unset, \
             since the services also run without Docker",
        )
        .into())
}
