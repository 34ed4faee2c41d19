//! Checks every object of a run against the hash that the ledger has of it, and finds runs that are in
//! S3 and not in the ledger (promise 15).

use std::collections::BTreeSet;

use anyhow::Result;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use limit_increase_domain::{Counts, Outcome, sha256_hex};
use limit_increase_evidence::seal::{Finding, LedgerRun, StoredSeal};
use limit_increase_handoff::evaluations::scored_sha256;
use limit_increase_handoff::{results, row_count};
use limit_increase_workflow::keys::{Stage, shard_list_key, summary_key};
use limit_increase_workflow::seal::{Sealed, SealedShard};
use limit_increase_workflow::{RunContext, RunId, ShardIndex, ShardRef};
use tokio_postgres::Client;

use super::history;
use crate::aws::{Aws, storage};
use crate::terminal::{Task, thousands};

/// Shards that are checked simultaneously.
const CHECKS: usize = 2;

/// The objects of a run that were checked, and what is wrong with them.
#[derive(Debug, Default)]
pub struct ObjectsReport {
    /// Objects whose hash was compared.
    pub objects: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// One run's objects in S3.
struct Objects<'a> {
    aws: &'a Aws,
    client: &'a Client,
    run: &'a str,
    context: RunContext,
    report: ObjectsReport,
}

/// Checks the objects of a run: its list of shards, each file of each shard, its summary, its model.
/// Files that are right are compared with the counts and with the history.
///
/// # Errors
/// When S3 does not answer, or the ledger's row can't be read by this release.
pub async fn check_objects(
    (aws, client): (&Aws, &Client),
    run: &LedgerRun,
    seal: Option<&StoredSeal>,
    task: &Task,
) -> Result<ObjectsReport> {
    let context: RunContext = serde_json::from_value(run.context.clone())?;
    let mut objects =
        Objects { aws, client, run: &run.run_id, context, report: ObjectsReport::default() };
    objects.check_summary(seal).await?;
    objects.check_model().await?;

    let listed = objects.shards().await?;
    let mut checked =
        stream::iter(listed.iter()).map(|shard| objects.check_shard(shard, run)).buffered(CHECKS);
    let mut parts = Vec::new();
    while let Some(part) = checked.try_next().await? {
        parts.push(part);
        let count = thousands(parts.len() as u64);
        task.tick(format!("{}: shard {count} of {}", run.run_id, listed.len()));
    }
    drop(checked);

    let mut report = objects.report;
    for part in parts {
        report.objects += part.objects;
        report.findings.extend(part.findings);
    }
    Ok(report)
}

/// Runs that have a summary in S3, and of which the ledger knows nothing.
///
/// # Errors
/// When S3 does not answer.
pub async fn check_unknown_runs(
    aws: &Aws,
    bucket: &str,
    runs: &[LedgerRun],
) -> Result<Vec<Finding>> {
    let known: BTreeSet<&str> = runs.iter().map(|run| run.run_id.as_str()).collect();
    let mut findings = Vec::new();
    for prefix in storage::folders(&aws.s3, bucket, "pipeline/results/").await? {
        let name = prefix.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let Some(run) = name.strip_prefix("run=").filter(|run| !known.contains(run)) else {
            continue;
        };
        let Ok(id) = RunId::try_from(run.to_owned()) else { continue };

        let key = summary_key(&id);
        if storage::get(&aws.s3, bucket, &key).await?.is_some() {
            let place = format!("s3://{bucket}/{key}");
            let problem = "the run has a summary, and the ledger has no such run: it was removed \
                           from the ledger, or its objects were put in";
            findings.push(Finding::new(run, place, problem));
        }
    }

    Ok(findings)
}

