//! Applying one shard: from its decisions in S3 to the table, and from their effects to S3.

use limit_increase_database::{Database, HeldShard, ShardFiles, ShardLock, ShardOutcome, StaleIds};
use limit_increase_domain::CreditScore;
use limit_increase_handoff::StepFiles;
use limit_increase_handoff::evaluations::Evaluations;
use limit_increase_handoff::results::{Effect, ResultsWriter};
use limit_increase_report::{Outcomes, Profile};
use limit_increase_storage::Storage;
use limit_increase_workflow::contract::{ApplyTask, ShardApplied};
use limit_increase_workflow::keys::Stage;
use limit_increase_workflow::rows::Evaluation;
use limit_increase_workflow::{Failure, FailureKind, HandoffRef, RunContext};

use crate::check_decisions::{check_ceilings, check_decisions};

/// Applies a shard once. An attempt that finds it applied answers with the same counts.
///
/// # Errors
/// The failure of the hand-off, of the ledger, of the database or of the storage.
pub(crate) async fn apply_shard(
    database: &Database,
    storage: &Storage,
    task: &ApplyTask,
) -> Result<ShardApplied, Failure> {
    let ApplyTask { run, shard, evaluations: written } = task;
    let files = StepFiles::new(storage, run, shard);
    let file: Evaluations = files.read(written).await?;
    let evaluations: Vec<Evaluation<'_>> = file
        .iter()
        .and_then(Iterator::collect)
        .map_err(|error| files.failure(Stage::Evaluations, error))?;
    let profile = read_profile(&file, &files)?;
    check_ceilings(&run.policy)?;
    check_decisions(&run.policy, &evaluations, &files.place(Stage::Evaluations))?;

    let mut client = database.client().await?;
    let outcome = match ShardLock::hold(&mut client, run, shard.index).await? {
        ShardLock::AlreadyApplied(outcome) => outcome,
        ShardLock::Held(held) => {
            let counted = Counted { evaluations: &evaluations, profile };
            apply_and_record(held, files, run, (counted, written)).await?
        }
    };

    tracing::info!(
        shard = shard.index.0,
        approved = outcome.counts.approved,
        declined = outcome.counts.declined,
        referred = outcome.counts.referred,
        stale = outcome.counts.stale,
        replayed = outcome.replayed,
        "shard applied"
    );

    Ok(ShardApplied { index: shard.index, counts: outcome.counts, replayed: outcome.replayed })
}

/// The decisions of a shard, with what the earlier steps have counted of its customers.
struct Counted<'a> {
    evaluations: &'a [Evaluation<'a>],
    profile: Option<Profile>,
}

/// Writes the decisions, writes the record, and commits, in this order. So a decision in the table
/// has its record in S3 (promise 8). When the commit fails, the next attempt writes the record
/// anew.
///
/// The record replaces only the version that this attempt found while it held the shard. An attempt
/// can be late: it was frozen, or it waited for S3, until the database ended its transaction and
/// another attempt took the shard. If it had lost the shard before it read the version, the
/// statements of `apply` fail. If it loses the shard later, `replace` refuses.
async fn apply_and_record(
    held: HeldShard<'_>,
    files: StepFiles<'_>,
    run: &RunContext,
    (counted, written): (Counted<'_>, &HandoffRef),
) -> Result<ShardOutcome, Failure> {
    let Counted { evaluations, profile } = counted;
    let previous = files.etag(Stage::Results).await?;
    let with_outcomes = |stale: &StaleIds| {
        let outcomes = outcomes(evaluations, stale, run.policy.minimum_score);
        profile.map(|profile| Profile { outcomes: Some(outcomes), ..profile })
    };
    let (outcome, stale) = held.apply(evaluations, with_outcomes).await?;

    let record = effects(run.dry_run, evaluations, &stale).finish();
    let recorded = files.replace(Stage::Results, previous.as_deref(), record).await?;

    let files =
        ShardFiles { evaluations_sha256: written.sha256.clone(), results_sha256: recorded.sha256 };
    held.commit(&files).await?;
    Ok(outcome)
}

/// What was counted of the shard so far. A file of an older release has no counts.
fn read_profile(file: &Evaluations, files: &StepFiles<'_>) -> Result<Option<Profile>, Failure> {
    let Some(json) = file.profile() else { return Ok(None) };
    let profile = serde_json::from_str(json).ok().filter(Profile::is_whole).ok_or_else(|| {
        let place = files.place(Stage::Evaluations);
        let message = format!("{place}: its counts cannot be read; start a new run");
        Failure::new(FailureKind::HandoffInvalid, message)
    })?;
    Ok(Some(profile))
}

/// What became of the customers, for the report of the run.
fn outcomes(evaluations: &[Evaluation<'_>], stale: &StaleIds, minimum: CreditScore) -> Outcomes {
    let mut outcomes = Outcomes::default();
    for evaluation in evaluations {
        outcomes.count(evaluation, stale.contains(evaluation.customer_id), minimum);
    }

    outcomes
}

/// Each decision with its effect: what became of it when it met the database.
fn effects(dry_run: bool, evaluations: &[Evaluation<'_>], stale: &StaleIds) -> ResultsWriter {
    let unless_stale = if dry_run { Effect::DryRun } else { Effect::Written };
    let mut results = ResultsWriter::default();
    for evaluation in evaluations {
        let is_stale = stale.contains(evaluation.customer_id);
        results.push(evaluation, if is_stale { Effect::Stale } else { unless_stale });
    }

    results
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use limit_increase_domain::Outcome;
    use limit_increase_handoff::results;

    fn evaluation(customer_id: &str) -> Evaluation<'_> {
        Evaluation {
            customer_id,
            current_score: Some(700),
            current_limit: Some("5000.00".parse().unwrap()),
            unreadable: None,
            annual_income: None,
            new_score: None,
            outcome: Outcome::Approved,
            new_limit: Some("7500.00".parse().unwrap()),
            reason: "Score 700.",
            driver: None,
        }
    }

    #[test]
    fn every_decision_has_its_effect_in_the_record() {
        let evaluations = [evaluation("a"), evaluation("b")];
        let stale = StaleIds::from(["b".to_owned()]);
        for (dry_run, expected) in [(false, "WRITTEN"), (true, "DRY_RUN")] {
            let record = effects(dry_run, &evaluations, &stale).finish().unwrap();
            let rows = results::read(record, 2).unwrap();
            let rows: Vec<[&str; 3]> =
                rows.iter().map(|row| [&*row[0], &*row[1], &*row[2]]).collect();
            assert_eq!(rows, [["a", "APPROVED", expected], ["b", "APPROVED", "STALE"]]);
        }
    }
}
