//! The manifest: what the model reads, what its output means, and how good it is.

use std::collections::BTreeMap;

use limit_increase_domain::{Distribution, sha256_hex};
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::ArtifactError;
use crate::golden::GoldenRow;
use crate::spelling::SpellingStep;

/// The newest version of the manifest. Version 1, which has no profile, is read too.
pub const SCHEMA_VERSION: u32 = 2;
/// The most inputs whose values a training counts.
pub const MAX_PROFILED_INPUTS: usize = 200;
/// The most columns of a model. The bound keeps a row of the model's inputs below 400 KB.
pub const MAX_MODEL_COLUMNS: usize = 100_000;
/// The most special values of a column. Each number of a customer is compared with all of them.
pub const MAX_SPECIAL_VALUES: usize = 32;
/// The most golden rows. Each is evaluated whenever the model is loaded.
pub const MAX_GOLDEN_ROWS: usize = 1_000;

/// The content of `manifest.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// From 1 to [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The name of the model.
    pub model_name: String,
    /// When the model was trained: RFC 3339, in UTC.
    pub created_at: String,
    /// The version of CatBoost that trained the model.
    pub catboost_version: String,
    /// What the model predicts.
    pub target: Target,
    /// The model's columns, in the order in which it reads them.
    #[serde(rename = "features")]
    pub columns: Vec<ModelColumn>,
    /// For source columns of categories, the steps by which a value is compared with the
    /// categories. A column that is not here is compared exactly.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub category_spelling: BTreeMap<String, Vec<SpellingStep>>,
    /// How log-odds become points.
    pub scorecard: ScorecardParameters,
    /// How the model was trained and how good it is.
    pub training: Training,
    /// What the training has counted; from version 2 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<TrainingProfile>,
    /// The sizes and hashes of the other two files.
    pub files: Files,
    /// Rows that are repeated when the model is loaded.
    pub golden_rows: Vec<GoldenRow>,
}

/// What the model predicts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The column of the training table.
    pub column: String,
    /// The value of that column that means bad.
    pub positive_class: String,
}

/// A column of the model, after one-hot encoding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelColumn {
    /// The name within the model, which is unique.
    pub name: String,
    /// How it is made of its source column.
    pub kind: ModelColumnKind,
    /// The column of the customer's table that it comes from.
    pub source_column: String,
    /// The name that customers read in a reason. Columns of one source have the same.
    pub description: String,
    /// Only for a one-hot column: the category that it stands for, `null` for a missing value.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "some")]
    pub category: Option<Option<String>>,
    /// Only for a numeric column: the median of the training rows, `null` when all were missing.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "some")]
    pub median: Option<Option<f64>>,
    /// Only for a numeric column: the values that stand for a missing number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub special: Vec<SpecialValue>,
    /// Only for a numeric column: the direction that every tree keeps. The scoring crate proves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monotone: Option<Direction>,
}

/// How the log-odds of bad may move while a number rises and all others stay: 1 or -1 in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "i8", into = "i8")]
pub enum Direction {
    /// They never fall: 1.
    Rising,
    /// They never rise: -1. A higher number never lowers the score.
    Falling,
}

impl TryFrom<i8> for Direction {
    type Error = String;

    fn try_from(number: i8) -> Result<Self, Self::Error> {
        match number {
            1 => Ok(Self::Rising),
            -1 => Ok(Self::Falling),
            other => Err(format!("a direction is 1 or -1, found {other}")),
        }
    }
}

impl From<Direction> for i8 {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Rising => 1,
            Direction::Falling => -1,
        }
    }
}

/// A value that stands for a missing number, as -9 stands for "no bureau record".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpecialValue {
    /// The value, as the customer's table has it.
    pub value: f64,
    /// Why there is no number, in words that customers read in a reason.
    pub meaning: String,
}

/// Reads a field that is there, so that `"category": null` differs from no `"category"`.
fn some<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// How a model column is made of its source column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelColumnKind {
    /// The number itself.
    Numeric,
    /// 1 where the source has the category, otherwise 0.
    OneHot,
}

