//! The summary that a run writes to S3 when it closes.

use anyhow::{Context as _, Result};
use limit_increase_workflow::keys::summary_key;
use limit_increase_workflow::{RunId, RunSummary};

use crate::aws::{Aws, storage};
use crate::terminal::Problem;

/// The summary of a run; `None` if the bucket has none, because the run is not closed.
///
/// # Errors
/// When S3 refuses, or this release cannot read the summary.
pub async fn find_summary(aws: &Aws, bucket: &str, run: &RunId) -> Result<Option<RunSummary>> {
    let key = summary_key(run);
    let Some(content) = storage::get(&aws.s3, bucket, &key).await? else { return Ok(None) };
    serde_json::from_slice(&content)
        .map(Some)
        .with_context(|| format!("s3://{bucket}/{key} cannot be read as a summary by this release"))
}

/// Like [`find_summary`], for a command that cannot go on without it.
///
/// # Errors
/// Also when the bucket has no summary of the run.
pub async fn read_summary(aws: &Aws, bucket: &str, run: &RunId) -> Result<RunSummary> {
    Ok(find_summary(aws, bucket, run).await?.ok_or_else(|| {
        Problem::usage(format!("run {run} has no summary in S3"))
            .at(format!("s3://{bucket}/{}", summary_key(run)))
            .next("check the name; a run has its summary once it has succeeded")
    })?)
}
