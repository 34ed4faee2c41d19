//! Runs that are broken on purpose, and the promises that must hold afterwards.
//!
//! ```sh
//! cargo test --workspace --test faults                                  # 25 schedules
//! FAULT_SCHEDULES=500 cargo test --workspace --test faults              # the nightly size
//! FAULT_SEED=17 FAULT_SCHEDULES=1 FAULT_TRACE=1 cargo test --workspace --test faults -- every_run
//! ```
#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use hyper::Method;
use limit_increase::aws::storage;
use limit_increase::model::BUCKET;
use limit_increase_tests::environment::Environment;
use limit_increase_tests::faults::injector::Injector;
use limit_increase_tests::faults::lab::Lab;
use limit_increase_tests::faults::plan::{self, Plan};
use limit_increase_tests::faults::schedule::{self, Report};
use limit_increase_tests::simulator::function::{FunctionError, FunctionProcess};
use limit_increase_tests::simulator::machine::ExecutionEnd;
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
            two_simultaneous_attempts_apply_a_shard_once,
            a_shard_whose_record_cannot_be_written_decides_nobody,
            an_attempt_that_has_lost_its_shard_leaves_the_record_alone,
            a_late_failure_of_a_shard_leaves_a_closed_run_closed,
            a_query_attempt_that_wakes_up_late_changes_nothing,
            a_doubled_scheduled_event_is_one_run,
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

        let late = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            invoke_patiently(&second, &event).await
        };

        // On a busy machine either of them may come to the lock first.
        let (one, other) = tokio::join!(invoke_patiently(&first, &event), late);
        ensure!(
            one.is_ok() && one == other,
            "promise 7: both events should get one answer, the first got {one:?}, the \
             second {other:?}"
        );
        Ok(())
    })
}

/// Promise 6: a second attempt begins while the first one has written its decisions and has not
/// committed. It waits for the shard's lock, and then finds the shard applied.
fn two_simultaneous_attempts_apply_a_shard_once(environment: &Environment) -> Result<()> {
    let lab = Lab::open(environment)?;
    environment.block_on(async {
        lab.reset().await?;
        let (apply, _) = evaluated_shard(&lab, "applied-twice").await?;
        lab.storage.add(Rule {
            method: Method::PUT,
            path: vec!["results/run=applied-twice/".to_owned()],
            fault: StorageFault::Slow(Duration::from_millis(300)),
            times: 1,
        });

        let (first, second) =
            (lab.pool.take("update-database").await?, lab.pool.take("update-database").await?);
        let admin = lab.admin().await?;
        let late = async {
            idle_in_transaction(&admin).await?;
            anyhow::Ok(invoke_patiently(&second, &apply).await)
        };

        let (one, other) = tokio::join!(first.invoke(&apply), late);
        let (one, other) = (one?, other?.context("promise 6: the second attempt should succeed")?);
        ensure!(
            one["counts"] == other["counts"] && one["replayed"] == false,
            "promise 6: both attempts should have the counts of the first, {one} and {other}"
        );
        ensure!(
            other["replayed"] == true,
            "promise 6: the second attempt should find the shard applied, it got {other}"
        );
        Ok(())
    })
}

/// Promise 8: the record comes before the commit, so without a record there is no decision.
fn a_shard_whose_record_cannot_be_written_decides_nobody(environment: &Environment) -> Result<()> {
    let lab = Lab::open(environment)?;
    environment.block_on(async {
        lab.reset().await?;
        let (apply, eligible) = evaluated_shard(&lab, "no-record").await?;
        lab.storage.add(Rule {
            method: Method::PUT,
            path: vec!["results/run=no-record/".to_owned()],
            fault: StorageFault::Status(403),
            times: 1,
        });

        let refused = invoke(&lab, "update-database", &apply).await;
        ensure!(refused.is_err(), "the record should be refused, the answer is {refused:?}");
        let written = "SELECT (SELECT count(*) FROM decisions_written),
                              (SELECT count(*) FROM limit_increase_shards)";
        let row = lab.admin().await?.query_one(written, &[]).await?;
        let (decisions, shards): (i64, i64) = (row.get(0), row.get(1));
        ensure!(
            (decisions, shards) == (0, 0),
            "promise 8: without a record {decisions} decisions and {shards} shards are written"
        );

        let applied = invoke(&lab, "update-database", &apply).await?;
        let counts = applied["counts"].as_object().context("no counts")?;
        let sum: u64 = counts.values().filter_map(serde_json::Value::as_u64).sum();
        ensure!(sum == eligible, "the next attempt should apply the shard, it got {applied}");
        Ok(())
    })
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

        let (apply, eligible) = evaluated_shard(&lab, "late-record").await?;
        lab.storage.add(Rule {
            method: Method::PUT,
            path: vec!["results/run=late-record/".to_owned()],
            fault: StorageFault::Slow(Duration::from_secs(3)),
            times: 1,
        });

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
            lab.status("closed").await? == "SUCCEEDED",
            "promise 5: a late failure should leave a closed run SUCCEEDED"
        );

        // The run's own execution knows that it is about to fail, so its failure counts.
        failure["execution"] = json!({ "RedriveCount": 0 });
        invoke(&lab, "update-database", &failure).await?;
        ensure!(
            lab.status("closed").await? == "FAILED",
            "promise 5: the execution's own failure should make the run FAILED"
        );
        Ok(())
    })
}

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

async fn invoke(lab: &Lab, function: &str, event: &serde_json::Value) -> Result<serde_json::Value> {
    let process = lab.pool.take(function).await?;
    let answer = process.invoke(event).await;
    lab.pool.give_back(function, process);
    answer.with_context(|| format!("{function} of {event}"))
}

/// Sends an event to a function that may have to wait for a lock. On a busy machine it may give up
/// on the lock, whose time-out is short here. The state machine would repeat it then.
async fn invoke_patiently(
    function: &FunctionProcess,
    event: &serde_json::Value,
) -> std::result::Result<serde_json::Value, FunctionError> {
    let mut answer = function.invoke(event).await;
    for _ in 0..20 {
        match &answer {
            Err(error) if error.error_type == "Transient.Database" => {
                answer = function.invoke(event).await;
            }
            _ => break,
        }
    }

    answer
}

/// Opens a run as one shard, scores and evaluates it. Returns the event that applies it, and the
/// number of its customers.
async fn evaluated_shard(lab: &Lab, run: &str) -> Result<(serde_json::Value, u64)> {
    let event = json!({ "run_id": run, "request": { "limit": null, "shard_size": 50 } });
    let opened = invoke(lab, "query-batch-scores", &event).await?;
    let eligible = opened["eligible"].as_u64().context("no count of the eligible")?;
    let key = opened["shards"]["key"].as_str().context("no list of the shards")?;

    let list =
        storage::get(&lab.ready.aws.s3, BUCKET, key).await?.context("no list of the shards")?;
    let shards: Vec<serde_json::Value> = serde_json::from_slice(&list)?;
    let task = json!({ "run": opened["run"], "shard": shards.first().context("no shard")? });

    let mut evaluate = task.clone();
    evaluate["scored"] = invoke(lab, "score-customers", &task).await?;
    let evaluations = invoke(lab, "evaluate-limit-increase", &evaluate).await?;

    let mut apply = task;
    apply["action"] = json!("apply_shard");
    apply["evaluations"] = evaluations;
    Ok((apply, eligible))
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
