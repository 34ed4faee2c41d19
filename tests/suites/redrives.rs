//! Executions that end badly in a known way, and the redrive that must be enough.
//!
//! ```sh
//! cargo test --workspace --test redrives
//! FAULT_ENDING=Map cargo test --workspace --test redrives -- one_redrive   # some endings only
//! ```
#![allow(missing_docs)]

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use hyper::Method;
use limit_increase_tests::environment::Environment;
use limit_increase_tests::faults::events;
use limit_increase_tests::faults::injector::Injector;
use limit_increase_tests::faults::lab::Lab;
use limit_increase_tests::faults::plan::Arrival;
use limit_increase_tests::faults::schedule;
use limit_increase_tests::faults::script::{Act, Script};
use limit_increase_tests::faults::verdict;
use limit_increase_tests::simulator::machine::{Call, ExecutionEnd};
use limit_increase_tests::simulator::storage_proxy::{Rule, StorageFault};
use limit_increase_tests::{cases, suite};
use serde_json::json;

fn main() -> ExitCode {
    suite::run(
        "redrives",
        &cases![
            a_run_whose_summary_cannot_be_written_is_failed_everywhere_and_can_be_redriven,
            a_reused_name_is_not_taken_for_the_old_run,
            a_run_that_fails_again_after_its_redrive_ends,
            one_redrive_is_enough_wherever_and_however_an_execution_ended,
        ],
    )
}

fn a_run_whose_summary_cannot_be_written_is_failed_everywhere_and_can_be_redriven(
    environment: &Environment,
) -> Result<()> {
    let lab = Lab::open(environment)?;
    let (calm, machine) = (Injector::new(&lab, None), lab.machine(2)?);
    environment.block_on(async {
        lab.reset().await?;
        lab.storage.add(Rule {
            method: Method::PUT,
            path: vec!["run=no-summary/summary.json".to_owned()],
            fault: StorageFault::Status(403),
            times: 1,
        });

        let ended = machine.start(&calm, "no-summary", &json!({ "limit": null })).await?;
        let status = lab.status("no-summary").await?;
        let ExecutionEnd::Failed { error, .. } = &ended else { bail!("it ended {ended:?}") };
        ensure!(
            error == "Permanent.StorageRefused" && status == "FAILED",
            "promise 5: expected Permanent.StorageRefused and FAILED, got {error} and {status}"
        );

        let redriven = machine.redrive(&calm, "no-summary", 1, &ended).await?;
        ensure!(
            matches!(redriven, ExecutionEnd::Succeeded(_)),
            "promise 4: the redrive should succeed, it ended {redriven:?}"
        );
        ensure!(
            lab.status("no-summary").await? == "SUCCEEDED",
            "promise 4: the redrive should close the run in the ledger"
        );
        Ok(())
    })
}

/// Step Functions lets a name be used again after 90 days.
fn a_reused_name_is_not_taken_for_the_old_run(environment: &Environment) -> Result<()> {
    let lab = Lab::open(environment)?;
    let (calm, machine) = (Injector::new(&lab, None), lab.machine(2)?);
    environment.block_on(async {
        lab.reset().await?;
        let request = json!({ "limit": 5 });
        let later = chrono::Utc::now() + chrono::TimeDelta::days(91);
        let first = machine.start(&calm, "reused", &request).await?;
        ensure!(matches!(first, ExecutionEnd::Succeeded(_)), "it ended {first:?}");

        let mut ended = machine.start_at(&calm, "reused", &request, later).await?;
        for redrive in 0..2 {
            let ExecutionEnd::Failed { error, .. } = &ended else {
                bail!("the old summary is not that of the new run: {ended:?}")
            };
            ensure!(error == "Permanent.RunConflict", "the name is taken, it failed with {error}");

            events::deliver(&lab, &events::interruption(&ended, redrive)?).await?;
            ensure!(
                lab.status("reused").await? == "SUCCEEDED",
                "promise 5: the old run should stay SUCCEEDED"
            );
            ended = machine.redrive(&calm, "reused", redrive + 1, &ended).await?;
        }

        Ok(())
    })
}

