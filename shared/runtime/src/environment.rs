//! The environment variables of a function.

use limit_increase_domain::Ceilings;
use limit_increase_workflow::{Failure, FailureKind, Release};

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

/// The release that is deployed: `RELEASE`.
#[must_use]
pub fn release() -> Release {
    optional("RELEASE").map(Release::from).unwrap_or_default()
}

/// The deployment's ceilings above every policy: `MAX_LIMIT_CEILING` and `MAX_GROWTH_CEILING`.
///
/// # Errors
/// `Permanent.Configuration` when a ceiling is no number.
pub fn ceilings() -> Result<Ceilings, Failure> {
    let (limit, growth) = (optional("MAX_LIMIT_CEILING"), optional("MAX_GROWTH_CEILING"));
    Ceilings::parse(limit.as_deref(), growth.as_deref()).map_err(|problem| {
        let message = format!("MAX_LIMIT_CEILING, MAX_GROWTH_CEILING: {problem}");
        Failure::new(FailureKind::Configuration, message)
    })
}
