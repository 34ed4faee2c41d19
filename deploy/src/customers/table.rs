//! Whether the customers' tables exist, and how many customers are in them.

use anyhow::Result;
use tokio_postgres::Client;

/// Whether the tables are there.
pub async fn has_tables(client: &Client) -> Result<bool> {
    let row = client
        .query_one(
            "SELECT to_regclass('batch_scores') IS NOT NULL AND to_regclass('limit_increase_runs') IS NOT NULL",
            &[],
        )
        .await?;
    Ok(row.get(0))
}

/// Customers in the table; `None` when there is no table yet.
pub async fn customer_count(client: &Client) -> Result<Option<i64>> {
    if !has_tables(client).await? {
        return Ok(None);
    }

    Ok(Some(client.query_one("SELECT count(*) FROM batch_scores", &[]).await?.get(0)))
}
