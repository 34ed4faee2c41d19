//! Runs that are broken on purpose, and the promises that must hold afterwards.
//!
//! ```sh
//! cargo test --workspace --test faults                                  # 25 schedules
//! FAULT_SCHEDULES=500 cargo test --workspace --test faults              # the nightly size
//! FAULT_SEED=17 FAULT_SCHEDULES=1 FAULT_TRACE=1 cargo test --workspace --test faults -- every_run
//! ```
#![allow(missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use hyper::Method;
use limit_increase::aws::storage;
use limit_increase::model::BUCKET;
use limit_increase_tests::environment::Environment;
use limit_increase_tests::faults::events;
use limit_increase_tests::faults::injector::Injector;
use limit_increase_tests::faults::lab::Lab;
use limit_increase_tests::faults::plan::{self, Arrival, Plan};
use limit_increase_tests::faults::schedule::{self, Report};
use limit_increase_tests::faults::script::{Act, Script};
use limit_increase_tests::faults::verdict;
use limit_increase_tests::simulator::function::FunctionError;
use limit_increase_tests::simulator::machine::{Call, ExecutionEnd};
use limit_increase_tests::simulator::storage_proxy::{Rule, StorageFault};
use limit_increase_tests::{cases, suite};
use serde_json::json;

/// The number of schedules for every change. The nightly number is 500.
const SCHEDULES: u64 = 25;
/// The suite stops after this many broken schedules.
const ENOUGH: usize = 5;

fn main() -> ExitCode {
    suite::run(
        "faults",
        &cases![
            two_simultaneous_events_open_one_run,
            a_run_whose_summary_cannot_be_written_is_failed_everywhere_and_can_be_redriven,
            an_attempt_that_has_lost_its_shard_leaves_the_record_alone,
            a_late_failure_of_a_shard_leaves_a_closed_run_closed,
            one_redrive_is_enough_wherever_and_however_an_execution_ended,
            a_query_attempt_that_wakes_up_late_changes_nothing,
            a_doubled_scheduled_event_is_one_run,
            a_reused_name_is_not_taken_for_the_old_run,
            each_kind_of_fault_alone_leaves_every_promise_kept,
            every_run_ends_as_an_undisturbed_one_whatever_breaks,
        ],
    )
}

/// Promise 7: a retry sends the same event to a second environment, while the first attempt still
/// works.
fn two_simultaneous_events_open_one_run(environment: &Environment) -> Result<()> {
    let lab = Lab::open(environment)?;
    environment.block_on(async {
        lab.reset().await?;
        let event = json!({ "run_id": "twice", "request": { "limit": null, "shard_size": 5 } });
        // The first one is still writing its shards when the second one begins.
        lab.storage.add(Rule {
            method: Method::PUT,
            path: vec!["run=twice/part-00001".to_owned()],
            fault: StorageFault::Slow(Duration::from_millis(300)),
            times: 1,
        });

        let (first, second) = (
            lab.pool.take("query-batch-scores").await?,
            lab.pool.take("query-batch-scores").await?,
        );

        // On a busy machine the second one may give up on the lock, which is short here. The state
        // machine would repeat it then.
        let late = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let mut answer = second.invoke(&event).await;
            for _ in 0..20 {
                let Err(FunctionError { error_type, .. }) = &answer else { break };
                if error_type != "Transient.Database" {
                    break;
                }
                answer = second.invoke(&event).await;
            }
            answer
        };

        let (one, other) = tokio::join!(first.invoke(&event), late);
        ensure!(
            one.is_ok() && one == other,
            "promise 7: both events should get one answer, the first got {one:?}, the \
             second {other:?}"
        );
        Ok(())
    })
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
        let status = status(&lab, "no-summary").await?;
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
            self::status(&lab, "no-summary").await? == "SUCCEEDED",
            "promise 4: the redrive should close the run in the ledger"
        );
        Ok(())
    })
}

async fn status(lab: &Lab, run: &str) -> Result<String> {
    let sql = "SELECT status FROM limit_increase_runs WHERE run_id = $1";
    Ok(lab.admin().await?.query_one(sql, &[&run]).await?.get(0))
}

