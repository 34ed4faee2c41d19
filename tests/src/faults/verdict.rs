//! Checks the promises of ARCHITECTURE.md after a schedule, whatever was broken: in the table, the
//! ledger, S3, and the trigger's note of every decision ever written.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _};
use limit_increase::aws::storage;
use limit_increase::model::BUCKET;
use limit_increase::proof::ledger;
use limit_increase::proof::verify::check_objects;
use limit_increase_domain::{Counts, Outcome};
use limit_increase_evidence::seal::check_chain;
use limit_increase_handoff::evaluations::Evaluations;
use limit_increase_handoff::results;
use limit_increase_workflow::keys::{Stage, summary_key};
use limit_increase_workflow::{RunContext, RunId, RunStatus, RunSummary, ShardIndex};
use rust_decimal::Decimal;
use tokio_postgres::Client;

use super::lab::Lab;
use crate::records::StoredDecision;
use crate::simulator::machine::ExecutionEnd;

/// The decisions of undisturbed runs, by customer, for each pair of SHA-256 of model and policy.
pub type ReferenceDecisions = HashMap<(String, String), BTreeMap<String, StoredDecision>>;

/// A run of the ledger.
struct LedgerRunRow {
    id: RunId,
    status: String,
    context: Option<RunContext>,
    eligible: Option<i64>,
    shard_count: Option<i32>,
    counts: Option<Counts>,
    total_increase: Option<Decimal>,
    error: Option<String>,
    cause: Option<String>,
}

/// A shard of the ledger, with its records in S3.
struct LedgerShard {
    run: RunId,
    index: ShardIndex,
    counts: Counts,
    total_increase: Decimal,
    decisions: Vec<RecordedDecision>,
}

/// A row of a shard's evaluations, with what became of it according to the shard's results.
struct RecordedDecision {
    customer: String,
    evaluated: StoredDecision,
    raise: Decimal,
    written: bool,
}

/// Checks all promises. `changed` are the customers that somebody else has changed during the
/// schedule.
///
/// # Errors
/// The first promise that was broken, with the data that shows it.
pub async fn check(
    lab: &Lab,
    ends: &[(String, ExecutionEnd)],
    changed: &BTreeSet<String>,
    undisturbed: &ReferenceDecisions,
) -> Result<()> {
    let client = lab.admin().await?;
    let runs = read_ledger_runs(&client).await?;
    let shards = read_ledger_shards(lab, &client).await?;
    let table = read_table(&client).await?;

    decided_at_most_once(&client, &shards, changed).await?;
    history_leads_to_the_records(&client, &shards).await?;
    table_says_what_the_records_say(&table, &shards, &runs, changed, undisturbed)?;
    for run in &runs {
        adds_up(lab, run, &shards).await?;
    }

    for (name, ended) in ends {
        ended_as_recorded(name, ended, &runs)?;
    }

    seals_hold(lab).await?;
    nobody_is_left(&client, &table, changed, undisturbed).await
}

/// Promise 15: whatever broke, every closed run has its seal, and `verify` finds nothing wrong.
async fn seals_hold(lab: &Lab) -> Result<()> {
    let mut client = lab.admin().await?;
    let ledger = ledger::read(&mut client).await?;
    let mut findings = check_chain(&ledger.seals, &ledger.runs).findings;
    let closed = ledger.runs.iter().filter(|run| run.status == RunStatus::Succeeded).count();
    ensure!(
        ledger.seals.len() >= closed,
        "promise 15: {} seals for {closed} closed runs",
        ledger.seals.len()
    );

    let task = lab.context.ui.task("verify");
    for run in &ledger.runs {
        let seal = ledger.seals.iter().find(|seal| seal.run_id == run.run_id);
        let report = check_objects((&lab.ready.aws, &client), run, seal, &task).await?;
        findings.extend(report.findings);
    }
    ensure!(findings.is_empty(), "promise 15: verify finds {findings:#?}");
    Ok(())
}

