//! From a shard's customers in S3 to its scores in S3.

use limit_increase_handoff::StepFiles;
use limit_increase_handoff::customers::Customers;
use limit_increase_report::Profile;
use limit_increase_scoring_step::{frame, write_scores};
use limit_increase_storage::Storage;
use limit_increase_workflow::contract::ShardTask;
use limit_increase_workflow::keys::Stage;
use limit_increase_workflow::{Failure, FailureKind, HandoffRef};

use crate::model::ModelCache;

/// Scores shards. One handler serves all events of an execution environment and keeps its model.
pub(crate) struct Handler {
    storage: Storage,
    models: ModelCache,
}

impl Handler {
    pub(crate) fn new(storage: Storage) -> Self {
        Self { storage, models: ModelCache::default() }
    }

    /// Scores every customer of the shard with the model of its run.
    ///
    /// The answer says what was written. The state machine gives it to the next step.
    ///
    /// # Errors
    /// The failure of the model, of the hand-off or of the storage.
    pub(crate) async fn handle(&self, task: ShardTask) -> Result<HandoffRef, Failure> {
        let ShardTask { run, shard } = task;
        let loaded = self.models.get(&self.storage, &run.model).await?;
        let model = &loaded.model;
        let files = StepFiles::new(&self.storage, &run, &shard);
        let (customers, ()): (Customers, ()) =
            tokio::try_join!(files.read(&shard.file), files.check_listed())?;

        let frame = frame(model.inputs(), &customers)
            .map_err(|error| files.failure(Stage::Customers, error))?;
        let batch = model.score(&frame).map_err(|error| {
            Failure::new(FailureKind::Internal, format!("scoring failed: {error}"))
        })?;

        let (mut writer, counts) = write_scores(model.inputs(), &batch)
            .map_err(|error| files.failure(Stage::ScoredCustomers, error))?;
        writer.set_profile(profile_json(&loaded.counters.count(&frame, &batch))?);
        let written = files.write(Stage::ScoredCustomers, writer.finish(&customers)).await?;

        tracing::info!(
            shard = shard.index.0,
            scored = counts.scored,
            referred = counts.referred,
            "shard scored"
        );

        Ok(written)
    }
}

fn profile_json(profile: &Profile) -> Result<String, Failure> {
    serde_json::to_string(profile)
        .map_err(|error| Failure::new(FailureKind::Internal, format!("the counters: {error}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use limit_increase_workflow::document::parse;

    #[test]
    fn the_event_of_the_folder_events_is_a_task() {
        let event = include_str!("../../../events/score-customers.json");
        let task: ShardTask = parse(serde_json::from_str(event).unwrap()).unwrap();
        let key = Stage::Customers.shard_key(&task.run.run_id, task.shard.index);
        assert_eq!(task.shard.key, key);
    }
}
