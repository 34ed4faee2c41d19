//! The model artifact as one archive: `model.onnx`, `model.json` and `manifest.json` in a `tar.gz`.
//!
//! What lives here: safe extraction in memory, hashes, and the manifest with everything that can be checked without
//! evaluating the model. What must not: the evaluation itself (that is the scoring crate), S3, files, databases.
//!
//! An archive comes from whoever can write to the bucket, so it is read as untrusted input: every size has a stated
//! bound, nothing is written to disk, and what is not expected is an error rather than ignored.

mod archive;
mod error;
mod golden;
mod input;
mod manifest;
mod validate;

pub use archive::{
    MAX_ARCHIVE_BYTES, MAX_MANIFEST_BYTES, MAX_MODEL_JSON_BYTES, MAX_ONNX_BYTES, MAX_PADDING_BYTES,
    MAX_TOTAL_BYTES,
};
pub use error::ArtifactError;
pub use golden::{GoldenRow, InputValue};
pub use input::ModelInput;
pub use manifest::{
    CalibrationBand, FileDigest, Files, MAX_GOLDEN_ROWS, MAX_MODEL_COLUMNS, Manifest, ModelColumn,
    ModelColumnKind, SCHEMA_VERSION, ScorecardParameters, Target, Training,
};

/// A model artifact whose files are what its manifest says they are.
///
/// Nothing here says that the model scores correctly; loading it into the scoring crate does.
#[derive(Debug, Clone, PartialEq)]
pub struct Artifact {
    /// What the model reads and means.
    pub manifest: Manifest,
    /// The ONNX graph.
    pub onnx: Vec<u8>,
    /// CatBoost's own JSON export, with leaf values in float64 and leaf weights.
    pub model_json: Vec<u8>,
    /// Hash of the archive, in lower-case hexadecimal: what a run pins.
    pub sha256: String,
}

impl Artifact {
    /// Reads an archive.
    ///
    /// The archive is one gzip member holding one tar with exactly the three plain files, in any order, and nothing
    /// after it but the zeros that tar pads with.
    ///
    /// # Errors
    /// When the archive is damaged, too large, holds anything else, or disagrees with its manifest.
    pub fn open(bytes: &[u8]) -> Result<Self, ArtifactError> {
        let files = archive::extract(bytes)?;
        let manifest = Manifest::parse(&files.manifest)?;
        manifest.files.model_onnx.check("model.onnx", &files.onnx)?;
        manifest.files.model_json.check("model.json", &files.model_json)?;
        Ok(Self {
            manifest,
            onnx: files.onnx,
            model_json: files.model_json,
            sha256: limit_increase_domain::sha256_hex(bytes),
        })
    }
}
