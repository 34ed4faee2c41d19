//! Opening a run: pin the model and the policy, take the customers, record the run in the ledger.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use limit_increase_artifact::{Artifact, Manifest};
use limit_increase_database::{OpeningRun, Schedule, Selection};
use limit_increase_domain::decision::MAX_REASONS;
use limit_increase_domain::{Policy, SourceColumn};
use limit_increase_runtime::environment;
use limit_increase_storage::Storage;
use limit_increase_workflow::contract::RunOpened;
use limit_increase_workflow::document::parse_policy;
use limit_increase_workflow::keys::{self, shard_list_key};
use limit_increase_workflow::{Failure, FailureKind, ModelPin, ObjectRef, RunContext, ShardRef};

use crate::allowed::Allowed;
use crate::request::RunOrder;
use crate::shards::{Customers, WrittenShards, find_leftovers, write_shards};
use crate::unknown::{UnknownCounts, UnknownShare};

/// Where the model, the policy and the hand-off are.
pub(crate) struct Locations {
    /// The bucket of all three.
    pub(crate) bucket: String,
    /// Key of the model artifact.
    pub(crate) model_key: String,
    /// Key of the policy in force; the object need not exist.
    pub(crate) policy_key: String,
}

impl Locations {
    /// The locations that the function's environment names.
    pub(crate) fn from_environment() -> Self {
        Self {
            bucket: environment::or_default("BUCKET", keys::DEFAULT_BUCKET),
            model_key: environment::or_default("MODEL_KEY", keys::DEFAULT_MODEL_KEY),
            policy_key: environment::or_default("POLICY_KEY", keys::DEFAULT_POLICY_KEY),
        }
    }
}

/// Opens a run that is not open yet. A model or a policy that the deployment does not allow ends it
/// before any customer is read.
///
/// The ledger row comes last (promise 7). Until then there is no run, and the next attempt starts
/// from the beginning.
///
/// # Errors
/// The failure of the model, of the policy, of the database or of the storage.
pub(crate) async fn open_run(
    opening: &OpeningRun<'_>,
    storage: &Storage,
    locations: &Locations,
    order: &RunOrder,
    started_at: DateTime<Utc>,
) -> Result<RunOpened, Failure> {
    let schedule = schedule_of(opening, order).await?;
    let allowed = Allowed::from_environment()?;
    let most_unknown = UnknownShare::from_environment()?;
    let PinnedModel { pin: model, features, longest_reason, unknown } =
        pin_model(storage, locations).await?;
    allowed.check_model(&model.sha256)?;
    let policy = match &order.request.policy {
        Some(policy) => policy.clone(),
        None => policy_in_force(storage, locations).await?,
    };

    let live_request = order.request.policy.is_some() && !order.request.dry_run;
    allowed.check_policy(&policy, live_request)?;

    // A run without customers has no shards and closes with a summary of zeros.
    let limit = if schedule.duplicate_of.is_some() { Some(0) } else { order.request.limit };
    let selection = Selection { policy: &policy, limit, features: &features, longest_reason };

    let place = (locations.bucket.as_str(), &order.run_id);
    let leftovers = find_leftovers(storage, place).await?;
    let rows = opening.open_eligible(&selection).await?;
    let shard_size = order.request.shard_size;
    let mut customers = Customers { rows, features: &features, unknown, most_unknown };
    let WrittenShards { shards, list } =
        write_shards(storage, place, &mut customers, shard_size, leftovers).await?;

    let eligible = shards.iter().map(|shard| u64::from(shard.rows)).sum();
    let candidates = opening.count_candidates(&selection, eligible).await?;

    let run = RunContext {
        run_id: order.run_id.clone(),
        bucket: locations.bucket.clone(),
        policy_sha256: policy.sha256(),
        model,
        policy,
        dry_run: order.request.dry_run,
        as_of: order.as_of,
        release: environment::release(),
        shard_list: list,
    };

    let opened = RunOpened {
        eligible,
        shard_count: shards.len() as u32,
        remaining: shards.len() as u32,
        shards: ObjectRef { bucket: run.bucket.clone(), key: shard_list_key(&run.run_id) },
        shard: only_shard(&shards),
        run,
    };

    opening.record(&order.request, &opened, (&schedule, candidates), started_at).await?;
    Ok(opened)
}

