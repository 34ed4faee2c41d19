//! What a load of the user's own file would do. Nothing is written: the rows go into a temporary
//! table that ends with the transaction.

use std::fmt::Write as _;

use anyhow::Result;
use chrono::Utc;
use serde::Serialize;
use tokio_postgres::Client;

use super::bulk;
use super::columns::{missing_columns, sql_type};
use super::fill::{CustomerSource, produce};
use super::key::TableKey;
use super::table::has_tables;
use crate::local::Context;
use limit_increase_domain::SourceColumn;

/// What would be loaded.
#[derive(Debug, Serialize)]
pub struct Preview {
    /// The number of customers in the file.
    pub rows: u64,
    /// How many of them are not in the table.
    pub new: u64,
    /// How many of them are undecided, and have another score, limit or date in the table.
    pub changed: u64,
    /// The columns of the features.
    pub columns: Vec<ColumnPreview>,
}

/// What would be loaded into one column of features.
#[derive(Debug, Serialize)]
pub struct ColumnPreview {
    /// The name of the column.
    pub name: String,
    /// The type of the column in the table.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// How many customers have no value.
    pub missing: u64,
    /// How many different values there are.
    pub distinct: u64,
    /// Whether the load would add the column to the table.
    pub added: bool,
}

/// Reads the whole file and says what a load would do.
///
/// # Errors
/// Whatever would refuse the load.
pub async fn preview(
    context: &Context,
    client: &mut Client,
    source: CustomerSource,
    columns: Vec<SourceColumn>,
) -> Result<Preview> {
    let task = context.ui.task("Customers");
    let is_known = has_tables(client).await?;
    let transaction = client.transaction().await?;
    transaction.batch_execute("SET LOCAL statement_timeout = 0").await?;
    let added: Vec<String> = missing_columns(&transaction, &columns)
        .await?
        .into_iter()
        .map(|column| column.name.clone())
        .collect();
    let today = Utc::now().date_naive();
    let key = TableKey::read(&transaction).await?;
    let (read, read_key) = (columns.clone(), key.clone());
    let send = move |sender| produce(source, &read, &read_key, today, &sender);
    let rows = bulk::receive(&transaction, &columns, send, &|_| {}).await?;

    let counts = counts_statement(is_known, columns.len(), &key.cast);
    let row = transaction.query_one(&counts, &[]).await?;
    let count = |position: usize| u64::try_from(row.get::<_, i64>(position)).unwrap_or_default();
    let columns = columns
        .iter()
        .enumerate()
        .map(|(position, column)| ColumnPreview {
            name: column.name.clone(),
            kind: sql_type(column.kind),
            missing: count(2 + 2 * position),
            distinct: count(3 + 2 * position),
            added: added.contains(&column.name),
        })
        .collect();
    let preview = Preview { rows, new: count(0), changed: count(1), columns };
    transaction.rollback().await?;
    task.clear();
    Ok(preview)
}

/// The statement that counts the new and the changed customers, and then, for each column, its missing
/// and its different values.
fn counts_statement(is_known: bool, columns: usize, cast: &str) -> String {
    let mut counts = match is_known {
        true => {
            "SELECT count(*) FILTER (WHERE known.customer_id IS NULL),
                    count(*) FILTER (WHERE known.customer_id IS NOT NULL
                        AND known.limit_increase_decision IS NULL
                        AND (known.current_score, known.current_limit, known.application_date)
                            IS DISTINCT FROM (incoming.current_score, incoming.current_limit,
                                              incoming.application_date))"
        }
        false => "SELECT count(*), 0::int8",
    }
    .to_owned();
    for position in 0..columns {
        let _ = write!(
            counts,
            ", count(*) - count(feature_{position}), count(DISTINCT feature_{position})"
        );
    }
    counts.push_str(" FROM incoming");
    if is_known {
        let _ = write!(
            counts,
            " LEFT JOIN batch_scores AS known ON known.customer_id = incoming.customer_id{cast}"
        );
    }

    counts
}
