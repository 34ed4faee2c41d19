//! The policy in force: the one that the next nightly run will apply.

use std::path::Path;

use anyhow::Result;
use limit_increase_domain::Policy;
use limit_increase_workflow::document::parse_policy;
use limit_increase_workflow::keys::DEFAULT_POLICY_KEY;

use crate::aws::{Aws, storage};
use crate::terminal::Problem;

/// Reads the policy in force from S3; without an object there, it is the built-in one.
///
/// # Errors
/// When S3 refuses, or the object is not a policy that a run would accept.
pub async fn in_force(aws: &Aws, bucket: &str) -> Result<Policy> {
    let Some(document) = storage::get(&aws.s3, bucket, DEFAULT_POLICY_KEY).await? else {
        return Ok(Policy::default());
    };

    parse_policy(&document).map_err(|why| {
        Problem::new(format!("the policy in force cannot be applied: {why}"))
            .at(format!("s3://{bucket}/{DEFAULT_POLICY_KEY}"))
            .next("correct the object, or delete it so that the built-in policy applies")
            .into()
    })
}

/// Reads a policy from a file. Whether it can be applied is not checked here.
///
/// # Errors
/// When the file cannot be read, or is not a policy.
pub fn read(path: &Path) -> Result<Policy> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Problem::usage(format!("cannot read the policy: {error}"))
            .at(path.display().to_string())
            .next("give the path of a JSON file")
    })?;

    // Some editors write a mark at the start of a text, which JSON does not have.
    serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|error| {
        Problem::usage(format!("the policy cannot be used: {error}"))
            .at(format!("{}, line {}", path.display(), error.line()))
            .next(
                "correct the field; \
                 a file with an empty JSON object stands for the built-in policy",
            )
            .into()
    })
}

/// Reads a policy from a file, and checks that it can be applied.
///
/// # Errors
/// As [`read`], and the field that is wrong.
pub fn checked(path: &Path) -> Result<Policy> {
    let policy = read(path)?;
    policy.validate().map_err(|error| {
        Problem::usage(format!("the policy cannot be used: {error}"))
            .at(path.display().to_string())
            .next("correct the field")
    })?;

    Ok(policy)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_policy_may_begin_with_a_mark() {
        let path = std::env::temp_dir().join(format!("policy-{}.json", std::process::id()));
        std::fs::write(&path, "\u{feff}{}").unwrap();
        let policy = read(&path);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(policy.unwrap(), Policy::default());
    }
}
