//! Applying a shard's decisions: one transaction, guarded, remembered in the ledger.

use std::collections::HashSet;
use std::pin::pin;

use limit_increase_domain::{Counts, Outcome};
use limit_increase_workflow::{Failure, FailureKind, RunId, ShardIndex};
use rust_decimal::Decimal;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Transaction};

use crate::error::database_failure;
use crate::ledger::{applied_shard, require_open};
use limit_increase_workflow::rows::Evaluation;

/// What became of a shard's decisions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardOutcome {
    /// Customers by what became of them.
    pub counts: Counts,
    /// Sum of the raises.
    pub total_increase: Decimal,
    /// Whether an earlier attempt had applied the shard; then nothing was done now.
    pub replayed: bool,
}

/// A shard that is to be applied: already, or now.
#[derive(Debug)]
pub enum Shard<'c> {
    /// An earlier attempt has applied it.
    Applied(ShardOutcome),
    /// It is this attempt's, until its transaction ends.
    Held(HeldShard<'c>),
}

/// A shard that no other attempt can apply while this one holds it.
pub struct HeldShard<'c> {
    transaction: Transaction<'c>,
    run: &'c RunId,
    shard: ShardIndex,
}

impl std::fmt::Debug for HeldShard<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HeldShard")
            .field("run", &self.run)
            .field("shard", &self.shard)
            .finish_non_exhaustive()
    }
}

fn failed(error: tokio_postgres::Error) -> Failure {
    database_failure("applying a shard's decisions", &error)
}

/// Opens the transaction that applies a shard. Two attempts at one shard take turns: the second finds the first one's
/// ledger row.
///
/// # Errors
/// `Permanent.RunConflict` when the run was never opened or has ended; else by SQLSTATE.
pub async fn hold_shard<'c>(
    client: &'c mut Client,
    run: &'c RunId,
    shard: ShardIndex,
) -> Result<Shard<'c>, Failure> {
    let transaction = client.transaction().await.map_err(failed)?;
    transaction
        .execute(
            "SELECT pg_advisory_xact_lock(hashtextextended($1, $2))",
            &[&run.as_str(), &i64::from(shard.0)],
        )
        .await
        .map_err(failed)?;
    if let Some(outcome) = applied_shard(&transaction, run, shard).await? {
        return Ok(Shard::Applied(outcome));
    }

    require_open(&transaction, run).await?;
    Ok(Shard::Held(HeldShard { transaction, run, shard }))
}

impl HeldShard<'_> {
    /// Writes the shard's decisions and its ledger row, and each customer at most once; gives the ids of the stale ones
    /// too. Nothing holds before [`HeldShard::commit`].
    ///
    /// A decision is written only if its customer is still undecided, with score and limit as they were queried;
    /// otherwise the customer is counted stale and left alone. A dry run finds out the same and writes no customer.
    ///
    /// # Errors
    /// `Permanent.Internal` when the counts do not add up to the customers, which is a defect; else by SQLSTATE.
    pub async fn apply(
        &self,
        dry_run: bool,
        evaluations: &[Evaluation<'_>],
    ) -> Result<(ShardOutcome, HashSet<String>), Failure> {
        let Self { transaction, run, shard } = self;
        stage(transaction, evaluations).await.map_err(failed)?;
        let stale =
            stale(transaction, if dry_run { STALE_NOW } else { UPDATE }).await.map_err(failed)?;
        let (counts, total_increase) = count(evaluations, &stale);
        if counts.total() != evaluations.len() as u64 {
            return Err(Failure::new(
                FailureKind::Internal,
                format!(
                    "shard {shard}: {} customers counted of {}",
                    counts.total(),
                    evaluations.len()
                ),
            ));
        }

        insert_ledger_row(transaction, run, *shard, counts, total_increase)
            .await
            .map_err(failed)?;
        Ok((ShardOutcome { counts, total_increase, replayed: false }, stale))
    }

    /// Makes what was applied hold.
    ///
    /// # Errors
    /// By SQLSTATE; whether it holds is then for the ledger to say.
    pub async fn commit(self) -> Result<(), Failure> {
        self.transaction.commit().await.map_err(failed)
    }
}

