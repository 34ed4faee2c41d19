//! Runs LocalStack as a process of this machine.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::local::http;
use crate::local::ports;
use crate::local::process::{ProcessIdentity, log_tail, spawn_detached};
use crate::local::state::LocalStackState;
use crate::local::{Home, Project, Venv};
use crate::terminal::Problem;
use crate::terminal::{Task, Ui};

/// The longest wait for LocalStack. A cold start takes about 5 s, and longer while the machine
/// compiles.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// The time that LocalStack has to stop before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// Starts LocalStack, unless it runs already.
pub(crate) fn ensure(
    project: &Project,
    home: &Home,
    wanted_port: u16,
    known: Option<&LocalStackState>,
    ui: &Ui,
) -> Result<LocalStackState> {
    let mut task = ui.task("LocalStack");
    let mut wanted_port = wanted_port;
    if let Some(state) = known {
        if let Some(process) = state.process.as_ref().filter(|process| process.is_alive()) {
            if is_healthy(state.port) {
                task.done(format!("runs at {}", state.endpoint()));
                return Ok(state.clone());
            }

            task.phase("does not answer; starting it again");
            if !process.terminate(STOP_TIMEOUT) {
                return Err(stop_error(process).into());
            }
        }

        wanted_port = state.port;
    }

    let choice = ports::choose(wanted_port)?;
    if let Some(notice) = choice.notice("LocalStack") {
        ui.warn(notice);
    }

    task.phase(format!("starting on port {}", choice.port));
    home.make(&home.logs())?;
    home.make(&home.localstack())?;
    let log = home.logs().join("localstack.log");
    let mut command = Command::new(project.venv_program(Venv::LocalStack, "python"));
    command
        .arg(project.root().join("deploy/localstack/serve.py"))
        .args(["run", "--port", &choice.port.to_string(), "--home"])
        .arg(home.localstack())
        .current_dir(project.root());
    let mut child = spawn_detached(&mut command, &log)?;
    wait_until_healthy(&mut child, choice.port, &log, &task)?;
    let state = LocalStackState { port: choice.port, process: ProcessIdentity::of(child.id()) };
    task.done(format!("started at {}", state.endpoint()));
    Ok(state)
}

fn wait_until_healthy(
    child: &mut Child,
    port: u16,
    log: &std::path::Path,
    task: &Task,
) -> Result<()> {
    let started = Instant::now();
    let start_error = |what: String| {
        Problem::new(what)
            .at(log.display().to_string())
            .next(format!("read the log; its last lines are:\n{}", log_tail(log, 20)))
    };

    loop {
        if let Some(status) = child.try_wait()? {
            return Err(
                start_error(format!("LocalStack ended while starting, with {status}")).into()
            );
        }

        if is_healthy(port) {
            return Ok(());
        }

        if started.elapsed() > START_TIMEOUT {
            if let Some(process) = ProcessIdentity::of(child.id()) {
                let _ = process.terminate(STOP_TIMEOUT);
            }

            return Err(start_error(format!(
                "LocalStack did not answer within {} s",
                START_TIMEOUT.as_secs()
            ))
            .into());
        }

        if let Some(line) = log_tail(log, 1).lines().last() {
            task.tick(line.chars().take(100).collect::<String>());
        }

        std::thread::sleep(Duration::from_millis(150));
    }
}

/// Whether LocalStack answers on this port.
#[must_use]
pub(crate) fn is_healthy(port: u16) -> bool {
    http::get(port, "/_localstack/health", "", Duration::from_secs(3))
        .is_ok_and(|body| body.contains("services"))
}

/// Stops LocalStack and the functions that it runs.
pub(crate) fn stop(state: &LocalStackState, ui: &Ui) -> Result<()> {
    let Some(process) = state.process.as_ref().filter(|process| process.is_alive()) else {
        return Ok(());
    };

    let mut task = ui.task("LocalStack");
    task.phase("stopping");
    if !process.terminate(STOP_TIMEOUT) {
        return Err(stop_error(process).into());
    }

    task.done("stopped");
    Ok(())
}

fn stop_error(process: &ProcessIdentity) -> Problem {
    Problem::new("LocalStack does not stop")
        .at(format!("pid {}", process.pid))
        .next(format!("end it by hand: kill -9 {}", process.pid))
}
