//! Names of runs and shards, and the S3 keys that follow from them.
//!
//! A key is a pure function of run and shard, so that a retry overwrites its own output and nothing else.

use std::fmt;

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

/// A shard's number inside its run, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShardIndex(pub u32);

impl fmt::Display for ShardIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The output of one step, and its folder under `pipeline/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// `QueryBatchScores`: the eligible customers with their features.
    Customers,
    /// `ScoreCustomers`: scores, SHAP values, reasons.
    ScoredCustomers,
    /// `EvaluateLimitIncrease`: decisions.
    Evaluations,
    /// `UpdateDatabase`: what was written, and the run's summary.
    Results,
}

impl Stage {
    /// The folder's name.
    #[must_use]
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Customers => "customers",
            Self::ScoredCustomers => "scored_customers",
            Self::Evaluations => "evaluations",
            Self::Results => "results",
        }
    }

    /// The prefix of everything that a run has in this stage, with the trailing slash.
    #[must_use]
    pub fn prefix(self, run: &RunId) -> String {
        format!("pipeline/{}/run={run}/", self.folder())
    }

    /// The key of one shard's rows.
    #[must_use]
    pub fn shard_key(self, run: &RunId, shard: ShardIndex) -> String {
        format!("{}part-{:05}.parquet", self.prefix(run), shard.0)
    }
}

/// The key of a run's shard list.
#[must_use]
pub fn shard_list_key(run: &RunId) -> String {
    format!("{}manifest.json", Stage::Customers.prefix(run))
}

/// The key of the list of those shards that a resumed run has still to do.
#[must_use]
pub fn remaining_list_key(run: &RunId) -> String {
    format!("{}remaining/manifest.json", Stage::Customers.prefix(run))
}

/// The key of a run's summary.
#[must_use]
pub fn summary_key(run: &RunId) -> String {
    format!("{}summary.json", Stage::Results.prefix(run))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn keys_are_those_of_the_design() {
        let run = RunId::try_from("nightly-1".to_owned()).unwrap();
        assert_eq!(
            Stage::ScoredCustomers.shard_key(&run, ShardIndex(7)),
            "pipeline/scored_customers/run=nightly-1/part-00007.parquet"
        );
        assert_eq!(shard_list_key(&run), "pipeline/customers/run=nightly-1/manifest.json");
        assert_eq!(summary_key(&run), "pipeline/results/run=nightly-1/summary.json");
    }

    #[test]
    fn a_run_id_is_safe_in_a_key() {
        // EventBridge names its executions `<event id>_<uuid>`.
        let eventbridge = "17793124-05d4-b198-2fde-7ededc63b103_9c1b7d5e-9f0f-4f0e-8a43-0d9c0b1f2a3b";
        for good in ["a", "nightly.2026-11-24_1", eventbridge, &"x".repeat(80)] {
            assert!(RunId::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["", "a/b", "../x", "a b", "ä", "a\n", &"x".repeat(81)] {
            assert!(RunId::try_from(bad.to_owned()).is_err(), "{bad}");
        }
        assert!(RunId::try_from("..".repeat(1_000_000)).unwrap_err().to_string().len() < 300);
    }
}
