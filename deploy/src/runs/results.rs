//! The results as the tables hold them: totals, the largest increases, declines with their reasons,
//! and the last runs.

use anyhow::{Context as _, Result};
use chrono::{DateTime, Utc};
use limit_increase_domain::Outcome;
use limit_increase_domain::policy::Eligibility;
use limit_increase_workflow::RunStatus;
use rust_decimal::Decimal;
use serde::Serialize;
use tokio_postgres::{Client, Row, Transaction};

/// Counts the customers by decision. `$1` is the lowest eligible score in points, `$2` the limit
/// below which a customer is eligible. The casts are for a lender's own types.
const TOTALS: &str = "
    SELECT count(*) AS customers,
           count(*) FILTER (WHERE limit_increase_decision = 'APPROVED') AS approved,
           count(*) FILTER (WHERE limit_increase_decision = 'DECLINED') AS declined,
           count(*) FILTER (WHERE limit_increase_decision = 'REFERRED') AS referred,
           count(*) FILTER (WHERE limit_increase_decision IS NULL
                              AND current_score >= $1::int4 AND current_limit < $2::numeric) AS pending,
           count(*) FILTER (WHERE limit_increase_decision IS NULL
                              AND NOT (current_score >= $1::int4 AND current_limit < $2::numeric))
               AS not_eligible,
           coalesce(sum(new_limit::numeric - current_limit::numeric)
                        FILTER (WHERE limit_increase_decision = 'APPROVED'), 0.00) AS total_increase
    FROM batch_scores";

/// The largest approved increases; `$1` is their number.
const TOP_INCREASES: &str = "
    SELECT customer_id::text AS customer_id, old_limit, new_limit,
           CASE WHEN old_limit = 0 THEN 0
                ELSE round((new_limit - old_limit) * 100 / old_limit, 1) END AS per_cent
    FROM (
        SELECT customer_id, current_limit::numeric AS old_limit, new_limit::numeric AS new_limit
        FROM batch_scores
        WHERE limit_increase_decision = 'APPROVED' AND new_limit IS NOT NULL
    ) approved
    ORDER BY new_limit - old_limit DESC, customer_id
    LIMIT $1";

/// The newest decisions of one outcome, `$1`, with their reasons; `$2` is their number. A limit that
/// is not an amount in cents is left out, and its reason says what is stored.
const REASONS: &str = "
    SELECT customer_id::text AS customer_id,
           CASE WHEN abs(current_limit) <= 99999999.99
                 AND round(current_limit::numeric, 2) = current_limit::numeric
                THEN round(current_limit::numeric, 2) END AS current_limit,
           coalesce(decision_reason, '')::text AS reason
    FROM batch_scores
    WHERE limit_increase_decision = $1
    ORDER BY updated_at DESC NULLS LAST, customer_id
    LIMIT $2";

/// The last runs of the ledger, newest first; `$1` is their number.
const LAST_RUNS: &str = "
    SELECT run_id, status, started_at,
           extract(epoch FROM finished_at - started_at)::float8 AS seconds,
           eligible, approved, declined, referred, stale, total_increase, error,
           context->>'release' AS release
    FROM limit_increase_runs
    ORDER BY started_at DESC, run_id
    LIMIT $1";

/// Everything that `results` shows.
#[derive(Debug, Clone, Serialize)]
pub struct Results {
    /// The customers counted by their decision.
    pub totals: Totals,
    /// The largest approved increases.
    pub top_increases: Vec<Increase>,
    /// The newest declines, each with its reason.
    pub declined: Vec<Reason>,
    /// The newest referrals, each with its reason.
    pub referred: Vec<Reason>,
    /// The last runs in the ledger, newest first.
    pub runs: Vec<Run>,
}

/// The customers counted by their decision.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Totals {
    /// All customers in `batch_scores`.
    pub customers: i64,
    /// Customers whose limit was raised.
    pub approved: i64,
    /// Customers whose limit was kept.
    pub declined: i64,
    /// Customers whom a person has to decide.
    pub referred: i64,
    /// Undecided customers who are eligible under the policy that was given.
    pub pending: i64,
    /// Undecided customers who are not eligible under that policy.
    pub not_eligible: i64,
    /// Sum of the approved increases, in the currency of the limits.
    pub total_increase: Decimal,
}

/// One approved increase.
#[derive(Debug, Clone, Serialize)]
pub struct Increase {
    /// The customer's key in `batch_scores`.
    pub customer_id: String,
    /// The limit before the increase.
    pub old_limit: Decimal,
    /// The limit after the increase.
    pub new_limit: Decimal,
    /// The growth in per cent of the old limit; 0 where that was 0.
    pub per_cent: Decimal,
}