/// Promise 8 and promise 6: an attempt waits for S3, and its session in the database ends
/// meanwhile. A second attempt applies the shard to customers who have changed. Only then does S3
/// get the first attempt's record.
fn an_attempt_that_has_lost_its_shard_leaves_the_record_alone(
    environment: &Environment,
) -> Result<()> {
    let lab = Lab::open(environment)?;
    environment.block_on(async {
        lab.reset().await?;

        let event =
            json!({ "run_id": "late-record", "request": { "limit": null, "shard_size": 50 } });
        let opened = invoke(&lab, "query-batch-scores", &event).await?;
        let eligible = opened["eligible"].as_u64().context("no count of the eligible")?;
        let key = opened["shards"]["key"].as_str().context("no list of the shards")?;

        let list =
            storage::get(&lab.ready.aws.s3, BUCKET, key).await?.context("no list of the shards")?;
        let shards: Vec<serde_json::Value> = serde_json::from_slice(&list)?;
        let task = json!({ "run": opened["run"], "shard": shards.first().context("no shard")? });

        let mut evaluate = task.clone();
        evaluate["scored"] = invoke(&lab, "score-customers", &task).await?;
        let evaluations = invoke(&lab, "evaluate-limit-increase", &evaluate).await?;

        lab.storage.add(Rule {
            method: Method::PUT,
            path: vec!["results/run=late-record/".to_owned()],
            fault: StorageFault::Slow(Duration::from_secs(3)),
            times: 1,
        });

        let mut apply = task.clone();
        apply["action"] = json!("apply_shard");
        apply["evaluations"] = evaluations;
        let (first, second) =
            (lab.pool.take("update-database").await?, lab.pool.take("update-database").await?);
        let overtaking = async {
            let admin = lab.admin().await?;
            idle_in_transaction(&admin).await?;
            lab.end_backends(&admin).await?;
            let raised = "UPDATE batch_scores SET current_limit = current_limit + 1";
            admin.execute(raised, &[]).await?;
            let answer = second.invoke(&apply).await?;
            anyhow::Ok((answer, result_records(&lab, "late-record").await?))
        };

        let (late, overtaken) = tokio::join!(first.invoke(&apply), overtaking);
        let (answer, records) = overtaken?;
        ensure!(
            answer["counts"]["stale"] == eligible && answer["replayed"] == false,
            "the second attempt should apply the shard with {eligible} stale customers, \
             it got {answer}"
        );

        let Err(error) = &late else { bail!("the first got {late:?}") };
        ensure!(
            error.error_type.starts_with("Transient."),
            "the first attempt should fail with a transient error, it got {error}"
        );
        ensure!(
            !records.is_empty() && records == result_records(&lab, "late-record").await?,
            "promise 8: the late attempt should leave the record as the second one \
             wrote it"
        );

        // Promise 6: a third attempt finds the shard applied.
        let again = invoke(&lab, "update-database", &apply).await?;
        ensure!(
            again["counts"] == answer["counts"] && again["replayed"] == true,
            "promise 6: the third attempt should find the shard applied with the same \
             counts, it got {again}"
        );

        Ok(())
    })
}

