//! Closing a run: its shards must add up to its customers, and its summary is written before the
//! run counts as closed.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use limit_increase_domain::Counts;
use limit_increase_workflow::contract::{Execution, RunToFinish};
use limit_increase_workflow::{Failure, RunContext, RunId, RunStatus, RunSummary};
use rust_decimal::Decimal;
use tokio_postgres::{Client, Transaction};

use crate::ledger::{
    LedgerRow, conflict_failure, not_opened_failure, reading_failure, redrive_of, writing_failure,
};
use crate::seal::seal_run;
use crate::transaction::begin;

/// A run whose shards add up (promise 3), with its ledger row locked and set to SUCCEEDED in a
/// transaction that is still open.
///
/// The caller writes [`ClosingRun::summary`] to S3 and then calls [`ClosingRun::commit`]. When the
/// summary cannot be written, dropping the guard rolls back: the run is not left SUCCEEDED by an
/// execution that fails (promise 5).
pub struct ClosingRun<'c> {
    transaction: Transaction<'c>,
    context: RunContext,
    summary: RunSummary,
    sealed: bool,
}

/// A run that is closed.
#[derive(Debug, Clone)]
pub struct ClosedRun {
    /// Its summary.
    pub summary: RunSummary,
    /// Its seal. Whoever keeps it elsewhere can prove that no run up to this one was changed since.
    pub seal: String,
}

/// The row of a run, locked.
struct LockedRun {
    context: RunContext,
    eligible: u64,
    started_at: DateTime<Utc>,
    /// When a closed run was first closed; the time now for a run that never was.
    finished_at: DateTime<Utc>,
    sealed: bool,
}

/// The sums over the shards of a run that were applied.
struct ShardSums {
    shards: u32,
    counts: Counts,
    total_increase: Decimal,
}

impl fmt::Debug for ClosingRun<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClosingRun").field("summary", &self.summary).finish_non_exhaustive()
    }
}

impl<'c> ClosingRun<'c> {
    /// Locks the run, checks it, and sets it to SUCCEEDED. A run that is closed already gives the
    /// same summary again.
    ///
    /// # Errors
    /// `Permanent.RunConflict` when the run was never opened, was opened as another, has failed in
    /// this redrive or in a later one, or has shards that are missing or do not add up; otherwise by
    /// SQLSTATE.
    pub async fn hold(client: &'c mut Client, to_finish: &RunToFinish) -> Result<Self, Failure> {
        let run = &to_finish.run.run_id;
        let transaction = begin(client, "writing the ledger").await?;

        let locked = lock_run(&transaction, run, to_finish.execution).await?;
        check_identity(&locked, to_finish)?;

        let sums = sum_shards(&transaction, run).await?;
        check_sums(&sums, to_finish)?;

        // A closed run too: the execution may have been redriven since, and then a late event about
        // the redrive before must not fail it.
        mark_succeeded(&transaction, to_finish, &sums, locked.finished_at).await?;

        let (context, sealed) = (locked.context.clone(), locked.sealed);
        Ok(Self { transaction, context, summary: summarise(locked, &sums), sealed })
    }

    /// The summary, which has to be in S3 before the commit.
    #[must_use]
    pub const fn summary(&self) -> &RunSummary {
        &self.summary
    }

    /// Whether the run was closed before. What its seal vouches for has to stay as it is.
    #[must_use]
    pub const fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// The transaction, for the other statements about the run.
    pub(crate) const fn transaction(&self) -> &Transaction<'c> {
        &self.transaction
    }

    /// Seals the run over the one that was closed before it, and closes it. `objects` are the hashes
    /// of what the caller has written to S3, by key. A run that was closed before keeps its seal.
    ///
    /// # Errors
    /// By SQLSTATE.
    pub async fn commit(self, objects: BTreeMap<String, String>) -> Result<ClosedRun, Failure> {
        let Self { transaction, context, summary, .. } = self;
        let seal = seal_run(&transaction, &context, &summary, objects).await?;
        transaction.commit().await.map_err(writing_failure)?;
        Ok(ClosedRun { summary, seal })
    }
}

