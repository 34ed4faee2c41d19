//! From a shard's scores in S3 to its decisions in S3.

use limit_increase_domain::decision::{Scoring, decide};
use limit_increase_domain::{Counts, Policy};
use limit_increase_handoff::evaluations::EvaluationsWriter;
use limit_increase_handoff::scored::Scored;
use limit_increase_handoff::{HandoffError, StepFiles};
use limit_increase_storage::Storage;
use limit_increase_storage::aws;
use limit_increase_workflow::contract::{ShardEvaluated, ShardTask};
use limit_increase_workflow::document::parse;
use limit_increase_workflow::keys::Stage;
use limit_increase_workflow::{Failure, FailureKind, RunContext};
use serde_json::Value;

/// What outlives an event.
pub(crate) struct Handler {
    storage: Storage,
}

impl Handler {
    /// Makes the client.
    pub(crate) async fn new() -> Self {
        let config = aws::load_config().await;
        Self { storage: Storage::new(aws::s3_client(&config)) }
    }

    /// Decides every customer of the event's shard under its run's policy.
    ///
    /// # Errors
    /// By the step that failed: request, policy, hand-off, storage.
    pub(crate) async fn handle(&self, event: Value) -> Result<ShardEvaluated, Failure> {
        let ShardTask { run, shard } = parse(event)?;
        check_policy(&run)?;
        let files = StepFiles::new(&self.storage, &run, &shard);
        let scored = files.read_scores_for_decisions().await?;
        let (writer, counts) = evaluate(&run.policy, &scored)
            .map_err(|error| files.failure(Stage::ScoredCustomers, error))?;

        files.write(Stage::Evaluations, writer.finish()).await?;
        tracing::info!(
            shard = shard.index.0,
            approved = counts.approved,
            declined = counts.declined,
            referred = counts.referred,
            "shard evaluated"
        );

        let key = Stage::Evaluations.shard_key(&run.run_id, shard.index);
        Ok(ShardEvaluated { index: shard.index, key, counts })
    }
}

/// The policy must be the one that the run was opened with, whoever sent this event.
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

fn evaluate(policy: &Policy, scored: &Scored) -> Result<(EvaluationsWriter, Counts), HandoffError> {
    let columns = scored.columns()?;
    let mut writer = EvaluationsWriter::default();
    let mut counts = Counts::default();
    for row in 0..scored.rows() {
        let limit = columns.limit(row);
        let reasons = columns.reasons(row);
        let score = columns.score(row);
        let scoring = match score {
            Ok(score) => Scoring::Scored { score, reasons: &reasons },
            Err(reason) => Scoring::NotScored { reason },
        };

        let decision = decide(policy, limit, columns.income(row), scoring);
        counts.add(decision.outcome);
        writer.push(
            columns.ids.value(row),
            (columns.current_scores.value(row), limit),
            score.ok(),
            &decision,
        )?;
    }

    Ok((writer, counts))
}
