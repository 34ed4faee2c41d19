//! The environment variables of a function.

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
