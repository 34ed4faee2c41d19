//! Runs one schedule from its beginning to the verdict.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use limit_increase_domain::sha256_hex;
use serde_json::{Value, json};

use super::events;
use super::injector::Injector;
use super::lab::Lab;
use super::plan::{Arrival, Kind, LAST_FAULTY_REDRIVE, Plan, Resumption};
use super::verdict::{self, ReferenceDecisions};
use crate::Environment;
use crate::records::{StoredDecision, decisions};
use crate::simulator::machine::{ExecutionEnd, Machine};

/// How often a run is redriven before a new run replaces it.
const REDRIVES: u32 = 4;
/// After the faults, one run takes the customers who are left. A later one must find nobody.
const LAST_RUNS: usize = 3;

/// What happened in a schedule.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Executions started.
    pub runs: u64,
    /// Executions redriven.
    pub redrives: u64,
    /// Executions that failed, redriven ones included.
    pub failures: u64,
    /// Faults, by kind.
    pub faults: BTreeMap<Kind, u64>,
}

/// Runs an execution that nothing disturbs.
///
/// # Errors
/// When it does not succeed.
pub async fn run_undisturbed(lab: &Arc<Lab>, name: &str, request: &Value) -> Result<()> {
    let ended = Injector::new(lab, None).start(&lab.machine(2)?, name, request).await?;
    ensure!(
        matches!(ended, ExecutionEnd::Succeeded(_)),
        "the undisturbed run {name} should succeed, it ended {ended:?}"
    );

    Ok(())
}

/// What undisturbed runs decide under every model and policy of the lab.
///
/// # Errors
/// When one of them fails.
pub fn undisturbed(environment: &Environment, lab: &Arc<Lab>) -> Result<ReferenceDecisions> {
    let mut known = ReferenceDecisions::new();
    for (model, artifact) in lab.models.iter().enumerate() {
        for (policy, document) in lab.policies.iter().enumerate() {
            environment.block_on(async {
                lab.reset().await?;
                lab.use_model(model).await?;
                lab.use_policy(policy).await
            })?;

            let name = format!("undisturbed-{model}-{policy}");
            let request = json!({ "limit": null, "shard_size": 20 });
            environment.block_on(run_undisturbed(lab, &name, &request))?;

            let table: BTreeMap<String, StoredDecision> = decisions(environment)?;
            ensure!(
                table.len() > 20,
                "more than 20 customers should be eligible, but {} are",
                table.len()
            );

            known.insert((sha256_hex(artifact), document.sha256()), table);
        }
    }

    let different: std::collections::HashSet<String> =
        known.values().map(|table| format!("{table:?}")).collect();
    ensure!(
        different.len() == known.len(),
        "each pair of model and policy should decide differently, otherwise promise 2 \
         cannot be checked"
    );

    Ok(known)
}

/// Carries out the schedule of a seed, and checks the promises.
///
/// # Errors
/// A broken promise.
pub fn run(
    environment: &Environment,
    lab: &Arc<Lab>,
    undisturbed: &ReferenceDecisions,
    seed: u64,
) -> Result<Report> {
    carry_out(environment, lab, undisturbed, Plan::of(seed))
}

/// Like [`run`], for any plan.
///
/// # Errors
/// A broken promise.
pub fn carry_out(
    environment: &Environment,
    lab: &Arc<Lab>,
    undisturbed: &ReferenceDecisions,
    plan: Plan,
) -> Result<Report> {
    let injector = Injector::new(lab, Some(plan.clone()));
    let machine = lab.machine(plan.concurrency)?;

    environment.block_on(async {
        lab.reset().await?;
        let broken = (0..plan.runs).map(|number| broken_run(&injector, &machine, &plan, number));
        let broken = futures_util::future::try_join_all(broken).await?;
        injector.settle().await;
        lab.database.calm();
        lab.storage.calm();

        let mut report = Report { faults: injector.tally(), ..Report::default() };
        let mut ends = Vec::new();
        for run in broken {
            report.redrives += run.redrives;
            report.failures += run.failures;
            ends.extend(run.ends);
        }

        last_runs(&injector, &machine, &plan, &mut ends).await?;
        verdict::check(lab, &ends, &injector.changed(), undisturbed).await?;
        report.runs = ends.len() as u64;
        Ok(report)
    })
}

/// A run, its redrives, and the runs that replaced it.
#[derive(Default)]
struct BrokenRun {
    ends: Vec<(String, ExecutionEnd)>,
    redrives: u64,
    failures: u64,
}

async fn broken_run(
    injector: &Arc<Injector>,
    machine: &Machine,
    plan: &Plan,
    number: usize,
) -> Result<BrokenRun> {
    let request = request(plan);
    let mut run = BrokenRun::default();
    for replacement in 0..2 {
        let name = format!("s{}-{number}-{replacement}", plan.seed);
        let mut ended = machine.start(injector, &name, &request).await?;
        let mut redrives = 0;
        while let ExecutionEnd::Failed { .. } = ended {
            run.failures += 1;
            one_redrive_is_enough(plan, &name, redrives, &ended)?;

            let (lab, event) = (&injector.lab, events::interruption(&ended, redrives)?);
            let arrival = plan.arrival(&name, redrives);
            if arrival != Arrival::Late {
                events::deliver(lab, &event).await?;
            }

            if redrives == REDRIVES || plan.resumption(&name, redrives) == Resumption::NewRun {
                events::deliver(lab, &event).await?;
                break;
            }

            redrives += 1;
            run.redrives += 1;
            let redriven = machine.redrive(injector, &name, redrives, &ended);
            if arrival == Arrival::Immediately {
                ended = redriven.await?;
            } else {
                let (redriven, delivered) = tokio::join!(redriven, events::deliver(lab, &event));
                delivered?;
                ended = redriven?;
            }
        }

        let done = matches!(ended, ExecutionEnd::Succeeded(_));
        run.ends.push((name, ended));
        if done {
            break;
        }
    }

    Ok(run)
}

/// Promise 4: after a redrive that nothing disturbed, the run has succeeded. Other runs of the
/// schedule would disturb it.
fn one_redrive_is_enough(
    plan: &Plan,
    name: &str,
    redrives: u32,
    ended: &ExecutionEnd,
) -> Result<()> {
    ensure!(
        plan.runs > 1 || redrives <= LAST_FAULTY_REDRIVE,
        "promise 4: nothing disturbed the last redrive of {name}, and it failed: {ended:?}"
    );
    Ok(())
}

/// Without faults, one more run takes the customers who are left, and the next one finds nobody.
async fn last_runs(
    injector: &Arc<Injector>,
    machine: &Machine,
    plan: &Plan,
    ends: &mut Vec<(String, ExecutionEnd)>,
) -> Result<()> {
    let calm = Injector::new(&injector.lab, None);
    for number in 0..LAST_RUNS {
        let name = format!("s{}-last-{number}", plan.seed);
        let ended = machine
            .start(&calm, &name, &json!({ "limit": null, "shard_size": plan.shard_size }))
            .await?;
        let ExecutionEnd::Succeeded(output) = &ended else {
            anyhow::bail!("promise 4: nothing is broken any more, and {name} failed: {ended:?}")
        };

        let eligible = output["eligible"].as_u64().context("a run's output without eligible")?;
        ends.push((name, ended));
        if eligible == 0 {
            return Ok(());
        }
    }

    anyhow::bail!(
        "promise 4: after {LAST_RUNS} undisturbed runs there are still customers to decide"
    )
}

fn request(plan: &Plan) -> Value {
    json!({ "limit": plan.limit, "shard_size": plan.shard_size })
}
