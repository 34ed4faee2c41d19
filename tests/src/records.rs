//! Reads and compares the results of a run: the table, the objects in S3, the ledger, the summary.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use limit_increase::model::BUCKET;
use limit_increase_domain::{Counts, Outcome};
use limit_increase_handoff::evaluations::Evaluations;
use limit_increase_handoff::results;
use limit_increase_workflow::ShardRef;
use limit_increase_workflow::keys::{Stage, shard_list_key, summary_key};
use limit_increase_workflow::{RunId, RunSummary};
use rust_decimal::Decimal;

use crate::Environment;

/// A decision as the table stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDecision {
    /// APPROVED, DECLINED or REFERRED.
    pub decision: String,
    /// The raised limit, when approved.
    pub new_limit: Option<Decimal>,
    /// The sentence that explains the decision.
    pub reason: String,
}

/// All decisions of the table, by customer.
///
/// # Errors
/// When the database does not answer, or a decision has no reason or no time.
pub fn decisions(environment: &Environment) -> Result<BTreeMap<String, StoredDecision>> {
    let client = environment.database()?;
    let rows = environment.block_on(client.query(
        "SELECT customer_id, limit_increase_decision, new_limit, decision_reason,
         updated_at IS NOT NULL
         FROM batch_scores WHERE limit_increase_decision IS NOT NULL",
        &[],
    ))?;

    let stored = |row: &tokio_postgres::Row| {
        let id: String = row.get(0);
        ensure!(row.get::<_, bool>(4), "{id}: decided without updated_at");

        let reason: Option<String> = row.get(3);
        let reason = reason.with_context(|| format!("{id}: decided without a reason"))?;
        Ok((id, StoredDecision { decision: row.get(1), new_limit: row.get(2), reason }))
    };

    rows.iter().map(stored).collect()
}

/// The results of a run, which were checked against each other: shard list, evaluations, results,
/// summary and ledger have the same customers and the same counts.
#[derive(Debug, Clone)]
pub struct RunRecord {
    /// The summary in S3.
    pub summary: RunSummary,
    /// What the run's evaluations say about each customer.
    pub evaluated: BTreeMap<String, StoredDecision>,
    /// The effect of each evaluation: WRITTEN, STALE or DRY_RUN.
    pub effects: BTreeMap<String, String>,
}

impl RunRecord {
    /// Reads the results of a run that has succeeded, and checks that they agree.
    ///
    /// # Errors
    /// When a part is missing, or two parts disagree.
    pub fn read(environment: &Environment, run: &RunId) -> Result<Self> {
        let summary: RunSummary = serde_json::from_slice(&environment.object(&summary_key(run))?)?;
        let shards: Vec<ShardRef> =
            serde_json::from_slice(&environment.object(&shard_list_key(run))?)?;
        let mut record = Self { summary, evaluated: BTreeMap::new(), effects: BTreeMap::new() };
        for shard in &shards {
            record.add_shard(environment, run, shard)?;
        }

        record.check(environment, &shards)?;
        Ok(record)
    }

    fn add_shard(
        &mut self,
        environment: &Environment,
        run: &RunId,
        shard: &ShardRef,
    ) -> Result<()> {
        let key = |stage: Stage| stage.shard_key(run, shard.index);
        ensure!(
            shard.key == key(Stage::Customers),
            "shard {} should be under {}, it is under {}",
            shard.index,
            key(Stage::Customers),
            shard.key
        );

        for stage in [Stage::Customers, Stage::ScoredCustomers] {
            ensure!(
                !environment.object(&key(stage))?.is_empty(),
                "{} should not be empty",
                key(stage)
            );
        }

        let evaluations =
            Evaluations::read(environment.object(&key(Stage::Evaluations))?, shard.rows)?;
        for evaluation in evaluations.iter()? {
            let evaluation = evaluation?;
            let stored = StoredDecision {
                decision: evaluation.outcome.as_str().to_owned(),
                new_limit: evaluation.new_limit,
                reason: evaluation.reason.to_owned(),
            };

            let before = self.evaluated.insert(evaluation.customer_id.to_owned(), stored);
            ensure!(
                before.is_none(),
                "promise 6: {} should be in one shard",
                evaluation.customer_id
            );
        }

        for [id, decision, effect] in
            results::read(environment.object(&key(Stage::Results))?, shard.rows)?
        {
            let evaluated = self
                .evaluated
                .get(&id)
                .with_context(|| format!("{id} has a result, no evaluation"))?;
            ensure!(
                evaluated.decision == decision,
                "promise 8: {id}: the evaluation says {}, the result {decision}",
                evaluated.decision
            );

            self.effects.insert(id, effect);
        }

        Ok(())
    }

