//! The policy in force: the one that the next nightly run will apply.

use anyhow::Result;
use limit_increase_domain::Policy;
use limit_increase_workflow::document::parse;
use limit_increase_workflow::keys::DEFAULT_POLICY_KEY;

use crate::aws::{Aws, storage};
use crate::model::BUCKET;
use crate::terminal::Problem;

/// Reads the policy in force from S3; without an object there, it is the built-in one.
///
/// # Errors
/// When S3 refuses, or the object is not a policy that a run would accept.
pub async fn in_force(aws: &Aws) -> Result<Policy> {
    let Some(document) = storage::get(&aws.s3, BUCKET, DEFAULT_POLICY_KEY).await? else {
        return Ok(Policy::default());
    };

    let invalid_policy_error = |why: String| {
        Problem::new(format!("the policy in force cannot be applied: {why}"))
            .at(format!("s3://{BUCKET}/{DEFAULT_POLICY_KEY}"))
            .next("correct the object, or delete it so that the built-in policy applies")
    };

    let value = serde_json::from_slice(&document)
        .map_err(|error| invalid_policy_error(format!("not JSON: {error}")))?;
    let policy: Policy = parse(value).map_err(|failure| invalid_policy_error(failure.message))?;
    policy.validate().map_err(|error| invalid_policy_error(error.to_string()))?;
    Ok(policy)
}
