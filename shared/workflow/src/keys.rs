//! The S3 keys that follow from a run and a shard.
//!
//! A key is a pure function of run and shard, so that a retry overwrites its own output and nothing
//! else.

use serde::{Deserialize, Serialize};

use crate::run::RunId;
use crate::shard::ShardIndex;

/// Bucket of the model and of the hand-off between steps, unless the deployment names another.
pub const DEFAULT_BUCKET: &str = "credit-scoring-models";
/// Key of the model artifact, unless the deployment names another.
pub const DEFAULT_MODEL_KEY: &str = "models/catboost_model.tar.gz";
/// Key of the policy document in force, unless the deployment names another. Without the object,
/// the default policy applies.
pub const DEFAULT_POLICY_KEY: &str = "policies/limit-increase-policy.json";

/// An S3 object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectRef {
    /// Its bucket.
    pub bucket: String,
    /// Its key.
    pub key: String,
}

/// The exact content that a step wrote, as the step itself answered it.
///
/// The state machine carries it to the next step, which reads nothing else. So the content is not
/// vouched for by anything that lies beside it in the bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandoffRef {
    /// SHA-256 of the content, in hexadecimal.
    pub sha256: String,
    /// Version of the object, in a versioned bucket. A later overwrite does not hide it.
    pub version_id: Option<String>,
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

/// The key of the list of those shards that a resumed run still has to do.
#[must_use]
pub fn remaining_list_key(run: &RunId) -> String {
    format!("{}remaining/manifest.json", Stage::Customers.prefix(run))
}

/// The key of a run's summary.
#[must_use]
pub fn summary_key(run: &RunId) -> String {
    format!("{}summary.json", Stage::Results.prefix(run))
}

/// The key of a run's report, for people.
#[must_use]
pub fn report_page_key(run: &RunId) -> String {
    format!("{}report.html", Stage::Results.prefix(run))
}

/// The key of a run's report, for programs.
#[must_use]
pub fn report_key(run: &RunId) -> String {
    format!("{}report.json", Stage::Results.prefix(run))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_key_names_the_stage_the_run_and_the_shard() {
        let run = RunId::try_from("nightly-1".to_owned()).unwrap();
        let cases = [
            (Stage::Customers, "pipeline/customers/run=nightly-1/"),
            (Stage::ScoredCustomers, "pipeline/scored_customers/run=nightly-1/"),
            (Stage::Evaluations, "pipeline/evaluations/run=nightly-1/"),
            (Stage::Results, "pipeline/results/run=nightly-1/"),
        ];

        for (stage, prefix) in cases {
            assert_eq!(stage.prefix(&run), prefix);
            let key = stage.shard_key(&run, ShardIndex(7));
            assert_eq!(key, format!("{prefix}part-00007.parquet"));
        }

        assert_eq!(shard_list_key(&run), "pipeline/customers/run=nightly-1/manifest.json");
        assert_eq!(
            remaining_list_key(&run),
            "pipeline/customers/run=nightly-1/remaining/manifest.json"
        );
        assert_eq!(summary_key(&run), "pipeline/results/run=nightly-1/summary.json");
        assert_eq!(report_page_key(&run), "pipeline/results/run=nightly-1/report.html");
        assert_eq!(report_key(&run), "pipeline/results/run=nightly-1/report.json");
    }
}