    fn check(&self, environment: &Environment, shards: &[ShardRef]) -> Result<()> {
        let mut counts = Counts::default();
        for (id, effect) in &self.effects {
            match (effect.as_str(), Outcome::parse(&self.evaluated[id].decision)) {
                ("STALE", _) => counts.stale += 1,
                (_, Some(outcome)) => counts.add(outcome),
                (_, None) => anyhow::bail!("{id}: no decision {}", self.evaluated[id].decision),
            }
        }

        let summary = &self.summary;
        ensure!(
            self.effects.len() == self.evaluated.len(),
            "promise 3: results and evaluations should have the same customers"
        );

        ensure!(
            counts == summary.counts,
            "promise 3: the results count {counts:?}, the summary {:?}",
            summary.counts
        );

        ensure!(
            summary.counts.total() == summary.eligible,
            "promise 3: the counts should add up to the eligible: {summary:?}"
        );

        ensure!(
            summary.shard_count as usize == shards.len(),
            "the summary has {} shards, the list {}",
            summary.shard_count,
            shards.len()
        );

        ensure!(
            summary.model.bucket == BUCKET,
            "the model should come from {BUCKET}, it came from {}",
            summary.model.bucket
        );

        let ledger = LedgerRow::read(environment, &summary.run_id)?;
        ensure!(
            ledger.status == "SUCCEEDED" && ledger.counts == Some(counts),
            "promise 3: the ledger should have the run SUCCEEDED with {counts:?}, it has {ledger:?}"
        );

        ensure!(
            ledger.eligible == Some(summary.eligible),
            "promise 3: the ledger should have {} eligible, it has {ledger:?}",
            summary.eligible
        );
        ensure!(
            ledger.total_increase == Some(summary.total_increase),
            "promise 3: the ledger should have the increase {}, it has {ledger:?}",
            summary.total_increase
        );
        Ok(())
    }

    /// Checks that every decision that the run wrote is in the table with the same words.
    ///
    /// # Errors
    /// When a decision is missing or differs.
    pub fn check_table(&self, table: &BTreeMap<String, StoredDecision>) -> Result<()> {
        for (id, effect) in &self.effects {
            let stored = table.get(id);
            if effect == "WRITTEN" {
                ensure!(
                    stored == self.evaluated.get(id),
                    "promise 8: {id}: the table says {stored:?}, the record in S3 {:?}",
                    self.evaluated[id]
                );
            }
        }

        Ok(())
    }
}

/// A run in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerRow {
    /// RUNNING, SUCCEEDED or FAILED.
    pub status: String,
    /// The number of customers that the run took.
    pub eligible: Option<u64>,
    /// The counts, when the run is closed.
    pub counts: Option<Counts>,
    /// The sum of the raises, when the run is closed.
    pub total_increase: Option<Decimal>,
    /// The name of the error, when the run failed.
    pub error: Option<String>,
    /// The error's cause.
    pub cause: Option<String>,
}

impl LedgerRow {
    /// The row of a run.
    ///
    /// # Errors
    /// When the database does not answer, or there is no such row.
    pub fn read(environment: &Environment, run: &RunId) -> Result<Self> {
        let client = environment.database()?;
        let row = environment
            .block_on(client.query_opt(
                "SELECT status, eligible, approved, declined, referred, stale, total_increase,
                 error, cause
                 FROM limit_increase_runs WHERE run_id = $1",
                &[&run.as_str()],
            ))?
            .with_context(|| format!("run {run} is not in the ledger"))?;
        let count = |column: usize| row.get::<_, Option<i64>>(column).map(i64::unsigned_abs);
        let counts = match (count(2), count(3), count(4), count(5)) {
            (Some(approved), Some(declined), Some(referred), Some(stale)) => {
                Some(Counts { approved, declined, referred, stale })
            }
            _ => None,
        };

        Ok(Self {
            status: row.get(0),
            eligible: count(1),
            counts,
            total_increase: row.get(6),
            error: row.get(7),
            cause: row.get(8),
        })
    }
}
