//! From a shard's scores in S3 to its decisions in S3.

use limit_increase_evaluation_step::evaluate;
use limit_increase_handoff::StepFiles;
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
        let scores = files.read_scores_for_decisions(&scored).await?;
        let (mut writer, counts) = evaluate(&run.policy, &scores)
            .map_err(|error| files.failure(Stage::ScoredCustomers, error))?;
        writer.set_scored_sha256(scored.sha256);
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

#[cfg(test)]
mod tests;
