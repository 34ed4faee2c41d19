//! Adds columns to `customer_features`: one for each source column that a model reads.

use std::collections::HashMap;

use anyhow::Result;
use limit_increase_database::quote_identifier;
use limit_increase_domain::{ColumnKind, SourceColumn};
use tokio_postgres::{Client, GenericClient};

use crate::terminal::Problem;

/// The PostgreSQL type of a new column of this kind.
pub(super) const fn sql_type(kind: ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Number => "DOUBLE PRECISION",
        ColumnKind::Category => "TEXT",
    }
}

/// The longest name of a column that PostgreSQL does not cut, in bytes.
const MAX_NAME_BYTES: usize = 63;

/// Returns the columns that the table lacks.
///
/// # Errors
/// When the table has a column of this name with another type. Changing the type would change what
/// other models read.
pub(super) async fn missing_columns<'a>(
    client: &impl GenericClient,
    columns: &'a [SourceColumn],
) -> Result<Vec<&'a SourceColumn>> {
    let rows = client
        .query(
            "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute
             WHERE attrelid = to_regclass('customer_features')
               AND attnum > 0 AND NOT attisdropped",
            &[],
        )
        .await?;
    let existing: HashMap<String, String> =
        rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let mut missing = Vec::new();
    for column in columns {
        if column.name.is_empty()
            || column.name.len() > MAX_NAME_BYTES
            || column.name == "customer_id"
        {
            return Err(Problem::usage(format!(
                "{:?} cannot be a column of customer_features",
                column.name
            ))
            .next("rename the column in the data (1 to 63 bytes, not customer_id) and train again")
            .into());
        }

        match existing.get(&column.name) {
            Some(found) if found.eq_ignore_ascii_case(sql_type(column.kind)) => {}
            Some(found) => return Err(column_type_error(column, found).into()),
            None => missing.push(column),
        }
    }

    Ok(missing)
}

/// Adds the columns that are missing, and returns their names.
///
/// # Errors
/// As [`missing_columns`].
pub(super) async fn ensure_columns(
    client: &impl GenericClient,
    columns: &[SourceColumn],
) -> Result<Vec<String>> {
    let missing = missing_columns(client, columns).await?;
    for column in &missing {
        let name = quote_identifier(&column.name);
        let kind = sql_type(column.kind);
        client
            .batch_execute(&format!("ALTER TABLE customer_features ADD COLUMN {name} {kind}"))
            .await?;
    }

    Ok(missing.into_iter().map(|column| column.name.clone()).collect())
}

/// Adds the columns that are missing, all of them or none. Returns their names.
///
/// # Errors
/// When a column is there as another type, or cannot be a column.
pub async fn add_columns(client: &mut Client, columns: &[SourceColumn]) -> Result<Vec<String>> {
    let transaction = client.transaction().await?;
    let added = ensure_columns(&transaction, columns).await?;
    transaction.commit().await?;
    Ok(added)
}

fn column_type_error(column: &SourceColumn, found: &str) -> Problem {
    let name = quote_identifier(&column.name);
    Problem::new(format!(
        "the model needs {} as {}, but the table has it as {found}",
        column.name,
        sql_type(column.kind)
    ))
    .at(format!("customer_features.{name}"))
    .next(format!(
        "if no other model reads it: ALTER TABLE customer_features DROP COLUMN {name}; \
         then run setup-db again.\n\
         Otherwise rename the column in the data and train again"
    ))
}
