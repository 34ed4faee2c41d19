//! A run: its id, and everything about it that is fixed when it opens.

use std::fmt;

use chrono::NaiveDate;
use limit_increase_domain::Policy;
use serde::{Deserialize, Serialize};

/// A run's id: the name of its Step Functions execution.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

/// Why a text is no run id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("run_id: must have 1 to {max} characters out of A-Z a-z 0-9 . _ -, found {found:?}", max = RunId::MAX_LEN)]
pub struct InvalidRunId {
    found: String,
}

impl RunId {
    /// An execution's name has at most 80 characters.
    pub const MAX_LEN: usize = 80;

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RunId {
    type Error = InvalidRunId;

    fn try_from(found: String) -> Result<Self, InvalidRunId> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if (1..=Self::MAX_LEN).contains(&found.len()) && found.chars().all(plain) {
            Ok(Self(found))
        } else {
            // Shown in full it could be a megabyte.
            Err(InvalidRunId { found: found.chars().take(100).collect() })
        }
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The exact model object that a run uses, and no other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelPin {
    /// Bucket of the artifact.
    pub bucket: String,
    /// Key of the artifact.
    pub key: String,
    /// Version of the object, in a versioned bucket.
    pub version_id: Option<String>,
    /// Entity tag of the object, as S3 gave it.
    pub etag: String,
    /// SHA-256 of the archive's bytes, in hexadecimal.
    pub sha256: String,
}

/// Everything about a run that is fixed when it opens; each step gets all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunContext {
    /// The run.
    pub run_id: RunId,
    /// Bucket of the hand-off between steps.
    pub bucket: String,
    /// The model of every shard.
    pub model: ModelPin,
    /// The policy of every shard.
    pub policy: Policy,
    /// SHA-256 of the policy's JSON as serialised here, in hexadecimal.
    pub policy_sha256: String,
    /// Decide, but leave the table as it is.
    pub dry_run: bool,
    /// The business date of the run.
    pub as_of: NaiveDate,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_run_id_is_safe_in_a_key() {
        // EventBridge names its executions `<event id>_<uuid>`.
        let eventbridge =
            "17793124-05d4-b198-2fde-7ededc63b103_9c1b7d5e-9f0f-4f0e-8a43-0d9c0b1f2a3b";
        for good in ["a", "nightly.2026-11-24_1", eventbridge, &"x".repeat(80)] {
            assert!(RunId::try_from(good.to_owned()).is_ok(), "{good}");
        }

        for bad in ["", "a/b", "../x", "a b", "ä", "a\n", &"x".repeat(81)] {
            assert!(RunId::try_from(bad.to_owned()).is_err(), "{bad}");
        }

        assert!(RunId::try_from("..".repeat(1_000_000)).unwrap_err().to_string().len() < 300);
    }
}
