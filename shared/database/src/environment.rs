//! The environment variables that name the database.

/// An environment variable that may be absent. Set but empty counts as not set, because that is how CloudFormation
/// writes an absent parameter.
pub(crate) fn optional(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
