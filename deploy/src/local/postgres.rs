//! PostgreSQL: an embedded server that the command line starts, or the server that DATABASE_URL
//! names.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::database;
use crate::local::ports;
use crate::local::process::{ProcessIdentity, log_tail};
use crate::local::python::run_shown;
use crate::local::state::PostgresState;
use crate::local::{Home, Project, Venv};
use crate::terminal::Problem;
use crate::terminal::Ui;

/// The JSON that `postgres.py start` prints.
#[derive(Debug, Deserialize)]
struct Started {
    url: String,
    pid: u32,
}

/// Connects to the server that DATABASE_URL names. This program does not start or stop it.
pub(crate) async fn use_external(url: &str, ui: &Ui) -> Result<PostgresState> {
    let task = ui.task("PostgreSQL");
    let client = database::connect(url).await.map_err(|error| {
        Problem::new(format!("cannot use the database: {error:#}"))
            .at(format!("DATABASE_URL={}", database::masked(url)))
            .next(
                "start that server, correct DATABASE_URL, \
                 or unset it to use the embedded PostgreSQL",
            )
    })?;

    task.done(format!(
        "{} at {} (DATABASE_URL)",
        database::server_version(&client).await?,
        database::masked(url)
    ));

    Ok(PostgresState::External { url: url.to_owned() })
}

/// Starts the embedded server, unless it runs already.
pub(crate) async fn ensure_embedded(
    project: &Project,
    home: &Home,
    wanted_port: u16,
    known: Option<&PostgresState>,
    ui: &Ui,
) -> Result<PostgresState> {
    let mut task = ui.task("PostgreSQL");
    let mut wanted_port = wanted_port;
    if let Some(PostgresState::Embedded { url, port, process }) = known {
        if process.as_ref().is_some_and(ProcessIdentity::is_alive)
            && let Ok(client) = database::connect(url).await
        {
            task.done(format!("{} runs on port {port}", database::server_version(&client).await?));
            return Ok(PostgresState::Embedded {
                url: url.clone(),
                port: *port,
                process: process.clone(),
            });
        }

        wanted_port = *port;
    }

    let choice = ports::choose(wanted_port)?;
    if let Some(notice) = choice.notice("PostgreSQL") {
        ui.warn(notice);
    }

    task.phase(format!("starting on port {}", choice.port));
    home.make(&home.logs())?;
    let log = home.logs().join("postgres.log");
    let mut command = script(project);
    command.arg("start").arg("--data").arg(home.postgres());
    command.args(["--port", &choice.port.to_string()]).arg("--log").arg(&log);
    let output = run_shown(&mut command, &task).map_err(|error| {
        let problem = Problem::of(&error);
        Problem::new(format!("PostgreSQL does not start: {}", problem.what))
            .at(log.display().to_string())
            .next(format!(
                "{}\nlast lines of its log:\n{}",
                problem.next.unwrap_or_default(),
                log_tail(&log, 10)
            ))
    })?;

    let started: Started = serde_json::from_str(output.trim())
        .context("postgres.py did not print its address and process as JSON")?;
    let client = database::connect(&started.url).await?;
    let port = database::port_of(&started.url)?;
    task.done(format!("{} started on port {port}", database::server_version(&client).await?));
    Ok(PostgresState::Embedded {
        url: started.url,
        port,
        process: ProcessIdentity::of(started.pid),
    })
}

/// Stops the embedded server, and waits until it has closed its files.
pub(crate) fn stop_embedded(
    project: &Project,
    home: &Home,
    process: Option<&ProcessIdentity>,
    ui: &Ui,
) -> Result<()> {
    let Some(process) = process.filter(|process| process.is_alive()) else { return Ok(()) };
    let mut task = ui.task("PostgreSQL");
    task.phase("stopping");
    let mut command = script(project);
    command.arg("stop").arg("--data").arg(home.postgres());
    if run_shown(&mut command, &task).is_err() && !process.terminate(Duration::from_secs(20)) {
        return Err(Problem::new("PostgreSQL does not stop")
            .at(format!("pid {}", process.pid))
            .next("see the log in logs/postgres.log under the home")
            .into());
    }

    task.done("stopped");
    Ok(())
}

/// The command that runs `postgres.py`.
fn script(project: &Project) -> Command {
    let mut command = Command::new(project.venv_program(Venv::LocalStack, "python"));
    command.arg(project.root().join("deploy/localstack/postgres.py"));
    command
}
