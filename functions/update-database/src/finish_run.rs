//! Closing a run: its summary in S3 and its status in the ledger, both or neither.

use std::collections::BTreeMap;

use bytes::Bytes;
use limit_increase_database::{ClosedRun, ClosingRun, Database};
use limit_increase_report::Drift;
use limit_increase_runtime::metrics::{self, DriftFigures};
use limit_increase_storage::{APPLICATION_JSON, Storage};
use limit_increase_workflow::contract::RunToFinish;
use limit_increase_workflow::keys::summary_key;
use limit_increase_workflow::{Failure, FailureKind, RunSummary};

use crate::report::{make_report, write_report};
use crate::sealed_object::write_sealed;

/// Checks that the run adds up (promise 3), writes its summary and its report, and closes it.
///
/// Both are written before the commit, and the run's seal has their hashes. So a closed run has
/// them, and a run whose summary cannot be written is not left SUCCEEDED (promise 5).
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
    let report = make_report(&closing).await?;
    let bucket = &to_finish.run.bucket;
    let mut objects = BTreeMap::from([write_summary(storage, bucket, closing.summary()).await?]);
    if !closing.is_sealed() {
        objects.extend(write_report(storage, bucket, &report).await?);
    }

    let ClosedRun { summary, seal } = closing.commit(objects).await?;

    tracing::info!(
        eligible = summary.eligible,
        approved = summary.counts.approved,
        declined = summary.counts.declined,
        referred = summary.counts.referred,
        stale = summary.counts.stale,
        seal,
        "run closed"
    );

    metrics::run_closed(&summary, report.drift.as_ref().map(drift_figures).as_ref());
    Ok(summary)
}

/// Writes the summary, and returns its key and its hash for the seal.
async fn write_summary(
    storage: &Storage,
    bucket: &str,
    summary: &RunSummary,
) -> Result<(String, String), Failure> {
    let json = serde_json::to_vec_pretty(summary)
        .map_err(|error| Failure::new(FailureKind::Internal, format!("summary: {error}")))?;
    let key = summary_key(&summary.run_id);
    write_sealed(storage, bucket, key, (Bytes::from(json), APPLICATION_JSON)).await
}

/// The numbers of the drift that are metrics.
fn drift_figures(drift: &Drift) -> DriftFigures {
    DriftFigures {
        score_psi: drift.scores.map(|index| index.value),
        score_ratio: drift.scores.map(|index| index.ratio()),
        worst_csi: drift.worst().map(|input| input.csi.value),
        worst_ratio: drift.worst().map(|input| input.csi.ratio()),
        most_missing: drift.most_missing(),
        most_unseen: drift.most_unseen(),
    }
}
