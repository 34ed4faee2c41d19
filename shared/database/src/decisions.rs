//! Applying a shard's decisions: one transaction that holds the shard's lock, writes the decisions
//! under a guard, and enters the shard in the ledger.

use std::collections::HashSet;
use std::fmt;
use std::pin::pin;

use limit_increase_domain::{Counts, Outcome};
use limit_increase_workflow::rows::Evaluation;
use limit_increase_workflow::{Failure, FailureKind, RunContext, ShardIndex};
use rust_decimal::Decimal;
use serde::Serialize;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row, Transaction};

use crate::error::database_failure;
use crate::history::add_decisions;
use crate::ledger::{KeptOfShard, ShardOutcome, find_shard, insert_shard, require_open, status_of};
use crate::schema::{TablePlan, plan_write};
use crate::transaction::begin;

/// The ids of the customers who are stale: changed, or decided by another run, since the query.
pub type StaleIds = HashSet<String>;

/// The files of a shard that the ledger vouches for. The list of shards has the customers' file, and
/// the evaluations name the scores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardFiles {
    /// SHA-256 of the decisions, in hexadecimal.
    pub evaluations_sha256: String,
    /// SHA-256 of the record of what became of them.
    pub results_sha256: String,
}

/// What an attempt finds when it has the lock of a shard.
#[derive(Debug)]
pub enum ShardLock<'c> {
    /// An earlier attempt has applied the shard.
    AlreadyApplied(ShardOutcome),
    /// This attempt has to apply the shard, and holds its lock until the transaction ends.
    Held(HeldShard<'c>),
}

/// The lock of a shard that is not applied yet, until this guard is committed or dropped.
///
/// The lock and the ledger row belong to one transaction. So a shard is applied at most once, even
/// when two attempts run simultaneously (promise 6).
pub struct HeldShard<'c> {
    transaction: Transaction<'c>,
    run: &'c RunContext,
    shard: ShardIndex,
}

impl fmt::Debug for HeldShard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldShard")
            .field("run", &self.run.run_id)
            .field("shard", &self.shard)
            .finish_non_exhaustive()
    }
}

fn applying_failure(error: tokio_postgres::Error) -> Failure {
    database_failure("applying a shard's decisions", &error)
}

impl<'c> ShardLock<'c> {
    /// Opens a transaction and takes the lock of a shard. The second of two attempts waits here,
    /// and then finds the ledger row of the first one.
    ///
    /// # Errors
    /// `Permanent.RunConflict` when the run was never opened, was opened as another, or has ended;
    /// otherwise by SQLSTATE.
    pub async fn hold(
        client: &'c mut Client,
        run: &'c RunContext,
        shard: ShardIndex,
    ) -> Result<Self, Failure> {
        let id = &run.run_id;
        let transaction = begin(client, "applying a shard's decisions").await?;
        transaction
            .execute(
                "SELECT pg_advisory_xact_lock(hashtextextended($1, $2))",
                &[&id.as_str(), &i64::from(shard.0)],
            )
            .await
            .map_err(applying_failure)?;

        let status = status_of(&transaction, run).await?;
        if let Some(outcome) = find_shard(&transaction, id, shard).await? {
            return Ok(Self::AlreadyApplied(outcome));
        }

        require_open(id, status)?;
        Ok(Self::Held(HeldShard { transaction, run, shard }))
    }
}

