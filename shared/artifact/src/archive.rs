//! Extracts the three files of a `tar.gz`, in memory and within bounds.

use std::io::{self, Read};

use flate2::bufread::GzDecoder;

use crate::entry::{Described, File};
use crate::error::ArtifactError;

/// The largest archive that is accepted, compressed.
pub const MAX_ARCHIVE_BYTES: usize = 64 << 20;
/// The largest `model.onnx`. About a thousand trees of depth 10 fit.
pub const MAX_ONNX_BYTES: u64 = 128 << 20;
/// The largest `model.json`.
pub const MAX_MODEL_JSON_BYTES: u64 = 128 << 20;
/// The largest `manifest.json`.
pub const MAX_MANIFEST_BYTES: u64 = 8 << 20;
/// The most bytes that an archive may unpack to, headers and padding included.
pub const MAX_TOTAL_BYTES: u64 = 192 << 20;
/// The most zeros after the last file. GNU tar pads to blocks of 10 KiB.
pub const MAX_PADDING_BYTES: u64 = 64 << 10;

/// The most entries that are read: three files, the headers and folders of whatever packed them, and
/// the `._` files of macOS with headers of their own.
const MAX_ENTRIES: usize = 64;

/// The contents of the archive's files.
pub(crate) struct Extracted {
    pub(crate) onnx: Vec<u8>,
    pub(crate) model_json: Vec<u8>,
    pub(crate) manifest: Vec<u8>,
}

/// A file that the archive must have.
#[derive(Clone, Copy)]
struct Slot {
    name: &'static str,
    max_bytes: u64,
}

const SLOTS: [Slot; 3] = [
    Slot { name: "model.onnx", max_bytes: MAX_ONNX_BYTES },
    Slot { name: "model.json", max_bytes: MAX_MODEL_JSON_BYTES },
    Slot { name: "manifest.json", max_bytes: MAX_MANIFEST_BYTES },
];

/// Unpacks an archive that holds the three files, and nothing else but what a packer adds.
///
/// Memory grows with what is really decompressed, and never with the size that a header claims.
///
/// # Errors
/// When the archive is damaged or too large, or does not hold exactly these files.
pub(crate) fn extract(bytes: &[u8]) -> Result<Extracted, ArtifactError> {
    if bytes.len() > MAX_ARCHIVE_BYTES {
        return Err(ArtifactError::TooLarge { bytes: bytes.len(), max: MAX_ARCHIVE_BYTES });
    }

    // One byte more than the bound can be read. So an archive that ends at the bound differs from
    // one that goes on.
    let mut archive = tar::Archive::new(GzDecoder::new(bytes).take(MAX_TOTAL_BYTES + 1));
    let mut found: [Option<Vec<u8>>; 3] = [None, None, None];
    let mut described = Described::default();
    let mut first = None;
    for entry in archive.entries().map_err(damaged_error)?.raw(true).take(MAX_ENTRIES) {
        let mut entry = entry.map_err(damaged_error)?;
        let Some(file) = described.file(&mut entry)? else { continue };
        let position = slot_of(&file)?;
        check_folder(&mut first, file)?;
        let slot = SLOTS[position];
        if found[position].is_some() {
            return Err(ArtifactError::Duplicate { name: slot.name });
        }

        found[position] = Some(read_entry(&mut entry, slot)?);
    }

    let mut rest = archive.into_inner();
    check_end(&mut rest)?;
    if rest.limit() == 0 {
        return Err(ArtifactError::TotalTooLarge { max: MAX_TOTAL_BYTES });
    }

    if !rest.into_inner().into_inner().is_empty() {
        return Err(ArtifactError::TrailingData { what: "there are bytes" });
    }

    let [onnx, model_json, manifest] = found;
    let required = |file: Option<Vec<u8>>, name| file.ok_or(ArtifactError::Missing { name });
    Ok(Extracted {
        onnx: required(onnx, SLOTS[0].name)?,
        model_json: required(model_json, SLOTS[1].name)?,
        manifest: required(manifest, SLOTS[2].name)?,
    })
}

/// Which of the three files this is.
fn slot_of(file: &File) -> Result<usize, ArtifactError> {
    SLOTS
        .iter()
        .position(|slot| slot.name.as_bytes() == file.name)
        .ok_or_else(|| ArtifactError::UnexpectedEntry { name: file.shown() })
}

/// Whether one of the three files has this name.
pub(crate) fn is_one_of_the_files(name: &[u8]) -> bool {
    SLOTS.iter().any(|slot| slot.name.as_bytes() == name)
}

/// Checks that the files are in one folder: in another there may be the files of another model.
fn check_folder(first: &mut Option<File>, file: File) -> Result<(), ArtifactError> {
    match first {
        Some(first) if first.folder != file.folder => {
            Err(ArtifactError::TwoFolders { names: [first.shown(), file.shown()] })
        }
        Some(_) => Ok(()),
        None => {
            *first = Some(file);
            Ok(())
        }
    }
}

/// Reads an entry whose size is within the bound of its slot.
fn read_entry<R: Read>(
    entry: &mut tar::Entry<'_, R>,
    slot: Slot,
) -> Result<Vec<u8>, ArtifactError> {
    let size = entry.size();
    if size > slot.max_bytes {
        return Err(ArtifactError::EntryTooLarge {
            name: slot.name,
            bytes: size,
            max: slot.max_bytes,
        });
    }

    let mut content = Vec::new();
    entry.take(slot.max_bytes).read_to_end(&mut content).map_err(damaged_error)?;
    if content.len() as u64 != size {
        return Err(ArtifactError::Damaged { reason: format!("{} ends early", slot.name) });
    }

    Ok(content)
}

/// Reads what follows the last entry and accepts only padding. Reading to the end lets gzip verify
/// its checksum.
fn check_end(rest: &mut impl Read) -> Result<(), ArtifactError> {
    let mut buffer = [0_u8; 4096];
    let mut padding = 0;
    loop {
        let read = match rest.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(damaged_error(error)),
        };

        padding += read as u64;
        if buffer[..read].iter().any(|&byte| byte != 0) {
            return Err(ArtifactError::TrailingData {
                what: "there is something other than padding",
            });
        }

        if padding > MAX_PADDING_BYTES {
            return Err(ArtifactError::TrailingData { what: "there is too much padding" });
        }
    }
}

pub(crate) fn damaged_error(error: io::Error) -> ArtifactError {
    ArtifactError::Damaged { reason: error.to_string() }
}
