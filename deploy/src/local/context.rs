//! The context of a command: the checkout, the home, the options and the terminal.

use std::path::PathBuf;

use anyhow::Result;

use crate::local::state::Runtime;
use crate::local::{Home, Project};
use crate::terminal::Ui;

/// The options that say how the local services run.
#[derive(Debug, Clone, Default)]
pub struct ServiceOptions {
    /// Whether the services are processes or containers; `None` keeps the kind used before.
    pub runtime: Option<Runtime>,
    /// The address of the user's own PostgreSQL, used instead of the embedded one.
    pub database_url: Option<String>,
    /// The port of the embedded PostgreSQL; 0 for any free port.
    pub postgres_port: Option<u16>,
    /// The port of LocalStack; 0 for any free port.
    pub localstack_port: Option<u16>,
}

/// Everything that a command needs to know about where it runs.
#[derive(Debug, Clone)]
pub struct Context {
    /// The checkout of the project.
    pub project: Project,
    /// The local environment's directory.
    pub home: Home,
    /// The options that say how the local services run.
    pub options: ServiceOptions,
    /// The terminal that shows progress and answers.
    pub ui: Ui,
}

impl Context {
    /// A context for this home, or for the default one, in the checkout that `Project::discover`
    /// finds.
    pub fn new(home: Option<PathBuf>, options: ServiceOptions, ui: Ui) -> Result<Self> {
        let project = Project::discover()?;
        let home = Home::new(home.unwrap_or_else(|| project.default_home()))?;
        Ok(Self { project, home, options, ui })
    }

    /// A context for a test: a home of its own, any free ports, and a silent terminal.
    pub fn isolated(home: impl Into<PathBuf>) -> Result<Self> {
        let options = ServiceOptions {
            postgres_port: Some(0),
            localstack_port: Some(0),
            ..ServiceOptions::default()
        };

        Self::new(Some(home.into()), options, Ui::silent())
    }
}