impl HeldShard<'_> {
    /// Writes the shard's decisions, their rows in the history, and the shard's ledger row. Returns
    /// the counts, and the ids of the stale customers. Both count after [`HeldShard::commit`].
    ///
    /// `profile_of` gives what the ledger keeps of the shard for the report of the run, as JSON.
    ///
    /// A dry run finds the stale customers in the same way, and writes no customer.
    ///
    /// # Errors
    /// `Permanent.DatabaseSchema` when the table was changed since the query, so that it cannot be
    /// written exactly; `Permanent.Internal` when the counts do not add up to the customers, which
    /// is a defect in the program; otherwise by SQLSTATE.
    pub async fn apply<P: Serialize + fmt::Debug + Sync>(
        &self,
        evaluations: &[Evaluation<'_>],
        profile_of: impl FnOnce(&StaleIds) -> Option<P>,
    ) -> Result<(ShardOutcome, StaleIds), Failure> {
        let (stale, customer_filter) = self.write(evaluations).await?;

        let Self { transaction, run, shard } = self;
        let (counts, total_increase) = count(evaluations, &stale);
        check_counts(*shard, counts, evaluations.len())?;

        let outcome = ShardOutcome { counts, total_increase, replayed: false };
        let profile = profile_of(&stale);
        let kept = KeptOfShard { customer_filter: customer_filter.as_deref(), profile };
        insert_shard(transaction, &run.run_id, *shard, &outcome, &kept)
            .await
            .map_err(applying_failure)?;

        Ok((outcome, stale))
    }

    /// Writes the decisions and the history. Returns the stale customers, and the filter of those
    /// who were written; a dry run has none.
    async fn write(
        &self,
        evaluations: &[Evaluation<'_>],
    ) -> Result<(StaleIds, Option<Vec<u8>>), Failure> {
        let Self { transaction, run, shard } = self;
        let plan = plan_write(transaction.client(), &run.policy).await?;
        copy_decisions(transaction, evaluations).await.map_err(applying_failure)?;
        if run.dry_run {
            let stale = find_stale(transaction, &plan).await.map_err(applying_failure)?;
            return Ok((stale, None));
        }

        let stale = write_decisions(transaction, &plan).await.map_err(applying_failure)?;
        let filter = add_decisions(transaction, run, *shard, evaluations, &stale)
            .await
            .map_err(applying_failure)?;
        Ok((stale, Some(filter)))
    }

    /// Makes the decisions and the ledger row durable, with the hashes of the shard's files, and
    /// releases the lock.
    ///
    /// # Errors
    /// By SQLSTATE. The commit may have happened all the same; the ledger says whether it did.
    pub async fn commit(self, files: &ShardFiles) -> Result<(), Failure> {
        self.transaction
            .execute(
                "INSERT INTO limit_increase_shard_files
                     (run_id, shard_index, evaluations_sha256, results_sha256)
                 VALUES ($1, $2, $3, $4)",
                &[
                    &self.run.run_id.as_str(),
                    &(self.shard.0 as i32),
                    &files.evaluations_sha256,
                    &files.results_sha256,
                ],
            )
            .await
            .map_err(applying_failure)?;
        self.transaction.commit().await.map_err(applying_failure)
    }
}

/// Copies the decisions into the temporary table `shard_decisions`, by binary COPY.
async fn copy_decisions(
    transaction: &Transaction<'_>,
    evaluations: &[Evaluation<'_>],
) -> Result<(), tokio_postgres::Error> {
    transaction
        .batch_execute(
            // One look-up by key for each of the shard's rows. The planner does not know that the
            // rows are a small part of batch_scores, and would read all of it for every shard.
            "SET LOCAL enable_hashjoin = off;
             SET LOCAL enable_mergejoin = off;
             CREATE TEMPORARY TABLE shard_decisions (
                 customer_id TEXT NOT NULL, current_score INTEGER, current_limit NUMERIC,
                 unreadable TEXT, decision TEXT NOT NULL, new_limit NUMERIC, reason TEXT NOT NULL
             ) ON COMMIT DROP",
        )
        .await?;
    let sink = transaction.copy_in("COPY shard_decisions FROM STDIN (FORMAT binary)").await?;
    let types =
        [Type::TEXT, Type::INT4, Type::NUMERIC, Type::TEXT, Type::TEXT, Type::NUMERIC, Type::TEXT];
    let mut writer = pin!(BinaryCopyInWriter::new(sink, &types));
    for evaluation in evaluations {
        let outcome = evaluation.outcome.as_str();
        let row: [&(dyn ToSql + Sync); 7] = [
            &evaluation.customer_id,
            &evaluation.current_score,
            &evaluation.current_limit,
            &evaluation.unreadable,
            &outcome,
            &evaluation.new_limit,
            &evaluation.reason,
        ];

        writer.as_mut().write(&row).await?;
    }

    writer.finish().await?;
    Ok(())
}

/// Writes each decision whose customer is still as the query found it, and returns the ids of the
/// others. A customer is decided at most once, because a written row is no longer undecided
/// (promise 1).
///
/// The stale customers are few. Returning the key of every customer that was written would cost
/// more than all the rest of the answer.
async fn write_decisions(
    transaction: &Transaction<'_>,
    plan: &TablePlan,
) -> Result<StaleIds, tokio_postgres::Error> {
    let update = format!(
        "WITH written AS (
             UPDATE batch_scores b
             SET limit_increase_decision = d.decision, new_limit = d.new_limit,
                 decision_reason = d.reason, updated_at = {}
             FROM shard_decisions d WHERE {}
             RETURNING d.customer_id)
         SELECT customer_id FROM shard_decisions
         EXCEPT SELECT customer_id FROM written",
        plan.updated_at(),
        plan.still_valid()
    );
    stale_ids(&transaction.query(&update, &[]).await?)
}

/// Returns the ids of those whom [`write_decisions`] would not write, and writes nobody.
async fn find_stale(
    transaction: &Transaction<'_>,
    plan: &TablePlan,
) -> Result<StaleIds, tokio_postgres::Error> {
    let select = format!(
        "SELECT d.customer_id FROM shard_decisions d
         WHERE NOT EXISTS (SELECT FROM batch_scores b WHERE {})",
        plan.still_valid()
    );
    stale_ids(&transaction.query(&select, &[]).await?)
}

fn stale_ids(rows: &[Row]) -> Result<StaleIds, tokio_postgres::Error> {
    rows.iter().map(|row| row.try_get("customer_id")).collect()
}

/// The counts, and the sum of the raises. A stale customer counts as stale, whatever was decided.
fn count(evaluations: &[Evaluation<'_>], stale: &StaleIds) -> (Counts, Decimal) {
    let mut counts = Counts::default();
    let mut total_increase = Decimal::ZERO;
    for evaluation in evaluations {
        if stale.contains(evaluation.customer_id) {
            counts.stale += 1;
            continue;
        }

        counts.add(evaluation.outcome);
        if let (Outcome::Approved, Some(new_limit), Some(current_limit)) =
            (evaluation.outcome, evaluation.new_limit, evaluation.current_limit)
        {
            total_increase += new_limit - current_limit;
        }
    }

    (counts, total_increase)
}

/// Every customer of the shard must be counted, exactly once (promise 3).
fn check_counts(shard: ShardIndex, counts: Counts, customers: usize) -> Result<(), Failure> {
    if counts.total() == customers as u64 {
        return Ok(());
    }

    Err(Failure::new(
        FailureKind::Internal,
        format!("shard {shard}: {} customers counted of {customers}", counts.total()),
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn evaluation(customer_id: &str, outcome: Outcome) -> Evaluation<'_> {
        let new_limit = (outcome == Outcome::Approved).then(|| Decimal::new(7_500, 0));
        Evaluation {
            customer_id,
            current_score: Some(700),
            current_limit: Some(Decimal::new(5_000, 0)),
            unreadable: None,
            annual_income: None,
            new_score: None,
            outcome,
            new_limit,
            reason: "",
            driver: None,
        }
    }

    #[test]
    fn a_stale_customer_counts_as_stale_whatever_was_decided() {
        let evaluations = [
            evaluation("a", Outcome::Approved),
            evaluation("b", Outcome::Approved),
            evaluation("c", Outcome::Declined),
            evaluation("d", Outcome::Referred),
            evaluation("e", Outcome::Declined),
        ];
        let stale = StaleIds::from(["b".to_owned(), "e".to_owned()]);

        let (counts, total_increase) = count(&evaluations, &stale);
        assert_eq!(counts, Counts { approved: 1, declined: 1, referred: 1, stale: 2 });
        assert_eq!(total_increase, Decimal::new(2_500, 0));
        assert_eq!(check_counts(ShardIndex(0), counts, evaluations.len()), Ok(()));
    }

    #[test]
    fn a_customer_who_is_not_counted_is_a_defect() {
        let counts = Counts { approved: 1, ..Counts::default() };
        let failure = check_counts(ShardIndex(3), counts, 2).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Internal);
        assert_eq!(failure.message, "shard 3: 1 customers counted of 2");
    }
}
