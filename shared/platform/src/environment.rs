//! What a function is told by its environment variables.

use limit_increase_domain::{Failure, FailureKind};

/// Bucket of the model and of the hand-off between steps, when `BUCKET` is not set.
pub const DEFAULT_BUCKET: &str = "credit-scoring-models";
/// Key of the model artifact, when `MODEL_KEY` is not set.
pub const DEFAULT_MODEL_KEY: &str = "models/catboost_model.tar.gz";
/// Key of the policy document in force, when `POLICY_KEY` is not set. The object need not exist.
pub const DEFAULT_POLICY_KEY: &str = "policies/limit-increase-policy.json";

/// An environment variable that has a default. Set but empty counts as not set, because that is how
/// CloudFormation writes an absent parameter.
#[must_use]
pub fn or_default(name: &str, default: &str) -> String {
    optional(name).unwrap_or_else(|| default.to_owned())
}

/// An environment variable that may be absent.
#[must_use]
pub fn optional(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A number in an environment variable.
///
/// # Errors
/// `Permanent.Configuration` when it is set and is no such number.
pub fn number<T: std::str::FromStr>(name: &str, default: T) -> Result<T, Failure> {
    match optional(name) {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| {
            Failure::new(FailureKind::Configuration, format!("environment variable {name}: {text:?} is not a number"))
        }),
    }
}