/// Promise 14: the history has one row for each decision that was written, at its place in the
/// record, and no other row.
async fn history_leads_to_the_records(client: &Client, shards: &[LedgerShard]) -> Result<()> {
    let rows = client
        .query(
            "SELECT run_id, shard_index, row_index, customer_id, outcome, new_limit::text
             FROM limit_increase_decisions ORDER BY run_id, shard_index, row_index",
            &[],
        )
        .await?;
    let found: Vec<String> = rows
        .iter()
        .map(|row| {
            let (run, shard, at): (&str, i32, i32) = (row.get(0), row.get(1), row.get(2));
            let (customer, outcome): (&str, &str) = (row.get(3), row.get(4));
            let limit: Option<&str> = row.get(5);
            format!("{run} {shard} {at} {customer} {outcome} {limit:?}")
        })
        .collect();

    let mut expected = Vec::new();
    for shard in shards {
        for (at, decided) in shard.decisions.iter().enumerate().filter(|(_, d)| d.written) {
            let StoredDecision { decision, new_limit, .. } = &decided.evaluated;
            let limit = new_limit.map(|limit| limit.to_string());
            expected.push(format!(
                "{} {} {at} {} {decision} {limit:?}",
                shard.run, shard.index, decided.customer
            ));
        }
    }

    let first = found.iter().zip(&expected).find(|(found, expected)| found != expected);
    ensure!(
        found == expected,
        "promise 14: the history has {} rows for {} decisions that were written; the first that \
         differs: {first:?}",
        found.len(),
        expected.len()
    );
    Ok(())
}

/// Promise 1: the trigger noted each customer at most once, and no two runs say that they decided
/// the same customer.
async fn decided_at_most_once(
    client: &Client,
    shards: &[LedgerShard],
    changed: &BTreeSet<String>,
) -> Result<()> {
    let twice = client
        .query(
            "SELECT customer_id, count(*), string_agg(coalesce(decision, 'NULL'), ', ')
             FROM decisions_written
             GROUP BY customer_id HAVING count(*) > 1",
            &[],
        )
        .await?;

    let twice: Vec<String> = twice
        .iter()
        .map(|row| format!("{} ({})", row.get::<_, String>(0), row.get::<_, String>(2)))
        .collect();
    ensure!(twice.is_empty(), "promise 1: written more than once: {twice:?}");

    let mut by_run = BTreeMap::new();
    for shard in shards {
        for decided in shard.decisions.iter().filter(|decided| decided.written) {
            let before = by_run.insert(&decided.customer, &shard.run);

            // A customer who was deleted and added again under the same id is another customer.
            ensure!(
                before.is_none() || changed.contains(&decided.customer),
                "promise 1: {} was decided by {} and by {before:?}",
                decided.customer,
                shard.run
            );
        }
    }

    Ok(())
}

/// Promise 2: every evaluation is that of an undisturbed run with the same model and policy.
/// Promise 8: every decision of the table comes from an applied shard, and is the one that the
/// shard's record says.
fn table_says_what_the_records_say(
    table: &BTreeMap<String, StoredDecision>,
    shards: &[LedgerShard],
    runs: &[LedgerRunRow],
    changed: &BTreeSet<String>,
    undisturbed: &ReferenceDecisions,
) -> Result<()> {
    let mut recorded = BTreeMap::new();
    for shard in shards {
        let run = runs.iter().find(|run| run.id == shard.run).context("a shard without a run")?;
        let context = run
            .context
            .as_ref()
            .with_context(|| format!("{} has shards and no context", run.id))?;
        let key = (context.model.sha256.clone(), context.policy_sha256.clone());
        let expected = undisturbed
            .get(&key)
            .with_context(|| format!("{}: neither model nor policy is known", run.id))?;

        for decided in &shard.decisions {
            if !changed.contains(&decided.customer) {
                let expected = expected.get(&decided.customer);
                ensure!(
                    expected == Some(&decided.evaluated),
                    "promise 2: {} should evaluate {} as an undisturbed run, \
                     {expected:?}; it says {:?}",
                    run.id,
                    decided.customer,
                    decided.evaluated
                );
            }

            if decided.written {
                recorded.insert(&decided.customer, &decided.evaluated);
            }
        }
    }

    for (customer, evaluated) in &recorded {
        let stored = table.get(*customer);
        // A customer whom somebody has deleted has no row.
        ensure!(
            stored == Some(evaluated) || (stored.is_none() && changed.contains(*customer)),
            "promise 8: the record says that {customer} was decided {evaluated:?}, the \
             table says {stored:?}"
        );
    }

    for (customer, stored) in table {
        let by_hand = changed.contains(customer) && stored.reason == "by hand";
        ensure!(
            by_hand || recorded.contains_key(customer),
            "promise 8: {customer} is decided {stored:?} by no applied shard"
        );
    }

    Ok(())
}