impl Objects<'_> {
    /// Checks what was written when the run closed, as its seal has it.
    async fn check_summary(&mut self, seal: Option<&StoredSeal>) -> Result<()> {
        let sealed: Option<Sealed> =
            seal.and_then(|stored| serde_json::from_str(&stored.document).ok());
        for (key, sha256) in sealed.map(|sealed| sealed.objects).unwrap_or_default() {
            let bucket = self.context.bucket.clone();
            let mut report = ObjectsReport::default();
            self.check(&bucket, &key, None, &sha256, &mut report).await?;
            self.add(report);
        }
        Ok(())
    }

    async fn check_model(&mut self) -> Result<()> {
        let model = self.context.model.clone();
        let version = model.version_id.as_deref();
        let mut report = ObjectsReport::default();
        self.check(&model.bucket, &model.key, version, &model.sha256, &mut report).await?;
        self.add(report);
        Ok(())
    }

    /// The list of shards, if it is the one of the run.
    async fn shards(&mut self) -> Result<Vec<ShardRef>> {
        let (bucket, key) = (self.context.bucket.clone(), shard_list_key(&self.context.run_id));
        let sha256 = self.context.shard_list.sha256.clone();
        let mut report = ObjectsReport::default();
        let found = self.check(&bucket, &key, None, &sha256, &mut report).await?;
        self.add(report);
        Ok(found.and_then(|list| serde_json::from_slice(&list).ok()).unwrap_or_default())
    }

    async fn check_shard(&self, shard: &ShardRef, run: &LedgerRun) -> Result<ObjectsReport> {
        let mut report = ObjectsReport::default();
        let bucket = &self.context.bucket;
        self.check(bucket, &shard.key, None, &shard.file.sha256, &mut report).await?;

        let Some(row) = run.shards.iter().find(|row| row.index == shard.index.0) else {
            // A run that failed has not applied all of its shards. A closed one is sealed with all.
            return Ok(report);
        };
        let key = |stage: Stage| stage.shard_key(&self.context.run_id, shard.index);
        let evaluations = match &row.evaluations_sha256 {
            Some(sha256) => {
                self.check(bucket, &key(Stage::Evaluations), None, sha256, &mut report).await?
            }
            None => None,
        };
        let scores = evaluations.as_ref().map(scored_sha256).transpose()?.flatten();
        if let Some(sha256) = scores {
            let key = key(Stage::ScoredCustomers);
            self.check(bucket, &key, None, &sha256, &mut report).await?;
        }
        let record = match &row.results_sha256 {
            Some(sha256) => {
                self.check(bucket, &key(Stage::Results), None, sha256, &mut report).await?
            }
            None => None,
        };

        if let Some(record) = record.clone() {
            report.findings.extend(self.check_counts(shard.index, row, record)?);
        }
        if let Some((evaluations, record)) = evaluations.zip(record) {
            let place = (self.run, shard.index);
            let finding = history::check_shard(self.client, place, evaluations, record).await?;
            report.findings.extend(finding);
        }
        Ok(report)
    }

    /// Checks the counts of a shard's row against its record, whose hash is right.
    fn check_counts(
        &self,
        shard: ShardIndex,
        row: &SealedShard,
        record: Bytes,
    ) -> Result<Option<Finding>> {
        let mut counts = Counts::default();
        for [_, decision, effect] in results::read(record.clone(), row_count(&record)?)? {
            match Outcome::parse(&decision) {
                _ if effect == results::Effect::Stale.as_str() => counts.stale += 1,
                Some(outcome) => counts.add(outcome),
                None => {}
            }
        }

        Ok((counts != row.counts).then(|| {
            let problem =
                format!("shard {shard}: its record has {counts:?}, the row {:?}", row.counts);
            Finding::new(self.run, "limit_increase_shards", problem)
        }))
    }

    /// Compares an object with its hash. Returns it if it is the right one.
    async fn check(
        &self,
        bucket: &str,
        key: &str,
        version: Option<&str>,
        sha256: &str,
        report: &mut ObjectsReport,
    ) -> Result<Option<Bytes>> {
        report.objects += 1;
        let place = format!("s3://{bucket}/{key}");
        let Some(content) = storage::get_version(&self.aws.s3, bucket, key, version).await? else {
            report.findings.push(Finding::new(self.run, place, "the object is missing"));
            return Ok(None);
        };

        let found = sha256_hex(&content);
        if found == sha256 {
            return Ok(Some(content));
        }
        let problem = format!("the object was changed: its SHA-256 was {sha256} and is {found}");
        report.findings.push(Finding::new(self.run, place, problem));
        Ok(None)
    }

    fn add(&mut self, other: ObjectsReport) {
        self.report.objects += other.objects;
        self.report.findings.extend(other.findings);
    }
}
