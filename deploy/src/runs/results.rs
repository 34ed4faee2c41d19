//! What the tables say: totals, the best increases, declines with their reasons, the last runs.

use anyhow::Result;
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::Serialize;
use tokio_postgres::Client;

/// Everything that `results` shows.
#[derive(Debug, Clone, Serialize)]
pub struct Results {
    /// Customers by where they stand.
    pub totals: Totals,
    /// The largest approved increases.
    pub top_increases: Vec<Increase>,
    /// A few declines.
    pub declined: Vec<Reason>,
    /// A few referrals.
    pub referred: Vec<Reason>,
    /// The last runs of the ledger, newest first.
    pub runs: Vec<Run>,
}

/// Customers by where they stand.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Totals {
    /// All customers.
    pub customers: i64,
    /// Limit raised.
    pub approved: i64,
    /// Limit kept.
    pub declined: i64,
    /// Left to a person.
    pub referred: i64,
    /// Eligible under the built-in policy, and not decided yet.
    pub pending: i64,
    /// Undecided and not eligible.
    pub not_eligible: i64,
    /// Sum of the approved increases.
    pub total_increase: Decimal,
}

/// One approved increase.
#[derive(Debug, Clone, Serialize)]
pub struct Increase {
    /// The customer.
    pub customer_id: String,
    /// The limit before.
    pub old_limit: Decimal,
    /// The limit now.
    pub new_limit: Decimal,
    /// Growth, in per cent.
    pub per_cent: Decimal,
}

/// One decision that raised nothing, and why.
#[derive(Debug, Clone, Serialize)]
pub struct Reason {
    /// The customer.
    pub customer_id: String,
    /// The limit, unchanged.
    pub limit: Decimal,
    /// The reason as stored.
    pub reason: String,
}

/// A run of the ledger.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// Its id.
    pub run_id: String,
    /// RUNNING, SUCCEEDED or FAILED.
    pub status: String,
    /// When it opened.
    pub started_at: DateTime<Utc>,
    /// How long it took, in seconds.
    pub seconds: Option<f64>,
    /// Customers taken.
    pub eligible: Option<i64>,
    /// Approved, declined, referred, stale.
    pub counts: [Option<i64>; 4],
    /// Sum of the increases.
    pub total_increase: Option<Decimal>,
    /// Why it failed.
    pub error: Option<String>,
}

/// Reads everything that `results` shows, `top` rows per list, in one snapshot.
pub async fn read(client: &mut Client, top: i64) -> Result<Results> {
    let transaction = client
        .build_transaction()
        .isolation_level(tokio_postgres::IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .await?;
    let totals = transaction
        .query_one(
            "SELECT count(*),
                    count(*) FILTER (WHERE limit_increase_decision = 'APPROVED'),
                    count(*) FILTER (WHERE limit_increase_decision = 'DECLINED'),
                    count(*) FILTER (WHERE limit_increase_decision = 'REFERRED'),
                    count(*) FILTER (WHERE limit_increase_decision IS NULL
                                       AND current_score >= 600 AND current_limit < 10000),
                    count(*) FILTER (WHERE limit_increase_decision IS NULL
                                       AND NOT (current_score >= 600 AND current_limit < 10000)),
                    coalesce(sum(new_limit - current_limit) FILTER (WHERE limit_increase_decision = 'APPROVED'), 0.00)
             FROM batch_scores",
            &[],
        )
        .await?;
    let increases = transaction
        .query(
            "SELECT customer_id, current_limit, new_limit,
                    CASE WHEN current_limit = 0 THEN 0 ELSE round((new_limit - current_limit) * 100 / current_limit, 1) END
             FROM batch_scores WHERE limit_increase_decision = 'APPROVED' AND new_limit IS NOT NULL
             ORDER BY new_limit - current_limit DESC, customer_id LIMIT $1",
            &[&top],
        )
        .await?;
    let mut reasons = Vec::new();
    for decision in ["DECLINED", "REFERRED"] {
        let rows = transaction
            .query(
                "SELECT customer_id, current_limit, coalesce(decision_reason, '') FROM batch_scores
                 WHERE limit_increase_decision = $1 ORDER BY updated_at DESC NULLS LAST, customer_id LIMIT $2",
                &[&decision, &(top / 2).max(1)],
            )
            .await?;
        let reason = |row: &tokio_postgres::Row| Reason {
            customer_id: row.get(0),
            limit: row.get(1),
            reason: row.get(2),
        };

        reasons.push(rows.iter().map(reason).collect::<Vec<_>>());
    }

    let runs = transaction
        .query(
            "SELECT run_id, status, started_at, extract(epoch FROM finished_at - started_at)::float8, eligible,
                    approved, declined, referred, stale, total_increase, error
             FROM limit_increase_runs ORDER BY started_at DESC, run_id LIMIT $1",
            &[&(top / 2).max(1)],
        )
        .await?;
    let referred = reasons.pop().unwrap_or_default();
    let declined = reasons.pop().unwrap_or_default();
    Ok(Results {
        totals: Totals {
            customers: totals.get(0),
            approved: totals.get(1),
            declined: totals.get(2),
            referred: totals.get(3),
            pending: totals.get(4),
            not_eligible: totals.get(5),
            total_increase: totals.get(6),
        },
        top_increases: increases
            .iter()
            .map(|row| Increase {
                customer_id: row.get(0),
                old_limit: row.get(1),
                new_limit: row.get(2),
                per_cent: row.get(3),
            })
            .collect(),
        declined,
        referred,
        runs: runs
            .iter()
            .map(|row| Run {
                run_id: row.get(0),
                status: row.get(1),
                started_at: row.get(2),
                seconds: row.get(3),
                eligible: row.get(4),
                counts: [row.get(5), row.get(6), row.get(7), row.get(8)],
                total_increase: row.get(9),
                error: row.get(10),
            })
            .collect(),
    })
}
