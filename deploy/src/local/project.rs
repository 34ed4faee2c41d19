//! The checkout of the project: where its files and its Python environments are.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::terminal::Problem;

/// A checkout of the project on this machine.
#[derive(Debug, Clone)]
pub struct Project {
    root: PathBuf,
    venvs: PathBuf,
}

/// The pinned Python environments that the command line uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Venv {
    /// The environment with LocalStack, awslocal and PostgreSQL.
    LocalStack,
    /// The environment with cargo-lambda, zig, cfn-lint and ruff.
    Build,
    /// The environment with CatBoost and the trainer's other packages.
    Training,
    /// The environment with the SageMaker SDK. Only the command `pipeline` needs it.
    Pipeline,
}

impl Venv {
    /// The name of the environment's directory, which `install.py` uses as well.
    #[must_use]
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::LocalStack => "localstack",
            Self::Build => "build",
            Self::Training => "training",
            Self::Pipeline => "pipeline",
        }
    }
}

impl Project {
    /// The checkout around the working directory, or else the one that this program was built from.
    ///
    /// # Errors
    /// When neither of them exists.
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

    /// The top directory of the checkout.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory of the Python environments.
    #[must_use]
    pub fn venvs(&self) -> &Path {
        &self.venvs
    }

    /// The path of a program in a Python environment.
    #[must_use]
    pub fn venv_program(&self, venv: Venv, program: &str) -> PathBuf {
        self.venvs.join(venv.name()).join("bin").join(program)
    }

    /// The home that is used when the command line names none.
    #[must_use]
    pub(crate) fn default_home(&self) -> PathBuf {
        self.root.join(".local")
    }
}
