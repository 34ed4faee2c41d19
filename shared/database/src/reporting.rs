//! What the report of a closing run is made of: the counters of its shards, how it came to be, and
//! the runs before it.
//!
//! The counters are JSON to this crate. What cannot be read is `None`: a report must not keep a run
//! from being closed.

use chrono::{DateTime, NaiveDate, Utc};
use limit_increase_domain::Counts;
use limit_increase_workflow::{Failure, RunId, RunStatus};
use rust_decimal::Decimal;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_postgres::types::Json;
use tokio_postgres::{Client, GenericClient, Row};

use crate::closing::ClosingRun;
use crate::ledger::{reading_failure, writing_failure};

/// Customers that the query counted, beside those that it took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Candidates {
    /// Without a decision.
    pub undecided: Option<u64>,
    /// Those of them whom the policy lets in.
    pub qualifying: Option<u64>,
}

/// How a run came to be, as the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOrigin {
    /// The scheduled event that started the run.
    pub scheduled_event: Option<String>,
    /// The most customers that the request allows.
    pub limit: Option<u64>,
    /// What the query counted.
    pub candidates: Candidates,
    /// How often the execution was redriven.
    pub redrives: u32,
}

/// A run of the ledger, in the few numbers that a later run looks back on.
#[derive(Debug, Clone, PartialEq)]
pub struct LedgerRun {
    /// The run.
    pub run_id: RunId,
    /// How it ended.
    pub status: RunStatus,
    /// Its business date, if it was opened.
    pub as_of: Option<NaiveDate>,
    /// Whether it was a dry run.
    pub dry_run: bool,
    /// When it was opened.
    pub started_at: DateTime<Utc>,
    /// From its opening to its end, in seconds.
    pub seconds: Option<f64>,
    /// Customers that it took.
    pub eligible: Option<u64>,
    /// What became of them; `None` unless it succeeded.
    pub counts: Option<Counts>,
    /// Sum of (new limit - old limit).
    pub total_increase: Option<Decimal>,
    /// Its drift.
    pub drift: Option<Value>,
    /// Its scores in bins.
    pub scores: Option<Value>,
}

impl ClosingRun<'_> {
    /// The counters of each shard, in the order of the shards. A shard without readable counters is
    /// `None`.
    ///
    /// # Errors
    /// By SQLSTATE.
    pub async fn shard_profiles<P: DeserializeOwned>(&self) -> Result<Vec<Option<P>>, Failure> {
        let rows = self
            .transaction()
            .query(
                "SELECT profile FROM limit_increase_shards WHERE run_id = $1 ORDER BY shard_index",
                &[&self.summary().run_id.as_str()],
            )
            .await
            .map_err(reading_failure)?;
        Ok(rows
            .iter()
            .map(|row| row.try_get("profile").ok().map(|Json(profile)| profile))
            .collect())
    }

    /// How the run came to be.
    ///
    /// # Errors
    /// By SQLSTATE.
    pub async fn origin(&self) -> Result<RunOrigin, Failure> {
        let row = self
            .transaction()
            .query_one(
                "SELECT scheduled_event, (request->>'limit')::bigint AS limit, undecided,
                        qualifying, redrive
                 FROM limit_increase_runs WHERE run_id = $1",
                &[&self.summary().run_id.as_str()],
            )
            .await
            .map_err(reading_failure)?;
        let redrives: i32 = row.try_get("redrive").map_err(reading_failure)?;
        Ok(RunOrigin {
            scheduled_event: row.try_get("scheduled_event").map_err(reading_failure)?,
            limit: count(&row, "limit")?,
            candidates: Candidates {
                undecided: count(&row, "undecided")?,
                qualifying: count(&row, "qualifying")?,
            },
            redrives: redrives.unsigned_abs(),
        })
    }

    /// Keeps the counters of the run and its drift in the ledger.
    ///
    /// # Errors
    /// By SQLSTATE.
    pub async fn record_profile(
        &self,
        profile: &(impl Serialize + std::fmt::Debug + Sync),
        drift: &(impl Serialize + std::fmt::Debug + Sync),
    ) -> Result<(), Failure> {
        self.transaction()
            .execute(
                "UPDATE limit_increase_runs SET profile = $2, drift = $3 WHERE run_id = $1",
                &[&self.summary().run_id.as_str(), &Json(profile), &Json(drift)],
            )
            .await
            .map_err(writing_failure)?;
        Ok(())
    }

    /// The last runs that have ended, this one with them, the oldest first.
    ///
    /// # Errors
    /// By SQLSTATE.
    pub async fn past_runs(&self, most: usize) -> Result<Vec<LedgerRun>, Failure> {
        ended_runs(self.transaction(), Some(self.summary().started_at), most).await
    }
}

/// The last runs that have ended, the oldest first.
///
/// # Errors
/// By SQLSTATE.
pub async fn past_runs(client: &Client, most: usize) -> Result<Vec<LedgerRun>, Failure> {
    ended_runs(client, None, most).await
}

async fn ended_runs(
    client: &impl GenericClient,
    until: Option<DateTime<Utc>>,
    most: usize,
) -> Result<Vec<LedgerRun>, Failure> {
    let rows = client
        .query(
            "SELECT run_id, status, (context->>'as_of')::date AS as_of, started_at,
                    coalesce((context->>'dry_run')::boolean, false) AS dry_run,
                    extract(epoch FROM finished_at - started_at)::float8 AS seconds, eligible,
                    approved, declined, referred, stale, total_increase, drift,
                    profile->'scores' AS scores
             FROM limit_increase_runs
             WHERE ($1::timestamptz IS NULL OR started_at <= $1) AND status <> 'RUNNING'
             ORDER BY started_at DESC LIMIT $2",
            &[&until, &(most as i64)],
        )
        .await
        .map_err(reading_failure)?;
    rows.iter().rev().map(ledger_run).collect()
}

fn ledger_run(row: &Row) -> Result<LedgerRun, Failure> {
    let read = || {
        let document = |column: &str| row.try_get::<_, Option<Json<Value>>>(column);
        let name: String = row.try_get("run_id")?;
        let status: String = row.try_get("status")?;
        Ok((
            name,
            RunStatus::parse(&status).unwrap_or(RunStatus::Failed),
            row.try_get("as_of")?,
            row.try_get("dry_run")?,
            row.try_get("started_at")?,
            row.try_get("seconds")?,
            row.try_get("total_increase")?,
            document("drift")?.map(|Json(value)| value),
            document("scores")?.map(|Json(value)| value),
        ))
    };
    let (name, status, as_of, dry_run, started_at, seconds, total_increase, drift, scores) =
        read().map_err(reading_failure)?;

    let succeeded = status == RunStatus::Succeeded;
    let of = |column: &str| Ok(count(row, column)?.unwrap_or_default());
    let counts = Counts {
        approved: of("approved")?,
        declined: of("declined")?,
        referred: of("referred")?,
        stale: of("stale")?,
    };
    Ok(LedgerRun {
        run_id: RunId::try_from(name)
            .map_err(|error| crate::ledger::conflict_failure(error.to_string()))?,
        status,
        as_of,
        dry_run,
        started_at,
        seconds,
        eligible: count(row, "eligible")?,
        counts: succeeded.then_some(counts),
        total_increase,
        drift,
        scores,
    })
}

fn count(row: &Row, column: &str) -> Result<Option<u64>, Failure> {
    let number: Option<i64> = row.try_get(column).map_err(reading_failure)?;
    Ok(number.map(|number| u64::try_from(number).unwrap_or_default()))
}
