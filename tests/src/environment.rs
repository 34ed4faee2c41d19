//! The local environment of one suite: services on free ports, the sample's model, the deployed
//! stack.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, ensure};
use limit_increase::customers::portfolio::SAMPLE_CUSTOMERS;
use limit_increase::customers::{self, CustomerSource};
use limit_increase::local::Context;
use limit_increase::local::services;
use limit_increase::runs::execution::{self, ExecutionReport, WatchEnd};
use limit_increase::{model, runs};
use limit_increase_database::DatabaseUrl;
use limit_increase_workflow::{RunId, RunRequest};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio_postgres::Client;

use crate::programs;

/// Services, model and stack, all running; stopped and removed when dropped.
pub struct Environment {
    /// The context of the command line's commands.
    pub context: Context,
    /// The services, the clients and the stack.
    pub ready: runs::RunEnvironment,
    runtime: Runtime,
    keep: AtomicBool,
}

impl Environment {
    /// Starts an environment in a directory of its own.
    ///
    /// # Errors
    /// When a service, the training, the build or the deployment fails. The services are stopped
    /// again.
    pub fn start(name: &str) -> Result<Self> {
        let runtime = Runtime::new()?;
        let home = home(name);
        if home.exists() {
            // A test run that was killed left this directory, and its services may still run.
            let context = Context::isolated(&home)?;
            services::stop(&context, true)?;
            std::fs::remove_dir_all(&home)
                .with_context(|| format!("cannot remove {}", home.display()))?;
        }

        let context = Context::isolated(&home)?;
        let ready = runtime.block_on(runs::prepare(&context)).inspect_err(|_| {
            let _ = services::stop(&context, true);
        })?;

        Ok(Self { context, ready, runtime, keep: AtomicBool::new(false) })
    }

    /// Keeps the directory with its logs, so that somebody can read them.
    pub fn keep_logs(&self) {
        self.keep.store(true, Ordering::Relaxed);
        eprintln!("the logs are kept in {}", self.context.home.root().display());
    }

    /// Runs a future to its end.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// A connection to the database.
    ///
    /// # Errors
    /// When the database does not answer.
    pub fn database(&self) -> Result<Client> {
        let url = DatabaseUrl::new(&self.ready.services.database_url);
        Ok(self.block_on(limit_increase_database::connect(&url))?)
    }

    /// Sets the tables as `setup-db --reset` does: the sample's 50 customers, none decided, and an
    /// empty ledger.
    ///
    /// # Errors
    /// When the database refuses them.
    pub fn reset(&self) -> Result<()> {
        self.reset_to(SAMPLE_CUSTOMERS.into())
    }

    /// Like [`Environment::reset`], with `count` customers of the sample portfolio.
    ///
    /// # Errors
    /// When the database refuses them.
    pub fn reset_to(&self, count: u64) -> Result<()> {
        let mut client = self.database()?;
        self.block_on(async {
            let columns = model::columns(&self.context, Some(&self.ready.aws))
                .await?
                .context("there is no model")?;
            customers::migrate(&self.context, &mut client).await?;
            client
                .batch_execute("DELETE FROM limit_increase_runs; DELETE FROM limit_increase_seals")
                .await?;
            customers::fill(
                &self.context,
                &mut client,
                CustomerSource::Sample { count },
                columns,
                true,
            )
            .await?;
            Ok(())
        })
    }

    /// The state machine's ARN.
    ///
    /// # Errors
    /// When the stack has no such output.
    pub fn machine(&self) -> Result<&str> {
        self.ready.stack.output("StateMachineArn")
    }

    /// Starts a run through the Step Functions API with exactly this input, and waits for its end.
    ///
    /// # Errors
    /// When it does not start or cannot be followed. A run that fails is not an error here.
    pub fn execute(&self, name: &str, input: &str) -> Result<ExecutionReport> {
        let started = self.block_on(
            self.ready
                .aws
                .states
                .start_execution()
                .state_machine_arn(self.machine()?)
                .name(name)
                .input(input)
                .send(),
        )?;

        self.follow(&started.execution_arn)
    }

