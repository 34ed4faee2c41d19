//! From a shard's scores in S3 to its decisions in S3.

use limit_increase_domain::decision::{Scoring, decide, refer};
use limit_increase_domain::{Counts, Outcome, Policy};
use limit_increase_handoff::evaluations::{EvaluationsWriter, Facts};
use limit_increase_handoff::scored::Scored;
use limit_increase_handoff::{HandoffError, StepFiles};
use limit_increase_storage::Storage;
use limit_increase_workflow::contract::EvaluateTask;
use limit_increase_workflow::keys::Stage;
use limit_increase_workflow::{Failure, FailureKind, HandoffRef, RunContext};

/// Evaluates shards. One handler serves all events of an execution environment.
pub(crate) struct Handler {
    storage: Storage,
}

impl Handler {
    pub(crate) const fn new(storage: Storage) -> Self {
        Self { storage }
    }

    /// Decides every customer of the shard under the policy of its run.
    ///
    /// The answer says what was written. The state machine gives it to the next step.
    ///
    /// # Errors
    /// `Permanent.InvalidPolicy`, or the failure of the hand-off or of the storage.
    pub(crate) async fn handle(&self, task: EvaluateTask) -> Result<HandoffRef, Failure> {
        let EvaluateTask { run, shard, scored } = task;
        check_policy(&run)?;

        let files = StepFiles::new(&self.storage, &run, &shard);
        let scored = files.read_scores_for_decisions(&scored).await?;
        let (writer, counts) = evaluate(&run.policy, &scored)
            .map_err(|error| files.failure(Stage::ScoredCustomers, error))?;
        let written = files.write(Stage::Evaluations, writer.finish()).await?;

        tracing::info!(
            shard = shard.index.0,
            approved = counts.approved,
            declined = counts.declined,
            referred = counts.referred,
            "shard evaluated"
        );

        Ok(written)
    }
}

/// Checks that the policy is the one with which the run was opened (promise 2). The event carries
/// both, and it may have been written by hand.
fn check_policy(run: &RunContext) -> Result<(), Failure> {
    let found = run.policy.sha256();
    if found != run.policy_sha256 {
        let message = format!(
            "the policy has sha256 {found}, but the run was opened with {}",
            run.policy_sha256
        );

        return Err(Failure::new(FailureKind::InvalidPolicy, message));
    }

    run.policy
        .validate()
        .map_err(|error| Failure::new(FailureKind::InvalidPolicy, error.to_string()))
}

/// Decides each customer of a file, in the file's order. None of the decisions is stale yet.
fn evaluate(policy: &Policy, scored: &Scored) -> Result<(EvaluationsWriter, Counts), HandoffError> {
    let columns = scored.columns()?;
    let mut writer = EvaluationsWriter::default();
    if let Some(profile) = scored.profile() {
        writer.set_profile(profile.to_owned());
    }

    let mut counts = Counts::default();

    for row in 0..scored.rows() {
        let (limit, income) = (columns.limit(row), columns.income(row));
        let reasons = columns.reasons(row);
        let score = columns.score(row);
        let scoring = match score {
            Ok(score) => Scoring::Scored { score, reasons: &reasons },
            Err(reason) => Scoring::NotScored { reason },
        };

        let unreadable = columns.unreadable(row);
        let decision = match (limit, unreadable) {
            (Some(limit), None) => decide(policy, limit, income, scoring),
            (_, unreadable) => refer(unreadable.unwrap_or("the current limit is missing")),
        };
        counts.add(decision.outcome);
        let meets_minimum = score.is_ok_and(|score| score >= policy.minimum_score);
        let facts = Facts {
            current_score: columns.current_score(row),
            current_limit: limit,
            unreadable,
            annual_income: income,
            new_score: score.ok(),
            driver: columns
                .driver(row)
                .filter(|_| decision.outcome == Outcome::Declined && !meets_minimum),
        };

        writer.push(columns.ids.value(row), &facts, &decision)?;
    }

    Ok((writer, counts))
}

#[cfg(test)]
mod tests;
