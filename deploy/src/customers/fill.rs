//! Migrates the customers' tables, and fills them from the sample or from the user's own file.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use chrono::{NaiveDate, Utc};
use tokio::sync::mpsc;
use tokio_postgres::Client;

use super::elsewhere::require_this_machine;
use super::table::customer_count;
use crate::customers::bulk::{BATCH, ExistingCustomers, IncomingCustomer, Load, LoadReport, load};
use crate::customers::portfolio::SAMPLE_CUSTOMERS;
use crate::customers::{CsvColumns, CustomerFile, sample};
use crate::database;
use crate::local::Context;
use crate::terminal;
use crate::terminal::Problem;
use limit_increase_domain::SourceColumn;

/// Where the customers come from.
#[derive(Debug, Clone)]
pub enum CustomerSource {
    /// The first customers of the sample portfolio.
    Sample {
        /// The number of customers to draw.
        count: u64,
    },
    /// The user's own CSV file.
    File {
        /// The path of the file, plain or gzip.
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
        CustomerSource::Sample { .. } => sample::missing_columns(&columns),
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

    let plan = Load { columns: columns.clone(), existing, reset };
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
        load(client, &plan, move |sender| produce(source, &columns, today, &sender), shown).await?;
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
    today: NaiveDate,
    sender: &mpsc::Sender<Vec<IncomingCustomer>>,
) -> Result<()> {
    match source {
        CustomerSource::Sample { count } => {
            for batch in sample::batches(count, columns, today) {
                if sender.blocking_send(batch).is_err() {
                    break;
                }
            }
        }
        CustomerSource::File { path, columns } => {
            let mut file = CustomerFile::open(&path, columns, today)?;
            let mut batch = Vec::with_capacity(BATCH);
            let mut rows = 0_u64;
            while let Some(row) = file.next_row()? {
                batch.push(row);
                rows += 1;
                if batch.len() == BATCH && sender.blocking_send(std::mem::take(&mut batch)).is_err()
                {
                    return Ok(());
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
