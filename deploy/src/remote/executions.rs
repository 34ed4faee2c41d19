//! The runs of a stack, as Step Functions knows them: the last ones, and the redrive of one.

use std::time::{Duration, Instant};

use anyhow::Result;
use aws_sdk_sfn::operation::describe_execution::DescribeExecutionOutput;
use aws_sdk_sfn::types::{ExecutionListItem, ExecutionRedriveStatus, ExecutionStatus};
use chrono::{DateTime, Utc};
use limit_increase_workflow::{RunRequest, RunStatus, RunSummary};

use super::{Account, records};
use crate::aws::clients::describe;
use crate::runs::execution;
use crate::runs::results::Run;
use crate::terminal::Problem;

/// How long Step Functions may take to begin a redrive.
const REDRIVE_TIMEOUT: Duration = Duration::from_secs(60);

/// What Step Functions would do about a redrive of an execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redrive {
    /// It restarts the execution. In a dry run that writes nothing.
    Possible {
        /// Whether the run is a dry run.
        dry_run: bool,
    },
    /// It refuses, or there is nothing to restart.
    Impossible {
        /// Why, as a sentence.
        why: String,
        /// A command, without the options that name the stack.
        instead: String,
    },
}

/// The last executions, newest first, each with the summary that it wrote, if it has succeeded.
///
/// # Errors
/// When Step Functions or S3 refuses.
pub async fn last_runs(account: &Account, count: i32) -> Result<Vec<Run>> {
    let listed = account
        .aws
        .states
        .list_executions()
        .state_machine_arn(account.stack.output("StateMachineArn")?)
        .max_results(count)
        .send()
        .await
        .map_err(|error| {
            Problem::new(format!("cannot list the runs: {}", describe(&error)))
                .at(account.location())
        })?;

    let mut runs = Vec::new();
    for execution in listed.executions() {
        runs.push(run(account, execution).await?);
    }

    Ok(runs)
}

async fn run(account: &Account, execution: &ExecutionListItem) -> Result<Run> {
    let name = execution.name();
    let summary = match execution.status() {
        ExecutionStatus::Succeeded => records::summary(account, name).await?,
        _ => None,
    };

    let error = match execution.status() {
        ExecutionStatus::Failed => described(account, execution.execution_arn())
            .await?
            .error()
            .map(str::to_owned)
            .or_else(|| Some("unknown".to_owned())),
        ExecutionStatus::TimedOut | ExecutionStatus::Aborted => {
            Some(execution.status().as_str().to_owned())
        }
        _ => None,
    };

    Ok(Run {
        run_id: name.to_owned(),
        status: match execution.status() {
            ExecutionStatus::Succeeded => RunStatus::Succeeded,
            ExecutionStatus::Failed | ExecutionStatus::TimedOut | ExecutionStatus::Aborted => {
                RunStatus::Failed
            }
            _ => RunStatus::Running,
        },
        started_at: time(Some(execution.start_date())).unwrap_or(DateTime::UNIX_EPOCH),
        seconds: time(execution.stop_date())
            .zip(time(Some(execution.start_date())))
            .map(|(ended, started)| (ended - started).num_milliseconds() as f64 / 1000.0),
        eligible: summary.as_ref().and_then(|summary| signed(summary.eligible)),
        counts: counts(summary.as_ref()),
        total_increase: summary.as_ref().map(|summary| summary.total_increase),
        release: summary.map(|summary| summary.release.to_string()),
        error,
    })
}

fn counts(summary: Option<&RunSummary>) -> [Option<i64>; 4] {
    let Some(RunSummary { counts, .. }) = summary else { return [None; 4] };
    [counts.approved, counts.declined, counts.referred, counts.stale].map(signed)
}

fn signed(count: u64) -> Option<i64> {
    i64::try_from(count).ok()
}

fn time(date: Option<&aws_sdk_sfn::primitives::DateTime>) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(date?.to_millis().ok()?)
}

/// The execution as Step Functions describes it.
///
/// # Errors
/// When there is none, or Step Functions refuses.
pub async fn described(account: &Account, arn: &str) -> Result<DescribeExecutionOutput> {
    let answer = account.aws.states.describe_execution().execution_arn(arn).send().await;
    answer.map_err(|error| {
        Problem::new(format!("cannot see the run: {}", describe(&error))).at(arn.to_owned()).into()
    })
}

/// Starts a run and returns its ARN.
///
/// # Errors
/// When Step Functions refuses: the name is taken, or the rights are missing.
pub async fn start(account: &Account, name: &str, request: &RunRequest) -> Result<String> {
    let machine = account.stack.output("StateMachineArn")?;
    execution::start(&account.aws.states, machine, name, request).await
}

