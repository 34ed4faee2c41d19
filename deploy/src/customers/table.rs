//! Tells whether the customers' tables exist, and how many customers they hold.

use anyhow::Result;
use tokio_postgres::Client;

/// Whether the customers' table and the ledger exist.
pub async fn has_tables(client: &Client) -> Result<bool> {
    let row = client
        .query_one(
            "SELECT to_regclass('batch_scores') IS NOT NULL
                AND to_regclass('limit_increase_runs') IS NOT NULL",
            &[],
        )
        .await?;
    Ok(row.get(0))
}

/// The number of customers in `batch_scores`; `None` when the tables do not exist yet.
pub async fn customer_count(client: &Client) -> Result<Option<i64>> {
    if !has_tables(client).await? {
        return Ok(None);
    }

    Ok(Some(client.query_one("SELECT count(*) FROM batch_scores", &[]).await?.get(0)))
}
