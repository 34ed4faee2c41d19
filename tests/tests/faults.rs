//! Runs that are broken by a seed's order, and what has to hold afterwards.
//!
//! ```sh
//! cargo test -p limit-increase-tests --test faults                                  # 25 schedules
//! FAULT_SCHEDULES=500 cargo test -p limit-increase-tests --test faults              # the nightly size
//! FAULT_SEED=17 FAULT_SCHEDULES=1 FAULT_TRACE=1 cargo test -p limit-increase-tests --test faults -- every_run
//! ```
#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use hyper::Method;
use limit_increase_tests::environment::Environment;
use limit_increase_tests::faults::injector::Injector;
use limit_increase_tests::faults::lab::Lab;
use limit_increase_tests::faults::machine::Ended;
use limit_increase_tests::faults::plan::{self, Plan};
use limit_increase_tests::faults::schedule::{self, Report};
use limit_increase_tests::faults::storage_proxy::{Rule, StorageFault};
use limit_increase_tests::suite;
use serde_json::json;

/// The size for every change; the nightly one is 500.
const SCHEDULES: u64 = 25;
/// So many broken schedules are enough to see what is wrong.
const ENOUGH: usize = 5;

fn main() -> ExitCode {
    suite::run(
        "faults",
        &[
            ("two_events_at_once_open_one_run", opened_once),
            ("a_run_whose_summary_cannot_be_written_is_failed_everywhere_and_can_be_redriven", summary_refused),
            ("each_kind_of_fault_alone_leaves_every_promise_kept", each_kind),
            ("every_run_ends_as_an_undisturbed_one_whatever_breaks", schedules),
        ],
    )
}

/// The same event in two environments at the same time, the way a retry meets an attempt that was only thought dead.
fn opened_once(environment: &Environment) -> Result<()> {
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
        let (first, second) = (lab.pool.take("query-batch-scores").await?, lab.pool.take("query-batch-scores").await?);
        let late = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            second.invoke(&event).await
        };
        let (one, other) = tokio::join!(first.invoke(&event), late);
        ensure!(one.is_ok() && one == other, "the first got {one:?}, the second {other:?}");
        Ok(())
    })
}

fn summary_refused(environment: &Environment) -> Result<()> {
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
        let Ended::Failed { error, .. } = &ended else { bail!("it ended {ended:?}") };
        ensure!(error == "Permanent.StorageRefused" && status == "FAILED", "{error}, in the ledger {status}");
        let redriven = machine.redrive(&calm, "no-summary", 1, &ended).await?;
        ensure!(matches!(redriven, Ended::Succeeded(_)), "redriven, it ended {redriven:?}");
        ensure!(self::status(&lab, "no-summary").await? == "SUCCEEDED", "redriven, and not closed");
        Ok(())
    })
}

async fn status(lab: &Lab, run: &str) -> Result<String> {
    let sql = "SELECT status FROM limit_increase_runs WHERE run_id = $1";
    Ok(lab.admin().await?.query_one(sql, &[&run]).await?.get(0))
}

fn each_kind(environment: &Environment) -> Result<()> {
    /// Seeds tried until the kind comes up: a disk can only be full while the ledger is empty, for example.
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
    ensure!(missing.is_empty(), "these faults never came about: {missing:?}");
    Ok(())
}

fn schedules(environment: &Environment) -> Result<()> {
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
                    "schedule {seed}: {error:#}\nalone: FAULT_SEED={seed} FAULT_SCHEDULES=1 FAULT_TRACE=1 \
                     cargo test -p limit-increase-tests --test faults -- every_run"
                );
                broken.push(seed);
            }
        }
        done += 1;
        if broken.len() == ENOUGH {
            break;
        }
    }
    let faults: BTreeMap<String, u64> = sum.faults.iter().map(|(kind, count)| (format!("{kind:?}"), *count)).collect();
    eprintln!(
        "{done} schedules from seed {first}: {} executions, {} of them failed, {} redriven, {} environments started; {} faults: {faults:?}",
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
