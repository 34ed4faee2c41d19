//! Cutting the stream of customers into shards. The memory in use is that of two shards: one that
//! is filled, and one that is uploaded.

use std::collections::BTreeMap;

use bytes::Bytes;
use limit_increase_database::EligibleStream;
use limit_increase_domain::SourceColumn;
use limit_increase_handoff::CONTENT_TYPE;
use limit_increase_handoff::customers::CustomersWriter;
use limit_increase_storage::{APPLICATION_JSON, Storage};
use limit_increase_workflow::keys::{Stage, shard_list_key};
use limit_increase_workflow::{Failure, FailureKind, HandoffRef, RunId, ShardIndex, ShardRef};
use tokio::task::JoinHandle;

use crate::unknown::{UnknownCounts, UnknownShare};

/// The customers of a run, as they come from the database.
pub(crate) struct Customers<'a> {
    pub(crate) rows: EligibleStream,
    /// The columns that the model reads.
    pub(crate) features: &'a [SourceColumn],
    pub(crate) unknown: UnknownCounts,
    pub(crate) most_unknown: UnknownShare,
}

/// The shards of a run, and the list that was written of them.
pub(crate) struct WrittenShards {
    pub(crate) shards: Vec<ShardRef>,
    pub(crate) list: HandoffRef,
}

/// The entity tags of the shards and of their list, by key, as an earlier attempt has left them.
pub(crate) type Leftovers = BTreeMap<String, String>;

/// What an earlier attempt has left. Read this before the rows: an attempt that has lost its
/// session by then gets no rows.
///
/// # Errors
/// The failure of the storage.
pub(crate) async fn find_leftovers(
    storage: &Storage,
    (bucket, run): (&str, &RunId),
) -> Result<Leftovers, Failure> {
    storage.etags(bucket, &Stage::Customers.prefix(run)).await
}

/// Reads all rows, writes the shards and then their list, and returns both.
///
/// An attempt can be late: it was frozen, or it waited for S3, until the database ended its session
/// and another attempt opened the run. So each object replaces only what was there before the rows
/// were read. Otherwise the run would go on with the rows of the late attempt (promise 7).
///
/// # Errors
/// The failure of the database or of the storage, or `Permanent.UnknownCategories`; then no list is
/// written. `Transient.Storage` when another attempt has written an object meanwhile.
pub(crate) async fn write_shards(
    storage: &Storage,
    (bucket, run): (&str, &RunId),
    customers: &mut Customers<'_>,
    shard_size: u32,
    leftovers: Leftovers,
) -> Result<WrittenShards, Failure> {
    let mut shards =
        ShardUploads { storage, bucket, run, leftovers, written: Vec::new(), upload: None };
    let mut writer = CustomersWriter::new(customers.features);
    while let Some(row) = customers.rows.next().await? {
        let features = row.features()?;
        customers.unknown.add(&features);
        writer.push(&row.customer()?, features).map_err(|error| shards.writing_failure(&error))?;

        if writer.rows() >= shard_size as usize {
            shards.start_upload(&mut writer).await?;
        }
    }

    if writer.rows() > 0 {
        shards.start_upload(&mut writer).await?;
    }

    shards.finish_upload().await?;
    customers.unknown.check(customers.most_unknown)?;
    shards.finish().await
}

/// A shard that is being uploaded.
struct Upload {
    index: ShardIndex,
    key: String,
    rows: u32,
    file: JoinHandle<Result<HandoffRef, Failure>>,
}

/// The shards that were uploaded, and the one that is being uploaded.
struct ShardUploads<'a> {
    storage: &'a Storage,
    bucket: &'a str,
    run: &'a RunId,
    leftovers: Leftovers,
    written: Vec<ShardRef>,
    upload: Option<Upload>,
}

impl ShardUploads<'_> {
    /// Starts the upload of a full shard, after the shard before it has arrived.
    async fn start_upload(&mut self, writer: &mut CustomersWriter) -> Result<(), Failure> {
        let rows = writer.rows() as u32;
        let bytes = writer.finish().map_err(|error| self.writing_failure(&error))?;
        self.finish_upload().await?;

        let index = ShardIndex(self.written.len() as u32);
        let key = Stage::Customers.shard_key(self.run, index);
        let (storage, bucket, target) = (self.storage.clone(), self.bucket.to_owned(), key.clone());
        let previous = self.leftovers.get(&key).cloned();
        let file = tokio::spawn(async move {
            storage.replace(&bucket, &target, previous.as_deref(), bytes, CONTENT_TYPE).await
        });
        self.upload = Some(Upload { index, key, rows, file });
        Ok(())
    }

    /// Waits for the upload that is under way.
    async fn finish_upload(&mut self) -> Result<(), Failure> {
        let Some(Upload { index, key, rows, file }) = self.upload.take() else { return Ok(()) };
        let file = file.await.map_err(|error| {
            Failure::new(FailureKind::Internal, format!("an upload was interrupted: {error}"))
        })??;

        self.written.push(ShardRef { index, key, rows, file });
        Ok(())
    }

    /// Writes the list, after the last upload.
    async fn finish(self) -> Result<WrittenShards, Failure> {
        let list = serde_json::to_vec(&self.written)
            .map_err(|error| Failure::new(FailureKind::Internal, format!("shard list: {error}")))?;
        let key = shard_list_key(self.run);
        let previous = self.leftovers.get(&key).map(String::as_str);
        let list = self
            .storage
            .replace(self.bucket, &key, previous, Bytes::from(list), APPLICATION_JSON)
            .await?;
        Ok(WrittenShards { shards: self.written, list })
    }

    fn writing_failure(&self, error: &dyn std::error::Error) -> Failure {
        let message = format!("run {}, shard {}: {error}", self.run, self.written.len());
        Failure::new(FailureKind::Internal, message)
    }
}
