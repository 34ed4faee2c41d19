//! Where things are: the project's own files, and the home of a local environment.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::problem::Problem;

/// A checkout of the project.
#[derive(Debug, Clone)]
pub struct Project {
    root: PathBuf,
    venvs: PathBuf,
}

/// The three pinned Python environments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Venv {
    /// LocalStack, awslocal and PostgreSQL.
    LocalStack,
    /// cargo-lambda, zig, cfn-lint, ruff.
    Build,
    /// CatBoost and what trains with it.
    Training,
}

impl Venv {
    /// Its directory's name, and what `install.py` calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LocalStack => "localstack",
            Self::Build => "build",
            Self::Training => "training",
        }
    }
}

impl Project {
    /// The checkout that the working directory is in, else the one that this program was built from.
    pub fn discover() -> Result<Self> {
        let here = std::env::current_dir().context("the working directory is gone")?;
        let built_from = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = here
            .ancestors()
            .chain(built_from.ancestors())
            .find(|dir| {
                dir.join("deploy/Cargo.toml").is_file() && dir.join("training/train.py").is_file()
            })
            .ok_or_else(|| {
                Problem::usage("this is not a checkout of limit-increase")
                    .at(here.display().to_string())
                    .next("change into the project's directory")
            })?
            .to_owned();
        let venvs = match std::env::var_os("LIMIT_INCREASE_VENVS") {
            Some(path) if !path.is_empty() => std::path::absolute(PathBuf::from(path))?,
            _ => root.join(".local/venvs"),
        };

        Ok(Self { root, venvs })
    }

    /// The checkout's top directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The Python environments' directory.
    #[must_use]
    pub fn venvs(&self) -> &Path {
        &self.venvs
    }

    /// A program of a Python environment.
    #[must_use]
    pub fn venv_program(&self, venv: Venv, program: &str) -> PathBuf {
        self.venvs.join(venv.name()).join("bin").join(program)
    }

    /// The home that is used when no other is asked for.
    #[must_use]
    pub fn default_home(&self) -> PathBuf {
        self.root.join(".local")
    }
}

/// The directory of one local environment: its data, logs, model and state.
#[derive(Debug, Clone)]
pub struct Home {
    root: PathBuf,
}

impl Home {
    /// A home at this place, made when it is first written to.
    pub fn new(root: impl Into<PathBuf>) -> Result<Self> {
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
    pub fn postgres(&self) -> PathBuf {
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
    pub fn training_record(&self) -> PathBuf {
        self.root.join("model/training.json")
    }

    /// The generated training portfolio.
    #[must_use]
    pub fn portfolio(&self) -> PathBuf {
        self.root.join("portfolio.csv")
    }

    /// Makes a directory of the home, the home itself readable by its owner only: the state holds a password.
    pub fn make(&self, dir: &Path) -> Result<()> {
        std::fs::create_dir_all(dir)
            .with_context(|| format!("cannot make the directory {}", dir.display()))
    }

    /// Keeps other commands from changing this environment until the guard is dropped.
    pub fn lock(&self) -> Result<HomeLock> {
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
