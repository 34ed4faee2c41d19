//! The records of closed runs in S3, as an analysis reads them: shard by shard.

use anyhow::Result;
use bytes::Bytes;
use limit_increase_workflow::keys::{Stage, summary_key};
use limit_increase_workflow::{RunId, RunSummary, ShardIndex};

use crate::aws::{Aws, storage};
use crate::runs::summary::read_summary;
use crate::terminal::Problem;

/// The prefix of all results. A closed run has its summary below it.
const RESULTS: &str = "pipeline/results/";

/// A closed run, whose records are in a bucket.
#[derive(Debug, Clone)]
pub struct StoredRun {
    aws: Aws,
    bucket: String,
    /// Its summary.
    pub summary: RunSummary,
}

/// The closed runs of a bucket, the one that was closed last first.
///
/// # Errors
/// When S3 refuses.
pub async fn closed(aws: &Aws, bucket: &str) -> Result<Vec<RunId>> {
    let listed = storage::list(&aws.s3, bucket, RESULTS).await?;
    let mut runs: Vec<_> = listed
        .into_iter()
        .filter_map(|(key, written)| {
            let run = key.strip_prefix(RESULTS)?.strip_prefix("run=")?.split_once('/')?.0;
            let run = RunId::try_from(run.to_owned()).ok()?;
            (key == summary_key(&run)).then_some((written, run))
        })
        .collect();
    // A name decides between runs of the same second: the names of runs by hand sort by time.
    runs.sort_by(|one, other| other.cmp(one));
    Ok(runs.into_iter().map(|(_, run)| run).collect())
}

impl StoredRun {
    /// A run by its name, or the one that was closed last.
    ///
    /// # Errors
    /// When the bucket has no such closed run.
    pub async fn find(aws: &Aws, bucket: &str, run: Option<RunId>) -> Result<Self> {
        let run = match run {
            Some(run) => run,
            None => closed(aws, bucket).await?.into_iter().next().ok_or_else(|| {
                Problem::usage("no run is closed yet, so there are no scores to work on")
                    .at(format!("s3://{bucket}/{RESULTS}"))
                    .next(
                        "make a run that changes nothing: limit-increase run --dry-run --limit all",
                    )
            })?,
        };

        Self::open(aws, bucket, &run).await
    }

    /// A run by its name.
    ///
    /// # Errors
    /// When the bucket has no summary of it.
    pub async fn open(aws: &Aws, bucket: &str, run: &RunId) -> Result<Self> {
        let summary = read_summary(aws, bucket, run).await?;
        Ok(Self { aws: aws.clone(), bucket: bucket.to_owned(), summary })
    }

    /// The shards of the run.
    pub fn shards(&self) -> impl Iterator<Item = ShardIndex> + use<> {
        (0..self.summary.shard_count).map(ShardIndex)
    }

    /// The file of one shard, exactly as its step wrote it; `None` if it was removed.
    ///
    /// # Errors
    /// When S3 refuses, or the file was changed.
    pub async fn find_file(&self, stage: Stage, shard: ShardIndex) -> Result<Option<Bytes>> {
        storage::get_written(&self.aws.s3, &self.bucket, &self.key(stage, shard)).await
    }

    /// Like [`StoredRun::find_file`], for a file without which the command cannot go on.
    ///
    /// # Errors
    /// Also when the file was removed.
    pub async fn file(&self, stage: Stage, shard: ShardIndex) -> Result<Bytes> {
        Ok(self.find_file(stage, shard).await?.ok_or_else(|| {
            Problem::new(format!(
                "a file of run {} is missing: {}",
                self.summary.run_id,
                stage.folder()
            ))
            .at(format!("s3://{}/{}", self.bucket, self.key(stage, shard)))
            .next("records are kept for a time (docs/aws.md); take a newer run, or make a dry run")
        })?)
    }

    /// Where a file is, for an error about it.
    #[must_use]
    pub fn place(&self, stage: Stage, shard: ShardIndex) -> String {
        format!("s3://{}/{}", self.bucket, self.key(stage, shard))
    }

    fn key(&self, stage: Stage, shard: ShardIndex) -> String {
        stage.shard_key(&self.summary.run_id, shard)
    }
}
