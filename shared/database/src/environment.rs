//! The environment variables that name the database.

/// An environment variable that may be absent. An empty value counts as absent, because
/// CloudFormation writes an absent parameter in that way.
pub(crate) fn optional(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
