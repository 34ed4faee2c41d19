//! Starts a run and follows it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use chrono::Utc;
use limit_increase_workflow::RunRequest;

use super::execution::{self, ExecutionReport, WatchEnd};
use super::prepare::RunEnvironment;
use crate::local::Context;
use crate::terminal::Problem;

/// A new name for a run that a person starts. Names sort by time.
#[must_use]
pub fn new_name() -> String {
    Utc::now().format("manual-%Y%m%dT%H%M%S-%3f").to_string()
}

/// Starts a run and follows it, until it ends or `interrupted` is set.
pub async fn run(
    context: &Context,
    ready: &RunEnvironment,
    name: &str,
    request: &RunRequest,
    interrupted: &Arc<AtomicBool>,
) -> Result<WatchEnd> {
    request
        .validate()
        .map_err(|error| Problem::usage(error.to_string()).at("the request of the run"))?;
    let machine = ready.stack.output("StateMachineArn")?;
    let arn = execution::start(&ready.aws.states, machine, name, request).await?;
    execution::follow(&ready.aws, &arn, interrupted, &context.ui).await
}

/// Starts a run and waits for its end; for tests and programs.
pub async fn run_to_end(
    context: &Context,
    ready: &RunEnvironment,
    request: &RunRequest,
) -> Result<ExecutionReport> {
    match run(context, ready, &new_name(), request, &Arc::default()).await? {
        WatchEnd::Ended(finished) => Ok(finished),
        WatchEnd::LeftRunning => Err(Problem::new("the run was left running").into()),
    }
}
