//! From a shard's customers in S3 to its scores in S3.

use limit_increase_handoff::StepFiles;
use limit_increase_handoff::customers::Customers;
use limit_increase_storage::Storage;
use limit_increase_storage::aws;
use limit_increase_workflow::Failure;
use limit_increase_workflow::contract::{ShardScored, ShardTask};
use limit_increase_workflow::document::parse;
use limit_increase_workflow::keys::Stage;
use serde_json::Value;

use crate::model::ModelCache;
use crate::score::{ScoreError, score};

/// What outlives an event.
pub(crate) struct Handler {
    storage: Storage,
    models: ModelCache,
}

impl Handler {
    /// Makes the clients.
    pub(crate) async fn new() -> Self {
        let config = aws::load_config().await;
        Self { storage: Storage::new(aws::s3_client(&config)), models: ModelCache::default() }
    }

    /// Scores the event's shard with its run's model.
    ///
    /// # Errors
    /// By the step that failed: request, model, hand-off, storage.
    pub(crate) async fn handle(&self, event: Value) -> Result<ShardScored, Failure> {
        let ShardTask { run, shard } = parse(event)?;
        let model = self.models.get(&self.storage, &run.model).await?;
        let files = StepFiles::new(&self.storage, &run, &shard);
        let customers: Customers = files.read().await?;
        let result = score(&model, &customers).map_err(|error| match error {
            ScoreError::Handoff(error) => files.failure(Stage::Customers, error),
            ScoreError::Model(failure) => failure,
        })?;

        files.write(Stage::ScoredCustomers, Ok(result.bytes)).await?;
        tracing::info!(
            shard = shard.index.0,
            scored = result.scored,
            referred = result.referred,
            "shard scored"
        );

        Ok(ShardScored {
            index: shard.index,
            key: Stage::ScoredCustomers.shard_key(&run.run_id, shard.index),
            scored: result.scored,
            referred: result.referred,
        })
    }
}
