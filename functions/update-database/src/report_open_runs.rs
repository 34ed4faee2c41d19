//! Reporting the open runs, so that an alarm can see a run that hangs.

use limit_increase_database::{Database, open_runs};
use limit_increase_runtime::metrics;
use limit_increase_workflow::Failure;
use limit_increase_workflow::contract::OpenRuns;

/// Reads the open runs in the ledger and reports them as a metric. EventBridge asks for it every
/// few minutes.
///
/// A report that fails is only logged. It would otherwise lie in the dead-letter queue among the
/// events that matter, and the next one comes soon.
pub(crate) async fn report_open_runs(database: &Database) -> OpenRuns {
    match read(database).await {
        Ok(open) => {
            metrics::open_runs(&open);
            open
        }
        Err(failure) => {
            tracing::error!(%failure, "the open runs could not be read");
            OpenRuns::default()
        }
    }
}

async fn read(database: &Database) -> Result<OpenRuns, Failure> {
    open_runs(&*database.client().await?).await
}
