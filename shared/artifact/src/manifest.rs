//! The manifest: what the model reads, what it means, and how well it did.

use limit_increase_domain::sha256_hex;
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::ArtifactError;
use crate::golden::GoldenRow;

/// The manifest's version that is read and written here.
pub const SCHEMA_VERSION: u32 = 1;
/// The most model columns; keeps tables by column and row within sight.
pub const MAX_MODEL_COLUMNS: usize = 100_000;
/// The most golden rows: each is evaluated at every load.
pub const MAX_GOLDEN_ROWS: usize = 1_000;

/// `manifest.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// What the model is called.
    pub model_name: String,
    /// When it was trained, RFC 3339 in UTC.
    pub created_at: String,
    /// The CatBoost that trained it.
    pub catboost_version: String,
    /// What it predicts.
    pub target: Target,
    /// The model's columns, in the order in which it reads them.
    #[serde(rename = "features")]
    pub columns: Vec<ModelColumn>,
    /// How log-odds become points.
    pub scorecard: ScorecardParameters,
    /// How it was trained and how well it did.
    pub training: Training,
    /// The other two files.
    pub files: Files,
    /// Rows to repeat on load.
    pub golden_rows: Vec<GoldenRow>,
}

/// What the model predicts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Column of the training table.
    pub column: String,
    /// Its value that means bad.
    pub positive_class: String,
}

/// A column of the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelColumn {
    /// Name within the model, unique.
    pub name: String,
    /// How it comes from its source.
    pub kind: ModelColumnKind,
    /// Column of the customer's table.
    pub source_column: String,
    /// Name that a reader of a reason understands; one per source.
    pub description: String,
    /// One-hot only: the category that this column stands for, `null` for a missing value.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub category: Option<Option<String>>,
    /// Numeric only: the middle of the training rows, `null` when all were missing.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub median: Option<Option<f64>>,
}

/// Tells `"category": null` from no category.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// How a model column comes from its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelColumnKind {
    /// The number itself.
    Numeric,
    /// 1 where the source holds the category, otherwise 0.
    OneHot,
}

/// How log-odds become points.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScorecardParameters {
    /// Points that double the odds.
    pub pdo: f64,
    /// Points at the target odds.
    pub target_score: f64,
    /// Good to bad at the target score.
    pub target_odds: f64,
}

/// How the model was trained and how well it did on rows it had not seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "named as the field names them")]
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

/// Validation rows of like predictions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalibrationBand {
    /// Rows in it.
    pub rows: u64,
    /// Their mean predicted probability.
    pub predicted: f64,
    /// The share of them that went bad.
    pub observed: f64,
}

/// The artifact's other files.
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

/// What a file must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileDigest {
    /// Lower-case hexadecimal.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
}

impl FileDigest {
    pub(crate) fn check(&self, name: &'static str, content: &[u8]) -> Result<(), ArtifactError> {
        let mismatch = |found, expected| Err(ArtifactError::Mismatch { name, found, expected });
        if content.len() as u64 != self.bytes {
            return mismatch(format!("{} bytes", content.len()), format!("{} bytes", self.bytes));
        }

        let found = sha256_hex(content);
        if found != self.sha256 {
            return mismatch(format!("sha256 {found}"), format!("sha256 {}", self.sha256));
        }

        Ok(())
    }
}

impl Manifest {
    /// Reads and validates a manifest.
    ///
    /// # Errors
    /// When it is not JSON of this schema, or contradicts itself; the error names the place.
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

/// Says "another version" before the fields of another version are complained about.
fn check_version(bytes: &[u8]) -> Result<(), ArtifactError> {
    #[derive(Deserialize)]
    struct Version {
        schema_version: u64,
    }

    let version: Version = serde_json::from_slice(bytes).map_err(|error| {
        ArtifactError::Manifest { path: "schema_version".to_owned(), reason: error.to_string() }
    })?;

    if version.schema_version == u64::from(SCHEMA_VERSION) {
        Ok(())
    } else {
        Err(ArtifactError::SchemaVersion {
            found: version.schema_version,
            expected: SCHEMA_VERSION,
        })
    }
}
