//! A run: its id, and everything about it that is fixed when it opens.

use std::fmt;

use chrono::NaiveDate;
use limit_increase_domain::Policy;
use serde::{Deserialize, Serialize};

use crate::keys::HandoffRef;
use crate::release::Release;

/// A run's id: the name of its Step Functions execution.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

/// The error for a text that cannot be a run's id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "run_id: must have 1 to {max} characters out of A-Z a-z 0-9 . _ -, found {found:?}",
    max = RunId::MAX_LEN
)]
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
            // The whole text could be a megabyte.
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

/// How far a run has come; the text in the ledger and in JSON is the upper-case word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RunStatus {
    /// The run goes on. It may not be open yet, when a redrive resumed it before that.
    Running,
    /// The run is closed: its shards add up, and its summary is in S3.
    Succeeded,
    /// A failure of the run is in the ledger.
    Failed,
}

impl RunStatus {
    const ALL: [Self; 3] = [Self::Running, Self::Succeeded, Self::Failed];

    /// The stored text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
        }
    }

    /// The status of a stored text; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The exact model object that every shard of a run is scored with (promise 2).
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

/// Everything about a run that is fixed when it opens. Each step gets all of it, so that each step
/// decides with the same model and the same policy (promise 2).
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
    /// SHA-256 of the policy's JSON, in hexadecimal, as [`Policy::sha256`] computes it (promise 2).
    pub policy_sha256: String,
    /// Whether the run decides but leaves the table as it is.
    pub dry_run: bool,
    /// The business date of the run.
    pub as_of: NaiveDate,
    /// The release that opened the run. Its other steps are of the same deployment, because the state
    /// machine names versions of the functions.
    #[serde(default)]
    pub release: Release,
    /// The list of all shards of the run. It names the file of each shard, so that nobody can give
    /// the run another shard than the query wrote.
    pub shard_list: HandoffRef,
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

    #[test]
    fn a_run_of_an_older_release_is_read_and_compares_equal() {
        let event = include_str!("../../../events/score-customers.json");
        let mut context: serde_json::Value = serde_json::from_str(event).unwrap();
        let mut context = context["run"].take();
        let run: RunContext = serde_json::from_value(context.clone()).unwrap();
        assert_eq!(run.release.to_string(), "0.1.0+5fe4d4105b1e");

        context.as_object_mut().unwrap().remove("release").unwrap();
        let older: RunContext = serde_json::from_value(context.clone()).unwrap();
        assert_eq!(older.release.to_string(), "unknown");
        assert_eq!(older, serde_json::from_value(context).unwrap());
        assert_ne!(older, run);
    }

    #[test]
    fn a_status_has_one_text_in_the_ledger_and_in_json() {
        for (status, text) in [
            (RunStatus::Running, "RUNNING"),
            (RunStatus::Succeeded, "SUCCEEDED"),
            (RunStatus::Failed, "FAILED"),
        ] {
            assert_eq!(status.to_string(), text);
            assert_eq!(RunStatus::parse(text), Some(status));
            assert_eq!(serde_json::to_value(status).unwrap(), text);
        }

        assert_eq!(RunStatus::parse("succeeded"), None);
    }
}
