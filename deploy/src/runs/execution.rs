//! Starts executions of the workflow, follows them to their end, and finds out why they failed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use aws_sdk_sfn::Client;
use aws_sdk_sfn::types::{ExecutionStatus, HistoryEvent};
use limit_increase_workflow::RunRequest;
use serde::Serialize;

use super::timeline::{Moment, StepFailure, Timeline, explain_cause};
use crate::aws::clients::{Aws, describe};
use crate::terminal::{self, Task, Ui};
use crate::terminal::{Exit, Problem};

/// An execution that has ended, with its result or its failure.
#[derive(Debug, Clone, Serialize)]
pub struct ExecutionReport {
    /// The ARN of the execution.
    pub(crate) arn: String,
    /// The name of the execution, which is the id of the run.
    pub name: String,
    /// The status that Step Functions gives: SUCCEEDED, FAILED, TIMED_OUT or ABORTED.
    pub status: String,
    /// The JSON output of the execution, if it has one.
    pub(crate) output: Option<serde_json::Value>,
    /// The step that failed and why; `None` if the execution succeeded.
    pub failure: Option<StepFailure>,
    /// How long the execution took, in seconds.
    pub seconds: f64,
}

/// How following an execution ended.
#[derive(Debug, Clone)]
pub enum WatchEnd {
    /// The execution ended.
    Ended(ExecutionReport),
    /// The person stopped watching, and the execution goes on.
    LeftRunning,
}

impl ExecutionReport {
    /// Whether the execution ended as SUCCEEDED.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.status == ExecutionStatus::Succeeded.as_str()
    }

    /// The failure as an error that names the state, the failure and its cause.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let (what, place) = match &self.failure {
            Some(failure) => (
                format!(
                    "the run {} in {}: {}: {}",
                    self.status,
                    failure.state,
                    failure.error,
                    explain_cause(&failure.cause)
                ),
                format!("execution {}, state {}", self.name, failure.state),
            ),
            None => (format!("the run {}", self.status), format!("execution {}", self.name)),
        };

        let mut problem = Problem::new(what).at(place);
        problem.exit = Exit::RunFailed;
        problem
    }
}

/// Starts an execution and returns its ARN. The name becomes the id of the run.
pub(crate) async fn start(
    states: &Client,
    machine: &str,
    name: &str,
    request: &RunRequest,
) -> Result<String> {
    let input = serde_json::to_string(request)?;
    let started =
        states.start_execution().state_machine_arn(machine).name(name).input(input).send().await;
    match started {
        Ok(started) => Ok(started.execution_arn),
        Err(error) => {
            let why = describe(&error);
            let next = if why.contains("ExecutionAlreadyExists") {
                "choose another --name: each run needs a name of its own"
            } else {
                "see whether the stack is deployed: limit-increase status"
            };

            Err(Problem::new(format!("the run does not start: {why}"))
                .at(machine.to_owned())
                .next(next)
                .into())
        }
    }
}

/// The ARN of the execution with this name; `machine` is the ARN of the state machine.
#[must_use]
pub fn arn_of(machine: &str, name: &str) -> String {
    format!("{}:{name}", machine.replace(":stateMachine:", ":execution:"))
}

/// Shows the execution's states as they happen, until it ends or `interrupted` is set.
pub async fn follow(
    aws: &Aws,
    arn: &str,
    interrupted: &Arc<AtomicBool>,
    ui: &Ui,
) -> Result<WatchEnd> {
    // AWS allows 5 reads of a history per second for the whole account. The local AWS has no limit.
    let pause = if aws.local { Duration::from_millis(200) } else { Duration::from_secs(1) };
    let mut timeline = Timeline::default();
    let mut task = ui.task("Run");
    task.phase(name_of(arn));
    loop {
        // The status is read before the history: if the execution has ended by now, the history is
        // complete.
        let described =
            states_error(aws.states.describe_execution().execution_arn(arn).send().await, arn)?;
        for moment in timeline.observe(&history(&aws.states, arn).await?) {
            show(&moment, &task);
        }

        if *described.status() != ExecutionStatus::Running
            && *described.status() != ExecutionStatus::PendingRedrive
        {
            task.clear();
            return finished(aws, arn, &described, &timeline).await.map(WatchEnd::Ended);
        }

        if interrupted.load(Ordering::Relaxed) {
            task.clear();
            return Ok(WatchEnd::LeftRunning);
        }

        if let Some(state) = timeline.current() {
            task.tick(format!("{state}{}", shards(aws, &timeline).await));
        }

        tokio::time::sleep(pause).await;
    }
}

/// The name of an execution, the last part of its ARN.
#[must_use]
pub fn name_of(arn: &str) -> &str {
    arn.rsplit(':').next().unwrap_or(arn)
}

fn states_error<T, E>(answer: Result<T, aws_sdk_sfn::error::SdkError<E>>, arn: &str) -> Result<T>
where
    E: aws_sdk_sfn::error::ProvideErrorMetadata + std::error::Error + 'static,
{
    answer.map_err(|error| {
        Problem::new(format!("cannot see the execution: {}", describe(&error)))
            .at(arn.to_owned())
            .next("see whether the services run: limit-increase status")
            .into()
    })
}

