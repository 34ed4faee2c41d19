//! A run that is open already: a repeated attempt, or an execution that was redriven. What is left is what the ledger lacks.

use bytes::Bytes;
use limit_increase_database::{Client, applied_shards};
use limit_increase_storage::{APPLICATION_JSON, Storage};
use limit_increase_workflow::ObjectRef;
use limit_increase_workflow::contract::RunOpened;
use limit_increase_workflow::keys::remaining_list_key;
use limit_increase_workflow::{Failure, FailureKind, ShardRef};

/// Answers with the shards that are still to be applied. The run's own shard list stays as it is, for the record.
///
/// # Errors
/// When the database or the storage fails, or the shard list is not the one that was written.
pub(crate) async fn resume(
    client: &Client,
    storage: &Storage,
    opened: RunOpened,
) -> Result<RunOpened, Failure> {
    let run_id = &opened.run.run_id;
    let applied = applied_shards(client, run_id).await?;
    if applied.is_empty() {
        tracing::info!(eligible = opened.eligible, "the run is open already");
        return Ok(opened);
    }

    let ObjectRef { bucket, key } = &opened.shards;
    let list = storage.get_verified(bucket, key).await?;
    let mut shards: Vec<ShardRef> = serde_json::from_slice(&list).map_err(|error| {
        Failure::new(
            FailureKind::HandoffInvalid,
            format!("s3://{bucket}/{key} is no shard list: {error}; start a new run"),
        )
    })?;

    shards.retain(|shard| !applied.contains(&shard.index));
    let list = serde_json::to_vec(&shards)
        .map_err(|error| Failure::new(FailureKind::Internal, format!("shard list: {error}")))?;
    let remaining = ObjectRef { bucket: bucket.clone(), key: remaining_list_key(run_id) };
    storage.put(&remaining.bucket, &remaining.key, Bytes::from(list), APPLICATION_JSON).await?;
    tracing::info!(applied = applied.len(), remaining = shards.len(), "the run is resumed");
    Ok(RunOpened { remaining: shards.len() as u32, shards: remaining, ..opened })
}