/// Promise 3: a shard's counts are those of its records, a closed run's are the sum of its shards,
/// and the summary says the same. Promise 5: a FAILED run has an error and a cause.
async fn adds_up(lab: &Lab, run: &LedgerRunRow, shards: &[LedgerShard]) -> Result<()> {
    let mut sum = Counts::default();
    let mut total_increase = Decimal::ZERO;
    let mut count = 0;
    for shard in shards.iter().filter(|shard| shard.run == run.id) {
        let mut counts = Counts::default();
        for decided in &shard.decisions {
            match Outcome::parse(&decided.evaluated.decision) {
                _ if !decided.written => counts.stale += 1,
                Some(outcome) => counts.add(outcome),
                None => anyhow::bail!(
                    "{}: no decision {}",
                    decided.customer,
                    decided.evaluated.decision
                ),
            }
        }

        let raised: Decimal =
            shard.decisions.iter().filter(|one| one.written).map(|one| one.raise).sum();
        ensure!(
            counts == shard.counts && raised == shard.total_increase,
            "promise 3: {}: the ledger has {:?} and {}, the results {counts:?} and {raised}",
            run.id,
            shard.counts,
            shard.total_increase
        );

        sum.approved += counts.approved;
        sum.declined += counts.declined;
        sum.referred += counts.referred;
        sum.stale += counts.stale;
        total_increase += raised;
        count += 1;
    }

    match run.status.as_str() {
        "SUCCEEDED" => {
            ensure!(
                run.counts == Some(sum)
                    && run.eligible == Some(sum.total().cast_signed())
                    && run.shard_count == Some(count)
                    && run.total_increase == Some(total_increase),
                "promise 3: {} has {:?} of {:?}, its shards add up to {sum:?}",
                run.id,
                run.counts,
                run.eligible
            );

            let key = summary_key(&run.id);
            let summary = storage::get(&lab.ready.aws.s3, BUCKET, &key).await?;
            let summary: RunSummary = serde_json::from_slice(
                &summary.with_context(|| format!("promise 3: there is no {key}"))?,
            )?;

            ensure!(
                summary.counts == sum && summary.status == RunStatus::Succeeded,
                "promise 3: {key} says {summary:?}"
            );
        }
        "FAILED" => ensure!(
            run.error.is_some() && run.cause.is_some(),
            "promise 5: {} is FAILED without an error or a cause: {:?}, {:?}",
            run.id,
            run.error,
            run.cause
        ),
        _ => {}
    }

    Ok(())
}

/// Promise 5: an execution that failed is FAILED in the ledger, and one that succeeded is
/// SUCCEEDED.
fn ended_as_recorded(name: &str, ended: &ExecutionEnd, runs: &[LedgerRunRow]) -> Result<()> {
    let run = runs.iter().find(|run| run.id.as_str() == name);
    let status = run.map_or("missing", |run| run.status.as_str());
    match ended {
        ExecutionEnd::Succeeded(_) => {
            ensure!(
                status == "SUCCEEDED",
                "promise 5: {name} succeeded, and the ledger says {status}"
            );
        }
        ExecutionEnd::Failed { error, cause, trail, .. } => {
            ensure!(error != "Test.Broken", "the test itself is broken in {name}: {cause}");

            ensure!(
                status == "FAILED",
                "promise 5: {name} failed ({error}, {trail:?}), and the ledger says {status}"
            );
        }
    }

    Ok(())
}

/// Promise 4: after the last run, the table is as an undisturbed run leaves it.
async fn nobody_is_left(
    client: &Client,
    table: &BTreeMap<String, StoredDecision>,
    changed: &BTreeSet<String>,
    undisturbed: &ReferenceDecisions,
) -> Result<()> {
    let everybody: BTreeSet<&String> = undisturbed.values().flat_map(BTreeMap::keys).collect();
    let missing: Vec<_> = everybody
        .iter()
        .filter(|id| !changed.contains(**id) && !table.contains_key(**id))
        .collect();
    ensure!(missing.is_empty(), "promise 4: never decided: {missing:?}");

    let others: Vec<_> =
        table.keys().filter(|id| !changed.contains(*id) && !everybody.contains(id)).collect();
    ensure!(others.is_empty(), "promise 4: decided, though not eligible: {others:?}");

    let left = client
        .query(
            "SELECT customer_id FROM batch_scores
             WHERE current_score >= 600 AND current_limit < 10000
             AND limit_increase_decision IS NULL",
            &[],
        )
        .await?;
    let left: Vec<String> = left.iter().map(|row| row.get(0)).collect();
    ensure!(left.is_empty(), "promise 4: eligible and undecided at the end: {left:?}");
    Ok(())
}