async fn history(states: &Client, arn: &str) -> Result<Vec<HistoryEvent>> {
    let mut events = Vec::new();
    let mut token = None;
    loop {
        let request = states
            .get_execution_history()
            .execution_arn(arn)
            .max_results(1000)
            .set_next_token(token);
        let page = states_error(request.send().await, arn)?;
        token = page.next_token;
        events.extend(page.events);
        if token.is_none() {
            return Ok(events);
        }
    }
}

fn show(moment: &Moment, task: &Task) {
    match moment {
        Moment::Entered { state } => task.tick(state.clone()),
        // States whose name ends in a question mark are choices; they take no time worth showing.
        Moment::Left { state, .. } if state.ends_with('?') => {}
        Moment::Left { state, took } => task.log(format!(
            "  {} {state:<24} {}",
            console::style("✓").green().for_stderr(),
            console::style(terminal::duration(*took)).dim().for_stderr()
        )),
        Moment::Failed { state, error, attempt } => task.log(format!(
            "  {} {state:<24} attempt {attempt} failed: {error}",
            console::style("✗").red().for_stderr()
        )),
    }
}

/// The progress of the Distributed Map, in shards, for the spinner.
async fn shards(aws: &Aws, timeline: &Timeline) -> String {
    let Some(run) = timeline.map_run() else { return String::new() };
    match aws.states.describe_map_run().map_run_arn(run).send().await {
        Ok(run) => run.item_counts().map_or_else(String::new, |counts| {
            let failed = if counts.failed() > 0 {
                format!(", {} failed", counts.failed())
            } else {
                String::new()
            };

            format!(": {} of {} shards{failed}", counts.succeeded(), counts.total())
        }),
        // Progress is only shown; an error here must not stop the watching.
        Err(_) => String::new(),
    }
}

async fn finished(
    aws: &Aws,
    arn: &str,
    described: &aws_sdk_sfn::operation::describe_execution::DescribeExecutionOutput,
    timeline: &Timeline,
) -> Result<ExecutionReport> {
    let started = described.start_date().to_millis().unwrap_or_default();
    let ended = described.stop_date().map_or(started, |date| date.to_millis().unwrap_or_default());
    let failure = if *described.status() == ExecutionStatus::Succeeded {
        None
    } else {
        Some(failure_of(aws, described.error(), described.cause(), timeline).await)
    };

    Ok(ExecutionReport {
        arn: arn.to_owned(),
        name: name_of(arn).to_owned(),
        status: described.status().as_str().to_owned(),
        output: described.output().and_then(|output| serde_json::from_str(output).ok()),
        failure,
        seconds: (ended - started) as f64 / 1000.0,
    })
}

/// The failure of an execution. If a shard of the Distributed Map failed, it is the failure of that
/// shard, which says more than the failure of the map.
async fn failure_of(
    aws: &Aws,
    error: Option<&str>,
    cause: Option<&str>,
    timeline: &Timeline,
) -> StepFailure {
    let outer = timeline.failure().cloned().unwrap_or_else(|| StepFailure {
        state: timeline.current().unwrap_or("the workflow").to_owned(),
        error: error.unwrap_or("unknown").to_owned(),
        cause: cause.unwrap_or_default().to_owned(),
    });

    match timeline.map_run() {
        Some(run) if outer.state == "ProcessShards" => {
            shard_failure(&aws.states, run).await.unwrap_or(outer)
        }
        _ => outer,
    }
}

/// The failure of a shard that failed in this run of the map.
async fn shard_failure(states: &Client, map_run: &str) -> Option<StepFailure> {
    let failed = states
        .list_executions()
        .map_run_arn(map_run)
        .status_filter(ExecutionStatus::Failed)
        .max_results(1)
        .send()
        .await
        .ok()?;
    let arn = failed.executions().first()?.execution_arn();
    let mut timeline = Timeline::default();
    timeline.observe(&history(states, arn).await.ok()?);
    let failure = timeline.failure()?;
    Some(StepFailure { state: format!("ProcessShards / {}", failure.state), ..failure.clone() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_request_leaves_out_what_was_not_asked_and_keeps_a_limit_of_null() {
        let nightly = serde_json::to_value(RunRequest::default()).unwrap();
        assert_eq!(
            nightly,
            serde_json::json!({"limit": 20, "shard_size": 25000, "dry_run": false})
        );

        let all =
            serde_json::to_value(RunRequest { limit: None, ..RunRequest::default() }).unwrap();
        assert_eq!(all["limit"], serde_json::Value::Null);
        serde_json::from_value::<RunRequest>(all).unwrap();
    }

    #[test]
    fn an_executions_arn_follows_from_the_machines() {
        let machine = "arn:aws:states:us-east-1:000000000000:stateMachine:LimitIncreaseWorkflow";
        assert_eq!(
            arn_of(machine, "a"),
            "arn:aws:states:us-east-1:000000000000:execution:LimitIncreaseWorkflow:a"
        );
    }
}
