//! Migrates the customers' tables, and fills them from the sample or from the user's own file.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use chrono::{NaiveDate, Utc};
use tokio::sync::mpsc;
use tokio_postgres::Client;

use super::elsewhere::require_this_machine;
use super::key::TableKey;
use super::table::customer_count;
use crate::customers::bulk::{BATCH, ExistingCustomers, Load, LoadReport, load};
use crate::customers::portfolio::SAMPLE_CUSTOMERS;
use crate::customers::{CsvColumns, CustomerFile};
use crate::database;
use crate::local::Context;
use crate::terminal;
use crate::terminal::Problem;
use limit_increase_domain::SourceColumn;
use limit_increase_portfolio::{CopyRows, Sample, missing_columns};

/// The first key of the sample portfolio.
const SAMPLE_KEY: &str = "CUST_0001";

/// Where the customers come from.
#[derive(Debug, Clone)]
pub enum CustomerSource {
    /// The first customers of the sample portfolio.
    Sample {
        /// The number of customers to draw.
        count: u64,
    },
    /// The user's own file.
    File {
        /// The path of the file: CSV, plain or gzip, or Parquet.
        path: PathBuf,
        /// The names of the file's columns, by what they hold.
        columns: CsvColumns,
    },
}

/// Applies the migrations that the database lacks.
pub async fn migrate(context: &Context, client: &mut Client) -> Result<()> {
    let task = context.ui.task("Schema");
    let applied = database::migrate(client).await?;
    if applied.is_empty() {
        task.clear();
    } else {
        task.done(format!("applied {}", applied.join(", ")));
    }

    Ok(())
}

/// Loads the customers of `source` into the tables. With `reset` the tables are emptied first, with
/// the decisions in them.
pub async fn fill(
    context: &Context,
    client: &mut Client,
    source: CustomerSource,
    columns: Vec<SourceColumn>,
    reset: bool,
) -> Result<LoadReport> {
    let mut task = context.ui.task("Customers");
    let today = Utc::now().date_naive();
    let existing = match &source {
        CustomerSource::Sample { .. } => ExistingCustomers::Keep,
        CustomerSource::File { .. } => ExistingCustomers::UpdateUndecided,
    };

    let total = match &source {
        CustomerSource::Sample { count } => Some(*count),
        CustomerSource::File { .. } => None,
    };

    let missing = match &source {
        CustomerSource::Sample { .. } => missing_columns(&columns),
        CustomerSource::File { .. } => Vec::new(),
    };

    if !missing.is_empty() {
        context.ui.warn(format!(
            "the model reads {}, which the sample portfolio does not have: left empty; \
             load your own customers with setup-db --data",
            missing.join(", ")
        ));
    }

    task.phase(match &source {
        CustomerSource::Sample { count } => {
            format!("loading {} of the sample portfolio", terminal::thousands(*count))
        }
        CustomerSource::File { path, .. } => format!("loading {}", path.display()),
    });

    let key = TableKey::read(client).await?;
    let plan = Load { columns: columns.clone(), key: key.clone(), existing, reset };
    let progress = Arc::new(AtomicU64::new(0));
    let shown = |rows: u64| {
        progress.store(rows, Ordering::Relaxed);
        task.tick(match total {
            Some(total) if rows >= total => {
                format!("{} copied; writing the tables", terminal::thousands(rows))
            }
            Some(total) => {
                format!("{} of {} copied", terminal::thousands(rows), terminal::thousands(total))
            }
            None => format!("{} copied", terminal::thousands(rows)),
        });
    };

    let loaded =
        load(client, &plan, move |sender| produce(source, &columns, &key, today, &sender), shown)
            .await?;
    task.done(format!(
        "{} read: {} new, {} brought up to date, {} kept as they were",
        terminal::thousands(loaded.rows),
        terminal::thousands(loaded.inserted),
        terminal::thousands(loaded.updated),
        terminal::thousands(loaded.rows - loaded.inserted - loaded.updated)
    ));

    Ok(loaded)
}

/// Sends the customers of `source` in batches, until all are sent or the channel is closed.
pub(super) fn produce(
    source: CustomerSource,
    columns: &[SourceColumn],
    key: &TableKey,
    today: NaiveDate,
    sender: &mpsc::Sender<CopyRows>,
) -> Result<()> {
    match source {
        CustomerSource::Sample { count } => {
            key.fit(SAMPLE_KEY.to_owned()).map_err(|(why, _)| {
                Problem::usage(format!("a key of the sample, such as {SAMPLE_KEY}, {why}"))
                    .at("batch_scores.customer_id")
                    .next("load your own customers: limit-increase setup-db --data FILE ..")
            })?;
            let sample = Sample::new(columns, today);
            for first in (0..count).step_by(BATCH) {
                let last = count.min(first + BATCH as u64);
                if sender.blocking_send(sample.rows(first..last)).is_err() {
                    break;
                }
            }
        }
        CustomerSource::File { path, columns: names } => {
            let mut file = CustomerFile::open(&path, names, key.clone(), today)?;
            let mut batch = CopyRows::new(columns.len());
            let mut rows = 0_u64;
            while let Some(row) = file.next_row()? {
                row.write(&mut batch);
                rows += 1;
                if batch.rows() == BATCH as u64 {
                    let whole = std::mem::replace(&mut batch, CopyRows::new(columns.len()));
                    if sender.blocking_send(whole).is_err() {
                        return Ok(());
                    }
                }
            }

            if rows == 0 {
                return Err(Problem::usage("the file has a header and no rows")
                    .at(path.display().to_string())
                    .next("add one row per customer")
                    .into());
            }

            // A closed channel means that the copy failed, and its error is the one to show.
            let _ = sender.blocking_send(batch);
        }
    }

    Ok(())
}

/// Makes sure that the tables have customers: loads the sample if they have none. The
/// sample is for a database on this machine only.
pub async fn ensure(
    context: &Context,
    client: &mut Client,
    columns: Vec<SourceColumn>,
) -> Result<()> {
    let is_empty = customer_count(client).await?.unwrap_or_default() == 0;
    if is_empty {
        require_this_machine(context).await?;
    }

    migrate(context, client).await?;
    if is_empty {
        let source = CustomerSource::Sample { count: SAMPLE_CUSTOMERS.into() };
        fill(context, client, source, columns, false).await?;
    }

    Ok(())
}
