//! Starts a run, follows it, and fetches its summary.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context as _, Result};
use chrono::Utc;
use limit_increase_workflow::keys::summary_key;
use limit_increase_workflow::{RunId, RunRequest, RunSummary};

use super::execution::{self, ExecutionReport, WatchEnd};
use super::prepare::RunEnvironment;
use crate::aws::{Aws, storage};
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

/// Reads the summary that a run wrote to S3.
pub async fn summary(aws: &Aws, bucket: &str, run: &str) -> Result<RunSummary> {
    let id = RunId::try_from(run.to_owned())?;
    let key = summary_key(&id);
    let content = storage::get(&aws.s3, bucket, &key).await?.ok_or_else(|| {
        Problem::new(format!("run {run} has no summary in S3"))
            .at(format!("s3://{bucket}/{key}"))
            .next(
                "look at the run's SaveResults state: limit-increase run --follow, \
                 or the functions' logs",
            )
    })?;

    serde_json::from_slice(&content)
        .with_context(|| format!("s3://{bucket}/{key} cannot be read as a summary by this release"))
}