/// One decision that did not raise the limit, with its reason.
#[derive(Debug, Clone, Serialize)]
pub struct Reason {
    /// The customer's key in `batch_scores`.
    pub customer_id: String,
    /// The limit, which the decision did not change; `None` if it is not an amount in cents.
    pub limit: Option<Decimal>,
    /// The sentence that is stored with the decision; empty when there is none.
    pub reason: String,
}

/// One run in the ledger.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// The id, which is the name of the execution.
    pub run_id: String,
    /// How far the run has come.
    pub status: RunStatus,
    /// When the run was opened.
    pub started_at: DateTime<Utc>,
    /// How long the run took, in seconds; `None` until it has ended.
    pub seconds: Option<f64>,
    /// Customers that the run took; `None` until it has counted them.
    pub eligible: Option<i64>,
    /// Customers approved, declined, referred and stale, in this order.
    pub counts: [Option<i64>; 4],
    /// Sum of the increases that the run wrote.
    pub total_increase: Option<Decimal>,
    /// The name of the failure, if the run failed.
    pub error: Option<String>,
    /// The release that opened the run; `None` if the run was never open, or an older release did.
    pub release: Option<String>,
}

/// Reads everything that `results` shows in one snapshot of the database.
///
/// `top` is the number of increases; the other lists have half as many rows. `eligibility` says
/// which of the undecided customers count as pending.
///
/// # Errors
/// When a query fails, or a stored value is not of the type that the migrations gave it.
pub async fn read(client: &mut Client, top: i64, eligibility: &Eligibility) -> Result<Results> {
    let snapshot = client
        .build_transaction()
        .isolation_level(tokio_postgres::IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .await?;
    let few = (top / 2).max(1);

    Ok(Results {
        totals: totals(&snapshot, eligibility).await?,
        top_increases: top_increases(&snapshot, top).await?,
        declined: reasons(&snapshot, Outcome::Declined, few).await?,
        referred: reasons(&snapshot, Outcome::Referred, few).await?,
        runs: last_runs(&snapshot, few).await?,
    })
}

async fn totals(snapshot: &Transaction<'_>, eligibility: &Eligibility) -> Result<Totals> {
    let minimum_score = eligibility.minimum_current_score.value();
    let row =
        snapshot.query_one(TOTALS, &[&minimum_score, &eligibility.current_limit_below]).await?;

    Ok(Totals {
        customers: row.try_get("customers")?,
        approved: row.try_get("approved")?,
        declined: row.try_get("declined")?,
        referred: row.try_get("referred")?,
        pending: row.try_get("pending")?,
        not_eligible: row.try_get("not_eligible")?,
        total_increase: row.try_get("total_increase")?,
    })
}

async fn top_increases(snapshot: &Transaction<'_>, count: i64) -> Result<Vec<Increase>> {
    let increase = |row: &Row| -> Result<Increase> {
        Ok(Increase {
            customer_id: row.try_get("customer_id")?,
            old_limit: row.try_get("old_limit")?,
            new_limit: row.try_get("new_limit")?,
            per_cent: row.try_get("per_cent")?,
        })
    };

    snapshot.query(TOP_INCREASES, &[&count]).await?.iter().map(increase).collect()
}

async fn reasons(snapshot: &Transaction<'_>, outcome: Outcome, count: i64) -> Result<Vec<Reason>> {
    let reason = |row: &Row| -> Result<Reason> {
        Ok(Reason {
            customer_id: row.try_get("customer_id")?,
            limit: row.try_get("current_limit")?,
            reason: row.try_get("reason")?,
        })
    };

    snapshot.query(REASONS, &[&outcome.as_str(), &count]).await?.iter().map(reason).collect()
}

async fn last_runs(snapshot: &Transaction<'_>, count: i64) -> Result<Vec<Run>> {
    snapshot.query(LAST_RUNS, &[&count]).await?.iter().map(run).collect()
}

fn run(row: &Row) -> Result<Run> {
    let status: &str = row.try_get("status")?;

    Ok(Run {
        run_id: row.try_get("run_id")?,
        status: RunStatus::parse(status)
            .with_context(|| format!("the ledger has the unknown status {status:?}"))?,
        started_at: row.try_get("started_at")?,
        seconds: row.try_get("seconds")?,
        eligible: row.try_get("eligible")?,
        counts: [
            row.try_get("approved")?,
            row.try_get("declined")?,
            row.try_get("referred")?,
            row.try_get("stale")?,
        ],
        total_increase: row.try_get("total_increase")?,
        error: row.try_get("error")?,
        release: row.try_get("release")?,
    })
}
