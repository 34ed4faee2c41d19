//! Both services together: start, stop, look.

use anyhow::Result;

use crate::local::Venv;
use crate::local::context::Context;
use crate::local::docker::{self, Published};
use crate::local::localstack;
use crate::local::postgres;
use crate::local::process::ProcessIdentity;
use crate::local::python;
use crate::local::state::{PostgresState, Runtime, State};
use crate::terminal::Problem;

/// The ports that people expect the services on.
pub(crate) const POSTGRES_PORT: u16 = 5432;
/// See [`POSTGRES_PORT`].
pub(crate) const LOCALSTACK_PORT: u16 = 4566;

/// The services, running.
#[derive(Debug, Clone)]
pub struct Services {
    /// The database as this machine reaches it.
    pub database_url: String,
    /// The database as the functions reach it.
    pub functions_database_url: String,
    /// Port of the local AWS.
    pub localstack_port: u16,
    /// Whether the functions run in containers rather than as processes of this machine.
    pub in_containers: bool,
}

impl Services {
    /// Where AWS clients connect to.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.localstack_port)
    }
}

/// Whether the functions of this home run in containers, before any service has been started.
pub(crate) fn in_containers(context: &Context) -> Result<bool> {
    let runtime = match context.options.runtime {
        Some(runtime) => runtime,
        None => State::read(&context.home.state_file())?.runtime,
    };

    Ok(runtime == Runtime::Docker)
}

/// Starts whatever does not run yet.
pub async fn ensure(context: &Context) -> Result<Services> {
    let _lock = context.home.lock()?;
    let path = context.home.state_file();
    let mut state = State::read(&path)?;
    let runtime = context.options.runtime.unwrap_or(state.runtime);
    if runtime != state.runtime && is_running(&state) {
        return Err(Problem::usage(format!(
            "the services of this home run as {:?}, not {runtime:?}",
            state.runtime
        ))
        .at(context.home.root().display().to_string())
        .next("stop them first: limit-increase stop")
        .into());
    }

    state.runtime = runtime;
    if runtime == Runtime::Docker {
        let (database, aws) =
            docker::start(&context.project, published(context, &state), &context.ui)?;
        (state.postgres, state.localstack) = (Some(database), Some(aws));
    } else {
        if !all_run(&state) {
            python::ensure_venv(&context.project, Venv::LocalStack, &context.ui)?;
        }

        let database = ensure_database(context, &state).await?;
        state.postgres = Some(database);
        // Written immediately: if LocalStack fails to start, `stop` still finds this server.
        state.write(&path)?;
        let port = context.options.localstack_port.unwrap_or(LOCALSTACK_PORT);
        let (project, home, ui) = (context.project.clone(), context.home.clone(), context.ui);
        let known = state.localstack.clone();
        let start = move || localstack::ensure(&project, &home, port, known.as_ref(), &ui);
        state.localstack = Some(tokio::task::spawn_blocking(start).await??);
    }

    state.write(&path)?;
    of(&state).ok_or_else(|| Problem::new("the services did not start").into())
}

async fn ensure_database(context: &Context, state: &State) -> Result<PostgresState> {
    if let Some(url) = &context.options.database_url {
        return postgres::use_external(url, &context.ui).await;
    }

    let port = context.options.postgres_port.unwrap_or(POSTGRES_PORT);
    postgres::ensure_embedded(
        &context.project,
        &context.home,
        port,
        state.postgres.as_ref(),
        &context.ui,
    )
    .await
}

/// The services as remembered, without looking whether they still run.
#[must_use]
pub(crate) fn of(state: &State) -> Option<Services> {
    let database_url = state.postgres.as_ref()?.url().to_owned();
    let functions_database_url = if state.runtime == Runtime::Docker {
        docker::url_for_functions()
    } else {
        database_url.clone()
    };

    Some(Services {
        database_url,
        functions_database_url,
        localstack_port: state.localstack.as_ref()?.port,
        in_containers: state.runtime == Runtime::Docker,
    })
}

/// Whether the local AWS answers now.
#[must_use]
pub fn localstack_answers(state: &State) -> bool {
    state.localstack.as_ref().is_some_and(|aws| {
        (state.runtime == Runtime::Docker
            || aws.process.as_ref().is_some_and(|process| process.is_alive()))
            && localstack::is_healthy(aws.port)
    })
}

fn is_running(state: &State) -> bool {
    match state.runtime {
        Runtime::Docker => localstack_answers(state),
        Runtime::Process => {
            processes(state).into_iter().flatten().any(|process| process.is_alive())
        }
    }
}

/// Whether both services run as processes that were started from this home.
fn all_run(state: &State) -> bool {
    processes(state).into_iter().all(|process| process.is_some_and(|process| process.is_alive()))
}

fn processes(state: &State) -> [Option<&ProcessIdentity>; 2] {
    let aws = state.localstack.as_ref().and_then(|aws| aws.process.as_ref());
    let database = match &state.postgres {
        Some(PostgresState::Embedded { process, .. }) => process.as_ref(),
        _ => None,
    };

    [aws, database]
}

/// Stops what we started; a database of somebody else stays as it is. With `forget`, Docker's
/// volumes go too.
pub fn stop(context: &Context, forget: bool) -> Result<bool> {
    let _lock = context.home.lock()?;
    let path = context.home.state_file();
    let mut state = State::read(&path)?;
    let ran = is_running(&state);
    if state.runtime == Runtime::Docker {
        if state.localstack.is_some() {
            docker::stop(&context.project, published(context, &state), forget, &context.ui)?;
        }

        (state.postgres, state.localstack) = (None, None);
    } else {
        if let Some(aws) = &mut state.localstack {
            localstack::stop(aws, &context.ui)?;
            aws.process = None;
        }

        if let Some(PostgresState::Embedded { process, .. }) = &mut state.postgres {
            postgres::stop_embedded(
                &context.project,
                &context.home,
                process.as_ref(),
                &context.ui,
            )?;

            *process = None;
        }
    }

    if path.exists() {
        state.write(&path)?;
    }

    Ok(ran)
}

fn published(context: &Context, state: &State) -> Published {
    let known_postgres =
        state.postgres.as_ref().and_then(|known| crate::database::port_of(known.url()).ok());
    Published {
        postgres: context.options.postgres_port.or(known_postgres).unwrap_or(POSTGRES_PORT),
        localstack: context
            .options
            .localstack_port
            .or(state.localstack.as_ref().map(|aws| aws.port))
            .unwrap_or(LOCALSTACK_PORT),
    }
}