/// Brings the decisions into a temporary table, by binary COPY.
async fn stage(
    transaction: &Transaction<'_>,
    evaluations: &[Evaluation<'_>],
) -> Result<(), tokio_postgres::Error> {
    transaction
        .batch_execute(
            // For each of the shard's rows one look-up by key: the planner, who doesn't know that the rows are a small
            // part of the table, would read all of it for every shard.
            "SET LOCAL enable_hashjoin = off;
             SET LOCAL enable_mergejoin = off;
             CREATE TEMPORARY TABLE shard_decisions (
                 customer_id TEXT NOT NULL, current_score INTEGER NOT NULL, current_limit NUMERIC NOT NULL,
                 decision TEXT NOT NULL, new_limit NUMERIC, reason TEXT NOT NULL
             ) ON COMMIT DROP",
        )
        .await?;
    let sink = transaction.copy_in("COPY shard_decisions FROM STDIN (FORMAT binary)").await?;
    let types = [Type::TEXT, Type::INT4, Type::NUMERIC, Type::TEXT, Type::NUMERIC, Type::TEXT];
    let mut writer = pin!(BinaryCopyInWriter::new(sink, &types));
    for evaluation in evaluations {
        let outcome = evaluation.outcome.as_str();
        let row: [&(dyn ToSql + Sync); 6] = [
            &evaluation.customer_id,
            &evaluation.current_score,
            &evaluation.current_limit,
            &outcome,
            &evaluation.new_limit,
            &evaluation.reason,
        ];

        writer.as_mut().write(&row).await?;
    }

    writer.finish().await?;
    Ok(())
}

/// A decision holds while its customer is as the query found it. Both statements below join on exactly this.
macro_rules! still_valid {
    () => {
        "b.customer_id = d.customer_id AND b.limit_increase_decision IS NULL
             AND b.current_score = d.current_score AND b.current_limit = d.current_limit"
    };
}

/// Writes what holds, and gives the others, who are few: sending back every key that was written would cost more
/// than the rest of the answer.
const UPDATE: &str = concat!(
    "WITH written AS (
         UPDATE batch_scores b
         SET limit_increase_decision = d.decision, new_limit = d.new_limit, decision_reason = d.reason,
             updated_at = now() AT TIME ZONE 'UTC'
         FROM shard_decisions d WHERE ",
    still_valid!(),
    "
         RETURNING d.customer_id)
     SELECT customer_id FROM shard_decisions EXCEPT SELECT customer_id FROM written"
);

/// Gives whom [`UPDATE`] would not write, and writes nobody.
const STALE_NOW: &str = concat!(
    "SELECT d.customer_id FROM shard_decisions d WHERE NOT EXISTS (SELECT FROM batch_scores b WHERE ",
    still_valid!(),
    ")"
);

async fn stale(
    transaction: &Transaction<'_>,
    sql: &str,
) -> Result<HashSet<String>, tokio_postgres::Error> {
    Ok(transaction.query(sql, &[]).await?.iter().map(|row| row.get(0)).collect())
}

fn count(evaluations: &[Evaluation<'_>], stale: &HashSet<String>) -> (Counts, Decimal) {
    let mut counts = Counts::default();
    let mut total_increase = Decimal::ZERO;
    for evaluation in evaluations {
        if stale.contains(evaluation.customer_id) {
            counts.stale += 1;
            continue;
        }

        counts.add(evaluation.outcome);
        if let (Outcome::Approved, Some(new_limit)) = (evaluation.outcome, evaluation.new_limit) {
            total_increase += new_limit - evaluation.current_limit;
        }
    }

    (counts, total_increase)
}

async fn insert_ledger_row(
    transaction: &Transaction<'_>,
    run: &RunId,
    shard: ShardIndex,
    counts: Counts,
    total_increase: Decimal,
) -> Result<(), tokio_postgres::Error> {
    // Counts of a shard are at most its 50,000 rows, so the casts keep every value.
    let number = |count: u64| count as i64;
    transaction
        .execute(
            "INSERT INTO limit_increase_shards
                 (run_id, shard_index, rows, approved, declined, referred, stale, total_increase, applied_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, now())",
            &[
                &run.as_str(),
                &(shard.0 as i32),
                &number(counts.total()),
                &number(counts.approved),
                &number(counts.declined),
                &number(counts.referred),
                &number(counts.stale),
                &total_increase,
            ],
        )
        .await?;
    Ok(())
}
