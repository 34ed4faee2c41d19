//! Why an artifact is refused. Every message says what to do about it.

use thiserror::Error;

/// What to do about an archive with the wrong files.
const REPACK: &str = "pack again with train.py, or with: \
    tar --format=ustar -czf model.tar.gz model.onnx model.json manifest.json";

/// Why an artifact is refused.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArtifactError {
    /// The compressed archive is larger than any artifact may be.
    #[error(
        "the archive has {bytes} bytes, at most {max} are accepted; \
         train with fewer or shallower trees"
    )]
    TooLarge {
        /// The size of the archive.
        bytes: usize,
        /// The most bytes that are accepted.
        max: usize,
    },
    /// The archive is not the one that the run was opened with.
    #[error("has sha256 {found}, but the run was opened with {pinned}; start a new run")]
    Unpinned {
        /// The SHA-256 of the archive.
        found: String,
        /// The SHA-256 that the run has pinned.
        pinned: String,
    },
    /// The file is not a gzip of a tar, or is damaged.
    #[error("the archive can't be read ({reason}); upload it again, or {REPACK}")]
    Damaged {
        /// What the decoder said.
        reason: String,
    },
    /// The archive has an entry that is not one of the three files.
    #[error(
        "the archive holds {name:?}, only model.onnx, model.json and manifest.json are accepted; \
         {REPACK}"
    )]
    UnexpectedEntry {
        /// The name of the entry, cut to a readable length.
        name: String,
    },
    /// The files are not all in one folder.
    #[error("the archive holds {:?} and {:?}, which are in different folders; {REPACK}", .names[0], .names[1])]
    TwoFolders {
        /// The names of two files, cut to a readable length.
        names: [String; 2],
    },
    /// The archive has a link, a device, or a file that is not stored in one piece.
    #[error("the archive's entry {name:?} is {kind}, not a plain file; {REPACK}")]
    NotAFile {
        /// The name of the file or entry.
        name: String,
        /// What the entry is.
        kind: &'static str,
    },
    /// The archive has the same file twice.
    #[error("the archive holds {name} twice; {REPACK}")]
    Duplicate {
        /// The name of the file or entry.
        name: &'static str,
    },
    /// One of the three files is missing.
    #[error("the archive has no {name}; {REPACK}")]
    Missing {
        /// The name of the file or entry.
        name: &'static str,
    },
    /// A file is larger than its bound.
    #[error(
        "{name} has {bytes} bytes, at most {max} are accepted; train with fewer or shallower trees"
    )]
    EntryTooLarge {
        /// The name of the file or entry.
        name: &'static str,
        /// The size that the tar header claims.
        bytes: u64,
        /// The most bytes that are accepted.
        max: u64,
    },
    /// All files together are larger than the bound.
    #[error("the archive unpacks to more than {max} bytes; train with fewer or shallower trees")]
    TotalTooLarge {
        /// The most bytes that are accepted.
        max: u64,
    },
    /// Something follows the end of the archive.
    #[error("{what} after the archive's end; {REPACK}")]
    TrailingData {
        /// What follows.
        what: &'static str,
    },
    /// A file has another size or hash than the manifest says.
    #[error(
        "{name} has {found}, the manifest says {expected}; \
         the files are not from one training, train again"
    )]
    Mismatch {
        /// The name of the file or entry.
        name: &'static str,
        /// The size or hash of the file.
        found: String,
        /// The size or hash in the manifest.
        expected: String,
    },
    /// The manifest is not JSON of this schema.
    #[error("manifest.json: {path}: {reason}; use a train.py and a loader of the same version")]
    Manifest {
        /// The place in the document.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The manifest has another schema version.
    #[error(
        "manifest.json has schema_version {found}, this version reads 1 to {expected}; \
         train again with its train.py"
    )]
    SchemaVersion {
        /// The version in the manifest.
        found: u64,
        /// The newest version that is read here.
        expected: u32,
    },
    /// The manifest contradicts itself.
    #[error("manifest.json: {path}: {reason}; correct the training's input and train again")]
    Invalid {
        /// The place in the document.
        path: String,
        /// What is wrong.
        reason: String,
    },
}