/// Locks the run's row until the transaction ends.
///
/// A run that is sealed keeps the time at which it was first closed, so that it is closed again as it
/// was sealed (promise 15): its execution did not learn that it was closed, failed, and was redriven.
///
/// A failure of an earlier redrive is over: the execution was redriven inside the Map or in
/// SaveResults, where nothing tells the ledger.
///
/// The lock is a statement of its own. A statement that waits for a lock sees the row as the other
/// transaction left it, but other tables as they were before the wait: without the seal of an attempt
/// that has just closed the run.
async fn lock_run(
    transaction: &Transaction<'_>,
    run: &RunId,
    execution: Execution,
) -> Result<LockedRun, Failure> {
    transaction
        .execute("SELECT FROM limit_increase_runs WHERE run_id = $1 FOR UPDATE", &[&run.as_str()])
        .await
        .map_err(reading_failure)?;
    let row = transaction
        .query_opt(
            "SELECT status, started_at, context, eligible,
                    coalesce(failed_at_redrive, 0) >= $2 AS failed_now,
                    seal.run_id IS NOT NULL AS sealed,
                    coalesce(
                        (seal.document::jsonb ->> 'finished_at')::timestamptz,
                        CASE status WHEN 'SUCCEEDED' THEN finished_at
                                    ELSE date_trunc('milliseconds', clock_timestamp()) END
                    ) AS finished_at
             FROM limit_increase_runs AS run
             LEFT JOIN limit_increase_seals AS seal USING (run_id, started_at)
             WHERE run_id = $1 AND context IS NOT NULL",
            &[&run.as_str(), &redrive_of(execution)],
        )
        .await
        .map_err(reading_failure)?
        .ok_or_else(|| not_opened_failure(run))?;

    let row = LedgerRow::new(run, row);
    let status = row.status()?;
    if status == RunStatus::Failed && row.get("failed_now")? {
        return Err(conflict_failure(format!("run {run} has failed; redrive the execution")));
    }

    Ok(LockedRun {
        context: row.document("context")?,
        eligible: row.count::<i64, _>("eligible")?,
        started_at: row.get("started_at")?,
        finished_at: row.get("finished_at")?,
        sealed: row.get("sealed")?,
    })
}

/// The run must be the one that was opened: the same model, policy and customers (promise 2).
fn check_identity(locked: &LockedRun, to_finish: &RunToFinish) -> Result<(), Failure> {
    if locked.context == to_finish.run && locked.eligible == to_finish.eligible {
        return Ok(());
    }

    Err(conflict_failure(format!(
        "run {} was opened with another model, policy or selection than it is to be closed with",
        to_finish.run.run_id
    )))
}

async fn sum_shards(transaction: &Transaction<'_>, run: &RunId) -> Result<ShardSums, Failure> {
    let row = transaction
        .query_one(
            "SELECT coalesce(sum(approved), 0)::bigint AS approved,
                    coalesce(sum(declined), 0)::bigint AS declined,
                    coalesce(sum(referred), 0)::bigint AS referred,
                    coalesce(sum(stale), 0)::bigint AS stale,
                    coalesce(sum(total_increase), 0.00) AS total_increase, count(*) AS shards
             FROM limit_increase_shards WHERE run_id = $1",
            &[&run.as_str()],
        )
        .await
        .map_err(reading_failure)?;

    let row = LedgerRow::new(run, row);
    Ok(ShardSums {
        shards: row.count::<i64, _>("shards")?,
        counts: row.counts()?,
        total_increase: row.get("total_increase")?,
    })
}

/// Every shard must be applied, and their counts must add up to the run's customers (promise 3).
fn check_sums(sums: &ShardSums, to_finish: &RunToFinish) -> Result<(), Failure> {
    let RunToFinish { run, eligible, shard_count, .. } = to_finish;
    if sums.shards == *shard_count && sums.counts.total() == *eligible {
        return Ok(());
    }

    Err(conflict_failure(format!(
        "run {} does not add up: {} of {shard_count} shards applied, {} of {eligible} customers \
         counted; redrive the execution",
        run.run_id,
        sums.shards,
        sums.counts.total()
    )))
}

async fn mark_succeeded(
    transaction: &Transaction<'_>,
    to_finish: &RunToFinish,
    sums: &ShardSums,
    finished_at: DateTime<Utc>,
) -> Result<(), Failure> {
    let counts = sums.counts;
    transaction
        .execute(
            "UPDATE limit_increase_runs
             SET status = 'SUCCEEDED', approved = $2, declined = $3, referred = $4, stale = $5,
                 total_increase = $6, error = NULL, cause = NULL, finished_at = $7,
                 failed_at_redrive = NULL, redrive = greatest(redrive, $8)
             WHERE run_id = $1",
            &[
                &to_finish.run.run_id.as_str(),
                &(counts.approved as i64),
                &(counts.declined as i64),
                &(counts.referred as i64),
                &(counts.stale as i64),
                &sums.total_increase,
                &finished_at,
                &redrive_of(to_finish.execution),
            ],
        )
        .await
        .map_err(writing_failure)?;
    Ok(())
}