/// The shard of a list that has just one.
pub(crate) fn only_shard(shards: &[ShardRef]) -> Option<ShardRef> {
    match shards {
        [shard] => Some(shard.clone()),
        _ => None,
    }
}

/// The event that started the run, and the run that the same event has started before. A second run
/// of the same event takes nobody, because each of them would take as many customers as a night may
/// have.
async fn schedule_of(opening: &OpeningRun<'_>, order: &RunOrder) -> Result<Schedule, Failure> {
    let Some(event) = &order.scheduled_event else { return Ok(Schedule::default()) };

    let duplicate_of = opening.find_duplicate(event).await?;
    if let Some(first) = &duplicate_of {
        tracing::warn!(
            first = first.as_str(),
            event,
            "the event was delivered twice; this run takes nobody"
        );
    }

    Ok(Schedule { event: Some(event.clone()), duplicate_of })
}

/// A model that is pinned for every shard of the run (promise 2).
struct PinnedModel {
    pin: ModelPin,
    /// The columns that it reads.
    features: Vec<SourceColumn>,
    /// No reason that it gives has more characters.
    longest_reason: usize,
    /// Counts the values that it does not know.
    unknown: UnknownCounts,
}

/// Pins the model as it is now.
async fn pin_model(storage: &Storage, locations: &Locations) -> Result<PinnedModel, Failure> {
    let Locations { bucket, model_key: key, .. } = locations;
    let object = storage.get(bucket, key).await?.ok_or_else(|| {
        let message = format!(
            "no model at s3://{bucket}/{key}; train one (limit-increase train) or upload \
             an artifact"
        );

        Failure::new(FailureKind::ModelMissing, message)
    })?;

    let artifact = Artifact::open(&object.bytes).map_err(|error| {
        Failure::new(FailureKind::ModelInvalid, format!("s3://{bucket}/{key}: {error}"))
    })?;

    let features = artifact.manifest.source_columns();
    let longest_reason = longest_reason(&artifact.manifest);
    let unknown = UnknownCounts::new(&artifact.manifest);
    let pin = ModelPin {
        bucket: bucket.clone(),
        key: key.clone(),
        version_id: object.version_id,
        etag: object.etag,
        sha256: artifact.sha256,
    };

    Ok(PinnedModel { pin, features, longest_reason, unknown })
}

/// A bound on the characters of `decision_reason`: the longest sentence of the policy, and the
/// longest sentences that the model can say about its columns.
fn longest_reason(manifest: &Manifest) -> usize {
    /// The policy's longest sentence has about 230 characters.
    const OF_THE_POLICY: usize = 260;
    /// A number and the words around it, such as " is high (-16777216)". A category that is stored
    /// otherwise than the model knows it is cut to as much.
    const OF_A_VALUE: usize = 64;
    let mut longest: BTreeMap<&str, usize> = BTreeMap::new();
    for column in &manifest.columns {
        let category = column.category.iter().flatten().map(|text| text.chars().count() + 16);
        let value = category.max().unwrap_or_default().max(OF_A_VALUE);
        let sentence = longest.entry(column.source_column.as_str()).or_default();
        *sentence = (*sentence).max(column.description.chars().count() + value);
    }

    let mut sentences: Vec<usize> = longest.into_values().collect();
    sentences.sort_unstable_by(|one, other| other.cmp(one));
    OF_THE_POLICY + sentences.iter().take(MAX_REASONS).sum::<usize>()
}

/// The policy document in the bucket, or the built-in default if there is none.
async fn policy_in_force(storage: &Storage, locations: &Locations) -> Result<Policy, Failure> {
    let Locations { bucket, policy_key: key, .. } = locations;
    let Some(object) = storage.get(bucket, key).await? else { return Ok(Policy::default()) };

    parse_policy(&object.bytes).map_err(|problem| {
        Failure::new(FailureKind::InvalidPolicy, format!("s3://{bucket}/{key}: {problem}"))
    })
}