/// The ARN of the run of this name.
///
/// # Errors
/// When the stack names no state machine.
pub fn arn_of(account: &Account, run: &str) -> Result<String> {
    Ok(execution::arn_of(account.stack.output("StateMachineArn")?, run))
}

/// Whether an execution can be redriven, and what to do if not.
#[must_use]
pub fn judge(execution: &DescribeExecutionOutput) -> Redrive {
    let name = execution.name().unwrap_or_default();
    let impossible = |why: String, instead: String| Redrive::Impossible { why, instead };
    match execution.status() {
        ExecutionStatus::Succeeded => impossible(
            format!("the run {name} has succeeded, so there is nothing to resume"),
            format!("results {name}"),
        ),
        ExecutionStatus::Running => impossible(
            format!("the run {name} is running, so there is nothing to resume"),
            format!("run --follow {name}"),
        ),
        ExecutionStatus::PendingRedrive => impossible(
            format!("the run {name} is being redriven already"),
            format!("run --follow {name}"),
        ),
        status if execution.redrive_status() == Some(&ExecutionRedriveStatus::NotRedrivable) => {
            let why = execution.redrive_status_reason().unwrap_or("no reason given");
            impossible(
                format!("the run {name} is {status}, and AWS does not redrive it: {why}"),
                // It takes everybody who is undecided.
                "run".to_owned(),
            )
        }
        _ => Redrive::Possible { dry_run: request(execution).is_some_and(|known| known.dry_run) },
    }
}

fn request(execution: &DescribeExecutionOutput) -> Option<RunRequest> {
    execution.input().and_then(|input| serde_json::from_str(input).ok())
}

/// Restarts an execution, and waits until Step Functions says that it runs again: until then it
/// still describes the end of the last attempt.
///
/// # Errors
/// When Step Functions refuses.
pub async fn redrive(account: &Account, before: &DescribeExecutionOutput) -> Result<()> {
    let arn = before.execution_arn();
    let refused = |why: String, next: String| {
        Problem::new(format!("the run is not redriven: {why}")).at(arn.to_owned()).next(next)
    };

    account.aws.states.redrive_execution().execution_arn(arn).send().await.map_err(|error| {
        refused(
            describe(&error),
            format!("start a new run, which takes who is undecided: {}", account.command("run")),
        )
    })?;

    let redrives = |execution: &DescribeExecutionOutput| execution.redrive_count().unwrap_or(0);
    let deadline = Instant::now() + REDRIVE_TIMEOUT;
    loop {
        let now = described(account, arn).await?;
        if redrives(&now) > redrives(before) {
            return Ok(());
        }

        if Instant::now() > deadline {
            let name = before.name().unwrap_or_default();
            let next = account.command(&format!("run --follow {name}"));
            return Err(
                refused("Step Functions accepted it and does not begin".to_owned(), next).into()
            );
        }

        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use aws_sdk_sfn::primitives::DateTime;

    use super::*;

    fn ended(status: ExecutionStatus, redrive: ExecutionRedriveStatus) -> DescribeExecutionOutput {
        DescribeExecutionOutput::builder()
            .execution_arn("arn:x")
            .state_machine_arn("arn:m")
            .name("night")
            .status(status)
            .start_date(DateTime::from_secs(0))
            .redrive_status(redrive)
            .redrive_status_reason("Execution redrivable period exceeded")
            .input(r#"{"dry_run": true}"#)
            .build()
            .unwrap()
    }

    #[test]
    fn what_cannot_be_redriven_has_its_reason_and_another_command() {
        use ExecutionRedriveStatus::{NotRedrivable, Redrivable};
        for status in [ExecutionStatus::Failed, ExecutionStatus::Aborted, ExecutionStatus::TimedOut]
        {
            assert_eq!(
                judge(&ended(status.clone(), Redrivable)),
                Redrive::Possible { dry_run: true },
                "{status}"
            );
        }

        let cases = [
            (ExecutionStatus::Succeeded, "has succeeded", "results night"),
            (ExecutionStatus::Running, "is running", "run --follow night"),
            (ExecutionStatus::PendingRedrive, "already", "run --follow night"),
            (ExecutionStatus::Failed, "redrivable period exceeded", "run"),
        ];
        for (status, words, command) in cases {
            let judged = judge(&ended(status.clone(), NotRedrivable));
            let Redrive::Impossible { why, instead } = judged else { panic!("{status}") };
            assert!(why.contains(words), "{why}");
            assert_eq!(instead, command);
        }
    }
}
