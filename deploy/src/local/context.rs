//! What every command has at hand.

use std::path::PathBuf;

use anyhow::Result;

use crate::local::state::Runtime;
use crate::local::{Home, Project};
use crate::terminal::Ui;

/// Where the local services come from.
#[derive(Debug, Clone, Default)]
pub struct ServiceOptions {
    /// Processes or containers; the remembered kind when not given.
    pub runtime: Option<Runtime>,
    /// A server of the user's own instead of the embedded one.
    pub database_url: Option<String>,
    /// Port of the embedded PostgreSQL; 0 for any.
    pub postgres_port: Option<u16>,
    /// Port of LocalStack; 0 for any.
    pub localstack_port: Option<u16>,
}

/// What every command has at hand.
#[derive(Debug, Clone)]
pub struct Context {
    /// The checkout.
    pub project: Project,
    /// The local environment's directory.
    pub home: Home,
    /// Where the local services come from.
    pub options: ServiceOptions,
    /// The terminal.
    pub ui: Ui,
}

impl Context {
    /// A context with the default home, or another.
    pub fn new(home: Option<PathBuf>, options: ServiceOptions, ui: Ui) -> Result<Self> {
        let project = Project::discover()?;
        let home = Home::new(home.unwrap_or_else(|| project.default_home()))?;
        Ok(Self { project, home, options, ui })
    }

    /// An environment of its own for a test: another home, any free ports, nothing on the terminal.
    pub fn isolated(home: impl Into<PathBuf>) -> Result<Self> {
        let options = ServiceOptions {
            postgres_port: Some(0),
            localstack_port: Some(0),
            ..ServiceOptions::default()
        };

        Self::new(Some(home.into()), options, Ui::silent())
    }
}
