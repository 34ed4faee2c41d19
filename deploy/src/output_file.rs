//! A file that a command writes for a person. It has its name only once it is whole.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use crate::terminal::Problem;

/// A file that is being written, beside its final place.
#[derive(Debug)]
pub struct OutputFile {
    path: PathBuf,
    partial: PathBuf,
    file: BufWriter<File>,
}

impl OutputFile {
    /// Begins a file, which replaces an older one of that name when it is finished.
    ///
    /// # Errors
    /// When its folder does not exist or may not be written to.
    pub fn create(path: &Path) -> Result<Self, Problem> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".partial");
        let partial = path.with_file_name(name);
        let file = File::create(&partial).map_err(|error| write_error(path, &error))?;
        Ok(Self { path: path.to_owned(), partial, file: BufWriter::new(file) })
    }

    /// Adds to the file.
    ///
    /// # Errors
    /// When the disk is full, for example.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        self.file.write_all(bytes).map_err(|error| write_error(&self.path, &error))
    }

    /// Ends the file and gives it its name. The answer is its absolute path.
    ///
    /// # Errors
    /// As [`OutputFile::write`].
    pub fn finish(mut self) -> Result<PathBuf, Problem> {
        let named = self.file.flush().and_then(|()| std::fs::rename(&self.partial, &self.path));
        named.map_err(|error| write_error(&self.path, &error))?;
        Ok(std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone()))
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        // After `finish` there is no partial file any more.
        let _ = std::fs::remove_file(&self.partial);
    }
}

fn write_error(path: &Path, error: &std::io::Error) -> Problem {
    Problem::usage(format!("cannot write the file: {error}"))
        .at(path.display().to_string())
        .next("name a file in a folder that exists and that you may write to")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::TempDir;

    #[test]
    fn a_file_has_its_name_only_once_it_is_whole() {
        let dir = TempDir::new("output");
        let path = dir.path().join("swaps.csv");
        std::fs::write(&path, "older").unwrap();

        let mut given_up = OutputFile::create(&path).unwrap();
        given_up.write(b"half").unwrap();
        drop(given_up);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "older");

        let mut whole = OutputFile::create(&path).unwrap();
        whole.write(b"whole").unwrap();
        assert_eq!(whole.finish().unwrap(), path);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "whole");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_is_missing_is_named() {
        let problem = OutputFile::create(Path::new("/nowhere/at/all.csv")).unwrap_err();
        assert_eq!(problem.place.as_deref(), Some("/nowhere/at/all.csv"));
    }
}