/// Promise 5: a redrive resumes a run once, so one whose cause is not repaired ends again.
fn a_run_that_fails_again_after_its_redrive_ends(environment: &Environment) -> Result<()> {
    let lab = Lab::open(environment)?;
    let (calm, machine) = (Injector::new(&lab, None), lab.machine(2)?);
    let broken = |call: &Call| call.state == "SaveResults" || call.state == "EvaluateLimitIncrease";
    let scripted =
        Script::new(&calm, move |call| broken(call).then_some(Act::Before("Permanent.Broken")));
    environment.block_on(async {
        lab.reset().await?;
        let request = json!({ "limit": null, "shard_size": 8 });
        let mut ended = machine.start(&scripted, "broken", &request).await?;
        for redrive in 0..=2 {
            if redrive > 0 {
                let redriven = machine.redrive(&scripted, "broken", redrive, &ended);
                ended = tokio::time::timeout(Duration::from_secs(60), redriven)
                    .await
                    .context("promise 5: the redrive does not end")??;
            }

            let status = lab.status("broken").await?;
            ensure!(
                matches!(ended, ExecutionEnd::Failed { .. }) && status == "FAILED",
                "promise 5: redrive {redrive} should fail in the ledger too: {status}, {ended:?}"
            );
        }

        Ok(())
    })
}

/// How an execution is ended, and how often.
struct Ending {
    name: &'static str,
    /// What happens to which call. `None` for a call that works.
    act: fn(&Call) -> Option<Act>,
    /// After how many redrives the script ends; one more redrive must be enough.
    until: u32,
}

/// Promise 1, promise 2, promise 3, promise 4, promise 5 and promise 8 hold after one redrive, for
/// every way in which an execution can end. EventBridge reports each end: immediately, twice, or so
/// late that the redrive is over.
fn one_redrive_is_enough_wherever_and_however_an_execution_ended(
    environment: &Environment,
) -> Result<()> {
    let lab = Lab::open(environment)?;
    let undisturbed = schedule::undisturbed(environment, &lab)?;
    let only = std::env::var("FAULT_ENDING").unwrap_or_default();
    let mut broken = Vec::new();
    for ending in ENDINGS.iter().filter(|ending| ending.name.contains(&only)) {
        for arrival in [Arrival::Immediately, Arrival::Twice, Arrival::Late] {
            let checked = environment.block_on(end_and_redrive(&lab, ending, arrival));
            let checked = checked.and_then(|ended| {
                let (ends, changed) = ([("ended".to_owned(), ended)], BTreeSet::new());
                environment.block_on(verdict::check(&lab, &ends, &changed, &undisturbed))
            });
            if let Err(error) = checked {
                broken.push(format!("{}, event {arrival:?}: {error:#}", ending.name));
            }
        }
    }

    ensure!(broken.is_empty(), "{}", broken.join("\n"));
    Ok(())
}

async fn end_and_redrive(
    lab: &Arc<Lab>,
    ending: &Ending,
    arrival: Arrival,
) -> Result<ExecutionEnd> {
    lab.reset().await?;
    let (calm, machine) = (Injector::new(lab, None), lab.machine(2)?);
    let (act, until) = (ending.act, ending.until);
    let scripted =
        Script::new(&calm, move |call| if call.redrives > until { None } else { act(call) });

    let request = json!({ "limit": null, "shard_size": 8 });
    let mut ended = machine.start(&scripted, "ended", &request).await?;
    let mut late = Vec::new();
    for redrive in 1..=until + 1 {
        ensure!(
            matches!(ended, ExecutionEnd::Failed { .. }),
            "redrive {} should have failed, it ended {ended:?}",
            redrive - 1
        );
        calm.settle().await;
        lab.database.calm();

        let event = events::interruption(&ended, redrive - 1)?;
        if arrival != Arrival::Late {
            events::deliver(lab, &event).await?;
            ensure!(
                lab.status("ended").await? == "FAILED",
                "promise 5: {ended:?} is not FAILED in the ledger"
            );
        }
        if arrival != Arrival::Immediately {
            late.push(event);
        }

        ended = machine.redrive(&scripted, "ended", redrive, &ended).await?;
    }

    ensure!(
        matches!(ended, ExecutionEnd::Succeeded(_)),
        "promise 4: one redrive should be enough, it ended {ended:?}"
    );
    for event in late {
        events::deliver(lab, &event).await?;
    }

    Ok(ended)
}

fn at(call: &Call, state: &str) -> bool {
    call.state == state && call.attempt == 0 && call.item.is_none_or(|item| item == 2)
}

/// The second shard fails for good, before the execution is ended at another one.
fn poisoned(call: &Call) -> Option<Act> {
    let poison = call.state == "EvaluateLimitIncrease" && call.item == Some(1);
    poison.then_some(Act::Before("Permanent.HandoffInvalid"))
}

