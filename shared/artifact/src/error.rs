//! Why an artifact is refused, each with what to do about it.

use thiserror::Error;

const REPACK: &str = "pack again with train.py, or with: tar --format=ustar -czf model.tar.gz model.onnx model.json manifest.json";

/// Why an artifact is refused.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArtifactError {
    /// The archive itself is larger than any artifact may be.
    #[error(
        "the archive has {bytes} bytes, at most {max} are accepted; train with fewer or shallower trees"
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// Not gzip, not tar, or damaged.
    #[error("the archive can't be read ({reason}); upload it again, or {REPACK}")]
    Damaged {
        /// What the decoder said.
        reason: String,
    },
    /// An entry that is not one of the three files.
    #[error(
        "the archive holds {name:?}, only model.onnx, model.json and manifest.json without a directory are accepted; {REPACK}"
    )]
    UnexpectedEntry {
        /// Its name, cut to a readable length.
        name: String,
    },
    /// A link, directory, device or extension header.
    #[error("the archive's entry {name:?} is {kind}, not a plain file; {REPACK}")]
    NotAFile {
        /// Its name.
        name: String,
        /// What it is.
        kind: &'static str,
    },
    /// The same file twice.
    #[error("the archive holds {name} twice; {REPACK}")]
    Duplicate {
        /// Its name.
        name: &'static str,
    },
    /// A file that is not there.
    #[error("the archive has no {name}; {REPACK}")]
    Missing {
        /// Its name.
        name: &'static str,
    },
    /// A file beyond its bound.
    #[error(
        "{name} has {bytes} bytes, at most {max} are accepted; train with fewer or shallower trees"
    )]
    EntryTooLarge {
        /// Its name.
        name: &'static str,
        /// What its header says.
        bytes: u64,
        /// The bound.
        max: u64,
    },
    /// All files together beyond the bound.
    #[error("the archive unpacks to more than {max} bytes; train with fewer or shallower trees")]
    TotalTooLarge {
        /// The bound.
        max: u64,
    },
    /// Something follows where the archive ends.
    #[error("{what} after the archive's end; {REPACK}")]
    TrailingData {
        /// What follows.
        what: &'static str,
    },
    /// A file is not the one that the manifest describes.
    #[error(
        "{name} has {found}, the manifest says {expected}; the files are not from one training, train again"
    )]
    Mismatch {
        /// Its name.
        name: &'static str,
        /// Bytes or hash found.
        found: String,
        /// Bytes or hash of the manifest.
        expected: String,
    },
    /// The manifest is not JSON of the schema.
    #[error("manifest.json: {path}: {reason}; use a train.py and a loader of the same version")]
    Manifest {
        /// Where in the document.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The manifest is of another schema.
    #[error(
        "manifest.json has schema_version {found}, this version reads {expected}; train again with its train.py"
    )]
    SchemaVersion {
        /// Found.
        found: u64,
        /// Read here.
        expected: u32,
    },
    /// The manifest contradicts itself.
    #[error("manifest.json: {path}: {reason}; correct the training's input and train again")]
    Invalid {
        /// Where in the document.
        path: String,
        /// What is wrong.
        reason: String,
    },
}