async fn read_table(client: &Client) -> Result<BTreeMap<String, StoredDecision>> {
    let rows = client
        .query(
            "SELECT customer_id, limit_increase_decision, new_limit, coalesce(decision_reason, '')
             FROM batch_scores WHERE limit_increase_decision IS NOT NULL",
            &[],
        )
        .await?;
    let stored = |row: &tokio_postgres::Row| {
        (
            row.get(0),
            StoredDecision { decision: row.get(1), new_limit: row.get(2), reason: row.get(3) },
        )
    };

    Ok(rows.iter().map(stored).collect())
}

async fn read_ledger_runs(client: &Client) -> Result<Vec<LedgerRunRow>> {
    let rows = client
        .query(
            "SELECT run_id, status, context::text, eligible, shard_count, approved, declined,
                    referred, stale, total_increase, error, cause
             FROM limit_increase_runs ORDER BY run_id",
            &[],
        )
        .await?;
    let run = |row: &tokio_postgres::Row| {
        let context: Option<String> = row.get(2);
        let count = |column: usize| row.get::<_, Option<i64>>(column).map(i64::unsigned_abs);
        let counts = match (count(5), count(6), count(7), count(8)) {
            (Some(approved), Some(declined), Some(referred), Some(stale)) => {
                Some(Counts { approved, declined, referred, stale })
            }
            _ => None,
        };

        Ok::<_, anyhow::Error>(LedgerRunRow {
            id: RunId::try_from(row.get::<_, String>(0))?,
            status: row.get(1),
            context: context.map(|context| serde_json::from_str(&context)).transpose()?,
            eligible: row.get(3),
            shard_count: row.get(4),
            counts,
            total_increase: row.get(9),
            error: row.get(10),
            cause: row.get(11),
        })
    };

    rows.iter().map(run).collect()
}

async fn read_ledger_shards(lab: &Lab, client: &Client) -> Result<Vec<LedgerShard>> {
    let rows = client
        .query(
            "SELECT run_id, shard_index, rows, approved, declined, referred, stale, total_increase
             FROM limit_increase_shards ORDER BY run_id, shard_index",
            &[],
        )
        .await?;
    let read = |row: tokio_postgres::Row| async move {
        let run = RunId::try_from(row.get::<_, String>(0))?;
        let index = ShardIndex(row.get::<_, i32>(1).unsigned_abs());
        let size = u32::try_from(row.get::<_, i64>(2))?;
        let count = |column: usize| row.get::<_, i64>(column).unsigned_abs();
        let counts =
            Counts { approved: count(3), declined: count(4), referred: count(5), stale: count(6) };
        let decisions = read_decisions(lab, &run, index, size).await?;
        Ok::<_, anyhow::Error>(LedgerShard {
            run,
            index,
            counts,
            total_increase: row.get(7),
            decisions,
        })
    };

    futures_util::stream::iter(rows.into_iter().map(read)).buffered(8).try_collect().await
}

/// The decisions of an applied shard, from its evaluations and its results. Promise 8: an applied
/// shard has its record.
async fn read_decisions(
    lab: &Lab,
    run: &RunId,
    index: ShardIndex,
    size: u32,
) -> Result<Vec<RecordedDecision>> {
    let object = |stage: Stage| async move {
        let key = stage.shard_key(run, index);
        let found = storage::get(&lab.ready.aws.s3, BUCKET, &key).await?;
        found.with_context(|| {
            format!("promise 8: the shard is in the ledger, and there is no {key}")
        })
    };

    let results = results::read(object(Stage::Results).await?, size)?;
    let evaluations = Evaluations::read(object(Stage::Evaluations).await?, size)?;
    let mut decisions = Vec::with_capacity(results.len());
    for (evaluation, [customer, decision, effect]) in evaluations.iter()?.zip(results) {
        let evaluation = evaluation?;
        ensure!(
            evaluation.customer_id == customer && evaluation.outcome.as_str() == decision,
            "promise 8: {run}, shard {index}: the evaluation says {} {}, the result \
             {customer} {decision}",
            evaluation.customer_id,
            evaluation.outcome
        );

        decisions.push(RecordedDecision {
            customer,
            raise: evaluation
                .new_limit
                .zip(evaluation.current_limit)
                .map_or(Decimal::ZERO, |(limit, current)| limit - current),
            evaluated: StoredDecision {
                decision,
                new_limit: evaluation.new_limit,
                reason: evaluation.reason.to_owned(),
            },
            written: effect == "WRITTEN",
        });
    }

    Ok(decisions)
}
