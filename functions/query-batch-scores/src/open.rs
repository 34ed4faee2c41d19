//! Opening a run: pin the model and the policy, take the customers, enter the run in the ledger.

use chrono::{DateTime, Utc};
use limit_increase_artifact::Artifact;
use limit_increase_database::{Client, Selection, open_eligible, open_run};
use limit_increase_domain::Policy;
use limit_increase_domain::SourceColumn;
use limit_increase_domain::sha256_hex;
use limit_increase_storage::Storage;
use limit_increase_workflow::ObjectRef;
use limit_increase_workflow::contract::RunOpened;
use limit_increase_workflow::document::parse;
use limit_increase_workflow::keys::shard_list_key;
use limit_increase_workflow::{Failure, FailureKind, ModelPin, RunContext};

use crate::request::Order;
use crate::shards;

/// Where the model, the policy and the hand-off are.
pub(crate) struct Place {
    /// The bucket of all of them.
    pub(crate) bucket: String,
    /// Key of the model artifact.
    pub(crate) model_key: String,
    /// Key of the policy in force; the object need not exist.
    pub(crate) policy_key: String,
}

/// Opens a run that is not open yet. The ledger row comes last: before it there is no run, and a retry starts afresh.
///
/// # Errors
/// By the step that failed.
pub(crate) async fn open(
    client: &Client,
    storage: &Storage,
    place: &Place,
    order: &Order,
    started_at: DateTime<Utc>,
) -> Result<RunOpened, Failure> {
    let (model, features) = pin_model(storage, place).await?;
    let policy = match &order.request.policy {
        Some(policy) => policy.clone(),
        None => policy_in_force(storage, place).await?,
    };

    let run = RunContext {
        run_id: order.run_id.clone(),
        bucket: place.bucket.clone(),
        policy_sha256: policy.sha256(),
        model,
        policy,
        dry_run: order.request.dry_run,
        as_of: order.as_of,
    };

    let selection = Selection {
        eligibility: &run.policy.eligibility,
        limit: order.request.limit,
        features: &features,
        income_column: run.policy.affordability.as_ref().map(|cap| cap.income_column.as_str()),
    };

    let rows = open_eligible(client, &selection).await?;
    let shards = shards::write(storage, &run, &features, rows, order.request.shard_size).await?;
    let opened = RunOpened {
        eligible: shards.iter().map(|shard| u64::from(shard.rows)).sum(),
        shard_count: shards.len() as u32,
        remaining: shards.len() as u32,
        shards: ObjectRef { bucket: run.bucket.clone(), key: shard_list_key(&run.run_id) },
        run,
    };

    open_run(client, &order.request, &opened, started_at).await?;
    Ok(opened)
}

/// The model as it is now, and the columns that it reads.
async fn pin_model(
    storage: &Storage,
    place: &Place,
) -> Result<(ModelPin, Vec<SourceColumn>), Failure> {
    let Place { bucket, model_key: key, .. } = place;
    let object = storage.get(bucket, key).await?.ok_or_else(|| {
        let message =
            format!("no model at s3://{bucket}/{key}; train one (limit-increase train) or upload an artifact");
        Failure::new(FailureKind::ModelMissing, message)
    })?;

    let artifact = Artifact::open(&object.bytes).map_err(|error| {
        Failure::new(FailureKind::ModelInvalid, format!("s3://{bucket}/{key}: {error}"))
    })?;

    let features = artifact.manifest.source_columns();
    let pin = ModelPin {
        bucket: bucket.clone(),
        key: key.clone(),
        version_id: object.version_id,
        etag: object.etag,
        sha256: sha256_hex(&object.bytes),
    };

    Ok((pin, features))
}

/// The policy document in the bucket, or the built-in default if there is none.
async fn policy_in_force(storage: &Storage, place: &Place) -> Result<Policy, Failure> {
    let Place { bucket, policy_key: key, .. } = place;
    let Some(object) = storage.get(bucket, key).await? else { return Ok(Policy::default()) };
    let invalid = |problem: String| {
        Failure::new(FailureKind::InvalidPolicy, format!("s3://{bucket}/{key}: {problem}"))
    };

    let document = serde_json::from_slice(&object.bytes)
        .map_err(|error| invalid(format!("not JSON: {error}")))?;
    let policy: Policy = parse(document).map_err(|failure| invalid(failure.message))?;
    policy.validate().map_err(|error| invalid(error.to_string()))?;
    Ok(policy)
}
