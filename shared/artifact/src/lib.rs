//! The model artifact: one `tar.gz` with `model.onnx`, `model.json` and `manifest.json`.
//!
//! This crate opens an archive in memory and checks all that can be checked without evaluating the
//! model. The scoring crate evaluates it and links tract. Both know no S3 and no database.
//!
//! # Overview
//!
//! * [`Artifact::open`] reads an archive into an [`Artifact`]: the manifest and both model files,
//!   whose sizes and hashes are those of the manifest.
//! * [`Manifest`] says what the model reads and what its output means. It has a [`ModelColumn`] for
//!   each column after one-hot encoding, the [`ScorecardParameters`], and [`GoldenRow`]s.
//! * [`Manifest::inputs`] groups the model columns by source column, as one [`ModelInput`] each.
//! * [`Categories`] finds which category a customer's value is, by the steps of the manifest's
//!   `category_spelling`. A [`SpellingStep`] says what means the same, such as `true` and `True`.
//!   A manifest whose steps make one category of two is refused.
//! * [`ArtifactError`] says why an archive is refused, where, and what to do about it.
//!
//! Everybody who can write to the bucket can provide an archive, so it is untrusted input. Every
//! size has a bound, and an unexpected entry is an error (promise 10).
//!
//! # Example
//!
//! ```
//! use limit_increase_artifact::{Artifact, ModelColumnKind};
//!
//! # fn main() -> Result<(), limit_increase_artifact::ArtifactError> {
//! let archive = include_bytes!(concat!(
//!     env!("CARGO_MANIFEST_DIR"),
//!     "/../scoring/tests/golden/one_hot.tar.gz"
//! ));
//! let artifact = Artifact::open(archive)?;
//!
//! // Six model columns come from three columns of the customer's table.
//! let manifest = &artifact.manifest;
//! let inputs = manifest.inputs();
//! let sources: Vec<&str> = inputs.iter().map(|input| input.column.name.as_str()).collect();
//! assert_eq!(sources, ["x0", "home", "x5"]);
//! assert_eq!(manifest.columns.len(), 6);
//! assert_eq!(manifest.columns[1].kind, ModelColumnKind::OneHot);
//! # Ok(())
//! # }
//! ```

mod archive;
mod categories;
mod entry;
mod error;
mod golden;
mod input;
mod manifest;
mod profile;
mod spelling;
mod validate;

pub use archive::{
    MAX_ARCHIVE_BYTES, MAX_MANIFEST_BYTES, MAX_MODEL_JSON_BYTES, MAX_ONNX_BYTES, MAX_PADDING_BYTES,
    MAX_TOTAL_BYTES,
};
pub use categories::{Categories, CategoryMatch};
pub use error::ArtifactError;
pub use golden::{GoldenRow, InputValue};
pub use input::ModelInput;
pub use manifest::{
    CalibrationBand, Direction, FileDigest, Files, InputDistribution, MAX_GOLDEN_ROWS,
    MAX_MODEL_COLUMNS, MAX_PROFILED_INPUTS, MAX_SPECIAL_VALUES, Manifest, ModelColumn,
    ModelColumnKind, SCHEMA_VERSION, ScorecardParameters, SpecialValue, Target, Training,
    TrainingProfile,
};
pub use spelling::{SpellingStep, normal_form, without_trailing_blanks};

/// A model artifact whose files are what its manifest says they are.
///
/// That the model scores correctly is not checked here, but when the scoring crate loads it.
#[derive(Debug, Clone, PartialEq)]
pub struct Artifact {
    /// What the model reads and what its output means.
    pub manifest: Manifest,
    /// The content of `model.onnx`.
    pub onnx: Vec<u8>,
    /// The content of `model.json`, CatBoost's own export. It has leaf values in float64 and leaf
    /// weights, which the ONNX has not.
    pub model_json: Vec<u8>,
    /// The SHA-256 of the archive, in lower-case hexadecimal. A run pins its model by it.
    pub sha256: String,
}

impl Artifact {
    /// Reads an archive.
    ///
    /// The archive is one gzip member with one tar in it. The tar has exactly the three plain
    /// files, in any order. Only the zeros that tar pads with may follow.
    ///
    /// # Errors
    /// When the archive is damaged or too large, has any other entry, or differs from its manifest.
    pub fn open(bytes: &[u8]) -> Result<Self, ArtifactError> {
        Self::unpack(bytes, limit_increase_domain::sha256_hex(bytes))
    }

    /// Reads the archive that a run has pinned. Any other archive is refused before it is unpacked.
    ///
    /// # Errors
    /// [`ArtifactError::Unpinned`] when the archive has another SHA-256; else as
    /// [`Artifact::open`].
    pub fn open_pinned(bytes: &[u8], pinned: &str) -> Result<Self, ArtifactError> {
        let found = limit_increase_domain::sha256_hex(bytes);
        if found != pinned {
            return Err(ArtifactError::Unpinned { found, pinned: pinned.to_owned() });
        }

        Self::unpack(bytes, found)
    }

    fn unpack(bytes: &[u8], sha256: String) -> Result<Self, ArtifactError> {
        let files = archive::extract(bytes)?;
        let manifest = Manifest::parse(&files.manifest)?;
        manifest.files.model_onnx.check("model.onnx", &files.onnx)?;
        manifest.files.model_json.check("model.json", &files.model_json)?;
        Ok(Self { manifest, onnx: files.onnx, model_json: files.model_json, sha256 })
    }
}
