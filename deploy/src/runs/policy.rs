//! The policy in force: the one that the next nightly run will apply.

use anyhow::Result;
use limit_increase_domain::Policy;
use limit_increase_workflow::document::parse_policy;
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

    parse_policy(&document).map_err(|why| {
        Problem::new(format!("the policy in force cannot be applied: {why}"))
            .at(format!("s3://{BUCKET}/{DEFAULT_POLICY_KEY}"))
            .next("correct the object, or delete it so that the built-in policy applies")
            .into()
    })
}
