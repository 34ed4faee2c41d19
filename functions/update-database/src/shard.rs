//! Applying one shard: its decisions from S3 into the table, and what became of each into S3.

use limit_increase_database::{Database, HeldShard, Shard, ShardOutcome, hold_shard};
use limit_increase_handoff::evaluations::Evaluations;
use limit_increase_handoff::results::{Effect, ResultsWriter};
use limit_increase_handoff::{CONTENT_TYPE, HandoffError};
use limit_increase_storage::Storage;
use limit_increase_workflow::contract::{ShardApplied, ShardTask};
use limit_increase_workflow::keys::Stage;
use limit_increase_workflow::rows::Evaluation;
use limit_increase_workflow::{Failure, RunContext, ShardRef};

/// Applies a shard once; asked again, answers with the same counts.
///
/// # Errors
/// By the step that failed: hand-off, ledger, database, storage.
pub(crate) async fn apply(
    database: &Database,
    storage: &Storage,
    task: &ShardTask,
) -> Result<ShardApplied, Failure> {
    let ShardTask { run, shard } = task;
    let source = Stage::Evaluations.shard_key(&run.run_id, shard.index);
    let bytes = storage.get_verified(&run.bucket, &source).await?;
    let bad = |error: HandoffError| error.into_failure(&run.bucket, &source);
    let file = Evaluations::read(bytes, shard.rows).map_err(bad)?;
    let evaluations: Vec<Evaluation<'_>> = file.iter().and_then(Iterator::collect).map_err(bad)?;
    let mut client = database.client().await?;
    let outcome = match hold_shard(&mut client, &run.run_id, shard.index).await? {
        Shard::Applied(outcome) => outcome,
        Shard::Held(held) => decide(held, storage, run, shard, &evaluations).await?,
    };

    tracing::info!(
        shard = shard.index.0,
        approved = outcome.counts.approved,
        declined = outcome.counts.declined,
        referred = outcome.counts.referred,
        stale = outcome.counts.stale,
        replayed = outcome.replayed,
        "shard applied"
    );

    Ok(ShardApplied { index: shard.index, counts: outcome.counts, replayed: outcome.replayed })
}

/// Applies, records and commits, in this order: so once a decision is in the table, its record is in S3 as well. Should the
/// commit then fail, the retry writes the record anew.
///
/// The record replaces exactly what was there when the shard was held, because an attempt may come late: frozen, or waiting
/// for S3, until the database took the shard from it and gave it to another. The statements in between fail in one that had
/// lost it before it looked.
async fn decide(
    held: HeldShard<'_>,
    storage: &Storage,
    run: &RunContext,
    shard: &ShardRef,
    evaluations: &[Evaluation<'_>],
) -> Result<ShardOutcome, Failure> {
    let key = Stage::Results.shard_key(&run.run_id, shard.index);
    let previous = storage.etag(&run.bucket, &key).await?;
    let (outcome, stale) = held.apply(run.dry_run, evaluations).await?;
    let unless_stale = if run.dry_run { Effect::DryRun } else { Effect::Written };
    let mut results = ResultsWriter::default();
    for evaluation in evaluations {
        let is_stale = stale.contains(evaluation.customer_id);
        results.push(evaluation, if is_stale { Effect::Stale } else { unless_stale });
    }

    let bytes = results.finish().map_err(|error| error.into_failure(&run.bucket, &key))?;
    storage.replace(&run.bucket, &key, previous.as_deref(), bytes, CONTENT_TYPE).await?;
    held.commit().await?;
    Ok(outcome)
}