/// How log-odds become points.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScorecardParameters {
    /// The points that double the odds.
    pub pdo: f64,
    /// The score at the target odds, in points.
    pub target_score: f64,
    /// The odds of good to bad at the target score.
    pub target_odds: f64,
}

/// How the model was trained, and how good it is on rows that it had not seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the names are the terms of the field")]
pub struct Training {
    pub rows: u64,
    pub validation_rows: u64,
    pub trees: u64,
    pub depth: u64,
    pub bad_rate: Option<f64>,
    pub auc: Option<f64>,
    pub gini: Option<f64>,
    pub ks: Option<f64>,
    pub log_loss: Option<f64>,
    pub calibration: Vec<CalibrationBand>,
}

/// Validation rows with similar predictions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalibrationBand {
    /// The number of rows.
    pub rows: u64,
    /// Their mean predicted probability of bad.
    pub predicted: f64,
    /// The share of them that went bad.
    pub observed: f64,
}

/// How scores and inputs were spread, to compare the customers of a run with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingProfile {
    /// The scores, in points, of the rows that the model had not seen.
    pub scores: Distribution,
    /// The most important inputs, in the order of the model's columns.
    pub inputs: Vec<InputDistribution>,
}

/// How the values of a source column are spread among the training rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputDistribution {
    /// The source column.
    pub source_column: String,
    /// Its values.
    pub values: Distribution,
}

/// The sizes and hashes of the artifact's other files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// `model.onnx`.
    #[serde(rename = "model.onnx")]
    pub model_onnx: FileDigest,
    /// `model.json`.
    #[serde(rename = "model.json")]
    pub model_json: FileDigest,
}

/// The size and hash of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileDigest {
    /// SHA-256 in lower-case hexadecimal.
    pub sha256: String,
    /// The size in bytes.
    pub bytes: u64,
}

impl FileDigest {
    /// Checks that a file is the one that the manifest describes.
    ///
    /// # Errors
    /// The size or the hash, whichever differs first.
    pub(crate) fn check(&self, name: &'static str, content: &[u8]) -> Result<(), ArtifactError> {
        let mismatch_error = |found, expected| ArtifactError::Mismatch { name, found, expected };
        if content.len() as u64 != self.bytes {
            return Err(mismatch_error(
                format!("{} bytes", content.len()),
                format!("{} bytes", self.bytes),
            ));
        }

        let found = sha256_hex(content);
        if found != self.sha256 {
            return Err(mismatch_error(
                format!("sha256 {found}"),
                format!("sha256 {}", self.sha256),
            ));
        }

        Ok(())
    }
}

impl Manifest {
    /// Reads and validates a manifest.
    ///
    /// # Errors
    /// When it is not JSON of this schema or contradicts itself. The error names the place.
    pub fn parse(bytes: &[u8]) -> Result<Self, ArtifactError> {
        check_version(bytes)?;
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        let manifest: Self =
            serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
                let path = error.path().to_string();
                ArtifactError::Manifest { path, reason: error.into_inner().to_string() }
            })?;
        deserializer.end().map_err(|error| ArtifactError::Manifest {
            path: ".".to_owned(),
            reason: error.to_string(),
        })?;

        manifest.validate()?;
        Ok(manifest)
    }
}

/// Checks the version first, so that the error about a manifest of another version says so and does
/// not name one of its fields.
fn check_version(bytes: &[u8]) -> Result<(), ArtifactError> {
    #[derive(Deserialize)]
    struct Version {
        schema_version: u64,
    }

    let version: Version = serde_json::from_slice(bytes).map_err(|error| {
        ArtifactError::Manifest { path: "schema_version".to_owned(), reason: error.to_string() }
    })?;

    if (1..=u64::from(SCHEMA_VERSION)).contains(&version.schema_version) {
        Ok(())
    } else {
        Err(ArtifactError::SchemaVersion {
            found: version.schema_version,
            expected: SCHEMA_VERSION,
        })
    }
}
