//! The files of one step: what it reads and what it writes, for one shard of one run.

use bytes::Bytes;
use limit_increase_storage::Storage;
use limit_increase_workflow::keys::{Stage, shard_list_key};
use limit_increase_workflow::{Failure, FailureKind, HandoffRef, RunContext, ShardRef};

use crate::customers::Customers;
use crate::evaluations::Evaluations;
use crate::parquet_file::{CONTENT_TYPE, HandoffError};
use crate::scored::Scored;

/// A file that a step reads as a whole.
pub trait StageFile: Sized {
    /// The stage that writes the file.
    const STAGE: Stage;

    /// Reads a file of exactly `rows` rows.
    ///
    /// # Errors
    /// When the bytes are not such a file.
    fn read(bytes: Bytes, rows: u32) -> Result<Self, HandoffError>;
}

impl StageFile for Customers {
    const STAGE: Stage = Stage::Customers;

    fn read(bytes: Bytes, rows: u32) -> Result<Self, HandoffError> {
        Self::read(bytes, rows)
    }
}

impl StageFile for Evaluations {
    const STAGE: Stage = Stage::Evaluations;

    fn read(bytes: Bytes, rows: u32) -> Result<Self, HandoffError> {
        Self::read(bytes, rows)
    }
}

/// The files of one shard, one for each stage.
///
/// A key is derived from the run and the shard. Content is verified by the SHA-256 that the step
/// before answered. Every failure names the object.
#[derive(Debug, Clone, Copy)]
pub struct StepFiles<'a> {
    storage: &'a Storage,
    run: &'a RunContext,
    shard: &'a ShardRef,
}

impl<'a> StepFiles<'a> {
    /// The files of this shard. Nothing is read yet.
    #[must_use]
    pub const fn new(storage: &'a Storage, run: &'a RunContext, shard: &'a ShardRef) -> Self {
        Self { storage, run, shard }
    }

    /// Reads the file of a stage, exactly as the step before wrote it.
    ///
    /// # Errors
    /// `Permanent.HandoffInvalid` when the file is missing, not what was written, or not of the
    /// expected shape; otherwise as [`Storage::get_written`].
    pub async fn read<F: StageFile>(&self, written: &HandoffRef) -> Result<F, Failure> {
        self.read_with(F::STAGE, written, F::read).await
    }

    /// Checks that the shard is an entry of the run's list of shards. The Map gives a step whatever
    /// list it finds in the bucket, and does not verify it.
    ///
    /// # Errors
    /// `Permanent.HandoffInvalid` when the run has no such shard, or when its list is missing or
    /// not what was written; otherwise as [`Storage::get_written`].
    pub async fn check_listed(&self) -> Result<(), Failure> {
        let Self { storage, run, shard } = self;
        let key = shard_list_key(&run.run_id);
        let list = storage.get_written(&run.bucket, &key, &run.shard_list).await?;
        let handoff_failure = |problem: String| {
            let message = format!("s3://{}/{key}: {problem}; start a new run", run.bucket);
            Failure::new(FailureKind::HandoffInvalid, message)
        };

        let shards: Vec<ShardRef> = serde_json::from_slice(&list)
            .map_err(|error| handoff_failure(format!("is no shard list: {error}")))?;
        if shards.contains(shard) {
            return Ok(());
        }

        Err(handoff_failure(format!("the event's shard {} is not in the list", shard.index)))
    }

    /// Reads the scores without the columns of the explanation, which a decision does not need.
    ///
    /// # Errors
    /// As [`StepFiles::read`].
    pub async fn read_scores_for_decisions(&self, written: &HandoffRef) -> Result<Scored, Failure> {
        self.read_with(Stage::ScoredCustomers, written, Scored::read_for_decisions).await
    }

    /// Writes the file of a stage and replaces an earlier attempt's. It takes what the file's
    /// writer returns, so that an error of the writer gets the object's name. The answer is what the
    /// next step has to read.
    ///
    /// # Errors
    /// `Permanent.HandoffInvalid` when the file could not be made; otherwise as [`Storage::put`].
    pub async fn write(
        &self,
        stage: Stage,
        file: Result<Bytes, HandoffError>,
    ) -> Result<HandoffRef, Failure> {
        let bytes = file.map_err(|error| self.failure(stage, error))?;
        self.storage.put(&self.run.bucket, &self.key(stage), bytes, CONTENT_TYPE).await
    }