const ENDINGS: [Ending; 20] = [
    Ending {
        name: "aborted before the run is open",
        act: |call| at(call, "QueryBatchScores").then_some(Act::Before("ABORTED")),
        until: 0,
    },
    Ending {
        name: "timed out when the run is open",
        act: |call| at(call, "QueryBatchScores").then_some(Act::After("TIMED_OUT")),
        until: 0,
    },
    Ending {
        name: "aborted in the Map",
        act: |call| at(call, "ScoreCustomers").then_some(Act::Before("ABORTED")),
        until: 0,
    },
    Ending {
        name: "timed out in the Map, when the shard was applied",
        act: |call| at(call, "UpdateDatabase").then_some(Act::After("TIMED_OUT")),
        until: 0,
    },
    Ending {
        name: "aborted in the Map, after another shard had failed",
        act: |call| {
            let aborted = (call.state == "UpdateDatabase" && call.item == Some(3))
                .then_some(Act::Before("ABORTED"));
            poisoned(call).or(aborted)
        },
        until: 0,
    },
    Ending {
        name: "aborted in the Map twice",
        act: |call| at(call, "UpdateDatabase").then_some(Act::Before("ABORTED")),
        until: 1,
    },
    Ending {
        name: "aborted before the run is closed",
        act: |call| at(call, "SaveResults").then_some(Act::Before("ABORTED")),
        until: 0,
    },
    Ending {
        name: "timed out when the run is closed",
        act: |call| at(call, "SaveResults").then_some(Act::After("TIMED_OUT")),
        until: 0,
    },
    Ending {
        name: "aborted when the failure is recorded",
        act: |call| {
            poisoned(call).or_else(|| at(call, "RecordFailure").then_some(Act::After("ABORTED")))
        },
        until: 0,
    },
    Ending {
        name: "aborted before the failure is recorded",
        act: |call| {
            poisoned(call).or_else(|| at(call, "RecordFailure").then_some(Act::Before("ABORTED")))
        },
        until: 0,
    },
    Ending {
        name: "timed out before it could fail",
        act: |call| {
            poisoned(call).or_else(|| at(call, "FailOrResume").then_some(Act::Before("TIMED_OUT")))
        },
        until: 0,
    },
    Ending {
        name: "database away before the run is open",
        act: |call| at(call, "QueryBatchScores").then_some(Act::DatabaseAway),
        until: 0,
    },
    Ending {
        name: "database away in the Map",
        act: |call| at(call, "UpdateDatabase").then_some(Act::DatabaseAway),
        until: 0,
    },
    Ending {
        name: "database away when the run is to be closed",
        act: |call| at(call, "SaveResults").then_some(Act::DatabaseAway),
        until: 0,
    },
    Ending {
        name: "database away when the run is to be resumed",
        act: |call| {
            let away =
                (call.redrives == 1 && at(call, "FailOrResume")).then_some(Act::DatabaseAway);
            poisoned(call).filter(|_| call.redrives == 0).or(away)
        },
        until: 1,
    },
    Ending {
        name: "uncaught before the run is open",
        act: |call| at(call, "QueryBatchScores").then_some(Act::Before("States.Runtime")),
        until: 0,
    },
    Ending {
        name: "uncaught in the Map and then when the run is closed",
        act: |call| {
            let closed = at(call, "SaveResults").then_some(Act::After("States.DataLimitExceeded"));
            at(call, "ScoreCustomers").then_some(Act::Before("States.DataLimitExceeded")).or(closed)
        },
        until: 0,
    },
    Ending {
        name: "uncaught when the failure is to be recorded",
        act: |call| {
            let uncaught =
                at(call, "RecordFailure").then_some(Act::Before("States.DataLimitExceeded"));
            poisoned(call).or(uncaught)
        },
        until: 0,
    },
    Ending {
        name: "every attempt to resume dies when the run is resumed",
        act: |call| {
            let dies = call.redrives == 1 && call.state == "FailOrResume";
            let dies = dies.then_some(Act::After("Runtime.ExitError"));
            poisoned(call).filter(|_| call.redrives == 0).or(dies)
        },
        until: 1,
    },
    Ending {
        name: "a step that times out",
        act: |call| {
            let late = call.state == "ScoreCustomers" && call.item == Some(1);
            late.then_some(Act::Before("States.Timeout"))
        },
        until: 0,
    },
];
