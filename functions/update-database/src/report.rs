//! The report of a run: from the counters in the ledger to the page in S3.

use bytes::Bytes;
use limit_increase_database::{ClosingRun, LedgerRun};
use limit_increase_report::drift::Index;
use limit_increase_report::run_report::{DriftSummary, PAST_RUNS};
use limit_increase_report::{Drift, Opening, PastRun, Profile, RunReport, page};
use limit_increase_storage::{APPLICATION_JSON, Storage};
use limit_increase_workflow::keys::{report_key, report_page_key};
use limit_increase_workflow::{Failure, FailureKind};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::sealed_object::write_sealed;

/// The type of the page.
const TEXT_HTML: &str = "text/html; charset=utf-8";

/// Adds up the counters of the shards, keeps the sums in the ledger, and makes the report of them.
/// Its cost does not grow with the number of customers.
///
/// # Errors
/// By SQLSTATE.
pub(crate) async fn make_report(closing: &ClosingRun<'_>) -> Result<RunReport, Failure> {
    let profile = sum(closing.shard_profiles().await?);
    let drift = profile.as_ref().filter(|profile| profile.scores.is_some()).map(Drift::of);
    let summary = drift.as_ref().map(DriftSummary::of);
    closing.record_profile(&profile, &summary).await?;

    let origin = closing.origin().await?;
    let past = closing.past_runs(PAST_RUNS).await?;
    Ok(RunReport {
        summary: closing.summary().clone(),
        opening: Opening {
            scheduled_event: origin.scheduled_event,
            limit: origin.limit,
            undecided: origin.candidates.undecided,
            qualifying: origin.candidates.qualifying,
            redrives: origin.redrives,
        },
        profile,
        drift,
        past: past.into_iter().map(past_run).collect(),
    })
}

/// Writes the report, for people and for programs. Returns the hash of each object by its key, for
/// the seal.
///
/// # Errors
/// The failure of the storage.
pub(crate) async fn write_report(
    storage: &Storage,
    bucket: &str,
    report: &RunReport,
) -> Result<[(String, String); 2], Failure> {
    let run = &report.summary.run_id;
    let (page, json) = (page::render(report), to_json(report)?);
    let (page_key, json_key) = (report_page_key(run), report_key(run));
    let (page, json) = tokio::try_join!(
        write_sealed(storage, bucket, page_key, (Bytes::from(page), TEXT_HTML)),
        write_sealed(storage, bucket, json_key, (Bytes::from(json), APPLICATION_JSON)),
    )?;
    Ok([page, json])
}

fn to_json(report: &RunReport) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(report)
        .map_err(|error| Failure::new(FailureKind::Internal, format!("report: {error}")))
}

/// The counters of all shards; `None` when there is no shard, or one without counters. Sums of some
/// of the shards would look like a run that nobody has seen.
fn sum(shards: Vec<Option<Profile>>) -> Option<Profile> {
    let mut shards = shards.into_iter();
    let mut sum = shards.next()??;
    for shard in shards {
        if let Err(error) = sum.add(&shard?) {
            tracing::warn!(%error, "the counters of the shards do not add up");
            return None;
        }
    }

    Some(sum)
}

fn past_run(run: LedgerRun) -> PastRun {
    let drift: DriftSummary = read(run.drift).unwrap_or_default();
    let [score_drift, worst_input]: [Option<Index>; 2] = [drift.scores, drift.worst_input];
    PastRun {
        run_id: run.run_id,
        status: run.status,
        as_of: run.as_of,
        dry_run: run.dry_run,
        started_at: run.started_at,
        seconds: run.seconds,
        eligible: run.eligible,
        counts: run.counts,
        total_increase: run.total_increase,
        score_drift,
        worst_input,
        scores: read(run.scores),
    }
}

/// A document of the ledger. One of another release may have another form, and is left out.
fn read<T: DeserializeOwned>(document: Option<Value>) -> Option<T> {
    serde_json::from_value(document?).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_counters_of_a_run_are_those_of_all_its_shards() {
        let shard = |customers: u64| {
            let mut profile = Profile::new(None, [], 3);
            profile.customers = customers;
            Some(profile)
        };
        assert_eq!(sum(vec![shard(2), shard(3)]).unwrap().customers, 5);
        assert_eq!(sum(vec![shard(2), None]), None, "a shard of an older release");
        assert_eq!(sum(Vec::new()), None);
    }
}
