//! Execution environments: started when none is idle, and kept for the next event until they die.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result};

use super::function::{FunctionProcess, Launch};

/// The environments of the four functions.
#[derive(Debug)]
pub struct Pool {
    launches: HashMap<String, Launch>,
    idle: Mutex<HashMap<String, Vec<FunctionProcess>>>,
    started: AtomicU64,
}

impl Pool {
    /// A pool without environments.
    #[must_use]
    pub fn new(launches: HashMap<String, Launch>) -> Self {
        Self { launches, idle: Mutex::default(), started: AtomicU64::new(0) }
    }

    /// An idle environment of a function, or a new one.
    ///
    /// # Errors
    /// When there is no such function, or it cannot be started.
    pub async fn take(&self, function: &str) -> Result<FunctionProcess> {
        let known =
            self.idle().get_mut(function).and_then(Vec::pop).filter(FunctionProcess::is_alive);
        if let Some(process) = known {
            return Ok(process);
        }

        self.started.fetch_add(1, Ordering::Relaxed);
        let launch = self
            .launches
            .get(function)
            .with_context(|| format!("there is no function {function}"))?;
        FunctionProcess::start(launch).await
    }

    /// Gives an environment back for the next event. A dead one is dropped.
    pub fn give_back(&self, function: &str, process: FunctionProcess) {
        if process.is_alive() {
            self.idle().entry(function.to_owned()).or_default().push(process);
        }
    }

    /// Environments started so far.
    #[must_use]
    pub fn started(&self) -> u64 {
        self.started.load(Ordering::Relaxed)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, HashMap<String, Vec<FunctionProcess>>> {
        self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
