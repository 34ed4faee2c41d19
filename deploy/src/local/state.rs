//! Remembers between commands which services run on this machine for one home.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::local::process::ProcessIdentity;
use crate::local::write_whole;
use crate::terminal::Problem;

/// The way in which the local services run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Runtime {
    /// The services are processes of this machine, so Docker is not needed.
    #[default]
    Process,
    /// The services run in containers, started with docker-compose.yml.
    Docker,
}

/// The content of `state.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    schema: u32,
    /// The way in which the services run.
    pub(crate) runtime: Runtime,
    /// The database; `None` until one was started or connected to.
    pub postgres: Option<PostgresState>,
    /// The local AWS; `None` until it was started.
    pub localstack: Option<LocalStackState>,
}

/// The PostgreSQL server that this home uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum PostgresState {
    /// An embedded server that this program started.
    Embedded {
        /// The address of the server, with its password.
        url: String,
        /// The port of the server, which is asked for again after a stop.
        port: u16,
        /// The main process of the server; `None` while it is stopped.
        process: Option<ProcessIdentity>,
    },
    /// A server that DATABASE_URL names; this program never starts or stops it.
    External {
        /// The address of the server, with its password.
        url: String,
    },
}

impl PostgresState {
    /// The address of the server, with its password.
    #[must_use]
    pub fn url(&self) -> &str {
        match self {
            Self::Embedded { url, .. } | Self::External { url } => url,
        }
    }
}

/// The LocalStack server that this home uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalStackState {
    /// The port of the server, which is asked for again after a stop.
    pub port: u16,
    /// The process of the server; `None` while it is stopped, or when it runs in a container.
    pub(crate) process: Option<ProcessIdentity>,
}

impl LocalStackState {
    /// The endpoint for AWS clients, as a URL.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Default for State {
    fn default() -> Self {
        Self { schema: Self::SCHEMA, runtime: Runtime::Process, postgres: None, localstack: None }
    }
}

impl State {
    const SCHEMA: u32 = 1;

    /// Reads the remembered state. Without a file no service runs.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, or was written by another release.
    pub fn read(path: &Path) -> Result<Self> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };

        let damaged_error = |why: String| {
            Problem::new(format!("the environment's state cannot be used: {why}"))
                .at(path.display().to_string())
                .next(
                    "stop the services that it names if any still run, \
                     then delete the file and start again",
                )
        };

        let state: Self =
            serde_json::from_str(&text).map_err(|error| damaged_error(error.to_string()))?;
        if state.schema == Self::SCHEMA {
            Ok(state)
        } else {
            Err(damaged_error(format!("schema {} is not {}", state.schema, Self::SCHEMA)).into())
        }
    }

    /// Writes the state. A reader sees the old file or the new one, never a part of it.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        write_whole(path, &serde_json::to_vec_pretty(self)?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::TempDir;

    #[test]
    fn what_is_written_is_read_again_and_only_the_owner_may() {
        use std::os::unix::fs::PermissionsExt as _;

        let dir = TempDir::new("state");
        let path = dir.path().join("state.json");
        let state = State {
            postgres: Some(PostgresState::Embedded {
                url: "postgresql://postgres:secret@127.0.0.1:5433/postgres".to_owned(),
                port: 5433,
                process: Some(ProcessIdentity { pid: 7, started: "12345".to_owned() }),
            }),
            localstack: Some(LocalStackState { port: 4567, process: None }),
            ..State::default()
        };

        state.write(&path).unwrap();
        assert_eq!(State::read(&path).unwrap(), state);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no partial file is left");
    }

    #[test]
    fn no_file_means_nothing_runs() {
        let dir = TempDir::new("no-state");
        assert_eq!(State::read(&dir.path().join("state.json")).unwrap(), State::default());
    }

    #[test]
    fn a_damaged_file_says_what_to_do() {
        let dir = TempDir::new("damaged-state");
        let path = dir.path().join("state.json");
        for text in
            ["", "{", "[]", r#"{"schema":2,"runtime":"process","postgres":null,"localstack":null}"#]
        {
            std::fs::write(&path, text).unwrap();
            let problem = Problem::of(&State::read(&path).unwrap_err());
            assert!(problem.next.unwrap().contains("delete the file"), "{text}");
        }
    }
}
