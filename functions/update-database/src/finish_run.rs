//! Closing a run: its summary in S3 and its status in the ledger, both or neither.

use std::collections::BTreeMap;

use bytes::Bytes;
use limit_increase_database::{ClosedRun, ClosingRun, Database};
use limit_increase_runtime::metrics;
use limit_increase_storage::{APPLICATION_JSON, Storage};
use limit_increase_workflow::contract::RunToFinish;
use limit_increase_workflow::keys::summary_key;
use limit_increase_workflow::{Failure, FailureKind, RunSummary};

/// Checks that the run adds up (promise 3), writes its summary, and closes it.
///
/// The summary is written before the commit, and the run's seal has its hash. So a closed run has its summary, and a run whose
/// summary cannot be written is not left SUCCEEDED (promise 5).
///
/// # Errors
/// The failure of the ledger, of the database or of the storage.
pub(crate) async fn finish_run(
    database: &Database,
    storage: &Storage,
    to_finish: &RunToFinish,
) -> Result<RunSummary, Failure> {
    let mut client = database.client().await?;
    let closing = ClosingRun::hold(&mut client, to_finish).await?;
    let written = write_summary(storage, &to_finish.run.bucket, closing.summary()).await?;
    let ClosedRun { summary, seal } = closing.commit(BTreeMap::from([written])).await?;

    tracing::info!(
        eligible = summary.eligible,
        approved = summary.counts.approved,
        declined = summary.counts.declined,
        referred = summary.counts.referred,
        stale = summary.counts.stale,
        seal,
        "run closed"
    );

    metrics::run_closed(&summary);
    Ok(summary)
}

/// Writes the summary, and returns its key and its hash for the seal.
///
/// It replaces only the version that was there while the run's row was locked. So an attempt that
/// was frozen, until another one closed the run, cannot put its own summary over the sealed one
/// (promise 15).
async fn write_summary(
    storage: &Storage,
    bucket: &str,
    summary: &RunSummary,
) -> Result<(String, String), Failure> {
    let json = serde_json::to_vec_pretty(summary)
        .map_err(|error| Failure::new(FailureKind::Internal, format!("summary: {error}")))?;
    let key = summary_key(&summary.run_id);
    let previous = storage.etag(bucket, &key).await?;
    let bytes = Bytes::from(json);
    let written =
        storage.replace(bucket, &key, previous.as_deref(), bytes, APPLICATION_JSON).await?;
    Ok((key, written.sha256))
}
