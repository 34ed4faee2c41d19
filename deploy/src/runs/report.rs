//! The reports of runs: fetched from S3, where each run wrote its own, and saved as files.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use limit_increase_report::{PastRun, RunReport, index};
use limit_increase_workflow::RunId;
use limit_increase_workflow::keys::{report_key, report_page_key};

use crate::aws::{Aws, storage};
use crate::terminal::Problem;

/// Reports that are fetched simultaneously.
const READS: usize = 4;

/// The report of a run, as S3 has it.
#[derive(Debug, Clone)]
pub struct Report {
    /// What the page says.
    pub content: RunReport,
    /// The page.
    pub page: Bytes,
    /// Where the page is in S3.
    pub place: String,
}

/// Fetches the report of a run.
///
/// # Errors
/// When the run has none, or when it cannot be read.
pub async fn fetch(aws: &Aws, bucket: &str, run: &RunId) -> Result<Report> {
    let found = find(aws, bucket, run).await?;
    found.ok_or_else(|| {
        Problem::new(format!("run {run} has no report"))
            .at(format!("s3://{bucket}/{}", report_page_key(run)))
            .next("check the name; a run has its report once it has succeeded, if its release makes reports")
            .into()
    })
}

async fn find(aws: &Aws, bucket: &str, run: &RunId) -> Result<Option<Report>> {
    let (page_key, key) = (report_page_key(run), report_key(run));
    let page = storage::get(&aws.s3, bucket, &page_key).await?;
    let json = storage::get(&aws.s3, bucket, &key).await?;
    let Some((page, json)) = page.zip(json) else { return Ok(None) };
    let content = serde_json::from_slice(&json).with_context(|| {
        format!("s3://{bucket}/{key} cannot be read as a report by this release")
    })?;
    Ok(Some(Report { content, page, place: format!("s3://{bucket}/{page_key}") }))
}

/// Saves the page of a run in a directory, and returns its path.
///
/// # Errors
/// When the file cannot be written.
pub fn save(directory: &Path, run: &RunId, page: &[u8]) -> Result<PathBuf> {
    // A run's id is safe in a path: it has letters, digits, dots, underscores and hyphens. The
    // ending keeps it apart from `.` and `..`.
    save_as(directory, &file_name(run), page)
}

fn file_name(run: &RunId) -> String {
    format!("{run}.html")
}

fn save_as(directory: &Path, name: &str, page: &[u8]) -> Result<PathBuf> {
    std::fs::create_dir_all(directory)
        .with_context(|| format!("cannot make the directory {}", directory.display()))?;
    let path = directory.join(name);
    std::fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// The pages of many runs, saved, and the index over them.
#[derive(Debug, Clone)]
pub struct SavedIndex {
    /// The index.
    pub path: PathBuf,
    /// The runs in it, the newest first. Those that failed have no page.
    pub runs: Vec<PastRun>,
    /// How many of them have a page.
    pub pages: usize,
}

/// Saves the pages of those runs that have one, and an index over them.
///
/// # Errors
/// When S3 refuses, or a file cannot be written.
pub async fn save_all(
    aws: &Aws,
    bucket: &str,
    runs: &[RunId],
    directory: &Path,
) -> Result<SavedIndex> {
    let mut reports = stream::iter(runs).map(|run| find(aws, bucket, run)).buffered(READS);
    let mut known: BTreeMap<RunId, PastRun> = BTreeMap::new();
    let mut saved = Vec::new();
    while let Some(found) = reports.try_next().await? {
        let Some(Report { content, page, .. }) = found else { continue };
        save(directory, &content.summary.run_id, &page)?;
        saved.push(content.summary.run_id);
        // A report looks back on the runs before it, also on those that failed.
        known.extend(content.past.into_iter().map(|run| (run.run_id.clone(), run)));
    }

    let mut runs: Vec<PastRun> = known.into_values().collect();
    runs.sort_by_key(|run| Reverse(run.started_at));
    let page =
        index::render(&runs, |run| saved.contains(&run.run_id).then(|| file_name(&run.run_id)));
    let path = save_as(directory, "index.html", page.as_bytes())?;
    Ok(SavedIndex { path, runs, pages: saved.len() })
}
