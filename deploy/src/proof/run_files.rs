//! The files of one run, as they are in S3 now. A hash that is known is checked.

use anyhow::{Context as _, Result};
use bytes::Bytes;
use limit_increase_artifact::Artifact;
use limit_increase_domain::sha256_hex;
use limit_increase_evidence::explanation::RunFacts;
use limit_increase_evidence::replay::RecordedShard;
use limit_increase_workflow::keys::{Stage, shard_list_key};
use limit_increase_workflow::{HandoffRef, ModelPin, RunId, ShardIndex, ShardRef};

use crate::aws::{Aws, storage};
use crate::runs::summary::read_summary;
use crate::terminal::Problem;

/// The files of a run.
#[derive(Debug, Clone)]
pub struct RunFiles {
    aws: Aws,
    bucket: String,
    /// What is fixed about the run.
    pub facts: RunFacts,
    /// Its shards, in order.
    pub shards: Vec<ShardRef>,
}

impl RunFiles {
    /// The files of a closed run. Its summary says what it was opened with.
    ///
    /// # Errors
    /// When the run has no summary or no list of shards.
    pub async fn open(aws: &Aws, bucket: &str, run: &RunId) -> Result<Self> {
        let summary = read_summary(aws, bucket, run).await?;
        let shards = shards(aws, bucket, run).await?;
        Ok(Self { aws: aws.clone(), bucket: bucket.to_owned(), facts: summary.into(), shards })
    }

    /// The run.
    #[must_use]
    pub const fn run(&self) -> &RunId {
        &self.facts.run_id
    }

    /// The customers of the run.
    #[must_use]
    pub fn customers(&self) -> u64 {
        self.shards.iter().map(|shard| u64::from(shard.rows)).sum()
    }

    /// The file of a stage. The customers' file is the one of the list of shards, byte for byte.
    ///
    /// # Errors
    /// When the file is missing, or the customers' file is another one.
    pub async fn stage(&self, shard: ShardIndex, stage: Stage) -> Result<Bytes> {
        if stage == Stage::Customers {
            let listed = self.listed(shard)?;
            return self.exact(&listed.key, &listed.file).await;
        }

        let key = stage.shard_key(self.run(), shard);
        let found = storage::get(&self.aws.s3, &self.bucket, &key).await?;
        found.ok_or_else(|| missing_problem(&self.bucket, &key).into())
    }

    /// All files of a shard.
    ///
    /// # Errors
    /// As [`RunFiles::stage`].
    pub async fn recorded(&self, shard: ShardIndex) -> Result<RecordedShard> {
        let (customers, scored, evaluations, results) = tokio::try_join!(
            self.stage(shard, Stage::Customers),
            self.stage(shard, Stage::ScoredCustomers),
            self.stage(shard, Stage::Evaluations),
            self.stage(shard, Stage::Results),
        )?;
        Ok(RecordedShard { customers, scored, evaluations, results })
    }

    /// The artifact that the run pinned.
    ///
    /// # Errors
    /// When it is gone, or is another one.
    pub async fn artifact(&self) -> Result<Artifact> {
        let ModelPin { bucket, key, version_id, sha256, .. } = &self.facts.model;
        let found = storage::get_version(&self.aws.s3, bucket, key, version_id.as_deref()).await?;
        let archive = found.ok_or_else(|| {
            Problem::new(format!("the model of run {} is gone", self.run()))
                .at(format!("s3://{bucket}/{key}, SHA-256 {sha256}"))
                .next(
                    "put the archive with this hash back under the key, from where it was trained",
                )
        })?;

        Artifact::open_pinned(&archive, sha256).map_err(|error| {
            let what = format!("the model is not the one that run {} pinned: {error}", self.run());
            Problem::new(what)
                .at(format!("s3://{bucket}/{key}"))
                .next("keep all versions of the object; the run's own has the hash above")
                .into()
        })
    }

    fn listed(&self, shard: ShardIndex) -> Result<&ShardRef> {
        let found = self.shards.iter().find(|listed| listed.index == shard);
        found.ok_or_else(|| {
            let what = format!("run {} has no shard {shard}", self.run());
            let list = shard_list_key(self.run());
            Problem::new(what).at(format!("s3://{}/{list}", self.bucket)).into()
        })
    }

    async fn exact(&self, key: &str, written: &HandoffRef) -> Result<Bytes> {
        let version = written.version_id.as_deref();
        let found = storage::get_version(&self.aws.s3, &self.bucket, key, version).await?;
        let content = found.ok_or_else(|| missing_problem(&self.bucket, key))?;
        let hash = sha256_hex(&content);
        if hash == written.sha256 {
            return Ok(content);
        }

        let what = format!(
            "a file of run {} is not the one that was written: its SHA-256 is {hash}, and the list \
             of shards has {}",
            self.run(),
            written.sha256
        );
        Err(Problem::new(what)
            .at(format!("s3://{}/{key}", self.bucket))
            .next(format!("limit-increase verify {}", self.run()))
            .into())
    }
}

async fn shards(aws: &Aws, bucket: &str, run: &RunId) -> Result<Vec<ShardRef>> {
    let key = shard_list_key(run);
    let found = storage::get(&aws.s3, bucket, &key).await?;
    let content = found.ok_or_else(|| missing_problem(bucket, &key))?;
    let mut shards: Vec<ShardRef> = serde_json::from_slice(&content)
        .with_context(|| format!("s3://{bucket}/{key} is no list of shards"))?;
    shards.sort_by_key(|shard| shard.index);
    Ok(shards)
}

fn missing_problem(bucket: &str, key: &str) -> Problem {
    Problem::new("a file of the run is missing").at(format!("s3://{bucket}/{key}")).next(
        "see whether InputRetentionDays or RecordsRetentionDays has passed, or somebody deleted it",
    )
}