    /// Waits for the end of an execution.
    ///
    /// # Errors
    /// When it cannot be followed.
    pub fn follow(&self, arn: &str) -> Result<ExecutionReport> {
        match self.block_on(execution::follow(
            &self.ready.aws,
            arn,
            &Arc::default(),
            &self.context.ui,
        ))? {
            WatchEnd::Ended(finished) => Ok(finished),
            WatchEnd::LeftRunning => anyhow::bail!("{arn} was left running"),
        }
    }

    /// Starts a run as `limit-increase run` does, and waits for its end.
    ///
    /// # Errors
    /// When it does not start or cannot be followed. A run that fails is not an error here.
    pub fn run(&self, request: &RunRequest) -> Result<ExecutionReport> {
        self.block_on(runs::run_to_end(&self.context, &self.ready, request))
    }

    /// Like [`Environment::run`], for a run that must succeed. Returns its id.
    ///
    /// # Errors
    /// Also when the run fails.
    pub fn run_well(&self, request: &RunRequest) -> Result<RunId> {
        let finished = self.run(request)?;
        ensure!(finished.succeeded(), "the run should succeed: {}", finished.problem());
        Ok(RunId::try_from(finished.name)?)
    }

    /// Reads an object of the bucket.
    ///
    /// # Errors
    /// When S3 does not answer, or there is no such object.
    pub fn object(&self, key: &str) -> Result<bytes::Bytes> {
        self.block_on(limit_increase::aws::storage::get(&self.ready.aws.s3, model::BUCKET, key))?
            .with_context(|| format!("there is no s3://{}/{key}", model::BUCKET))
    }

    /// Writes an object of the bucket, and replaces an older one.
    ///
    /// # Errors
    /// When S3 refuses it.
    pub fn put_object(&self, key: &str, content: impl Into<bytes::Bytes>) -> Result<()> {
        self.block_on(limit_increase::aws::storage::put(
            &self.ready.aws.s3,
            model::BUCKET,
            key,
            content.into(),
        ))
    }

    /// Lists the keys of the bucket under a prefix, in order.
    ///
    /// # Errors
    /// When S3 does not answer.
    pub fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        let listed = self.block_on(
            self.ready.aws.s3.list_objects_v2().bucket(model::BUCKET).prefix(prefix).send(),
        )?;

        Ok(listed.contents().iter().filter_map(|object| object.key().map(str::to_owned)).collect())
    }

    /// Runs the command line against this environment.
    ///
    /// # Errors
    /// When it does not build or cannot be started.
    pub fn command(&self, arguments: &[&str]) -> Result<Output> {
        let program = programs::command_line(&self.context.project)?;
        Command::new(&program)
            .args(arguments)
            .env("LIMIT_INCREASE_HOME", self.context.home.root())
            .env("LIMIT_INCREASE_VENVS", self.context.project.venvs())
            .env("POSTGRES_PORT", "0")
            .env("LOCALSTACK_PORT", "0")
            .env_remove("DATABASE_URL")
            .env_remove("RUNTIME")
            .output()
            .with_context(|| format!("cannot start {}", program.display()))
    }

    /// Runs the command line with `--json`, and reads its answer. The command must succeed.
    ///
    /// # Errors
    /// Also when it fails or its answer is not JSON.
    pub fn command_json(&self, arguments: &[&str]) -> Result<Value> {
        let output = self.command(&[&["--json"], arguments].concat())?;
        let said = || {
            String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat())
                .into_owned()
        };

        ensure!(
            output.status.success(),
            "{arguments:?} should succeed, it ended with {}: {}",
            output.status,
            said()
        );

        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("{arguments:?} is not JSON: {}", said()))
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        if let Err(error) = services::stop(&self.context, true) {
            eprintln!(
                "cannot stop the services of {}: {error:?}",
                self.context.home.root().display()
            );
        } else if !self.keep.load(Ordering::Relaxed) {
            let _ = std::fs::remove_dir_all(self.context.home.root());
        }
    }
}

/// The path contains a hash of the checkout's path, so that two checkouts can be tested
/// simultaneously.
pub(crate) fn home(name: &str) -> PathBuf {
    let checkout = env!("CARGO_MANIFEST_DIR")
        .bytes()
        .fold(0_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    std::env::temp_dir().join(format!("limit-increase-{name}-{checkout:016x}"))
}