    /// The entity tag of the file that a stage has now, for [`StepFiles::replace`].
    ///
    /// # Errors
    /// As [`Storage::etag`].
    pub async fn etag(&self, stage: Stage) -> Result<Option<String>, Failure> {
        self.storage.etag(&self.run.bucket, &self.key(stage)).await
    }

    /// Writes the file of a stage only if the object under its key still has the entity tag
    /// `previous`, or if `previous` is `None` and there is still no object.
    ///
    /// # Errors
    /// `Permanent.HandoffInvalid` when the file could not be made; otherwise as
    /// [`Storage::replace`].
    pub async fn replace(
        &self,
        stage: Stage,
        previous: Option<&str>,
        file: Result<Bytes, HandoffError>,
    ) -> Result<HandoffRef, Failure> {
        let bytes = file.map_err(|error| self.failure(stage, error))?;
        self.storage
            .replace(&self.run.bucket, &self.key(stage), previous, bytes, CONTENT_TYPE)
            .await
    }

    /// Where the file of a stage is, for a message.
    #[must_use]
    pub fn place(&self, stage: Stage) -> String {
        format!("s3://{}/{}", self.run.bucket, self.key(stage))
    }

    /// The failure of a step for which a stage's file is not as the contract says.
    #[must_use]
    pub fn failure(&self, stage: Stage, error: HandoffError) -> Failure {
        error.into_failure(&self.run.bucket, &self.key(stage))
    }

    async fn read_with<F>(
        &self,
        stage: Stage,
        written: &HandoffRef,
        read: impl FnOnce(Bytes, u32) -> Result<F, HandoffError>,
    ) -> Result<F, Failure> {
        let key = self.key(stage);
        if stage == Stage::Customers {
            self.check_key_of_customers(&key)?;
        }

        let bytes = self.storage.get_written(&self.run.bucket, &key, written).await?;
        read(bytes, self.shard.rows).map_err(|error| self.failure(stage, error))
    }

    /// The shard list names the customers' key too. An event that names another key was not made
    /// by the state machine.
    fn check_key_of_customers(&self, key: &str) -> Result<(), Failure> {
        if self.shard.key == key {
            return Ok(());
        }

        let message = format!(
            "shard {} of run {} is under {key}, but the event names {}; start a new run",
            self.shard.index, self.run.run_id, self.shard.key
        );

        Err(Failure::new(FailureKind::HandoffInvalid, message))
    }

    fn key(&self, stage: Stage) -> String {
        stage.shard_key(&self.run.run_id, self.shard.index)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use aws_sdk_s3::config::BehaviorVersion;
    use limit_increase_workflow::contract::ShardTask;
    use limit_increase_workflow::document::parse;

    use super::*;

    fn task() -> ShardTask {
        let event = include_str!("../../../events/score-customers.json");
        parse(serde_json::from_str(event).unwrap()).unwrap()
    }

    /// A client that no test makes a request with.
    fn storage() -> Storage {
        let configuration =
            aws_sdk_s3::Config::builder().behavior_version(BehaviorVersion::latest());
        Storage::new(aws_sdk_s3::Client::from_conf(configuration.build()))
    }

    #[test]
    fn a_failure_names_the_object_under_its_derived_key() {
        let (storage, task) = (storage(), task());
        let files = StepFiles::new(&storage, &task.run, &task.shard);
        let failure = files.failure(Stage::Results, HandoffError::Damaged);
        assert_eq!(failure.kind, FailureKind::HandoffInvalid);
        let place = "s3://credit-scoring-models/pipeline/results/run=manual-20261125T020212-250/part-00000.parquet: ";
        assert!(failure.message.starts_with(place), "{}", failure.message);
    }

    #[tokio::test]
    async fn customers_under_another_key_are_refused_without_a_request() {
        let (storage, mut task) = (storage(), task());
        task.shard.key = "models/catboost_model.tar.gz".to_owned();
        let files = StepFiles::new(&storage, &task.run, &task.shard);
        let failure = files.read::<Customers>(&task.shard.file).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::HandoffInvalid);
        assert!(failure.message.contains("models/catboost_model.tar.gz"), "{}", failure.message);
    }

    #[tokio::test]
    async fn a_file_that_could_not_be_made_is_a_failure_with_its_name() {
        let (storage, task) = (storage(), task());
        let files = StepFiles::new(&storage, &task.run, &task.shard);
        let failure =
            files.write(Stage::Evaluations, Err(HandoffError::Damaged)).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::HandoffInvalid);
        assert!(failure.message.contains("pipeline/evaluations/"), "{}", failure.message);
    }
}
