//! What an entry of a tar is: one of the three files, a description of the next entry, or something
//! that a packer adds on its own.
//!
//! Python's tarfile and macOS write a pax header before each file, GNU tar writes long names in an
//! entry of their own, `tar .` writes `./` before each name, and macOS adds `._` files. None of
//! these changes what the three files are.

use std::io::Read;

use tar::EntryType;

use crate::error::ArtifactError;

/// The most bytes of a pax header or a long name. macOS stores the attributes of a file there.
const MAX_EXTENSION_BYTES: u64 = 1 << 20;
/// The characters of an unexpected name that the error shows.
const MAX_NAME_SHOWN: usize = 80;

/// A plain file of the archive.
pub(crate) struct File {
    /// The name up to its last slash, for example `model/`.
    pub(crate) folder: Vec<u8>,
    /// The name without the folder.
    pub(crate) name: Vec<u8>,
}

impl File {
    /// The whole name, cut to a readable length.
    pub(crate) fn shown(&self) -> String {
        shown(&[self.folder.as_slice(), &self.name].concat())
    }
}

/// The key and the value of a record.
type PaxRecord<'a> = (&'a [u8], &'a [u8]);

/// What the entries before a file say of it.
#[derive(Default)]
pub(crate) struct Described {
    name: Option<Vec<u8>>,
    size: Option<u64>,
}

impl Described {
    /// Returns the next file; `None` for an entry that is not one of the three files, and may be
    /// there.
    ///
    /// # Errors
    /// When the entry is a link or a device, when it is stored in parts, or when its name leaves the
    /// archive.
    pub(crate) fn file<R: Read>(
        &mut self,
        entry: &mut tar::Entry<'_, R>,
    ) -> Result<Option<File>, ArtifactError> {
        let kind = entry.header().entry_type();
        let own_name = entry.header().path_bytes().into_owned();
        let refused = |name: &[u8], kind| ArtifactError::NotAFile { name: shown(name), kind };
        match kind {
            EntryType::XHeader => return self.read_pax(&own_name, entry, true).map(|()| None),
            EntryType::XGlobalHeader => {
                return self.read_pax(&own_name, entry, false).map(|()| None);
            }
            EntryType::GNULongName => {
                let name = read_extension(entry)?;
                self.name = Some(name.split(|&byte| byte == 0).next().unwrap_or_default().to_vec());
                return Ok(None);
            }
            _ => {}
        }

        let described = std::mem::take(self);
        let name = described.name.unwrap_or(own_name);
        match kind {
            EntryType::Regular => {}
            EntryType::Directory => {
                let name = name.strip_suffix(b"/").unwrap_or(&name);
                let file = split(name)?;
                let is_file = crate::archive::is_one_of_the_files(&file.name);
                return if is_file { Err(refused(name, "a directory")) } else { Ok(None) };
            }
            EntryType::Symlink | EntryType::Link => return Err(refused(&name, "a link")),
            EntryType::GNULongLink => return Err(refused(&name, "a GNU extension header")),
            _ => return Err(refused(&name, "a special file")),
        }

        if described.size.is_some_and(|size| size != entry.size()) {
            return Err(refused(&name, "of another size in its pax header"));
        }

        split(&name).map(|file| (!is_of_macos(&file)).then_some(file))
    }

    /// Reads a pax header. One for all entries may have comments, but no name and no size.
    fn read_pax<R: Read>(
        &mut self,
        header: &[u8],
        entry: &mut tar::Entry<'_, R>,
        is_of_one_file: bool,
    ) -> Result<(), ArtifactError> {
        let refused = |kind| Err(ArtifactError::NotAFile { name: shown(header), kind });
        let content = read_extension(entry)?;
        for record in records(&content) {
            let (key, value) = record?;
            match key {
                key if key.starts_with(b"GNU.sparse.") => return refused("stored in parts"),
                b"path" | b"size" if !is_of_one_file => {
                    return refused("a pax header that names every entry");
                }
                b"path" => self.name = Some(value.to_vec()),
                b"size" => {
                    let size = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                    let Some(size) = size else { return refused("of a size that is no number") };
                    self.size = Some(size);
                }
                _ => {}
            }
        }

        Ok(())
    }
}

/// The keys and values of a pax header. A value may hold any byte: macOS keeps attributes there.
fn records(mut rest: &[u8]) -> impl Iterator<Item = Result<PaxRecord<'_>, ArtifactError>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }

        let record = split_record(rest).map(|(record, after)| {
            rest = after;
            record
        });
        if record.is_none() {
            rest = &[];
        }

        Some(
            record.ok_or_else(|| ArtifactError::Damaged {
                reason: "a pax header is not one".to_owned(),
            }),
        )
    })
}

/// A record, which is its own length, a blank, `key=value` and a line feed, and what follows it.
fn split_record(bytes: &[u8]) -> Option<(PaxRecord<'_>, &[u8])> {
    let blank = bytes.iter().position(|&byte| byte == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..blank]).ok()?.parse().ok()?;
    let (record, after) = bytes.split_at_checked(length)?;
    let record = record.get(blank + 1..)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|&byte| byte == b'=')?;
    Some(((&record[..equals], &record[equals + 1..]), after))
}

fn read_extension<R: Read>(entry: &mut tar::Entry<'_, R>) -> Result<Vec<u8>, ArtifactError> {
    let size = entry.size();
    let damaged = |reason| Err(ArtifactError::Damaged { reason });
    if size > MAX_EXTENSION_BYTES {
        return damaged(format!(
            "a header has {size} bytes, at most {MAX_EXTENSION_BYTES} are accepted"
        ));
    }

    let mut content = Vec::new();
    entry.read_to_end(&mut content).map_err(crate::archive::damaged_error)?;
    if content.len() as u64 == size {
        Ok(content)
    } else {
        damaged("a header ends early".to_owned())
    }
}

/// Splits a name at its last slash. `./` at its start is left out.
fn split(name: &[u8]) -> Result<File, ArtifactError> {
    let mut rest = name;
    while let Some(inner) = rest.strip_prefix(b"./") {
        rest = inner;
    }

    let leaves =
        rest.starts_with(b"/") || rest.split(|&byte| byte == b'/').any(|part| part == b"..");
    if leaves {
        return Err(ArtifactError::UnexpectedEntry { name: shown(name) });
    }

    let end = rest.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    let (folder, name) = rest.split_at(end);
    Ok(File { folder: folder.to_vec(), name: name.to_vec() })
}

/// Whether macOS added the file: it keeps the attributes of `NAME` in `._NAME`, and how the Finder
/// shows a folder in `.DS_Store`.
fn is_of_macos(file: &File) -> bool {
    file.name.starts_with(b"._") || file.name == b".DS_Store"
}

fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).chars().take(MAX_NAME_SHOWN).collect()
}
