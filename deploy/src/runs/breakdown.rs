//! How many of the customers a policy would take: what `setup-db` shows after it has loaded them.

use anyhow::Result;
use limit_increase_domain::policy::Eligibility;
use serde::Serialize;
use tokio_postgres::Client;

/// Counts the customers by the policy's two conditions. `$1` is the lowest eligible score in points,
/// `$2` the limit below which a customer is eligible. The casts are for a lender's own types.
const BREAKDOWN: &str = "
    SELECT count(*) FILTER (WHERE current_score >= $1::int4) AS score_reached,
           count(*) FILTER (WHERE current_limit < $2::numeric) AS limit_below,
           count(*) FILTER (WHERE current_score >= $1::int4 AND current_limit < $2::numeric) AS both,
           count(*) FILTER (WHERE current_score >= $1::int4 AND current_limit < $2::numeric
                              AND limit_increase_decision IS NULL) AS eligible
    FROM batch_scores";

/// The customers counted by the policy's conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Breakdown {
    /// Their score is high enough.
    pub score_reached: i64,
    /// Their limit is low enough.
    pub limit_below: i64,
    /// Both.
    pub both: i64,
    /// Both, and no decision is stored: the next run takes them.
    pub eligible: i64,
}

/// Counts the customers.
///
/// # Errors
/// When the query fails, for example because a lender's column has no numbers.
pub async fn breakdown(client: &Client, eligibility: &Eligibility) -> Result<Breakdown> {
    let minimum_score = eligibility.minimum_current_score.value();
    let row =
        client.query_one(BREAKDOWN, &[&minimum_score, &eligibility.current_limit_below]).await?;
    Ok(Breakdown {
        score_reached: row.try_get("score_reached")?,
        limit_below: row.try_get("limit_below")?,
        both: row.try_get("both")?,
        eligible: row.try_get("eligible")?,
    })
}
