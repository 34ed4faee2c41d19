//! The directory of one local environment: where its data, logs, model and state are.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The directory of one local environment: its data, logs, model and state.
#[derive(Debug, Clone)]
pub struct Home {
    root: PathBuf,
}

impl Home {
    /// A home at this place, made when it is first written to.
    pub(crate) fn new(root: impl Into<PathBuf>) -> Result<Self> {
        Ok(Self { root: std::path::absolute(root.into())? })
    }

    /// The directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What runs, where.
    #[must_use]
    pub fn state_file(&self) -> PathBuf {
        self.root.join("state.json")
    }

    /// The embedded PostgreSQL's data.
    #[must_use]
    pub(crate) fn postgres(&self) -> PathBuf {
        self.root.join("postgres")
    }

    /// LocalStack's files, and the functions' code and logs.
    #[must_use]
    pub fn localstack(&self) -> PathBuf {
        self.root.join("localstack")
    }

    /// The services' logs.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// The model that was trained last.
    #[must_use]
    pub fn model(&self) -> PathBuf {
        self.root.join("model/catboost_model.tar.gz")
    }

    /// What the model was trained from, and how well it does.
    #[must_use]
    pub(crate) fn training_record(&self) -> PathBuf {
        self.root.join("model/training.json")
    }

    /// The generated training portfolio.
    #[must_use]
    pub(crate) fn portfolio(&self) -> PathBuf {
        self.root.join("portfolio.csv")
    }

    /// Makes a directory of the home, the home itself readable by its owner only: the state holds a
    /// password.
    pub(crate) fn make(&self, dir: &Path) -> Result<()> {
        std::fs::create_dir_all(dir)
            .with_context(|| format!("cannot make the directory {}", dir.display()))
    }

    /// Keeps other commands from changing this environment until the guard is dropped.
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

/// The lock on a home; the operating system drops it with the process, however that ends.
#[derive(Debug)]
pub struct HomeLock {
    _file: std::fs::File,
}

/// Writes a file whole or not at all, readable by its owner only.
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
