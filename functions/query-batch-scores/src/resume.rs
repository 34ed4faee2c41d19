//! A run that is open already, because an attempt is repeated or an execution was redriven. The
//! shards that are left are those that the ledger lacks.

use bytes::Bytes;
use limit_increase_database::OpeningRun;
use limit_increase_storage::{APPLICATION_JSON, Storage};
use limit_increase_workflow::contract::RunOpened;
use limit_increase_workflow::keys::remaining_list_key;
use limit_increase_workflow::{Failure, FailureKind, ObjectRef, ShardRef};

use crate::open::only_shard;

/// Answers with the shards that are not applied yet (promise 4). Their list is a new object,
/// because the run's own shard list stays as it was written.
///
/// # Errors
/// The failure of the database or of the storage; `Permanent.HandoffInvalid` when the shard list is
/// not the one that was written.
pub(crate) async fn resume_run(
    opening: &OpeningRun<'_>,
    storage: &Storage,
    opened: RunOpened,
) -> Result<RunOpened, Failure> {
    let applied = opening.applied_shards().await?;
    if applied.is_empty() && opened.shard_count != 1 {
        tracing::info!(eligible = opened.eligible, "the run is open already");
        return Ok(opened);
    }

    let ObjectRef { bucket, key } = &opened.shards;
    let list = storage.get_written(bucket, key, &opened.run.shard_list).await?;
    let mut shards: Vec<ShardRef> = serde_json::from_slice(&list).map_err(|error| {
        Failure::new(
            FailureKind::HandoffInvalid,
            format!("s3://{bucket}/{key} is no shard list: {error}; start a new run"),
        )
    })?;

    if applied.is_empty() {
        tracing::info!(eligible = opened.eligible, "the run is open already");
        return Ok(RunOpened { shard: only_shard(&shards), ..opened });
    }

    shards.retain(|shard| !applied.contains(&shard.index));

    let list = serde_json::to_vec(&shards)
        .map_err(|error| Failure::new(FailureKind::Internal, format!("shard list: {error}")))?;
    let remaining =
        ObjectRef { bucket: bucket.clone(), key: remaining_list_key(&opened.run.run_id) };
    storage.put(&remaining.bucket, &remaining.key, Bytes::from(list), APPLICATION_JSON).await?;

    tracing::info!(applied = applied.len(), remaining = shards.len(), "the run is resumed");
    let shard = only_shard(&shards);
    Ok(RunOpened { remaining: shards.len() as u32, shards: remaining, shard, ..opened })
}
