//! The home: the directory of one local environment. This module knows where its files are.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The directory of one local environment: its data, logs, model and state.
#[derive(Debug, Clone)]
pub struct Home {
    root: PathBuf,
}

impl Home {
    /// A home in this directory, which is made when the first file is written.
    pub(crate) fn new(root: impl Into<PathBuf>) -> Result<Self> {
        Ok(Self { root: std::path::absolute(root.into())? })
    }

    /// The directory itself, as an absolute path.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The file that remembers which services run, and where.
    #[must_use]
    pub fn state_file(&self) -> PathBuf {
        self.root.join("state.json")
    }

    /// The directory of the embedded PostgreSQL's data.
    #[must_use]
    pub(crate) fn postgres(&self) -> PathBuf {
        self.root.join("postgres")
    }

    /// The directory of LocalStack's files, with the code and the logs of the functions.
    #[must_use]
    pub fn localstack(&self) -> PathBuf {
        self.root.join("localstack")
    }

    /// The directory of the services' logs.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// The archive of the model that was trained last.
    #[must_use]
    pub fn model(&self) -> PathBuf {
        self.root.join("model/catboost_model.tar.gz")
    }

    /// The directory of the pages that were fetched for a person to read.
    #[must_use]
    pub fn reports(&self) -> PathBuf {
        self.root.join("reports")
    }

    /// The scores of the rows that the last training held out.
    #[must_use]
    pub fn scored_rows(&self) -> PathBuf {
        self.root.join("model/held_out_scores.csv")
    }

    /// The record of the last training: its inputs and its report.
    #[must_use]
    pub(crate) fn training_record(&self) -> PathBuf {
        self.root.join("model/training.json")
    }

    /// The sample portfolio as a CSV file to train on.
    #[must_use]
    pub(crate) fn portfolio(&self) -> PathBuf {
        self.root.join("portfolio.csv")
    }

    /// Makes a directory of the home, with the directories above it.
    pub(crate) fn make(&self, dir: &Path) -> Result<()> {
        std::fs::create_dir_all(dir)
            .with_context(|| format!("cannot make the directory {}", dir.display()))
    }

    /// Waits for the lock of this home. Other commands cannot change the environment until the
    /// guard is dropped.
    pub(crate) fn lock(&self) -> Result<HomeLock> {
        self.make(&self.root)?;
        let path = self.root.join("lock");
        let file = std::fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
        Ok(HomeLock { _file: file })
    }
}

/// The lock on a home. The operating system releases it when the process ends, even by a crash.
#[derive(Debug)]
pub struct HomeLock {
    _file: std::fs::File,
}

/// Writes a file that only its owner may read. A reader sees the old content or the new, never a
/// part of it.
pub fn write_whole(path: &Path, content: &[u8]) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;

    let dir = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir)
        .with_context(|| format!("cannot make the directory {}", dir.display()))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let partial = dir.join(format!(".{name}.{}", std::process::id()));
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(&partial)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&partial, path)
    };

    write().with_context(|| format!("cannot write {}", path.display()))
}