fn summarise(locked: LockedRun, sums: &ShardSums) -> RunSummary {
    let LockedRun { context, eligible, started_at, finished_at, .. } = locked;
    RunSummary {
        run_id: context.run_id,
        status: RunStatus::Succeeded,
        as_of: context.as_of,
        dry_run: context.dry_run,
        eligible,
        counts: sums.counts,
        total_increase: sums.total_increase,
        shard_count: sums.shards,
        model: context.model,
        policy: context.policy,
        policy_sha256: context.policy_sha256,
        release: context.release,
        started_at,
        finished_at,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use limit_increase_domain::Policy;
    use limit_increase_workflow::{FailureKind, HandoffRef, ModelPin, Release};

    fn to_finish() -> RunToFinish {
        let policy = Policy::default();
        let run = RunContext {
            run_id: RunId::try_from("night".to_owned()).unwrap(),
            bucket: "b".to_owned(),
            model: ModelPin {
                bucket: "b".to_owned(),
                key: "k".to_owned(),
                version_id: None,
                etag: "e".to_owned(),
                sha256: "s".to_owned(),
            },
            policy_sha256: policy.sha256(),
            policy,
            dry_run: false,
            as_of: "2026-11-24".parse().unwrap(),
            release: Release::from("0.1.0+a".to_owned()),
            shard_list: HandoffRef { sha256: "l".to_owned(), version_id: None },
        };

        RunToFinish { run, eligible: 10, shard_count: 2, execution: Execution::default() }
    }

    fn locked(to_finish: &RunToFinish) -> LockedRun {
        LockedRun {
            context: to_finish.run.clone(),
            eligible: to_finish.eligible,
            started_at: "2026-11-24T02:00:07Z".parse().unwrap(),
            finished_at: "2026-11-24T02:00:09Z".parse().unwrap(),
            sealed: false,
        }
    }

    fn sums() -> ShardSums {
        ShardSums {
            shards: 2,
            counts: Counts { approved: 4, declined: 3, referred: 2, stale: 1 },
            total_increase: Decimal::new(1_250_000, 2),
        }
    }

    #[test]
    fn a_run_is_closed_only_as_it_was_opened() {
        let opened = to_finish();
        assert_eq!(check_identity(&locked(&opened), &opened), Ok(()));

        let mut other_model = opened.clone();
        other_model.run.model.sha256 = "t".to_owned();
        let mut other_policy = opened.clone();
        other_policy.run.policy_sha256 = "q".to_owned();
        let mut other_date = opened.clone();
        other_date.run.as_of = "2026-11-25".parse().unwrap();
        let mut other_release = opened.clone();
        other_release.run.release = Release::from("0.1.0+b".to_owned());
        let mut more_customers = opened.clone();
        more_customers.eligible += 1;
        for other in [other_model, other_policy, other_date, other_release, more_customers] {
            let failure = check_identity(&locked(&opened), &other).unwrap_err();
            assert_eq!(failure.kind, FailureKind::RunConflict);
            assert!(failure.message.contains("run night was opened with another"), "{failure}");
        }
    }

    #[test]
    fn every_shard_and_every_customer_has_to_be_counted() {
        let to_finish = to_finish();
        assert_eq!(check_sums(&sums(), &to_finish), Ok(()));

        let missing_shard = ShardSums { shards: 1, ..sums() };
        let extra_shard = ShardSums { shards: 3, ..sums() };
        let missing_customer = ShardSums { counts: Counts { stale: 0, ..sums().counts }, ..sums() };
        let extra_customer =
            ShardSums { counts: Counts { approved: 5, ..sums().counts }, ..sums() };
        for (sums, expected) in [
            (missing_shard, "1 of 2 shards applied, 10 of 10 customers"),
            (extra_shard, "3 of 2 shards applied, 10 of 10 customers"),
            (missing_customer, "2 of 2 shards applied, 9 of 10 customers"),
            (extra_customer, "2 of 2 shards applied, 11 of 10 customers"),
        ] {
            let failure = check_sums(&sums, &to_finish).unwrap_err();
            assert_eq!(failure.kind, FailureKind::RunConflict);
            assert!(failure.message.contains(expected), "{failure}");
        }
    }

    #[test]
    fn the_summary_says_what_the_ledger_says() {
        let opened = to_finish();
        let summary = summarise(locked(&opened), &sums());
        assert_eq!(summary.run_id, opened.run.run_id);
        assert_eq!(summary.status, RunStatus::Succeeded);
        assert_eq!(summary.counts.total(), summary.eligible);
        assert_eq!(summary.total_increase, Decimal::new(1_250_000, 2));
        assert_eq!((summary.finished_at - summary.started_at).num_seconds(), 2);
    }
}