fn a_late_failure_of_a_shard_leaves_a_closed_run_closed(environment: &Environment) -> Result<()> {
    let lab = Lab::open(environment)?;
    environment.block_on(async {
        lab.reset().await?;
        schedule::run_undisturbed(&lab, "closed", &json!({ "limit": null })).await?;

        let mut failure = json!({
            "action": "record_failure",
            "run_id": "closed",
            "error": "Permanent.HandoffInvalid",
            "cause": "a late one"
        });

        let answer = invoke(&lab, "update-database", &failure).await?;
        ensure!(
            answer["error"] == "Permanent.HandoffInvalid",
            "the answer should repeat the error, it is {answer}"
        );
        ensure!(
            status(&lab, "closed").await? == "SUCCEEDED",
            "promise 5: a late failure should leave a closed run SUCCEEDED"
        );

        // The run's own execution knows that it is about to fail, so its failure counts.
        failure["execution"] = json!({ "RedriveCount": 0 });
        invoke(&lab, "update-database", &failure).await?;
        ensure!(
            status(&lab, "closed").await? == "FAILED",
            "promise 5: the execution's own failure should make the run FAILED"
        );
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
                status(lab, "ended").await? == "FAILED",
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

/// Promise 7: an attempt waits for S3 while it opens the run, and its session in the database ends
/// meanwhile. A second attempt opens the run with other customers. Only then does S3 get the first
/// attempt's shard, or its list of shards.
fn a_query_attempt_that_wakes_up_late_changes_nothing(environment: &Environment) -> Result<()> {
    let lab = Lab::open(environment)?;
    let (calm, machine) = (Injector::new(&lab, None), lab.machine(2)?);
    for (run, object) in [("late-shard", "part-00001"), ("late-list", "manifest.json")] {
        let prefix = format!("pipeline/customers/run={run}/");
        environment.block_on(async {
            lab.reset().await?;
            let event = json!({ "run_id": run, "request": { "limit": null, "shard_size": 8 } });
            lab.storage.add(Rule {
                method: Method::PUT,
                path: vec![prefix.clone(), object.to_owned()],
                fault: StorageFault::Slow(Duration::from_secs(6)),
                times: 1,
            });

            let first = lab.pool.take("query-batch-scores").await?;
            let overtaking = async {
                tokio::time::sleep(Duration::from_millis(1000)).await;
                let admin = lab.admin().await?;
                lab.end_backends(&admin).await?;
                let fewer = "UPDATE batch_scores SET current_limit = 20000 WHERE customer_id IN
                             (SELECT customer_id FROM batch_scores
                              WHERE current_score >= 600 AND current_limit < 10000
                              ORDER BY customer_id LIMIT 3)";
                admin.execute(fewer, &[]).await?;

                let request = json!({ "limit": null, "shard_size": 8 });
                let ended = machine.start(&calm, run, &request).await?;
                anyhow::Ok((ended, objects(&lab, &prefix).await?))
            };

            let (late, overtaken) = tokio::join!(first.invoke(&event), overtaking);
            let (ended, before) = overtaken?;
            ensure!(
                matches!(ended, ExecutionEnd::Succeeded(_)),
                "promise 7: the second attempt should open the run, it ended {ended:?}"
            );
            ensure!(late.is_err(), "the late attempt should not open the run, it got {late:?}");
            ensure!(
                before == objects(&lab, &prefix).await?,
                "promise 7: the late attempt should leave {object} as the second one wrote it"
            );
            Ok(())
        })?;
    }

    Ok(())
}

/// EventBridge may deliver an event twice, and may trigger a rule twice for one scheduled time. Each
/// delivery starts an execution with a name of its own.
fn a_doubled_scheduled_event_is_one_run(environment: &Environment) -> Result<()> {
    let lab = Lab::open(environment)?;
    let (calm, machine) = (Injector::new(&lab, None), lab.machine(2)?);
    environment.block_on(async {
        lab.reset().await?;
        let mut event: serde_json::Value =
            serde_json::from_str(include_str!("../../events/query-batch-scores-scheduled.json"))?;
        let event = event["execution"]["Input"].take();
        let mut again = event.clone();
        again["id"] = json!("00000000-0000-0000-0000-000000000000");

        let (first, second) = tokio::join!(
            machine.start(&calm, "event-1", &event),
            machine.start(&calm, "event-2", &again)
        );
        let third = machine.start(&calm, "event-3", &event).await?;
        let mut eligible = Vec::new();
        for ended in [first?, second?, third] {
            let ExecutionEnd::Succeeded(summary) = ended else { bail!("it ended {ended:?}") };
            eligible.push(summary["eligible"].as_u64().context("no count of the eligible")?);
        }

        eligible.sort_unstable();
        ensure!(eligible == [0, 0, 20], "one run should take 20 customers, they took {eligible:?}");

        // The event of another night.
        let mut next = event.clone();
        next["time"] = json!("2026-11-26T02:00:00Z");
        let ended = machine.start(&calm, "event-4", &next).await?;
        let ExecutionEnd::Succeeded(summary) = ended else { bail!("it ended {ended:?}") };
        ensure!(summary["eligible"] != 0, "the next night should take the others: {summary}");
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
                status(&lab, "reused").await? == "SUCCEEDED",
                "promise 5: the old run should stay SUCCEEDED"
            );
            ended = machine.redrive(&calm, "reused", redrive + 1, &ended).await?;
        }

        Ok(())
    })
}

async fn invoke(lab: &Lab, function: &str, event: &serde_json::Value) -> Result<serde_json::Value> {
    let process = lab.pool.take(function).await?;
    let answer = process.invoke(event).await;
    lab.pool.give_back(function, process);
    answer.with_context(|| format!("{function} of {event}"))
}

/// Waits until an update has run all its statements and has not committed.
async fn idle_in_transaction(admin: &tokio_postgres::Client) -> Result<()> {
    let sql = "SELECT FROM pg_stat_activity WHERE application_name = 'update-database'
               AND state = 'idle in transaction'
               AND query LIKE 'INSERT INTO limit_increase_shards%'";
    for _ in 0..500 {
        if admin.query_opt(sql, &[]).await?.is_some() {
            return Ok(());
        }

        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    bail!("no update came to where it writes the record")
}

/// The entity tags of a run's records, by key.
async fn result_records(lab: &Lab, run: &str) -> Result<Vec<(Option<String>, Option<String>)>> {
    objects(lab, &format!("pipeline/results/run={run}/")).await
}

/// The entity tags of the objects under a prefix, by key.
async fn objects(lab: &Lab, prefix: &str) -> Result<Vec<(Option<String>, Option<String>)>> {
    let listed = lab.ready.aws.s3.list_objects_v2().bucket(BUCKET).prefix(prefix).send().await?;
    Ok(listed.contents().iter().map(|object| (object.key.clone(), object.e_tag.clone())).collect())
}

fn each_kind_of_fault_alone_leaves_every_promise_kept(environment: &Environment) -> Result<()> {
    /// Seeds to try until the kind happens. A disk, for example, can only be full while the ledger
    /// is empty.
    const TRIES: u64 = 20;
    let lab = Lab::open(environment)?;
    let undisturbed = schedule::undisturbed(environment, &lab)?;
    let mut missing = Vec::new();
    for kind in plan::kinds() {
        let mut met = 0;
        for seed in 1..=TRIES {
            let plan = Plan::only(kind, 1_000_000 + seed);
            let report = schedule::carry_out(environment, &lab, &undisturbed, plan)
                .with_context(|| format!("only {kind:?}, seed {seed}"))?;
            met += report.faults.get(&kind).copied().unwrap_or_default();
            if met > 0 {
                break;
            }
        }

        if met == 0 {
            missing.push(kind);
        }
    }

    ensure!(missing.is_empty(), "each kind of fault should happen, these did not: {missing:?}");
    Ok(())
}

fn every_run_ends_as_an_undisturbed_one_whatever_breaks(environment: &Environment) -> Result<()> {
    let (first, count) = (number("FAULT_SEED", 1)?, number("FAULT_SCHEDULES", SCHEDULES)?);
    let lab = Lab::open(environment)?;
    let undisturbed = schedule::undisturbed(environment, &lab)?;
    let mut sum = Report::default();
    let mut broken = Vec::new();
    let mut done = 0;
    for seed in first..first.saturating_add(count) {
        match schedule::run(environment, &lab, &undisturbed, seed) {
            Ok(report) => add(&mut sum, &report),
            Err(error) => {
                eprintln!(
                    "schedule {seed}: {error:#}\nalone: FAULT_SEED={seed} FAULT_SCHEDULES=1 \
                     FAULT_TRACE=1 cargo test --workspace --test faults -- every_run"
                );

                broken.push(seed);
            }
        }

        done += 1;
        if broken.len() == ENOUGH {
            break;
        }
    }

    let faults: BTreeMap<String, u64> =
        sum.faults.iter().map(|(kind, count)| (format!("{kind:?}"), *count)).collect();
    eprintln!(
        "{done} schedules from seed {first}: {} executions, {} of them failed, {} \
         redriven, {} environments started; {} faults: {faults:?}",
        sum.runs,
        sum.failures,
        sum.redrives,
        lab.pool.started(),
        faults.values().sum::<u64>(),
    );

    ensure!(broken.is_empty(), "schedules {broken:?} broke a promise");
    Ok(())
}

fn add(sum: &mut Report, report: &Report) {
    sum.runs += report.runs;
    sum.failures += report.failures;
    sum.redrives += report.redrives;
    for (kind, count) in &report.faults {
        *sum.faults.entry(*kind).or_default() += count;
    }
}

fn number(variable: &str, default: u64) -> Result<u64> {
    match std::env::var(variable) {
        Ok(text) => text.parse().with_context(|| format!("{variable}: {text:?} is not a number")),
        Err(_) => Ok(default),
    }
}
