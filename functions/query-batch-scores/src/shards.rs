//! Cutting the stream of customers into shards. Memory is that of two shards, one being filled and one being uploaded.

use bytes::Bytes;
use limit_increase_database::EligibleStream;
use limit_increase_domain::SourceColumn;
use limit_increase_handoff::CONTENT_TYPE;
use limit_increase_handoff::customers::CustomersWriter;
use limit_increase_storage::{APPLICATION_JSON, Storage};
use limit_increase_workflow::keys::{Stage, shard_list_key};
use limit_increase_workflow::{Failure, FailureKind, RunContext, ShardIndex, ShardRef};
use tokio::task::JoinHandle;

/// Reads all rows, writes the shards and then their list; gives the list.
///
/// # Errors
/// When the database or the storage fails; then no list is written.
pub(crate) async fn write(
    storage: &Storage,
    run: &RunContext,
    features: &[SourceColumn],
    mut rows: EligibleStream,
    shard_size: u32,
) -> Result<Vec<ShardRef>, Failure> {
    let mut shards = Shards { storage, run, written: Vec::new(), upload: None };
    let mut writer = CustomersWriter::new(features);
    while let Some(row) = rows.next().await? {
        writer
            .push(&row.customer()?, row.features()?)
            .map_err(|error| shards.not_writable(&error))?;
        if writer.rows() >= shard_size as usize {
            shards.flush(&mut writer).await?;
        }
    }

    if writer.rows() > 0 {
        shards.flush(&mut writer).await?;
    }

    shards.finish().await
}

struct Shards<'a> {
    storage: &'a Storage,
    run: &'a RunContext,
    written: Vec<ShardRef>,
    upload: Option<JoinHandle<Result<(), Failure>>>,
}

impl Shards<'_> {
    /// Starts the upload of a full shard, once the one before it has arrived.
    async fn flush(&mut self, writer: &mut CustomersWriter) -> Result<(), Failure> {
        let rows = writer.rows() as u32;
        let index = ShardIndex(self.written.len() as u32);
        let key = Stage::Customers.shard_key(&self.run.run_id, index);
        let bytes = writer.finish().map_err(|error| self.not_writable(&error))?;
        self.settle().await?;
        let (storage, bucket, target) =
            (self.storage.clone(), self.run.bucket.clone(), key.clone());
        self.upload =
            Some(tokio::spawn(
                async move { storage.put(&bucket, &target, bytes, CONTENT_TYPE).await },
            ));
        self.written.push(ShardRef { index, key, rows });
        Ok(())
    }

    async fn settle(&mut self) -> Result<(), Failure> {
        match self.upload.take() {
            None => Ok(()),
            Some(upload) => upload.await.map_err(|error| {
                Failure::new(FailureKind::Internal, format!("an upload was interrupted: {error}"))
            })?,
        }
    }

    async fn finish(mut self) -> Result<Vec<ShardRef>, Failure> {
        self.settle().await?;
        let list = serde_json::to_vec(&self.written)
            .map_err(|error| Failure::new(FailureKind::Internal, format!("shard list: {error}")))?;
        let key = shard_list_key(&self.run.run_id);
        self.storage.put(&self.run.bucket, &key, Bytes::from(list), APPLICATION_JSON).await?;
        Ok(self.written)
    }

    fn not_writable(&self, error: &dyn std::error::Error) -> Failure {
        let message = format!("run {}, shard {}: {error}", self.run.run_id, self.written.len());
        Failure::new(FailureKind::Internal, message)
    }
}
